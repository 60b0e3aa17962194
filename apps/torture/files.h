// SPDX-License-Identifier: MIT
/* What the operations on files share: names, and the content of a slot's file. */
#ifndef TORTURE_FILES_H
#define TORTURE_FILES_H

#include "content.h"
#include "torture.h"

enum { PATH_BYTES = 280, FILE_PLACES = 6, FOLDER_PLACES = 2 };

/** file_path() - the name of file @slot at @place: one of two names in one of three folders. */
void file_path(char *path, const struct level *level, unsigned slot, unsigned place);

/** folder_path() - the name of folder slot @slot at @place. */
void folder_path(char *path, const struct level *level, unsigned slot, unsigned place);

/** file_unit() - what unit @unit of a file must be. */
struct unit_id file_unit(const struct level *level, const struct file_slot *file, uint32_t unit);

/**
 * file_verify() - compare @count units from @first on with the model. The slot is locked.
 * @at: their content.
 */
enum outcome file_verify(const struct level *level, const struct file_slot *file, uint32_t first,
                         uint32_t count, const void *at);

/** file_verify_all() - size, the hole and every unit of a slot's file. */
enum outcome file_verify_all(struct worker *w, struct level *level, unsigned slot);

/** folder_verify() - compare the folder's list with the model. The slot is locked. */
enum outcome folder_verify(struct worker *w, struct level *level, unsigned slot);

#endif
