#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Short paths, as they were compiled: a probe's slow path takes no lock, allocates, maps, prints and sleeps not; a system
# call's entry touches no stack before it has the thread's own.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../code.sh"

# unwanted FUNCTIONS: those of them that lock, allocate, map, print, sleep or switch interrupts.
unwanted() {
    tr ' ' '\n' <<<"$1" |
        grep -E '^(spin_|mutex_|semaphore_|completion_|waitq_|thread_(block|sleep|yield|wake)|schedule|page_|heap_|stack_map|stack_unmap|stack_obtain|arch_map|arch_unmap|arch_flush|log_|console_|strbuf_|work_|timer_)'
}

for name in xstack_take xstack_give; do
    functions=$(closure "$TMP/code" $name)
    echo "$name: $functions"
    assert_at_least "$name is found" "$(body $name "$TMP/code" | wc -l)" 10
    assert_equal "$name: no lock, no allocation, no mapping, no text, no wait" "$(unwanted "$functions")" ""
    code=$(for function in $functions; do [ "$function" = assertion_failed ] || body "$function" "$TMP/code"; done)
    assert_equal "$name: interrupts stay on" "$(grep -cE '\<(cli|sti|popf|hlt)\>' <<<"$code")" 0
done

# The entry of a system call: until rsp has been loaded, no instruction that uses it.
body x86_syscall_entry "$TMP/code" | sed -n '2,/mov  *rsp,/p' >"$TMP/entry"
assert_equal "a system call's entry loads rsp with its second instruction" "$(wc -l <"$TMP/entry")" 2
assert_equal "and uses no stack before" "$(grep -cE '\<(push|pop|call|ret)\>|\[rsp' "$TMP/entry")" 0
assert_equal "and no register but rsp" "$(grep -cE 'mov +(r(ax|bx|cx|dx|si|di|bp|[0-9]+)|e[a-z]+),' "$TMP/entry")" 0

# The checks can fail: other code has all of it.
functions=$(closure "$TMP/code" xstack_resize)
for word in mutex_lock stack_map heap_ page_; do
    case $(unwanted "$functions") in
    *"$word"*) ok "the check finds $word in xstack_resize" ;;
    *) not_ok "the check finds $word in xstack_resize" "$functions" ;;
    esac
done
assert_at_least "the check finds a stack used before it is loaded" \
    "$(body interrupt_entry "$TMP/code" | sed -n '2,/mov  *rsp,/p' | grep -cE '\<push\>')" 15
finish
