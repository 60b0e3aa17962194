# SPDX-License-Identifier: MIT
# src/arch/x86_64/font.txt -> font.inc: for each character from the space on the eight lines of its dots, as the bytes of
# an 8-dot line: bit 7 is the leftmost dot and stays free, the five dots follow.
BEGIN {
    print "// SPDX-License-Identifier: MIT"
    print "// Generated from src/arch/x86_64/font.txt."
    next_code = 32
}
/^FIRST [0-9]+ / {
    if ($2 + 0 != next_code)
        fail("the band starts with code " $2 ", expected " next_code)
    lines = 8
    next
}
lines > 0 {
    count = split($0, glyphs, " ")
    if (lines < 8 && count != band)
        fail(count " characters in this line, " band " above")
    band = count
    for (i = 1; i <= count; i++) {
        if (glyphs[i] !~ /^[.#][.#][.#][.#][.#]$/)
            fail("not five dots: " glyphs[i])
        byte = 0
        for (dot = 1; dot <= 5; dot++)
            byte = byte * 2 + (substr(glyphs[i], dot, 1) == "#")
        text[next_code + i - 1] = text[next_code + i - 1] sprintf("0x%02x, ", byte * 4)
    }
    if (--lines == 0)
        next_code += band
}
END {
    if (!failed && next_code != 127)
        fail("the last code is " next_code - 1 ", expected 126")
    if (failed)
        exit 1
    for (code = 32; code < 127; code++)
        printf "{ %s}, // %d\n", text[code], code
}
function fail(why) {
    printf "font.txt:%d: %s\n", FNR, why >"/dev/stderr"
    failed = 1
    exit 1
}
