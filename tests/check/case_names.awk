# SPDX-License-Identifier: MIT
# Could a test script print these names of cases? Usage: awk -v script=FILE -f case_names.awk NAMES
#
# Prints those that it could not. A name fits when the script has it as it is, or has a quoted text that becomes the
# beginning of which the name is, with each variable in it replaced by something that the script has too. Comments do
# not count.

function starts(text, part) { return substr(text, 1, length(part)) == part }

# Quoted texts of a line; each $variable, ${variable} or $(command) becomes \001.
function collect(line,    quote, at, end, text) {
    while (match(line, /['"]/)) {
        quote = substr(line, RSTART, 1)
        line = substr(line, RSTART + 1)
        at = index(line, quote)
        if (!at)
            return
        text = substr(line, 1, at - 1)
        line = substr(line, at + 1)
        if (quote == "\"")
            text = blanks(text)
        if (text ~ /[A-Za-z]/ && text ~ /\001/)
            templates[count++] = text
    }
}

function blanks(text) {
    while (match(text, /\$\{[a-z_]+:\+[^}]*\}/))    # ${x:+ with $x}: the text inside
        text = substr(text, 1, RSTART - 1) \
            substr(text, RSTART + index(substr(text, RSTART), ":+") + 1, RLENGTH - index(substr(text, RSTART), ":+") - 2) \
            substr(text, RSTART + RLENGTH)
    gsub(/\$\([^)]*\)|\$\{[^}]*\}|\$[A-Za-z_0-9]+/, "\001", text)
    return text
}

# Whether @name is how some text of @template begins; @deep: a blank may be filled by another template.
function fits(name, template, deep,    at, literal, rest, length_of, value) {
    at = index(template, "\001")
    if (!at)
        return starts(template, name)
    literal = substr(template, 1, at - 1)
    if (length(name) <= length(literal))
        return starts(literal, name)
    if (!starts(name, literal))
        return 0
    rest = substr(name, at)
    template = substr(template, at + 1)
    for (length_of = length(rest); length_of > 0; length_of--) {
        value = substr(rest, 1, length_of)
        if ((index(script_text, value) || (deep && whole(value))) &&
            (length_of == length(rest) || fits(substr(rest, length_of + 1), template, deep)))
            return 1
    }
    return 0
}

function whole(value,    i) {
    for (i = 0; i < count; i++)
        if (fits(value, templates[i], 0))
            return 1
    return 0
}

BEGIN {
    count = 0
    while ((getline line < script) > 0) {
        if (line ~ /^[ \t]*#/)
            continue
        script_text = script_text line "\n"
        collect(line)
    }
}

{
    found = index(script_text, $0)
    for (i = 0; i < count && !found; i++)
        found = fits($0, templates[i], 1)
    if (!found)
        print
}
