// SPDX-License-Identifier: MIT
/* The tower from the main thread's side; the operation on it is in torture.h. */
#ifndef TORTURE_TOWER_H
#define TORTURE_TOWER_H

#include "torture.h"

/** tower_make() - memory for the levels. Errors: -ENOMEM. */
int tower_make(void);

/**
 * tower_up() - mount level after level.
 * @first: wipe what an earlier run left, fill the images' holes, note the free space, make the
 *         folders of torture.
 *
 * A level that is refused for want of a stack ends the tower there. Errors: -1 after a note.
 */
int tower_up(bool first);

/** tower_down() - unmount all, innermost first. Errors: -1 after a note. */
int tower_down(void);

/** tower_check_free() - remove all of ours in every level; is what was free free again? */
void tower_check_free(void);

#endif
