/* The list: order, removal, and iteration while items go. */
#include "util/list.h"

#include <string.h>

#include "check.h"

typedef struct letter {
  char is;
  list_link link;
} letter;

static bool reads(const list *l, const char *text) {
  char forth[16] = "", back[16] = "";
  size_t len = 0;
  LIST_EACH (const letter, one, l, link)
    forth[len++] = one->is;
  for (list_link *at = l->last; at; at = at->previous)
    back[--len] = LIST_ITEM(at, letter, link)->is;
  return !strcmp(forth, text) && !strcmp(back, text) &&
         list_is_empty(l) == !*text;
}

static void keeps_order(void) {
  list l = {0};
  letter a = {.is = 'a'}, b = {.is = 'b'}, c = {.is = 'c'}, d = {.is = 'd'};
  CHECK(reads(&l, ""));
  list_append(&l, &c.link);
  list_prepend(&l, &a.link);
  list_append(&l, &d.link);
  list_insert(&l, &c.link, &b.link);
  CHECK(reads(&l, "abcd"));
  CHECK(b.link.in == &l);
}

static void removes(void) {
  list l = {0};
  letter a = {.is = 'a'}, b = {.is = 'b'}, c = {.is = 'c'};
  list_append(&l, &a.link);
  list_append(&l, &b.link);
  list_append(&l, &c.link);
  list_remove(&b.link);
  CHECK(reads(&l, "ac"));
  list_remove(&b.link); /* it is on none: nothing happens */
  CHECK(reads(&l, "ac") && !b.link.in);
  CHECK(list_pop(&l) == &a.link && !a.link.in && reads(&l, "c"));
  CHECK(list_pop(&l) == &c.link && reads(&l, ""));
  CHECK(!list_pop(&l));
  list_append(&l, &b.link);
  CHECK(reads(&l, "b"));
}

static void iterates_while_items_go(void) {
  list l = {0};
  letter letters[4] = {{.is = 'a'}, {.is = 'b'}, {.is = 'c'}, {.is = 'd'}};
  unsigned seen = 0;
  for (size_t i = 0; i < 4; i++)
    list_append(&l, &letters[i].link);
  LIST_EACH (letter, one, &l, link) {
    seen++;
    if (one->is != 'c')
      list_remove(&one->link);
  }
  CHECK(seen == 4);
  CHECK(reads(&l, "c"));
}

CHECK_MAIN({"keeps order", keeps_order}, {"removes", removes},
           {"iterates while items go", iterates_while_items_go})
