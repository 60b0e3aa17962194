# SPDX-License-Identifier: MIT
# The boot line: `name=value` parameters, `--`, the app's arguments. A word that holds a space stands in double
# quotes as a whole, and \ ' " are escaped with a backslash. GRUB writes the line so, and we write it so for PVH.
# shellcheck shell=bash

# split_words TEXT: splits like a shell (spaces, quotes, backslash; nothing is expanded) into the array WORDS.
split_words() {
    local text=$1 word='' quote='' char index in_word=0
    WORDS=()
    for ((index = 0; index < ${#text}; index++)); do
        char=${text:index:1}
        if [ "$quote" = "'" ] && [ "$char" != "'" ]; then
            word+=$char
        elif [ -n "$quote" ] && [ "$char" = "$quote" ]; then
            quote=''
        elif [ "$char" = '\' ]; then
            index=$((index + 1))
            [ "$index" -lt "${#text}" ] || return 1
            word+=${text:index:1}
            in_word=1
        elif [ -n "$quote" ]; then
            word+=$char
        elif [ "$char" = '"' ] || [ "$char" = "'" ]; then
            quote=$char
            in_word=1
        elif [[ $char == [[:space:]] ]]; then
            [ "$in_word" -eq 0 ] || WORDS+=("$word")
            word=''
            in_word=0
        else
            word+=$char
            in_word=1
        fi
    done
    [ -z "$quote" ] || return 1
    [ "$in_word" -eq 0 ] || WORDS+=("$word")
}

# boot_word WORD: how WORD stands in the line the kernel reads.
boot_word() {
    local word=$1
    word=${word//\\/\\\\}
    word=${word//\'/\\\'}
    word=${word//\"/\\\"}
    case $word in
    *' '*) printf '"%s"' "$word" ;;
    *) printf '%s' "$word" ;;
    esac
}

# grub_word WORD: WORD for grub.cfg, where single quotes keep everything but themselves.
grub_word() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# join_words FUNCTION WORD...: the words, each through FUNCTION, with a space between them.
join_words() {
    local function=$1 word separator=''
    shift
    for word; do
        printf '%s' "$separator"
        "$function" "$word"
        separator=' '
    done
}

# boot_words APPEND APP ARGS...: fills the array BOOT_WORDS with the whole line: app=, the words of APPEND (repeated
# --append options are joined by the caller), then `--` and ARGS. APP is the path of a host file or empty.
boot_words() {
    local append=$1 app=$2 word
    shift 2
    BOOT_WORDS=()
    [ -z "$app" ] || BOOT_WORDS+=("app=/app/$(basename -- "$app")")
    split_words "$append" || die "$USAGE_STATUS" "--append: a quote or backslash without its end: $append"
    for word in ${WORDS[@]+"${WORDS[@]}"}; do
        [ "$word" != -- ] || die "$USAGE_STATUS" "--append takes boot parameters; give the app's arguments after --"
        BOOT_WORDS+=("$word")
    done
    [ $# -eq 0 ] || BOOT_WORDS+=(-- "$@")
    for word in ${BOOT_WORDS[@]+"${BOOT_WORDS[@]}"}; do
        [ -n "$word" ] || die "$USAGE_STATUS" "an empty argument cannot be passed on a boot line"
        [[ $word != *[[:cntrl:]]* ]] || die "$USAGE_STATUS" "a control character cannot be passed on a boot line"
    done
}

# check_app FILE: an app must be there, and be an ELF file; the kernel looks at the rest.
check_app() {
    [ -e "$1" ] || die 125 "app $1: no such file"
    [ -f "$1" ] && [ -r "$1" ] || die 125 "app $1: not a readable file"
    [ "$(head -c 4 -- "$1" | od -An -tx1 | tr -d ' ')" = 7f454c46 ] || die 125 "app $1: not an ELF program"
}
