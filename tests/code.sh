# SPDX-License-Identifier: MIT
# What was compiled, for the checks that look at it. Sourced behind tests/lib.sh; leaves the kernel's code, before the
# table of symbols is put in, in $TMP/code.
#
# body FUNCTION CODE              its instructions
# closure CODE FUNCTION...        the functions, and all that they call directly, on and on
# shellcheck shell=bash

IMAGE=$BUILD/kernel_pass1
[ -f "$IMAGE" ] || { "$ROOT/spillway" build >"$TMP/build.log" 2>&1 || { cat "$TMP/build.log"; exit 1; }; }
objdump -d --no-show-raw-insn -M intel "$IMAGE" >"$TMP/code"

body() { sed -n "/^[0-9a-f]* <$1>:$/,/^$/p" "$2"; }

closure() {
    local code=$1 seen=' ' todo name
    shift
    todo=("$@")
    while [ ${#todo[@]} -gt 0 ]; do
        name=${todo[0]}
        todo=("${todo[@]:1}")
        case $seen in *" $name "*) continue ;; esac
        seen+="$name "
        # What a broken invariant leads to is no part of a path.
        [ "$name" = assertion_failed ] && continue
        mapfile -t -O ${#todo[@]} todo < <(body "$name" "$code" |
            sed -nE 's/.*\<(call|jmp) +[0-9a-fx]+ <([A-Za-z_0-9.]+)>.*/\2/p' | grep -vx "$name")
    done
    echo "$seen"
}
