#include "agent/agent.h"
#include "agent/names.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "box/channel.h"
#include "util/json_out.h"

#define CHANNEL_FD 3

/* How often the agent looks whether there are too many processes, where there
 * was none before, and else. */
#define QUIET_MS 2000
#define LOOK_MS 500

/* As many ended processes are reaped before the next order is read. */
#define REAP_MAX 256

/* ---- replies ------------------------------------------------------------- */

static bool try_reply(const agent *a, int64_t id, const agent_reply *reply) {
  wrenn_buf text = {0};
  json_object(&text, NULL);
  json_int(&text, "id", id);
  if (reply->error) {
    json_text(&text, "error", reply->error);
    json_bytes(&text, "message", reply->detail.data, reply->detail.len);
  } else {
    json_written(&text, reply->detail.data, reply->detail.len);
  }
  json_object_end(&text);
  bool sent = !text.oom && !reply->detail.oom &&
              channel_send(a->channel, text.data, text.len, reply->fds,
                           reply->fd_count) != CHANNEL_FAILED;
  wrenn_buf_free(&text);
  return sent;
}

static void send_reply(const agent *a, int64_t id, const agent_reply *reply) {
  agent_reply failure = {0};
  if (try_reply(a, id, reply))
    return;
  agent_fail(&failure, "failed", "the answer is too large");
  try_reply(a, id, &failure);
  wrenn_buf_free(&failure.detail);
}

static void drop_reply(agent_reply *reply) {
  for (int i = 0; i < reply->fd_count; i++)
    close(reply->fds[i]);
  wrenn_buf_free(&reply->detail);
}

/* ---- orders -------------------------------------------------------------- */

/* For waitid: a child, whatever its state, which is not reaped. */
#define CHILD (WEXITED | WNOHANG | WNOWAIT)

static void do_kill(agent *a, const wrenn_json *order, agent_reply *reply) {
  wrenn_json value;
  int64_t pid = 0, signal = SIGKILL;
  siginfo_t info;
  bool group = wrenn_json_get(order, "group", &value);
  (void)a;
  if (wrenn_json_get(order, "pid", &value))
    wrenn_json_int(&value, &pid);
  if (wrenn_json_get(order, "signal", &value))
    wrenn_json_int(&value, &signal);
  /* Each command leads its own process group; one that has only just been
   * forked may not have created it yet. Once it has been reaped, its pid may
   * belong to a process that is not the capsule's. */
  if (pid <= 1 || ((!group || kill(-(pid_t)pid, (int)signal)) &&
                   (waitid(P_PID, (id_t)pid, &info, CHILD) ||
                    kill((pid_t)pid, (int)signal))))
    agent_fail(reply, "not_found", "process with pid %lld not found",
               (long long)pid);
}

static void do_pause(agent *a, const wrenn_json *order, agent_reply *reply) {
  (void)order;
  (void)reply;
  agent_pause(a);
  for (size_t i = 0; i < AGENT_WORKERS; i++)
    if (a->workers[i].pid > 0)
      kill(a->workers[i].pid, SIGCONT);
}

static void do_resume(agent *a, const wrenn_json *order, agent_reply *reply) {
  (void)order;
  (void)reply;
  agent_resume(a);
}

static void do_usage(agent *a, const wrenn_json *order, agent_reply *reply) {
  (void)order;
  agent_usage(a, reply);
}

static void do_spawn(agent *a, const wrenn_json *order, agent_reply *reply) {
  if (a->command_count == a->command_cap) {
    size_t cap = a->command_cap ? 2 * a->command_cap : 16;
    pid_t *list = realloc(a->commands, cap * sizeof(*list));
    if (!list) {
      agent_fail(reply, "failed", "out of memory");
      return;
    }
    a->commands = list;
    a->command_cap = cap;
  }
  pid_t pid = agent_spawn(a, order, reply);
  if (pid > 0)
    a->commands[a->command_count++] = pid;
}

