# SPDX-License-Identifier: MIT
# src/probes.def -> probes.inc: PROBE(name, need_bytes, "what") becomes the NASM macro call
# `PROBE_THUNK name, need_bytes`. A line that starts with PROBE but has another form is an error.
BEGIN { print "; Generated from src/probes.def." }
/^[ \t]*PROBE/ {
    line = $0
    if (line !~ /^[ \t]*PROBE[ \t]*\([ \t]*[A-Za-z_][A-Za-z0-9_]*[ \t]*,[^,"]+,[ \t]*".*"[ \t]*\)/) {
        printf "%s:%d: malformed probe: %s\n", FILENAME, FNR, $0 > "/dev/stderr"
        exit 1
    }
    sub(/^[ \t]*PROBE[ \t]*\(/, "", line)
    split(line, field, ",")
    gsub(/[ \t]/, "", field[1])
    sub(/^[ \t]+/, "", field[2]); sub(/[ \t]+$/, "", field[2])
    printf "PROBE_THUNK %s, %s\n", field[1], field[2]
}
