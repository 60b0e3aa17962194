# SPDX-License-Identifier: MIT
# Memory nodes: extra stacks and all that a CPU has of its own lie in its node. The frames that the guest prints are
# judged here by what QEMU was told of its nodes; also nodes without memory, full ones, and tables that cannot be true.
# shellcheck shell=bash
# timeout: 400
. "$(dirname "$0")/../lib.sh"
BUSYBOX=/bin/busybox
GUEST_TIMEOUT=60

# numa MIB:CPUS...: sets NUMA, QEMU's arguments for a node each, and LAYOUT, `first-byte end node` and `cpu N node` lines.
numa() {
    local node=0 at=0 spec mib cpus cpu
    NUMA=
    LAYOUT=
    for spec in "$@"; do
        mib=${spec%:*} cpus=${spec#*:}
        NUMA+=" -numa node,nodeid=$node"
        [ -z "$cpus" ] || NUMA+=",cpus=$cpus"
        if [ "$mib" -gt 0 ]; then
            NUMA="-object memory-backend-ram,id=m$node,size=${mib}M $NUMA,memdev=m$node"
            LAYOUT+="ram $((at << 20)) $(((at + mib) << 20)) $node"$'\n'
        fi
        [ -z "$cpus" ] || for cpu in $(seq "${cpus%-*}" "${cpus#*-}"); do LAYOUT+="cpu $cpu $node"$'\n'; done
        at=$((at + mib)) node=$((node + 1))
    done
    MEMORY=${at}M
}

# assert_frames NAME KIND COUNT: the guest printed COUNT frames of that kind, each in the node of its CPU
# if that has memory.
assert_frames() {
    assert_equal "$1" "$({ printf '%s' "$LAYOUT"; grep -aE "^  frame $2 cpu" "$OUT"; } | awk '
        BEGIN { n = 0 }
        $1 == "ram" { start[n] = $2; end[n] = $3; of[n++] = $4; has[$4] = 1 }
        $1 == "cpu" { node[$2] = $3 }
        $1 == "frame" {
            seen++
            found = "none"
            for (i = 0; i < n; i++) if ($6 >= start[i] && $6 < end[i]) found = of[i]
            if (found != node[$4] && (node[$4] in has)) print "CPU " $4 " has one of node " found " at " $6
        }
        END { print seen + 0 }' | head -n 3)" "$3"
}

busybox() { # busybox COMMAND ARGS...
    run_guest --app $BUSYBOX -c 4 -m "$MEMORY" --append "${PARAMS:-}" --qemu "$NUMA" -- "$@"
    assert_status "busybox $*" 0
}


# ---- in the kernel ----

BUILD_PLAIN=$BUILD
build_variant guest-tests
for nodes in "256:0-1 256:2-3" "133:0 256:1-3" "128:0-1 128:2 0:3" "0:0-1 256:2-3"; do
    # shellcheck disable=SC2086
    numa $nodes
    for check in extra resize steal cpus threads full; do
        run_guest -c 4 -m "$MEMORY" --append "app=numa-$check" --qemu "$NUMA"
        assert_contains "numa-$check on nodes $nodes" "ok numa-$check"
        case $check in
        extra) assert_frames "extra stacks on nodes $nodes" extra 256 ;;
        resize) assert_frames "extra stacks made at run time on nodes $nodes" extra 512 ;;
        cpus)
            assert_frames "IST stacks on nodes $nodes" ist 48
            assert_frames "interrupt stacks on nodes $nodes" interrupt 16
            assert_frames "idle stacks on nodes $nodes" idle 6
            assert_frames "workers' stacks on nodes $nodes" worker 4
            ;;
        threads) assert_frames "home stacks on nodes $nodes" home 32 ;;
        esac
    done
done
numa 256:0-1 256:2-3
for grow in fault prefill; do
    run_guest -c 4 -m "$MEMORY" --append "app=numa-threads stack.size=16K stack.grow=$grow" --qemu "$NUMA"
    assert_contains "numa-threads with stack.grow=$grow" 'ok numa-threads'
    assert_frames "home stacks with stack.grow=$grow" home 32
done
BUILD=$BUILD_PLAIN APPS=$BUILD_PLAIN/apps
export SPILLWAY_BUILD=$BUILD

# ---- what is shown ----

numa 256:0-1 256:2-3
busybox cat /sys/stack/nodes /sys/memory/nodes
assert_matches 'the boot names two nodes' '^memory nodes: 0: 25[0-9] MiB, CPUs 0-1; 1: 25[0-9] MiB, CPUs 2-3$'
for row in '0 0 64 64' '1 0 64 64' '2 1 64 64' '3 1 64 64'; do assert_matches "/sys/stack/nodes has: $row" "^$row\$"; done
assert_matches '/sys/memory/nodes: nothing of node 1 came from elsewhere' '^1 6[0-9]+ 6[0-9]+ 0$'

numa 128:0-1 128:2 0:3
busybox cat /sys/stack/nodes /sys/memory/nodes
assert_matches 'the boot names a node without memory' '^memory nodes: .*; 2: no memory, CPUs 3$'
assert_matches 'no stack of a CPU without memory is local' '^3 2 64 0$'
assert_matches 'what such a CPU got is counted' '^2 0 0 [1-9][0-9]+$'

