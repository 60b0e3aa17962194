# SPDX-License-Identifier: MIT
# The screen: what QEMU's display shows is read back, letter by letter, and must be what went over the serial line:
# VGA text (PVH and BIOS) and framebuffers (UEFI, and BIOS modes of several sizes and formats), scrolled, while the
# program runs, at its end, and in a panic.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../firmware.sh"

FONT=$ROOT/src/arch/x86_64/font.txt
END='^spillway: exit='

gcc -O2 -Wall -Wextra -Werror -o "$TMP/screen-text" "$(dirname "$0")/screen-text.c" || exit 1

# shot NAME UNTIL QEMU_ARGS...: boots a machine with a VGA, waits until its serial line matches UNTIL, and a moment
# for the screen; NAME.ppm is the display then, NAME.serial the text since the kernel's first line.
shot() {
    local name=$TMP/$1 until=$2 qemu tries
    shift 2
    rm -f "$TMP/monitor" "$name.raw"
    mkfifo "$TMP/monitor"
    timeout 120 qemu-system-x86_64 -machine q35 -accel tcg -cpu max -nodefaults -vga std -display none -no-reboot \
        -serial "file:$name.raw" -monitor stdio "$@" <"$TMP/monitor" >"$name.monitor" 2>&1 &
    qemu=$!
    exec 7>"$TMP/monitor"
    for ((tries = 0; tries < 550; tries++)); do
        ! grep -qaE -- "$until" "$name.raw" 2>/dev/null || break
        sleep 0.2
    done
    sleep 1
    printf 'screendump %s.ppm\nquit\n' "$name" >&7
    exec 7>&-
    wait "$qemu"
    tr -d '\r' <"$name.raw" | sed -n 's/^.*\(Spillway [0-9]\)/\1/;/^Spillway [0-9]/,$p' >"$name.serial"
}

size_of() { sed -n '2p;2q' "$TMP/$1.ppm" | tr -d '\n'; }

# expected NAME COLS ROWS: what the screen must show; the cursor stands on a line of its own below the text.
expected() {
    { fold -w "$2" "$TMP/$1.serial"; echo; } | tail -n "$3" | sed 's/ *$//' |
        awk -v rows="$3" '{ print } END { while (NR++ < rows) print "" }'
}

# same_text LABEL NAME COLS ROWS CELL_WIDTH CELL_HEIGHT SOURCE...: the display shows the text of the serial line.
same_text() {
    local label=$1 name=$2 cols=$3 rows=$4
    expected "$name" "$cols" "$rows" >"$TMP/$name.want"
    if ! "$TMP/screen-text" "$TMP/$name.ppm" "${@:5}" >"$TMP/$name.got" 2>"$TMP/$name.errors"; then
        not_ok "$label" "$(head -n 1 "$TMP/$name.errors")"
    elif [ ! -s "$TMP/$name.serial" ]; then
        not_ok "$label" 'nothing came over the serial line'
    elif ! head -n "$rows" "$TMP/$name.got" | cmp -s - "$TMP/$name.want"; then
        not_ok "$label" 'the screen shows something else than the serial line'
        diff "$TMP/$name.want" "$TMP/$name.got" | head -n 20
    else
        ok "$label"
    fi
}

shows() { if grep -qaF -- "$3" "$TMP/$2.want"; then ok "$1"; else not_ok "$1" "the screen lacks: $3"; fi; }

cd "$TMP" || exit 1
cat >say.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    for (int i = 0; i < atoi(argv[1]); i++)
        printf("line %d of %s: %.*s\n", i, argv[1], i % 97, "0123456789012345678901234567890123456789"
               "012345678901234567890123456789012345678901234567890123456789");
    for (int c = ' '; c < 127; c++)
        putchar(c);
    puts("\nall of them");
    fflush(stdout);
    if (argc > 2 && !strcmp(argv[2], "wait"))
        pause();
    return 0;
}
C
build_app say.c say
direct=(-m 64M -kernel "$BUILD/spillway.elf" -initrd say -append)

