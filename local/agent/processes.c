/* All processes below the agent: stops, continues and kills them together, and
 * measures their usage. */
#include <fcntl.h>
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
#include "agent/family.h"
#include "util/json_out.h"

/* How long to wait for a process to stop before going on with the next. */
#define STOP_POLLS 20
#define STOP_POLL_NS 500000
/* After this many rounds a pause is as complete as it can be: a process in the
 * hands of a debugger may not stop. */
#define STOP_ROUNDS 2000
#define STILL_ROUNDS 3
#define WAITING_ROUNDS 40

/* Parents are stopped before their children: a shell must not notice that they
 * were stopped. */
static void stop_one(pid_t pid) {
  const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
  relative now;
  if (kill(pid, SIGSTOP))
    return;
  for (int i = 0; i < STOP_POLLS && family_read_one(pid, &now); i++) {
    if (now.state == 'T' || now.state == 'Z')
      return;
    nanosleep(&pause, NULL);
  }
}

static bool has_stopped_child(const family *tree, pid_t pid) {
  for (size_t i = 0; i < tree->count; i++)
    if (tree->list[i].parent == pid && strchr("Tt", tree->list[i].state))
      return true;
  return false;
}

/* How many rounds have to find the processes still: 0 if one of them moves. One
 * in D waits in the kernel, for a disk or for its turn at a lock, and stops
 * when it returns from there. But the parent of a vfork waits for its child,
 * which is stopped: that takes some time to tell from a parent that forks once
 * more. */
static int rounds_wanted(const family *tree) {
  int wanted = STILL_ROUNDS;
  for (size_t i = 0; i < tree->count; i++)
    if (tree->list[i].state == 'D' &&
        has_stopped_child(tree, tree->list[i].pid))
      wanted = WAITING_ROUNDS;
    else if (!strchr("TtZXx", tree->list[i].state))
      return 0;
  return wanted;
}

/* The groups that a pause has met: what goes from pid to pid may be missed, but
 * it stays in its group. */
typedef struct groups {
  pid_t *list;
  size_t count;
} groups;

static void note_group(groups *met, pid_t group) {
  for (size_t i = 0; i < met->count; i++)
    if (met->list[i] == group)
      return;
  pid_t *list = realloc(met->list, (met->count + 1) * sizeof(*list));
  if (!list) {
    kill(-group, SIGSTOP);
    return;
  }
  met->list = list;
  list[met->count++] = group;
}

/* Sends SIGSTOP to everybody. Only a signal to a whole group, or to all,
 * reaches the child of a fork under way. Of processes that share the agent's
 * own group that cannot be asked, if there are others than its own. */
static void stop_everybody(const agent *a, groups *met) {
  if (a->alone) {
    kill(-1, SIGSTOP);
    return;
  }
  family tree = family_read(getpid());
  for (size_t i = 0; i < tree.count; i++)
    if (tree.list[i].group != getpgrp())
      note_group(met, tree.list[i].group);
    else
      kill(tree.list[i].pid, SIGSTOP);
  free(tree.list);
  for (size_t i = 0; i < met->count; i++)
    kill(-met->list[i], SIGSTOP);
}

/* The child of a fork gets no signal if its parent had the same one pending
 * before, so one round is not enough. And a reader of /proc can miss a process
 * that goes from pid to pid: it takes several that find everybody still, and no
 * more of them than before. Each pid that such a process leaves is a zombie,
 * which nobody reaps meanwhile. */
static void stop_all(const agent *a) {
  const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
  groups met = {0};
  int still = 0, wanted = STILL_ROUNDS;
  size_t before = 0;
  for (int i = 0; i < STOP_ROUNDS && still < wanted; i++) {
    stop_everybody(a, &met);
    family tree = family_read(getpid());
    int rounds = rounds_wanted(&tree);
    still = rounds > 0 && tree.count == before ? still + 1 : 0;
    before = tree.count;
    free(tree.list);
    wanted = rounds > 0 ? rounds : STILL_ROUNDS;
    nanosleep(&pause, NULL);
  }
  free(met.list);
}

void agent_pause(agent *a) {
  family tree = family_read(getpid());
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
  stop_all(a);
}

static bool was_asleep(const agent *a, pid_t pid) {
  for (size_t i = 0; i < a->asleep_count; i++)
    if (a->asleep[i] == pid)
      return true;
  return false;
}

/* Children first, for the same reason. */
void agent_resume(agent *a) {
  family tree = family_read(getpid());
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
  family tree = family_read(a->alone ? 1 : getppid());
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

/* ---- too many ----------------------------------------------------------- */

/* More that run, or wait in the kernel, than any machine has use for. After
 * that the half is too many, as the number goes up and down. */
#define RUNNING_MAX 256
/* From one look to the next: fewer do nobody any harm. */
#define STARTS_MIN 32

/* The pid that was given away last in this namespace; -1 if it cannot be told.
 * The file stays open, as this is all that an idle capsule does. */
static long latest_pid(agent *a) {
  char text[128];
  if (a->pids_file == 0)
    a->pids_file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  const ssize_t len = pread(a->pids_file, text, sizeof(text) - 1, 0);
  text[len > 0 ? len : 0] = '\0';
  const char *last = strrchr(text, ' ');
  return last ? strtol(last, NULL, 10) : -1;
}

static bool runs(const relative *r) { return strchr("RD", r->state) != NULL; }

/* Whole groups, so that no child of a fork under way is left. The agent's own
 * has others in it. */
static void end_running(agent *a, const family *tree) {
  groups met = {0};
  for (size_t i = 0; i < tree->count; i++)
    if (runs(&tree->list[i])) {
      a->curbed++;
      if (tree->list[i].group != getpgrp())
        note_group(&met, tree->list[i].group);
      else
        kill(tree->list[i].pid, SIGKILL);
    }
  for (size_t i = 0; i < met.count; i++)
    kill(-met.list[i], SIGKILL);
  free(met.list);
}

/* Each fork, exec and exit waits for its turn at locks that the kernel has for
 * each file, and the C library's file is everybody's: hundreds of processes
 * that do nothing else keep others, also on the host, from starting any. */
bool agent_curb(agent *a) {
  const long latest = latest_pid(a), starts = latest - a->latest;
  size_t running = 0;
  if (!a->alone || (starts >= 0 && starts < STARTS_MIN)) {
    a->crowded = false;
    a->latest = latest;
    return starts == 0 || !a->alone;
  }
  family tree = family_read(getpid());
  for (size_t i = 0; i < tree.count; i++)
    running += runs(&tree.list[i]);
  const bool crowded = running > (a->crowded ? RUNNING_MAX / 2 : RUNNING_MAX);
  if (crowded && a->crowded)
    end_running(a, &tree);
  free(tree.list);
  a->crowded = crowded;
  a->latest = latest;
  return false;
}

/* In its own pid namespace the kernel does this when pid 1 ends. Otherwise
 * repeats until none is left, as a process may fork while the tree is read:
 * orphans become children of this process, so without children it is the last.
 */
void agent_kill_all(const agent *a) {
  const struct timespec pause = {.tv_nsec = STOP_POLL_NS};
  while (!a->alone) {
    pid_t reaped;
    family tree = family_read(getpid());
    for (size_t i = 0; i < tree.count; i++)
      kill(tree.list[i].pid, SIGKILL);
    free(tree.list);
    while ((reaped = waitpid(-1, NULL, WNOHANG)) > 0)
      ;
    if (reaped < 0)
      return;
    nanosleep(&pause, NULL);
  }
}
