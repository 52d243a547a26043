/*
 * Doubly linked lists of items that contain their own links. A list of zeroes
 * is empty, and a link of zeroes is on no list.
 */
#ifndef WRENN_LOCAL_UTIL_LIST_H
#define WRENN_LOCAL_UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct list list;

typedef struct list_link {
  struct list_link *next, *previous;
  list *in; /* NULL: on no list */
} list_link;

struct list {
  list_link *first, *last;
};

/* Returns the item that contains a link as its member; NULL for NULL. */
#define LIST_ITEM(link, type, member)                                          \
  ((type *)list_item((link), offsetof(type, member)))

/* Iterates over the items of a list. The present item may be removed. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type and a name take none */
#define LIST_EACH(type, item, list, member)                                    \
  for (type *item = LIST_ITEM((list)->first, type, member), *item##_next;      \
       item &&                                                                 \
       (item##_next = LIST_ITEM((item)->member.next, type, member), true);     \
       item = item##_next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void *list_item(const list_link *link, size_t offset) {
  return link ? (char *)link - offset : NULL;
}

static inline bool list_is_empty(const list *l) { return !l->first; }

/* Inserts an item before another one of the list; at the end before NULL. */
static inline void list_insert(list *l, list_link *before, list_link *link) {
  list_link *after = before ? before->previous : l->last;
  *link = (list_link){.next = before, .previous = after, .in = l};
  *(after ? &after->next : &l->first) = link;
  *(before ? &before->previous : &l->last) = link;
}

static inline void list_prepend(list *l, list_link *link) {
  list_insert(l, l->first, link);
}

static inline void list_append(list *l, list_link *link) {
  list_insert(l, NULL, link);
}

/* Removes an item from its list, if it is on one. */
static inline void list_remove(list_link *link) {
  if (!link->in)
    return;
  *(link->previous ? &link->previous->next : &link->in->first) = link->next;
  *(link->next ? &link->next->previous : &link->in->last) = link->previous;
  *link = (list_link){0};
}

/* Removes the first item and returns its link; NULL if the list is empty. */
static inline list_link *list_pop(list *l) {
  list_link *first = l->first;
  if (!first)
    return NULL;
  l->first = first->next;
  *(first->next ? &first->next->previous : &l->last) = NULL;
  *first = (list_link){0};
  return first;
}

#endif
