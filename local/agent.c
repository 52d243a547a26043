#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"

#define CHANNEL_FD 3

/* ---- helpers of the other files ------------------------------------------ */

void agent_fail(agent_reply *reply, const char *error, const char *format,
                ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  reply->error = error;
  wrenn_buf_clear(&reply->detail);
  wrenn_buf_puts(&reply->detail, text);
}

char *agent_string(const wrenn_json *order, const char *name) {
  wrenn_json value;
  if (!wrenn_json_get(order, name, &value) || value.type != WRENN_JSON_STRING)
    return NULL;
  char *text = malloc(value.len + 1);
  if (!text)
    return NULL;
  size_t len = wrenn_json_decode(&value, text);
  text[len] = '\0';
  if (strlen(text) == len)
    return text;
  free(text);
  return NULL;
}

char *agent_path(const agent *a, const wrenn_json *order, const char *name,
                 agent_reply *reply) {
  char *given = agent_string(order, name), *full = NULL;
  const char *rest = given;
  if (!given) {
    agent_fail(reply, "invalid", "malformed path");
    return NULL;
  }
  if (given[0] == '/')
    return given;
  if (given[0] == '~') {
    rest = given + 1;
    if (*rest != '\0' && *rest != '/') {
      agent_fail(reply, "invalid", "cannot expand user-specific home dir");
      goto out;
    }
    rest += *rest == '/';
  }
  size_t size = strlen(a->home) + strlen(rest) + 2;
  full = malloc(size);
  if (full)
    snprintf(full, size, "%s%s%s", a->home, *rest ? "/" : "", rest);
  else
    agent_fail(reply, "failed", "out of memory");

out:
  free(given);
  return full;
}

/* ---- replies ------------------------------------------------------------- */

static void send_reply(const agent *a, int64_t id, const agent_reply *reply) {
  wrenn_buf text = {0};
  wrenn_buf_printf(&text, "{\"id\":%lld", (long long)id);
  if (reply->error) {
    wrenn_buf_printf(&text, ",\"error\":\"%s\",\"message\":", reply->error);
    wrenn_json_put_string(&text, reply->detail.data, reply->detail.len);
  } else {
    wrenn_buf_append(&text, reply->detail.data, reply->detail.len);
  }
  wrenn_buf_puts(&text, "}");
  if (!text.oom)
    channel_send(a->channel, text.data, text.len, reply->fds, reply->fd_count);
  wrenn_buf_free(&text);
}

static void drop_reply(agent_reply *reply) {
  for (int i = 0; i < reply->fd_count; i++)
    close(reply->fds[i]);
  wrenn_buf_free(&reply->detail);
}

/* ---- orders -------------------------------------------------------------- */

static void do_kill(const agent *a, const wrenn_json *order,
                    agent_reply *reply) {
  wrenn_json value;
  int64_t pid = 0, signal = SIGKILL;
  (void)a;
  if (wrenn_json_get(order, "pid", &value))
    wrenn_json_int(&value, &pid);
  if (wrenn_json_get(order, "signal", &value))
    wrenn_json_int(&value, &signal);
  /* Each command leads a process group of its own: all of it gets the signal,
   * and what a pause has stopped is woken to take it. */
  if (pid <= 1 || kill(-(pid_t)pid, (int)signal))
    agent_fail(reply, "not_found", "process with pid %lld not found",
               (long long)pid);
}

static void do_pause(const agent *a, const wrenn_json *order,
                     agent_reply *reply) {
  (void)order;
  (void)reply;
  agent_signal_all(a, SIGSTOP);
}

static void do_resume(const agent *a, const wrenn_json *order,
                      agent_reply *reply) {
  (void)order;
  (void)reply;
  agent_signal_all(a, SIGCONT);
}

/* What may take its time runs in a child of the agent's. */
static const struct {
  const char *name;
  void (*run)(const agent *a, const wrenn_json *order, agent_reply *reply);
  bool in_child;
} orders[] = {
    {"spawn", agent_spawn, false},
    {"kill", do_kill, false},
    {"pause", do_pause, false},
    {"resume", do_resume, false},
    {"open_read", agent_open_read, false},
    {"open_write", agent_open_write, false},
    {"mkdir", agent_mkdir, false},
    {"remove", agent_remove, true},
    {"list", agent_list, true},
};

static void obey(const agent *a, const channel_message *message) {
  wrenn_json order, op, value;
  const char *why;
  int64_t id = 0;
  agent_reply reply = {0};
  if (!wrenn_json_parse(message->text.data, message->text.len, &order, &why) ||
      !wrenn_json_get(&order, "op", &op))
    return;
  if (wrenn_json_get(&order, "id", &value))
    wrenn_json_int(&value, &id);
  for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
    if (!wrenn_json_is(&op, orders[i].name))
      continue;
    pid_t child = orders[i].in_child ? fork() : -1;
    if (child > 0)
      return;
    orders[i].run(a, &order, &reply);
    send_reply(a, id, &reply);
    drop_reply(&reply);
    if (child == 0)
      _exit(0);
  }
}

/* Reaps whatever has ended, and tells of it: wrenn-local knows which of the
 * pids are its commands. */
static void reap(const agent *a) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    char text[64];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    int len = snprintf(text, sizeof(text), "{\"exited\":%d,\"code\":%d}",
                       (int)pid, code);
    channel_send(a->channel, text, (size_t)len, NULL, 0);
  }
}

static void serve(const agent *a, int signals) {
  struct pollfd polls[2] = {{.fd = a->channel, .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};
  channel_send(a->channel, "{\"ready\":true}", 14, NULL, 0);
  for (;;) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR)
      return;
    if (polls[1].revents) {
      struct signalfd_siginfo info;
      if (read(signals, &info, sizeof(info)) == sizeof(info))
        reap(a);
    }
    if (polls[0].revents) {
      channel_message message;
      channel_status status = channel_receive(a->channel, &message);
      if (status == CHANNEL_CLOSED)
        return; /* wrenn-local is gone, or is done with this capsule */
      if (status == CHANNEL_OK) {
        obey(a, &message);
        channel_drop(&message);
      }
    }
  }
}

int main(int argc, char **argv) {
  agent a = {.channel = CHANNEL_FD,
             .home = argc > 1 ? argv[1] : "/root",
             .alone = getpid() == 1};
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  umask(022);
  /* Orphans of commands become children of this process, as of an init. */
  if (!a.alone)
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  int signals = signalfd(-1, &children, SFD_CLOEXEC);
  if (signals < 0 || chdir(a.home))
    return 1;
  serve(&a, signals);
  agent_kill_all(&a);
  return 0;
}
