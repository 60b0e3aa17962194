# SPDX-License-Identifier: MIT
"""gdb commands for a Spillway guest: stacks, probes, threads. `./spillway gdb` loads this file.

    (gdb) threads              every thread: state, CPU, extra stacks held
    (gdb) stacks [ID]          the stacks of this CPU's thread, or of thread ID, innermost first
    (gdb) probes               every probe: need, switches, refusals, deepest use
    (gdb) break vfs_read_body if $held() == 2       $held(): extra stacks of the thread that runs here

They read the guest's memory and change nothing. `bt` needs none of them: it crosses extra stacks.
"""
import gdb

STATES = ("ready", "running", "blocked", "dead")


def pointer_to(type_name):
    return gdb.lookup_type(type_name).pointer()


def container_of(link, type_name, member):
    offset = next(f.bitpos // 8 for f in gdb.lookup_type(type_name).fields() if f.name == member)
    return (link.cast(pointer_to("char")) - offset).cast(pointer_to(type_name))


def all_threads():
    head = gdb.parse_and_eval("'src/rt/thread.c'::all_threads")
    link = head["next"]
    while link != head.address:
        yield container_of(link, "struct thread", "all_link")
        link = link["next"]


def current_thread():
    """The thread of the CPU that gdb looks at; None before the first. GS always holds the per-CPU area."""
    if not int(gdb.parse_and_eval("(unsigned long)$gs_base")):
        return None
    current = gdb.parse_and_eval("((struct cpu *)$gs_base)->arch.current")
    return current.cast(pointer_to("struct thread")) if int(current) else None


def thread_by_id(number):
    for thread in all_threads():
        if int(thread["id"]) == number:
            return thread
    raise gdb.GdbError("no thread %d; the command threads lists them" % number)


def chain(thread):
    """The stacks of @thread, innermost first. A broken chain ends."""
    stack, seen = thread["stack"], set()
    while int(stack) and int(stack) not in seen:
        seen.add(int(stack))
        yield stack
        stack = stack["previous"]


def probe_name(index):
    return gdb.parse_and_eval("probe_infos[%d].name" % index).string()


def probe_count():
    return int(gdb.parse_and_eval("(int)PROBE_COUNT"))


def per_probe(index, field):
    """A counter of the probe, summed over the CPUs."""
    count = int(gdb.parse_and_eval("cpu_count"))
    return sum(int(gdb.parse_and_eval("cpus[%d]->xstack.%s[%d]" % (cpu, field, index))) for cpu in range(count))


def label(stack):
    return stack["label"].string()


def taken_at(stack):
    if not int(stack["previous"]) or int(stack["probe"]) >= probe_count():
        return ""
    return ", taken at probe " + probe_name(int(stack["probe"]))


class Threads(gdb.Command):
    """threads: every thread, with its state, CPU and the extra stacks it holds."""

    def __init__(self):
        super().__init__("threads", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        here = current_thread()
        print("    id name             state    cpu held switches stack now used")
        for thread in all_threads():
            mark = "*" if here is not None and int(thread) == int(here) else " "
            print("%s %4d %-16s %-8s %3d %4d %8d %s" % (
                mark, int(thread["id"]), thread["name"].string(), STATES[int(thread["state"])],
                int(thread["cpu_index"]), int(thread["held"]), int(thread["switches"]),
                label(thread["stack"]) if int(thread["stack"]) else "-"))


class Stacks(gdb.Command):
    """stacks [ID]: the stacks of the thread that runs here, or of thread ID, innermost first."""

    def __init__(self):
        super().__init__("stacks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument and not argument.isdigit():
            raise gdb.GdbError("stacks %s: the number of a thread is wanted" % argument)
        thread = thread_by_id(int(argument)) if argument else current_thread()
        if thread is None:
            raise gdb.GdbError("no thread runs here yet; stacks ID takes one by its number")
        print('thread %d "%s", %d extra stacks held' % (
            int(thread["id"]), thread["name"].string(), int(thread["held"])))
        for number, stack in enumerate(chain(thread)):
            print("  #%d %-7s %#x-%#x, %d bytes%s" % (
                number, label(stack), int(stack["base"]), int(stack["top"]),
                int(stack["top"]) - int(stack["base"]), taken_at(stack)))


class Probes(gdb.Command):
    """probes: need, switches, refusals and deepest use of every probe."""

    def __init__(self):
        super().__init__("probes", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        pool = gdb.parse_and_eval("xstack_pool")
        print("extra stacks: %d" % int(pool["total"]))
        print("  probe                    need switches refusals deepest")
        for index in range(probe_count()):
            need = int(gdb.parse_and_eval("probe_infos[%d].need_bytes" % index))
            print("  %-22s %6d %8d %8d %7d" % (
                probe_name(index), need, per_probe(index, "switches"), per_probe(index, "refusals"),
                int(gdb.parse_and_eval("xstack_pool.deepest[%d]" % index))))


class Held(gdb.Function):
    """$held(): extra stacks that the thread running here holds; 0 where no thread runs."""

    def __init__(self):
        super().__init__("held")

    def invoke(self):
        thread = current_thread()
        return int(thread["held"]) if thread is not None else 0


Threads()
Stacks()
Probes()
Held()
