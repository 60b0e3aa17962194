// SPDX-License-Identifier: MIT
/*
 * Who paints the screen while the machine runs: a thread, so that writing to the console never waits for it, and no
 * lock is held meanwhile. Before it is there, and when the machine ends, the port paints by itself.
 */
#pragma once

/* Starts the thread, where there is a screen. */
int screen_start(void);
/* The console was written to. Any context. */
void screen_touched(void);
