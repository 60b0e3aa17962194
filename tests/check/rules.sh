#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Rules about the source that a search can check. Every rule is a function rule_NAME that prints the violations of the
# tree it runs in; each also runs on a small bad tree, to show that it can fail.
. "$(dirname "$0")/../lib.sh"

kernel_files() { find src boot -type f \( -name '*.c' -o -name '*.h' \) | sort; }
source_files() {
    find boot src apps tests tools cmake iso -type f \( -name '*.c' -o -name '*.h' -o -name '*.asm' -o -name '*.ld' \
        -o -name '*.def' -o -name '*.sh' -o -name '*.awk' -o -name '*.cmake' -o -name CMakeLists.txt \) 2>/dev/null | sort
    find . -maxdepth 1 -name spillway -o -maxdepth 1 -name CMakeLists.txt
    find tools -maxdepth 1 -type f -perm -u+x 2>/dev/null | grep -v '\.[a-z]*$'
}

# The CPU is known to src/arch and boot alone.
rule_cpu() {
    find src -type f \( -name '*.c' -o -name '*.h' \) -not -path 'src/arch/*' -print0 |
        xargs -0r grep -nHE '#[[:space:]]*(el)?if.*(__x86_64__|__i386__|__aarch64__|__amd64__)|\<(__)?asm(__)?\>[[:space:]]*(volatile|__volatile__|goto)?[[:space:]]*\('
}

rule_alloca() { kernel_files | xargs -r grep -nHE '\<(__builtin_)?alloca[[:space:]]*\('; }

rule_file_length() {
    source_files | grep -v '\.def$' | while IFS= read -r file; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 600 ] || echo "$file: $lines lines, 600 are allowed"
    done
}

# A function starts with `{` in column 0 and ends with `}` there.
rule_function_length() {
    find src boot apps -name '*.c' 2>/dev/null | sort | xargs -r awk '
        /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start - 1 > 70) printf "%s:%d: a function of %d lines, 70 are allowed\n",
                FILENAME, start, FNR - start - 1; start = 0 }'
}

rule_spdx() {
    source_files | while IFS= read -r file; do
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file: no SPDX line"
    done
}

# Paths of one machine, and hosts packages came from, have no place in the source.
rule_paths() {
    { source_files; find docs README.md .ci .github -type f 2>/dev/null; } | grep -v 'tests/check/rules\.sh$' |
        xargs -r grep -nHE '(^|[^A-Za-z0-9_.>-])/(work|root|home/[a-z]+)/|/tmp/b(rief|-)|(pypi|crates|npmjs|registry|proxy|mirror)\.[a-z]+\.?[a-z]*/'
}

# probes.def: the form, a need of at most 3 KiB, and a body for every probe.
rule_probes() {
    [ -f src/probes.def ] || return 0
    awk '
        /^[ \t]*PROBE/ {
            if ($0 !~ /^PROBE\([a-z_0-9]+, [0-9]+, "[^"]+"\)$/) {
                printf "src/probes.def:%d: not of the form PROBE(name, bytes, \"what\")\n", FNR
                next
            }
            need = $2 + 0
            if (need < 256 || need > 3072)
                printf "src/probes.def:%d: a need of %d bytes; 256 to 3072 are allowed\n", FNR, need
        }' src/probes.def
    sed -nE 's/^PROBE\(([a-z_0-9]+),.*/\1/p' src/probes.def | while IFS= read -r name; do
        grep -rqE "\<${name}_body\>[[:space:]]*\(" src --include='*.c' || echo "src/probes.def: no function ${name}_body"
    done
}

# Critical points stay few: fewer than ten.
rule_probe_count() {
    [ -f src/probes.def ] || return 0
    local count
    count=$(grep -c '^PROBE(' src/probes.def)
    [ "$count" -lt 10 ] || echo "src/probes.def: $count probes, 9 are allowed"
}

# A filesystem is not probed: what nests is.
rule_filesystem_probes() {
    sed -nE 's/^PROBE\(([a-z_0-9]+),.*/\1_body/p' src/probes.def 2>/dev/null | while IFS= read -r body; do
        grep -rnHE "^[a-z_0-9 *]*\<$body\(|\) [a-z_0-9 *]*\<$body\(" src/fs 2>/dev/null
    done
}

