#include "box/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "box/accounts.h"
#include "box/launch.h"
#include "box/uplink.h"
#include "box/walls.h"
#include "util/json_out.h"
#include "util/list.h"

#define CHANNEL_FD 3
#define STOP_MS 3000

typedef struct pending {
  list_link link;
  int64_t id;
  sandbox_done *done;
  void *arg;
} pending;

typedef struct outgoing {
  list_link link;
  wrenn_buf text;
} outgoing;

struct sandbox {
  uv_process_t process;
  uv_poll_t poll;
  uv_timer_t timer;
  int fd; /* this end of the channel */
  sandbox_hooks hooks;
  int64_t last_id;
  list waiting; /* the orders that have not been answered */
  list queue;   /* the orders that have not been sent */
  bool stopping;
  uplink uplink;
  const char *agent, *slirp;
  const cgroups *cgroups; /* has a group of this name */
  const char *id;
  bool ready;
  bool linked; /* the uplink is there and counts as a handle */
  unsigned open_handles;
};

/* ---- ends ---------------------------------------------------------------- */

static void answer_gone(sandbox *s) {
  const sandbox_reply reply = {.error = "gone",
                               .text = "the capsule has ended"};
  pending *p;
  while ((p = LIST_ITEM(list_pop(&s->waiting), pending, link))) {
    p->done(p->arg, &reply);
    free(p);
  }
}

static void on_end_of_one(void *arg) {
  sandbox *s = arg;
  if (--s->open_handles > 0)
    return;
  if (s->fd >= 0)
    close(s->fd);
  s->fd = -1;
  answer_gone(s);
  if (s->cgroups)
    cgroup_remove(s->cgroups, s->id);
  if (s->hooks.gone)
    s->hooks.gone(s->hooks.arg);
}

static void on_handle_closed(uv_handle_t *handle) {
  on_end_of_one(handle->data);
}

static void close_handles(sandbox *s) {
  if (s->linked)
    uplink_stop(&s->uplink);
  s->linked = false;
  if (!uv_is_closing((uv_handle_t *)&s->poll))
    uv_close((uv_handle_t *)&s->poll, on_handle_closed);
  if (!uv_is_closing((uv_handle_t *)&s->process))
    uv_close((uv_handle_t *)&s->process, on_handle_closed);
  if (!uv_is_closing((uv_handle_t *)&s->timer))
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal) {
  sandbox *s = process->data;
  (void)status;
  (void)signal;
  s->stopping = true;
  close_handles(s);
}

static void on_overdue(uv_timer_t *timer) {
  sandbox *s = timer->data;
  uv_process_kill(&s->process, SIGKILL);
}

void sandbox_stop(sandbox *s) {
  if (s->stopping)
    return;
  s->stopping = true;
  /* Without the channel the agent ends, and with it, as it is pid 1, everything
   * else. The timer is for an agent that does not react. */
  shutdown(s->fd, SHUT_RDWR);
  uv_timer_start(&s->timer, on_overdue, STOP_MS, 0);
}

static void drop_outgoing(outgoing *o) {
  list_remove(&o->link);
  wrenn_buf_free(&o->text);
  free(o);
}

void sandbox_free(sandbox *s) {
  if (!s)
    return;
  LIST_EACH (outgoing, o, &s->queue, link)
    drop_outgoing(o);
  free(s);
}

/* ---- messages ------------------------------------------------------------ */

static pending *find_pending(const sandbox *s, int64_t id) {
  LIST_EACH (pending, p, &s->waiting, link)
    if (p->id == id)
      return p;
  return NULL;
}

static void on_answer(sandbox *s, const wrenn_json *json, int64_t id,
                      channel_message *message) {
  char kind[32] = "";
  char *text = NULL;
  wrenn_json value;
  sandbox_reply reply = {.json = *json, .message = message};
  pending *p = find_pending(s, id);
  if (!p)
    return;
  list_remove(&p->link);
  if (wrenn_json_get(json, "error", &value) && value.len < sizeof(kind)) {
    kind[wrenn_json_decode(&value, kind)] = '\0';
    reply.error = kind;
    if (wrenn_json_get(json, "message", &value))
      text = malloc(value.len + 1);
    if (text)
      text[wrenn_json_decode(&value, text)] = '\0';
    reply.text = text ? text : "";
  }
  p->done(p->arg, &reply);
  free(text);
  free(p);
}

static void on_linked(void *arg, bool works) {
  sandbox *s = arg;
  if (!works)
    fprintf(stderr, "wrenn-local: slirp4netns has failed: a capsule has no"
                    " network\n");
  if (!s->ready && !s->stopping)
    s->hooks.ready(s->hooks.arg);
  s->ready = true;
}

/* The capsule is not ready before its network is. */
static void link_up(sandbox *s) {
  s->uplink = (uplink){.hold = -1,
                       .ready = -1,
                       .settled = on_linked,
                       .gone = on_end_of_one,
                       .arg = s};
  s->linked = s->slirp && uplink_start(&s->uplink, s->process.loop, s->agent,
                                       s->slirp, s->process.pid);
  if (s->linked)
    s->open_handles++;
  else
    on_linked(s, !s->slirp);
}

