// SPDX-License-Identifier: MIT
/* A doubly linked circular list with its links inside the elements. A head is a link of its own. */
#pragma once

#include <lib/types.h>

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_insert_after(struct list *at, struct list *e)
{
    e->next = at->next;
    e->prev = at;
    at->next->prev = e;
    at->next = e;
}

static inline void list_push_front(struct list *head, struct list *e) { list_insert_after(head, e); }
static inline void list_push_back(struct list *head, struct list *e)
{
    list_insert_after(head->prev, e);
}

/* The element stays initialised, so removing it again does no harm. */
static inline void list_remove(struct list *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    list_init(e);
}

static inline struct list *list_pop_front(struct list *head)
{
    struct list *e = head->next;
    if (e == head)
        return NULL;
    list_remove(e);
    return e;
}

/* Moves all elements of @from to the end of @to; @from is empty afterwards. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)
#define list_for_each(pos, head, member)                                                            \
    for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);          \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))
/* @pos may be removed in the body; @tmp must not. */
#define list_for_each_safe(pos, tmp, head, member)                                                  \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),                                  \
        tmp = list_entry(pos->member.next, __typeof__(*pos), member);                               \
         &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))