# No thread of the kernel gives up its guards.
rule_guarded() { kernel_files | xargs -r grep -nHE '\.plain_stack[[:space:]]*='; }

# A function pointer is a field of a struct and nothing else: no typedef, no argument, no variable, no cast.
rule_function_pointers() {
    kernel_files | grep -v '^src/arch/host/' | xargs -r awk '
        FNR == 1 { depth = 0; inside = 0; comment = 0 }
        {
            line = $0
            gsub(/\/\*[^*]*\*+\//, "", line); sub(/\/\/.*/, "", line)
            if (comment) { if (line !~ /\*\//) next; sub(/^.*\*\//, "", line); comment = 0 }
            if (line ~ /\/\*/) { sub(/\/\*.*/, "", line); comment = 1 }
            if (!inside && line ~ /^(static )?(const )?(struct|union)[ \t]+[a-z_0-9]+[ \t]*(__attribute__[^{]*)?\{[ \t]*$/) {
                inside = 1; depth = 1; next
            }
            if (inside) {
                depth += gsub(/\{/, "{", line) - gsub(/\}/, "}", line)
                if (depth <= 0) inside = 0
                next
            }
            if (line ~ /\([ \t]*\*[ \t]*(const[ \t]*)?[a-z_0-9]*[ \t]*\)[ \t]*\(/)
                printf "%s:%d: a function pointer outside a struct: %s\n", FILENAME, FNR, $0
        }'
}

# Tables of operations are constant.
rule_const_tables() {
    kernel_files | xargs -r grep -nHE '^[[:space:]]*(static[[:space:]]+)?struct[[:space:]]+[a-z0-9_]+_(ops|def)[[:space:]]+[a-z0-9_]+(\[[^]]*\])?[[:space:]]*='
}

rule_trailing_space() { source_files | xargs -r grep -nHE '[[:space:]]+$|	' | grep -v '\.asm:' ; }

run_rule() {
    local found
    found=$(cd "$ROOT" && "rule_$1" 2>&1)
    if [ -z "$found" ]; then
        ok "$2"
    else
        not_ok "$2" "$(echo "$found" | wc -l) violations"
        echo "$found" | head -n 40
    fi
    found=$(cd "$TMP/bad" && "rule_$1" 2>&1)
    if [ -n "$found" ]; then ok "$2: the rule can fail"; else not_ok "$2: the rule can fail" "it found nothing"; fi
}

mkdir -p "$TMP/bad/src/fs" "$TMP/bad/src/rt" "$TMP/bad/boot" "$TMP/bad/tools"
cat >"$TMP/bad/src/rt/bad.c" <<'BAD'
#include "/home/someone/x.h"
#ifdef __x86_64__
#if defined(__x86_64__)
static struct x_ops bad_ops = { 0 };
static const struct thread_def bad_def = { .plain_stack = true };
void f(void (*call)(int)) { __asm__ volatile("hlt"); alloca(5); }
BAD
{ echo 'void g(void)'; echo '{'; for _ in $(seq 700); do echo '    f();'; done; echo '}'; } >>"$TMP/bad/src/rt/bad.c"
for _ in 1 2 3 4 5 6 7 8 9 10; do echo 'PROBE(lonely, 9999, "x")'; done >"$TMP/bad/src/probes.def"
echo 'int lonely_body(int argument)' >"$TMP/bad/src/fs/bad.c"
printf 'int x; \n' >>"$TMP/bad/src/rt/bad.c"

run_rule cpu "only src/arch and boot know the CPU"
run_rule alloca "no alloca"
run_rule file_length "files have at most 600 lines"
run_rule function_length "functions have at most 70 lines"
run_rule spdx "every source file has its SPDX line"
run_rule paths "no paths of a machine, no package hosts"
run_rule probes "probes.def is well formed"
run_rule probe_count "fewer than ten probes"
run_rule filesystem_probes "no filesystem has a probe"
run_rule guarded "no thread of the kernel opts out of guards"
run_rule function_pointers "function pointers are fields of structs only"
run_rule const_tables "tables of operations are constant"
run_rule trailing_space "no tabs, no space at the end of a line"
finish
