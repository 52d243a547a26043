#include "agent/family.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Parses /proc/PID/stat: "pid (name) state parent group ..."; the name may
 * contain any character. */
bool family_read_one(pid_t pid, relative *r) {
  char path[64], text[1024];
  unsigned long long user, system, user_reaped, system_reaped;
  int parent, group;
  snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  size_t len = fread(text, 1, sizeof(text) - 1, file);
  fclose(file);
  text[len] = '\0';
  char *rest = strrchr(text, ')');
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
  if (!rest || sscanf(rest + 1,
                      " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu"
                      " %llu %llu %*d %*d %*d %*d %*u %*u %lld",
                      &r->state, &parent, &group, &user, &system, &user_reaped,
                      &system_reaped, &r->pages) != 8)
    return false;
  r->pid = pid;
  r->parent = parent;
  r->group = group;
  r->ticks = user + system + user_reaped + system_reaped;
  r->below = false;
  return true;
}

static void add(family *f, pid_t pid) {
  relative r;
  if (!family_read_one(pid, &r))
    return;
  if (f->count == f->cap) {
    size_t cap = f->cap ? 2 * f->cap : 64;
    relative *list = realloc(f->list, cap * sizeof(*list));
    if (!list)
      return;
    f->list = list;
    f->cap = cap;
  }
  f->list[f->count++] = r;
}

/* Calls `found` for each number that is a name in a folder of /proc. */
static void each_number(const char *folder, void (*found)(void *, pid_t),
                        void *arg) {
  DIR *dir = opendir(folder);
  struct dirent *item;
  while (dir && (item = readdir(dir)))
    if (item->d_name[0] >= '0' && item->d_name[0] <= '9')
      found(arg, (pid_t)strtol(item->d_name, NULL, 10));
  if (dir)
    closedir(dir);
}

/* ---- from parent to child ------------------------------------------------ */

typedef struct search {
  family *found;
  pid_t parent;
} search;

/* The kernel lists the children of each thread. */
static void add_children(void *arg, pid_t thread) {
  search *s = arg;
  char path[64];
  int pid;
  snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)s->parent,
           (int)thread);
  FILE *file = fopen(path, "re");
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
  while (file && fscanf(file, "%d", &pid) == 1)
    add(s->found, pid);
  if (file)
    fclose(file);
}

static family descend(pid_t self) {
  family tree = {0};
  search s = {&tree, self};
  for (size_t next = 0;; s.parent = tree.list[next++].pid) {
    char folder[64];
    snprintf(folder, sizeof(folder), "/proc/%d/task", (int)s.parent);
    each_number(folder, add_children, &s);
    if (next == tree.count)
      return tree;
  }
}

/* ---- from all processes -------------------------------------------------- */

static void add_any(void *arg, pid_t pid) { add(arg, pid); }

static bool has_parent_in(const family *tree, size_t from, size_t to,
                          pid_t parent) {
  for (size_t i = from; i < to; i++)
    if (tree->list[i].pid == parent)
      return true;
  return false;
}

static family sift(pid_t self) {
  family all = {0}, tree = {0};
  size_t level = 0; /* the start of the previous level */
  each_number("/proc", add_any, &all);
  tree.list = all.count ? calloc(all.count, sizeof(*tree.list)) : NULL;
  for (bool more = tree.list != NULL; more;) {
    size_t end = tree.count;
    for (size_t i = 0; i < all.count; i++) {
      relative *r = &all.list[i];
      if (r->below || r->pid == self ||
          !(end == 0 ? r->parent == self
                     : has_parent_in(&tree, level, end, r->parent)))
        continue;
      r->below = true;
      tree.list[tree.count++] = *r;
    }
    more = tree.count > end;
    level = end;
  }
  /* A parent may have ended after its child's entry was read. */
  for (size_t i = 0; tree.list && self == 1 && i < all.count; i++)
    if (!all.list[i].below && all.list[i].pid != self)
      tree.list[tree.count++] = all.list[i];
  free(all.list);
  return tree;
}

/* In a pid namespace of its own, all of /proc belongs to the family. Elsewhere
 * /proc may be much longer than the family. */
family family_read(pid_t self) {
  bool lists_children = access("/proc/thread-self/children", R_OK) == 0;
  return self != 1 && lists_children ? descend(self) : sift(self);
}
