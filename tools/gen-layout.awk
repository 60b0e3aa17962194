# SPDX-License-Identifier: MIT
# src/arch/layout.h -> layout.inc: every `#define NAME value` becomes `%define NAME value`. Comments and the
# integer suffixes of C go; include guards (no value) and macros with parameters are left out.
BEGIN { print "; Generated from src/arch/layout.h." }
/^[ \t]*#[ \t]*define[ \t]+[A-Za-z_][A-Za-z0-9_]*[ \t]+[^ \t]/ {
    line = $0
    sub(/^[ \t]*#[ \t]*define[ \t]+/, "", line)
    sub(/[ \t]*\/\/.*$/, "", line)
    gsub(/\/\*[^*]*\*+\//, "", line)
    sub(/[ \t]*\/\*.*$/, "", line)
    name = line
    sub(/[ \t].*$/, "", name)
    sub(/^[^ \t]+[ \t]+/, "", line)
    sub(/[ \t]+$/, "", line)
    if (line == "")
        next
    # 0x1000ull, 16UL, 4u: drop the suffix, number by number.
    out = ""
    while (match(line, /(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]+/)) {
        number = substr(line, RSTART, RLENGTH)
        sub(/[uUlL]+$/, "", number)
        out = out substr(line, 1, RSTART - 1) number
        line = substr(line, RSTART + RLENGTH)
    }
    printf "%%define %s %s\n", name, out line
}