# VGA text. Its font is the VGA's own: every character is learnt from the first picture, whose text is known.
shot vga '^all of them' "${direct[@]}" 'app=/app/say -- 0 wait'
assert_equal 'VGA text: 80 by 25 cells of 9 by 16' "$(size_of vga)" '720 400'
same_text 'VGA text, while the program waits' vga 80 25 9 16 like vga.ppm <(expected vga 80 25)
shows 'VGA text: the first line of the boot' vga 'Spillway '
shows 'VGA text: every character' vga ' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmn'
expected vga 80 25 >vga.text
shot scrolled "$END" "${direct[@]}" 'app=/app/say -- 300'
same_text 'VGA text, scrolled' scrolled 80 25 9 16 like vga.ppm vga.text
shows 'VGA text: the last line' scrolled 'spillway: exit=0 app=say '
sed 's/^line 299/line 298/' scrolled.serial >wrong.serial && cp scrolled.ppm wrong.ppm
wrong=$(same_text 'a wrong digit' wrong 80 25 9 16 like vga.ppm vga.text | head -n 1)
assert_equal 'the comparison can fail' "$wrong" 'not ok a wrong digit: the screen shows something else than the serial line'

# By BIOS and GRUB: VGA text, and pixels in several sizes and formats.
"$ROOT/spillway" iso --app say -o say.iso -- 100 >iso.log 2>&1 || not_ok 'an ISO is made' "$(tail -n 1 iso.log)"
shot bios "$END" -m 64M -cdrom say.iso
same_text 'BIOS: VGA text' bios 80 25 9 16 like vga.ppm vga.text
# mode WIDTH HEIGHT BITS CELL COLS ROWS
mode() {
    iso_with_mode say.iso mode.iso "$1x$2x$3"
    shot "mode" "$END" -m 64M -cdrom mode.iso
    assert_equal "$1x$2x$3: the display's size" "$(size_of mode)" "$1 $2"
    same_text "$1x$2x$3: its text" mode "$5" "$6" "$4" $(($4 * 2)) font "$FONT"
}
mode 640 480 16 8 80 30
mode 800 600 24 8 100 37
mode 1920 1080 32 8 240 67
mode 2560 1600 32 16 160 50

# UEFI.
uefi_drives
shot uefi "$END" -m 128M "${UEFI[@]}" -cdrom say.iso
assert_equal 'UEFI: the display has the size that the firmware chose' "$(size_of uefi)" '1280 800'
same_text 'UEFI: its text' uefi 160 50 8 16 font "$FONT"

# A panic, by both ways; the report comes from two CPUs' machine, whose other one is stopped.
build_variant guest-tests
shot panic "$END" -m 64M -smp 2 -kernel "$BUILD/spillway.elf" -append app=null-read
same_text 'a panic on VGA text' panic 80 25 9 16 like vga.ppm vga.text
shows 'a panic on VGA text: the backtrace' panic 'null_read+0x'
"$ROOT/spillway" iso -o panic.iso --append app=null-read >iso.log 2>&1 || not_ok 'an ISO is made' "$(tail -n 1 iso.log)"
uefi_drives
shot panic "$END" -m 128M -smp 2 "${UEFI[@]}" -cdrom panic.iso
same_text 'a panic on the framebuffer' panic 160 50 8 16 font "$FONT"
shows 'a panic on the framebuffer: what it was' panic 'PANIC: kernel page fault: read at 0000000000000008'
shows 'a panic on the framebuffer: the backtrace' panic 'null_read+0x'

# A screen that faults ends in a report all the same, over the serial line.
run_guest --append app=screen-gone --qemu '-vga std'
assert_status 'a screen that faults: status' 202
assert_contains 'a screen that faults: the report says so' 'PANIC: a fault inside a report'
assert_matches 'a screen that faults: the machine prints its last line' '^spillway: exit=202 app=screen-gone total=[0-9]'
finish