static void do_open_read(agent *a, const wrenn_json *order,
                         agent_reply *reply) {
  agent_open_read(a, order, reply);
}

static void do_open_write(agent *a, const wrenn_json *order,
                          agent_reply *reply) {
  agent_open_write(a, order, reply);
}

static void do_mkdir(agent *a, const wrenn_json *order, agent_reply *reply) {
  agent_mkdir(a, order, reply);
}

static void do_remove(agent *a, const wrenn_json *order, agent_reply *reply) {
  agent_remove(a, order, reply);
}

static void do_list(agent *a, const wrenn_json *order, agent_reply *reply) {
  agent_list(a, order, reply);
}

static void do_dial(agent *a, const wrenn_json *order, agent_reply *reply) {
  agent_dial(a, order, reply);
}

static const struct {
  const char *name;
  void (*run)(agent *a, const wrenn_json *order, agent_reply *reply);
  bool may_take_long;
} orders[] = {
    {"spawn", do_spawn, false},
    {"kill", do_kill, false},
    {"pause", do_pause, false},
    {"resume", do_resume, false},
    {"usage", do_usage, true},
    {"open_read", do_open_read, false},
    {"open_write", do_open_write, false},
    {"mkdir", do_mkdir, false},
    {"remove", do_remove, true},
    {"list", do_list, true},
    {"dial", do_dial, false},
};

/* Forks a child for an order. Returns 0 in the child, and also if there cannot
 * be one: the caller then does the work itself. */
static pid_t fork_worker(agent *a, int64_t id) {
  for (size_t i = 0; i < AGENT_WORKERS; i++) {
    if (a->workers[i].pid > 0)
      continue;
    getrusage(RUSAGE_CHILDREN, &a->reaped); /* a child has no children */
    pid_t pid = fork();
    if (pid > 0) {
      a->workers[i].pid = pid;
      a->workers[i].id = id;
    }
    return pid > 0 ? pid : 0;
  }
  return 0;
}

static void obey(agent *a, const channel_message *message) {
  wrenn_json order, op, value;
  const char *why;
  int64_t id = 0;
  agent_reply reply = {0};
  pid_t self = getpid();
  if (!wrenn_json_parse(message->text.data, message->text.len, &order, &why) ||
      !wrenn_json_get(&order, "op", &op))
    return;
  if (wrenn_json_get(&order, "id", &value))
    wrenn_json_int(&value, &id);
  for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
    if (!wrenn_json_is(&op, orders[i].name))
      continue;
    if (orders[i].may_take_long && fork_worker(a, id) > 0)
      return;
    orders[i].run(a, &order, &reply);
    send_reply(a, id, &reply);
    drop_reply(&reply);
    if (getpid() != self)
      _exit(0);
    return;
  }
}

/* A worker answers before it ends, unless it was killed. */
static bool was_worker(agent *a, pid_t pid, int status) {
  for (size_t i = 0; i < AGENT_WORKERS; i++) {
    if (a->workers[i].pid != pid)
      continue;
    a->workers[i].pid = 0;
    if (status != 0) {
      agent_reply reply = {0};
      agent_fail(&reply, "failed", "the operation was interrupted");
      send_reply(a, a->workers[i].id, &reply);
      drop_reply(&reply);
    }
    return true;
  }
  return false;
}

/* Sends a message that answers no order, and frees its members. */
static void report(const agent *a, wrenn_buf *members) {
  wrenn_buf text = {0};
  json_object(&text, NULL);
  json_written(&text, members->data, members->len);
  json_object_end(&text);
  channel_send(a->channel, text.data, text.len, NULL, 0);
  wrenn_buf_free(&text);
  wrenn_buf_free(members);
}

static bool was_command(agent *a, pid_t pid) {
  for (size_t i = 0; i < a->command_count; i++)
    if (a->commands[i] == pid) {
      a->commands[i] = a->commands[--a->command_count];
      return true;
    }
  return false;
}

