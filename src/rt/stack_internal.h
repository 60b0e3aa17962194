// SPDX-License-Identifier: MIT
/* What the files about stacks share; everybody else uses rt/stack.h and rt/stack_grow.h. */
#pragma once

#include <rt/stack.h>

/* A stack outside of the window (plain, or registered) that @address belongs to. No lock. */
struct stack *stack_find_outside(uintptr_t address, enum stack_side *side);
/* Deepest use of the plain stacks, by measurement. */
size_t stack_outside_deepest(void);
/* Counts the depth of a stack that is about to be cleaned or to go. */
void stack_count_depth(const struct stack *stack);
/* A slot whose table entry says it is gone: @stack->base is set, the rest is the caller's to fill. */
struct stack *stack_slot_take(size_t bytes);
void stack_slot_give(struct stack *stack);
/* Live: fault handlers and reports know it from here on. */
void stack_slot_show(struct stack *stack, enum stack_kind kind, const char *label);
/* Its owner is now the last one. */
void stack_note_owner(struct stack *stack);
/* An adopted or plain stack goes: out of the table outside of the window. */
void stack_forget_outside(struct stack *stack);
