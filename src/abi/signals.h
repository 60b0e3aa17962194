// SPDX-License-Identifier: MIT
/*
 * Signals: sent, kept, and given to handlers of the app.
 *
 *     signals.c         masks, actions, sending; what a signal does that has no handler
 *     signal_frame.c    the call of a handler and the way back
 *     signal_wait.c     waiting for signals; alarms
 *
 * A handler is entered when its thread goes back to app code: at the end of a system call or of a
 * fault, or out of an interrupt. All state is under app.lock.
 */
#pragma once

#include <abi/linux.h>
#include <abi/process.h>

static inline uint64_t signal_bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

/* app.lock held: what waits for @t and is not blocked. */
uint64_t signals_ready_locked(const struct app_thread *t);
bool signals_ready(const struct app_thread *t);
/* Takes one of @set that waits for @t off, the lowest; 0: none. @to_thread: sent to it alone. */
int signals_take(struct app_thread *t, uint64_t set, bool *to_thread);

/* Around a wait of the running thread. begin: false, a signal is there already: don't wait. */
bool signals_wait_begin(struct app_thread *t);
/* Whether a signal is there. */
bool signals_wait_end(struct app_thread *t);

/* To thread @tid of the app, or with 0 to the app. -EINVAL, -ESRCH. Thread context. */
long signals_send(uint32_t tid, int64_t signal);
/* To the running thread. */
void signals_raise(int signal);

/* What @signal does now; and, for one that is delivered once, resets it. */
void signals_action(int signal, struct linux_sigaction *out);

/**
 * signals_swap_mask() - the running thread's mask for the rest of this call.
 * @address: of 8 bytes, or 0: nothing is swapped. The old mask comes back when a handler returns,
 * or at the end of the call. -EINVAL, -EFAULT.
 */
int signals_swap_mask(uint64_t address, uint64_t bytes);
void signals_set_mask(struct app_thread *t, uint64_t mask);

/**
 * signals_deliver() - before the running thread goes back to the app at @frame: handlers are set up
 * there, and what ends the app does.
 * @restart: a call that ended with -EINTR; with SA_RESTART it is made again. -1: it is not.
 */
void signals_deliver(struct app_thread *t, struct arch_frame *frame, int64_t restart);

/* A fault of the app at @address: true if a handler for @signal is set up in @frame. */
bool signals_fault(struct arch_frame *frame, int signal, int code, uintptr_t address);