/* Reaps processes and reports the commands among them: of what these have left
 * behind there may be any number. Returns whether there may be more. */
static bool reap(agent *a) {
  int status;
  for (int i = 0; i < REAP_MAX; i++) {
    wrenn_buf text = {0};
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0)
      return false;
    if (was_worker(a, pid, status) || !was_command(a, pid))
      continue;
    json_int(&text, "exited", pid);
    json_int(&text, "code", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    report(a, &text);
  }
  return true;
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void serve(agent *a, int signals) {
  struct pollfd polls[2] = {{.fd = a->channel, .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};
  wrenn_buf ready = {0};
  json_bool(&ready, "ready", true);
  report(a, &ready);
  bool more = false;
  int64_t next = 0;
  for (;;) {
    const int64_t now = now_ms();
    if (now >= next)
      next = now + (agent_curb(a) ? QUIET_MS : LOOK_MS);
    if (a->curbed > 0) {
      wrenn_buf text = {0};
      json_int(&text, "curbed", a->curbed);
      report(a, &text);
      a->curbed = 0;
    }
    const int wait = more ? 0 : a->alone ? (int)(next - now) : -1;
    if (poll(polls, 2, wait) < 0 && errno != EINTR)
      return;
    if (polls[1].revents) {
      struct signalfd_siginfo info;
      if (read(signals, &info, sizeof(info)) == sizeof(info))
        more = true;
    }
    more = more && reap(a);
    if (polls[0].revents) {
      channel_message message;
      channel_status status = channel_receive(a->channel, &message);
      if (status == CHANNEL_CLOSED)
        return; /* wrenn-local has ended, or has closed this capsule */
      if (status == CHANNEL_OK) {
        obey(a, &message);
        channel_drop(&message);
      }
    }
  }
}

/* Closes all other descriptors: those inherited from the server's starter lead
 * out of the capsule, and so does the server's standard error. */
static bool cut_ties(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  bool ok = null >= 0;
  for (int fd = 0; fd < CHANNEL_FD; fd++)
    ok = ok && dup2(null, fd) == fd;
  return ok && agent_close_from(CHANNEL_FD + 1);
}

int main(int argc, char **argv) {
  const char *slash = strrchr(argv[0], '/');
  const char *name = slash ? slash + 1 : argv[0];
  if (!strcmp(name, "sudo"))
    return agent_sudo(argc, argv);
  if (!strcmp(name, "launch"))
    return agent_launch(argc, argv);
  if (argc == 2 && !strcmp(argv[1], "--works"))
    return 0; /* it could be started in this system */
  agent a = {.channel = CHANNEL_FD,
             .home = argc > 1 ? argv[1] : "/root",
             .top = argc > 2 ? argv[2] : "",
             .uid = getuid(),
             .alone = getpid() == 1,
             .open_files = argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
             .shares_network = argc > 4 && !strcmp(argv[4], "host")};
  const char *settler = argc > 5 ? argv[5] : NULL;
  bool range = argc > 6 && !strcmp(argv[6], "range");
  sigset_t children;
  /* Processes in the capsule must not get the channel, by inheritance or by
   * inspecting this process. */
  if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) ||
      prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || !cut_ties())
    return 1;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  umask(022);
  /* Orphans of commands become children of this process, as of an init. */
  if (!a.alone)
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (settler)
    agent_settle(settler, range);
  if (range) {
    const struct passwd *user = names_of_user(settler);
    if (!user)
      return 1;
    a.uid = user->pw_uid;
  }
  if (range && a.uid != 0)
    agent_make_stairs(a.uid);
  else if (a.alone && a.uid != 0)
    agent_make_ladder();
  if (a.alone && !agent_filter(settler && !range))
    return 1;
  int signals = signalfd(-1, &children, SFD_CLOEXEC);
  if (signals < 0 || chdir(a.home))
    return 1;
  serve(&a, signals);
  agent_kill_all(&a);
  free(a.asleep);
  free(a.commands);
  return 0;
}