numa 256:0-1 256:2-3
PARAMS=mem=200M busybox cat /sys/stack/nodes
assert_matches 'mem=200M leaves nothing of node 1' '^memory nodes: 0: 19[0-9] MiB, CPUs 0-1; 1: no memory, CPUs 2-3$'
assert_matches 'mem=200M: stacks of its CPUs come from node 0' '^2 1 64 0$'

numa 128:0 128:1
run_guest --iso --app "$APPS/hello" -c 2 -m "$MEMORY" --qemu "$NUMA"
assert_matches 'booted from an ISO it names two nodes' '^memory nodes: 0: 12[0-9] MiB, CPUs 0; 1: 12[0-9] MiB, CPUs 1$'

NUMA= MEMORY=256M
busybox cat /sys/stack/nodes /sys/memory/nodes
assert_lacks 'one node is not worth a line' 'memory nodes'
assert_matches 'one node: all is local' '^3 0 64 64$'

# ---- tables that cannot be true ----

# le BYTES VALUE: VALUE, as the shell reads it, lowest byte first
le() { local i; for ((i = 0; i < $1; i++)); do printf '%b' "\\x$(printf %02x $(($2 >> 8 * i & 255)))"; done; }
cpu_entry() { # APIC-ID DOMAIN
    le 1 0; le 1 16; le 1 "$2"; le 1 "$1"; le 4 1; le 8 0
}
memory_entry() { # DOMAIN START BYTES
    le 1 1; le 1 40; le 4 "$1"; le 2 0; le 8 "$2"; le 8 "$3"; le 4 0; le 4 1; le 8 0
}
M=1048576

# broken NAME WARNING: SRAT's entries come from standard input
broken() {
    { le 4 1; le 8 0; cat; } >"$TMP/srat"
    run_guest --app "$APPS/hello" -c 4 -m 256M --qemu "-acpitable sig=SRAT,data=$TMP/srat"
    assert_status "$1: it boots" 0
    assert_contains "$1: named" "$2"
    assert_lacks "$1: one node" 'memory nodes: 0:'
    assert_equal "$1: all stacks" "$(last_field total)" 256
}
NOT_USED="memory nodes: the firmware's SRAT is not used, all memory is one node:"

{ memory_entry 0 0 $((128 * M)); memory_entry 1 $((128 * M)) $((128 * M)); for i in 0 1 2 3; do cpu_entry $i $((i / 2)); done; } |
    { le 4 1; le 8 0; cat; } >"$TMP/srat"
run_guest --app "$APPS/hello" -c 4 -m 256M --qemu "-acpitable sig=SRAT,data=$TMP/srat"
assert_contains 'a table made here that is true is used' 'memory nodes: 0: 126 MiB, CPUs 0-1; 1: 127 MiB, CPUs 2-3'
{ memory_entry 0 0 $((160 * M)); memory_entry 1 $((128 * M)) $((128 * M)); } |
    broken overlap "$NOT_USED 0x8000000-0x10000000 of node 1 overlaps 0x0-0xa000000 of node 0"
{ memory_entry 0 0 $((128 * M)); memory_entry 7 $((128 * M)) $((64 * M)); } |
    broken 'RAM in no node' "KiB of RAM, from 0xc000000 on, are in none of its 2 ranges"
{ memory_entry 0 0 $((128 * M)); memory_entry 1 $((128 * M)) 0x7fffffffffffffff; } |
    broken 'out of range' "$NOT_USED node 1 has 0x8000000-0x8000000007ffffff, which no processor can address"
{ memory_entry 0 0 $((240 * M)); for i in {1..16}; do memory_entry $((i * 1000)) $(((239 + i) * M)) $M; done; } |
    broken 'too many domains' "$NOT_USED it names more than 16 nodes"
{ for i in {0..255}; do memory_entry $((i % 2)) $((i * M)) $M; done; } |
    broken 'too many ranges' "$NOT_USED it lists 256 ranges of memory; up to 64 can be used"
{ memory_entry 0 0 $((128 * M)); memory_entry 1 $((128 * M)) $((128 * M)) | head -c 30; } |
    broken 'cut short' "$NOT_USED it is damaged"
{ cpu_entry 0 0; cpu_entry 1 1; } | broken 'no memory at all' "are in none of its 0 ranges"

# ---- under load ----

numa 256:0-1 256:2-3
make_tower "$TMP/tower.img" --levels 6
GUEST_TIMEOUT=200 run_guest --kernel -c 4 -m "$MEMORY" --qemu "$NUMA" --disk "$TMP/tower.img" -- \
    --levels 6 --threads 4 --ops 2000
assert_status 'nestio on two nodes: exit 0' 0
assert_matches 'nestio on two nodes: 0 wrong' '^nestio: verdict=.* wrong=0'
assert_equal 'nestio on two nodes: every stack went home' "$(last_field free)" 256
check_tower 'nestio on two nodes: e2fsck of every level' "$TMP/tower.img" 6
finish