static void on_message(sandbox *s, channel_message *message) {
  wrenn_json json, value;
  const char *why;
  int64_t number = 0, code = -1;
  if (!wrenn_json_parse(message->text.data, message->text.len, &json, &why))
    return;
  if (wrenn_json_get(&json, "ready", &value)) {
    link_up(s);
  } else if (wrenn_json_get(&json, "exited", &value)) {
    wrenn_json_int(&value, &number);
    if (wrenn_json_get(&json, "code", &value))
      wrenn_json_int(&value, &code);
    s->hooks.exited(s->hooks.arg, number, (int)code);
  } else if (wrenn_json_get(&json, "curbed", &value)) {
    wrenn_json_int(&value, &number);
    fprintf(stderr,
            "wrenn-local: %lld processes of a capsule, which started others"
            " without end, have been ended\n",
            (long long)number);
  } else if (wrenn_json_get(&json, "id", &value)) {
    wrenn_json_int(&value, &number);
    on_answer(s, &json, number, message);
  }
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(sandbox *s) {
  int events = UV_READABLE | (list_is_empty(&s->queue) ? 0 : UV_WRITABLE);
  if (!uv_is_closing((uv_handle_t *)&s->poll))
    uv_poll_start(&s->poll, events, on_poll);
}

static void flush(sandbox *s) {
  LIST_EACH (outgoing, o, &s->queue, link) {
    if (channel_send(s->fd, o->text.data, o->text.len, NULL, 0) ==
        CHANNEL_AGAIN)
      break;
    drop_outgoing(o);
  }
  watch(s);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  sandbox *s = poll->data;
  if (events & UV_WRITABLE)
    flush(s);
  if (status == 0 && !(events & UV_READABLE))
    return;
  for (;;) {
    channel_message message;
    channel_status got = channel_receive(s->fd, &message);
    if (got == CHANNEL_AGAIN)
      return;
    if (got != CHANNEL_OK)
      break;
    on_message(s, &message);
    channel_drop(&message);
    if (uv_is_closing((uv_handle_t *)poll))
      return;
  }
  uv_poll_stop(poll);
  sandbox_stop(s);
}

bool sandbox_order(sandbox *s, const wrenn_buf *order, sandbox_done *done,
                   void *arg) {
  if (s->stopping || order->oom)
    return false;
  pending *p = calloc(1, sizeof(*p));
  outgoing *o = calloc(1, sizeof(*o));
  if (!p || !o)
    goto failed;
  p->id = ++s->last_id;
  p->done = done;
  p->arg = arg;
  json_object(&o->text, NULL);
  json_int(&o->text, "id", p->id);
  json_written(&o->text, order->data, order->len);
  json_object_end(&o->text);
  if (o->text.oom)
    goto failed;
  list_prepend(&s->waiting, &p->link);
  list_append(&s->queue, &o->link);
  flush(s);
  return true;

failed:
  if (o)
    drop_outgoing(o);
  free(p);
  return false;
}

int sandbox_take_fd(const sandbox_reply *reply) {
  channel_message *message = reply->message;
  if (!message || message->fd_count == 0)
    return -1;
  int fd = message->fds[0];
  message->fd_count--;
  memmove(message->fds, message->fds + 1,
          (size_t)message->fd_count * sizeof(int));
  return fd;
}

/* ---- start --------------------------------------------------------------- */

static int spawn(sandbox *s, const sandbox_options *o, int agent_end) {
  words w = {0};
  int rc = UV_ENOMEM;
  const char *program = o->agent;
  if (o->bwrap) {
    program = walls_program(o);
    walls_put(&w, o);
    words_add_all(&w, WALLS_AGENT, o->user->home, "");
  } else {
    sandbox_options plain = {.cgroups = o->cgroups, .id = o->id};
    launch_put(&w, &plain);
    words_add(&w, o->agent);
    words_addf(&w, "%s%s", o->folder, o->user->home);
    words_add(&w, o->folder);
  }
  words_addf(&w, "%llu", (unsigned long long)o->open_files);
  words_add(&w, o->private_network ? "own" : "host");
  if (o->system)
    words_add_all(&w, o->user->name, o->range ? "range" : "one");
  if (w.oom)
    goto out;
  uv_stdio_container_t stdio[CHANNEL_FD + 1] = {
      {.flags = UV_IGNORE},
      {.flags = UV_IGNORE},
      {.flags = UV_INHERIT_FD, .data.fd = 2},
      {.flags = UV_INHERIT_FD, .data.fd = agent_end}};
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                "/sbin:/bin";
  char *env[] = {path, NULL};
  uv_process_options_t options = {
      .file = program,
      .args = w.list,
      .env = env,
      .exit_cb = on_exit_of,
      .flags =
          UV_PROCESS_DETACHED, /* so that ^C in a terminal does not reach it */
      .stdio = stdio,
      .stdio_count = CHANNEL_FD + 1,
  };
  rc = uv_spawn(o->loop, &s->process, &options);

out:
  words_free(&w);
  return rc;
}

sandbox *sandbox_start(const sandbox_options *options) {
  int ends[2] = {-1, -1};
  sandbox *s = calloc(1, sizeof(*s));
  if (!s)
    return NULL;
  s->process.data = s->poll.data = s->timer.data = s;
  if (channel_pair(ends)) {
    free(s);
    return NULL;
  }
  s->agent = options->agent;
  s->slirp = options->slirp;
  s->fd = ends[0];
  fcntl(s->fd, F_SETFL, O_NONBLOCK);
  uv_poll_init(options->loop, &s->poll, s->fd);
  uv_timer_init(options->loop, &s->timer);
  s->open_handles = 3;
  int rc = 0;
  if (options->cgroups) {
    s->cgroups = options->cgroups;
    s->id = options->id;
    if (!cgroup_make(s->cgroups, s->id, options->limits))
      rc = uv_translate_sys_error(errno);
  }
  if (!rc)
    rc = spawn(s, options, ends[1]);
  close(ends[1]);
  if (rc) { /* `gone` is called all the same, when the handles are closed */
    fprintf(stderr, "wrenn-local: cannot start a capsule: %s\n",
            uv_strerror(rc));
    s->stopping = true;
    s->hooks = options->hooks;
    close_handles(s);
    return s;
  }
  s->hooks = options->hooks;
  watch(s);
  return s;
}
