// SPDX-License-Identifier: MIT
/* The app, and the orderly end after it. The in-guest tests link tests/guest/ instead of this file. */
#include <init/setup.h>

#include <abi/app.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/param.h>
#include <vfs/vfs.h>

static unsigned run_app(void)
{
    const char *path = params.app ? params.app : setup_only_module[0] ? setup_only_module : NULL;
    if (!path) {
        console_printf("spillway: no app: give app=PATH on the boot line, or a module\n");
        return EXIT_SETUP;
    }
    static char name[64];
    str_copy(name, setup_base_name(path), sizeof(name));
    app_end.name = name;
    int err = vfs_chdir(NULL, params.cwd);
    if (err) {
        console_printf("spillway: cwd=%s: %s\n", params.cwd, errno_name(-err));
        return EXIT_SETUP;
    }
    static const char *argv[PARAM_ARGS_MAX + 2];
    argv[0] = name;
    memcpy(&argv[1], params.args, params.arg_count * sizeof(argv[0]));
    return app_load_and_run(path, params.arg_count + 1, argv, params.env_count, params.env);
}

unsigned setup_run_app(void)
{
    unsigned status = run_app();
    int err = vfs_unmount_all();
    if (err)
        console_printf("spillway: unmounting at the end failed: %s\n", errno_name(-err));
    return err && status == 0 ? EXIT_SETUP : status;
}
