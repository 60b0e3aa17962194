#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who may include whom: the table of docs/, enforced over src/. Each violation is named with file, line and rule.
. "$(dirname "$0")/../lib.sh"

# layer_violations TREE: prints `file:line: ...` for every include in TREE/src that the table forbids.
layer_violations() {
    (cd "$1" && grep -rnE '^[[:space:]]*#[[:space:]]*include' src --include='*.c' --include='*.h') | awk '
        BEGIN {
            may["lib"] = " lib "
            may["arch"] = " lib arch "
            may["rt"] = " lib arch rt "
            may["block"] = " lib rt block "
            may["vfs"] = " lib rt vfs "
            may["fs"] = " lib rt block vfs fs "
            may["drivers"] = " lib arch rt block drivers "
            may["abi"] = " lib rt block vfs abi "
            may["init"] = " lib arch rt block vfs fs drivers abi init "
        }
        function bad(why) { printf "%s:%s: %s may not include %s (%s)\n", file, line, from, target, why }
        {
            file = $0; sub(/:.*/, "", file)
            line = $0; sub(/^[^:]*:/, "", line); sub(/:.*/, "", line)
            text = $0; sub(/^[^:]*:[^:]*:/, "", text)
            split(file, path, "/")
            from = path[2]
            quoted = text ~ /"/
            target = text
            sub(/^[^<"]*[<"]/, "", target); sub(/[>"].*$/, "", target)
            if (target == "probes.def" || target ~ /\/probes\.def$/)
                next
            if (!(from in may)) {
                printf "%s:%s: src/%s is no layer\n", file, line, from
                next
            }
            if (quoted) {
                if (target ~ /\.\./ || target ~ /\//)
                    bad("a quoted include names a file of the same folder; others are written <layer/file.h>")
                next
            }
            if (target !~ /\//) {
                # The compiler'\''s own headers and generated ones; the host port may use the C library.
                if (target ~ /^(stdint|stddef|stdbool|stdarg|limits|version)\.h$/ || file ~ /^src\/arch\/host\//)
                    next
                if (from == "lib")
                    next                # under SPILLWAY_HOST; the kernel has no such files to find
                if (target == "x86.h" && file ~ /^src\/arch\/x86_64\//)
                    next                # the one header the port keeps to itself
                bad("not a header of a layer")
                next
            }
            split(target, part, "/")
            to = part[1]
            if (to == "sys" && (from == "lib" || file ~ /^src\/arch\/host\//))
                next
            if (!(to in may)) {
                if (file ~ /^src\/arch\/host\//)
                    next
                bad("not a header of a layer")
            } else if (to == "arch" && (part[2] == "x86_64" || part[2] == "host")) {
                if (from != "arch" && from != "drivers" && from != "init")
                    bad("the port is used through arch/*.h")
            } else if (from == "abi" && to == "arch") {
                if (target != "arch/arch.h")
                    bad("of arch, abi sees arch/arch.h only")
            } else if (from == "drivers" && to == "vfs") {
                if (file !~ /^src\/drivers\/stacked\/loop/)
                    bad("of the drivers, only loop may include vfs")
            } else if (index(may[from], " " to " ") == 0) {
                bad("layer " from " may include:" may[from])
            }
        }'
}

found=$(layer_violations "$ROOT")
if [ -z "$found" ]; then ok "layers of src"; else not_ok "layers of src" "$(echo "$found" | wc -l) violations"; echo "$found"; fi

# The check can fail: a tree with one violation of each kind, and lines that are right.
mkdir -p "$TMP"/src/{lib,rt,block,vfs,abi,drivers/stacked,drivers/virtio,fs/ext2,arch/host,other}
echo '#include <rt/thread.h>' >"$TMP/src/lib/bad.c"
echo '#include <block/bio.h>' >"$TMP/src/rt/bad.c"
echo '#include <arch/arch.h>' >"$TMP/src/block/bad.c"
echo '#  include <fs/ext2/ext2.h>' >"$TMP/src/vfs/bad.c"
echo '#include <arch/layout.h>' >"$TMP/src/abi/bad.c"
echo '#include <vfs/vfs.h>' >"$TMP/src/drivers/virtio/bad.c"
echo '#include "../../rt/thread.h"' >"$TMP/src/fs/ext2/bad.c"
echo '#include <stdio.h>' >"$TMP/src/fs/ext2/bad2.c"
echo '#include <lib/list.h>' >"$TMP/src/other/bad.c"
echo '#include <arch/x86_64/cpu.h>' >"$TMP/src/rt/bad2.h"
printf '#include <vfs/vfs.h>\n#include <stdint.h>\n#include "stacked.h"\n' >"$TMP/src/drivers/stacked/loop.c"
printf '#include <probes.def>\n#include <lib/list.h>\n' >"$TMP/src/rt/probe.c"
printf '#include <stdio.h>\n#include <sys/mman.h>\n' >"$TMP/src/arch/host/page.c"
found=$(layer_violations "$TMP")
for file in lib/bad.c rt/bad.c block/bad.c vfs/bad.c abi/bad.c drivers/virtio/bad.c fs/ext2/bad.c fs/ext2/bad2.c \
    other/bad.c rt/bad2.h; do
    case $found in
    *"src/$file:1:"*) ok "the layer check finds src/$file" ;;
    *) not_ok "the layer check finds src/$file" "it does not" ;;
    esac
done
assert_equal "the layer check finds nothing else" "$(echo "$found" | wc -l)" 10
finish
