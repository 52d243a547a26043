/* All processes below the agent: stops, continues and kills them together, and
 * measures their usage. */
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "util/json_out.h"

/* How long to wait for a process to stop before going on with the next. */
#define STOP_POLLS 20
#define STOP_POLL_NS 500000

typedef struct entry {
  pid_t pid, parent;
  char state;
  bool below;
  unsigned long long ticks; /* of CPU time */
  long long pages;          /* of resident memory */
} entry;

typedef struct entries {
  entry *list;
  size_t count, cap;
} entries;

/* Parses /proc/PID/stat: "pid (name) state parent ..."; the name may contain
 * any character. False if the process has ended. */
static bool read_entry(const char *pid, entry *e) {
  char path[64], text[1024];
  unsigned long long user, system, user_reaped, system_reaped;
  int parent;
  snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  size_t len = fread(text, 1, sizeof(text) - 1, file);
  fclose(file);
  text[len] = '\0';
  char *rest = strrchr(text, ')');
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
  if (!rest || sscanf(rest + 1,
                      " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu"
                      " %llu %llu %*d %*d %*d %*d %*u %*u %lld",
                      &e->state, &parent, &user, &system, &user_reaped,
                      &system_reaped, &e->pages) != 7)
    return false;
  e->pid = (pid_t)strtol(pid, NULL, 10);
  e->parent = parent;
  e->ticks = user + system + user_reaped + system_reaped;
  e->below = false;
  return true;
}

static void read_all(entries *all) {
  DIR *dir = opendir("/proc");
  struct dirent *item;
  while (dir && (item = readdir(dir))) {
    entry e;
    if (item->d_name[0] < '0' || item->d_name[0] > '9' ||
        !read_entry(item->d_name, &e))
      continue;
    if (all->count == all->cap) {
      size_t cap = all->cap ? 2 * all->cap : 256;
      entry *list = realloc(all->list, cap * sizeof(*list));
      if (!list)
        break;
      all->list = list;
      all->cap = cap;
    }
    all->list[all->count++] = e;
  }
  if (dir)
    closedir(dir);
}

static bool has_parent_in(const entries *tree, size_t from, pid_t parent) {
  for (size_t i = from; i < tree->count; i++)
    if (tree->list[i].pid == parent)
      return true;
  return false;
}

/* Lists all descendants of a process, parents before their children. */
static entries read_tree(pid_t self) {
  entries all = {0}, tree = {0};
  size_t level = 0; /* the start of the previous level */
  read_all(&all);
  tree.list = all.count ? calloc(all.count, sizeof(*tree.list)) : NULL;
  for (bool more = tree.list != NULL; more;) {
    size_t end = tree.count;
    entries parents = {tree.list, end, 0};
    for (size_t i = 0; i < all.count; i++) {
      entry *e = &all.list[i];
      if (e->below || e->state == 'Z' || e->pid == self ||
          !(end == 0 ? e->parent == self
                     : has_parent_in(&parents, level, e->parent)))
        continue;
      e->below = true;
      tree.list[tree.count++] = *e;
    }
    more = tree.count > end;
    level = end;
  }
  free(all.list);
  return tree;
}

/* Parents are stopped before their children: a shell must not notice that they
 * were stopped. */
static void stop_one(pid_t pid) {
  const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
  char text[16];
  entry now;
  snprintf(text, sizeof(text), "%d", (int)pid);
  if (kill(pid, SIGSTOP))
    return;
  for (int i = 0; i < STOP_POLLS && read_entry(text, &now); i++) {
    if (now.state == 'T' || now.state == 'Z')
      return;
    nanosleep(&pause, NULL);
  }
}

void agent_pause(agent *a) {
  entries tree = read_tree(getpid());
  free(a->asleep);
  a->asleep = calloc(tree.count + 1, sizeof(*a->asleep));
  a->asleep_count = 0;
  for (size_t i = 0; i < tree.count; i++) {
    if (tree.list[i].state != 'T')
      stop_one(tree.list[i].pid);
    else if (a->asleep) /* stopped by the user, and remains so */
      a->asleep[a->asleep_count++] = tree.list[i].pid;
  }
  free(tree.list);
  if (a->alone) { /* also those started meanwhile */
    kill(-1, SIGSTOP);
    return;
  }
  tree = read_tree(getpid());
  for (size_t i = 0; i < tree.count; i++)
    kill(tree.list[i].pid, SIGSTOP);
  free(tree.list);
}

static bool was_asleep(const agent *a, pid_t pid) {
  for (size_t i = 0; i < a->asleep_count; i++)
    if (a->asleep[i] == pid)
      return true;
  return false;
}

/* Children first, for the same reason. */
void agent_resume(agent *a) {
  entries tree = read_tree(getpid());
  for (size_t i = tree.count; i > 0; i--)
    if (!was_asleep(a, tree.list[i - 1].pid))
      kill(tree.list[i - 1].pid, SIGCONT);
  free(tree.list);
  free(a->asleep);
  a->asleep = NULL;
  a->asleep_count = 0;
}

static unsigned long long disk_bytes;

static int add_size(const char *path, const struct stat *info, int kind,
                    struct FTW *where) {
  (void)path;
  (void)kind;
  (void)where;
  disk_bytes += (unsigned long long)info->st_blocks * 512;
  return 0;
}

static unsigned long long milliseconds(const struct timeval *t) {
  return (unsigned long long)t->tv_sec * 1000 +
         (unsigned long long)t->tv_usec / 1000;
}

/* Runs in a process of its own, since it may take long. */
void agent_usage(const agent *a, agent_reply *reply) {
  static const char *const own[] = {"root", "tmp", "home", "mnt", "var"};
  char folder[PATH_MAX];
  entries tree = read_tree(a->alone ? 1 : getppid());
  unsigned long long ticks = 0, bytes = 0;
  for (size_t i = 0; i < tree.count; i++) {
    ticks += tree.list[i].ticks;
    bytes += (unsigned long long)tree.list[i].pages *
             (unsigned long long)sysconf(_SC_PAGESIZE);
  }
  free(tree.list);
  for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
    snprintf(folder, sizeof(folder), "%s/%s", a->top, own[i]);
    nftw(folder, add_size, 16, FTW_PHYS | FTW_MOUNT);
  }
  ticks = ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK) +
          milliseconds(&a->reaped.ru_utime) + milliseconds(&a->reaped.ru_stime);
  json_int(&reply->detail, "cpu_ms", (int64_t)ticks);
  json_int(&reply->detail, "mem_bytes", (int64_t)bytes);
  json_int(&reply->detail, "disk_bytes", (int64_t)disk_bytes);
}

/* In its own pid namespace the kernel does this when pid 1 ends. Otherwise
 * repeats until none is left, as a process may fork while the tree is read. */
void agent_kill_all(const agent *a) {
  const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
  size_t left = a->alone ? 0 : 1;
  while (left > 0) {
    entries tree = read_tree(getpid());
    left = tree.count;
    for (size_t i = 0; i < tree.count; i++)
      kill(tree.list[i].pid, SIGKILL);
    free(tree.list);
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
    if (left > 0)
      nanosleep(&pause, NULL);
  }
}
