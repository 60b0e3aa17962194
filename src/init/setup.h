// SPDX-License-Identifier: MIT
/* What lies between a booted kernel and a running app, and between its end and the machine's. */
#pragma once

/* Puts the loader's modules into the root filesystem as /app/NAME. -ENOMEM and the like. */
int setup_modules(void);
/* Does all `mount=` of the boot line; a failure ends the machine with status 125 and a message. */
int setup_mounts(void);
/* Runs `app=`, or the only module; unmounts everything; returns the status of the contract. */
unsigned setup_run_app(void);

/* The path of the module, if there was exactly one, else empty; and the last part of a path. */
extern char setup_only_module[96];
const char *setup_base_name(const char *path);
