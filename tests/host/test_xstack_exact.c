// SPDX-License-Identifier: MIT
/*
 * That a refusal is exact: while one stack is free, a take finds it, however it is moved about between two looks. The
 * two words of a pool lie in two pages that are protected. Each access to one traps; the handler is the other CPU: it
 * gives a stack back to the word that was looked at and takes the one of the word that is looked at next, so that at
 * every moment one is free. Then the one instruction runs, and the pages are protected again.
 */
#define _GNU_SOURCE 1                 /* REG_EFL */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <rt/stack.h>
#include <rt/xstack_pool.h>
#include <support/rt.h>

#define MOVES_MAX 24
#define TRAP_FLAG 0x100

static char *pages;                   /* two; the words meet at their border */
static struct xstack_word *words;
static int moves_left;
static unsigned accesses;
static struct stack stacks[2];
static struct stack *table[2 * XSTACK_WORD_BITS];

static void protect(int access) { mprotect(pages, 2 * PAGE_BYTES, access); }

/* What another CPU does: gives back a stack of @to, then takes the one of @from. */
static void move(struct xstack_word *from, struct xstack_word *to)
{
    xstack_pool_give(&stacks[to - words]);
    from->value &= ~UINT64_C(1);
    moves_left--;
}

static void on_access(int signal, siginfo_t *info, void *context)
{
    struct xstack_word *word = (struct xstack_word *)((uintptr_t)info->si_addr / sizeof(*word) * sizeof(*word));
    ucontext_t *uc = context;
    (void)signal;
    if (word != &words[0] && word != &words[1])
        abort();
    protect(PROT_READ | PROT_WRITE);
    accesses++;
    if (moves_left > 0 && (word->value & 1))
        move(word, word == &words[0] ? &words[1] : &words[0]);
    uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)signal;
    (void)info;
    protect(PROT_NONE);
    uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void handlers_set(void)
{
    struct sigaction access = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &access, NULL);
    sigaction(SIGTRAP, &step, NULL);
}

/* A pool of two words; one stack is free, of word @where. */
static struct stack *take_against(int moves, unsigned where, bool none)
{
    words[0] = words[1] = (struct xstack_word){0};
    words[where].value = !none;
    moves_left = moves;
    accesses = 0;
    handlers_set();                   /* cmocka has its own for each test */
    protect(PROT_NONE);
    struct stack *stack = xstack_pool_take();
    protect(PROT_READ | PROT_WRITE);
    return stack;
}

static void test_moved_between_looks(void **state)
{
    (void)state;
    for (int moves = 0; moves <= MOVES_MAX; moves++)
        for (unsigned where = 0; where < 2; where++) {
            struct stack *stack = take_against(moves, where, false);
            assert_non_null(stack);
            assert_int_equal(moves_left, 0);
            assert_int_equal((words[0].value | words[1].value) & XSTACK_WORD_MASK, 0);
            assert_true(accesses > (unsigned)moves);
        }
}

static void test_none_is_none(void **state)
{
    (void)state;
    assert_null(take_against(0, 0, true));
    assert_in_range(accesses, 4, 6);  /* two looks at each, and the one at the own words */
}

int main(void)
{
    rt_boot(MIB(64), "stack.extra=2");
    pages = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    words = (struct xstack_word *)(pages + PAGE_BYTES) - 1;
    table[0] = &stacks[0];
    table[XSTACK_WORD_BITS] = &stacks[1];
    stacks[1].pool_index = XSTACK_WORD_BITS;
    xstack_pool.words = words;
    xstack_pool.stacks = table;
    xstack_pool.words_used = 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_between_looks),
        cmocka_unit_test(test_none_is_none),
    };
    return cmocka_run_group_tests_name("xstack_exact", tests, NULL, NULL);
}
