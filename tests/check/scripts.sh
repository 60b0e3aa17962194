#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The scripts parse. shellcheck and clang-format, where installed, report what they would change; that fails nothing.
. "$(dirname "$0")/../lib.sh"
cd "$ROOT" || exit 1

while IFS= read -r file; do
    case $(head -n 1 "$file") in
    '#!/bin/sh'*) shell='sh' ;;
    *) shell=bash ;;
    esac
    if message=$($shell -n "$file" 2>&1); then
        ok "$shell -n $file"
    else
        not_ok "$shell -n $file" "$(echo "$message" | head -n 1)"
    fi
done < <(
    echo spillway
    find tools tests .ci -type f \( -name '*.sh' -o -path .ci/run -o -name tower-check -o -name linux-guest -o -name costs -o -name status \) | sort
)

if command -v shellcheck >/dev/null; then
    count=$(find tools tests -name '*.sh' -print0 | xargs -0 shellcheck -s bash -S warning -e SC2034,SC2054,SC2154 -f gcc spillway 2>/dev/null | wc -l)
    echo "report: shellcheck has $count remarks"
fi
if command -v clang-format >/dev/null; then
    count=0
    while IFS= read -r file; do
        clang-format --dry-run -Werror "$file" 2>/dev/null || count=$((count + 1))
    done < <(find src boot apps tests -name '*.[ch]')
    echo "report: clang-format would change $count files"
fi
finish
