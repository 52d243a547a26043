#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "op.h"
#include "system.h"

const char *wrenn_version(void) { return WRENN_VERSION; }

const char *wrenn_strerror(wrenn_status status) {
  switch (status) {
  case WRENN_OK:
    return "ok";
  case WRENN_E_ARGUMENT:
    return "bad argument";
  case WRENN_E_MEMORY:
    return "out of memory";
  case WRENN_E_CLOSED:
    return "closed";
  case WRENN_E_FORKED:
    return "the loop belongs to another process";
  case WRENN_E_SYSTEM:
    return "the system refused; most often too many files are open "
           "(RLIMIT_NOFILE, ulimit -n)";
  case WRENN_E_RESOLVE:
    return "host name not found";
  case WRENN_E_CONNECT:
    return "connection failed";
  case WRENN_E_TLS:
    return "TLS failed";
  case WRENN_E_TIMEOUT:
    return "timed out";
  case WRENN_E_BROKEN:
    return "connection broke off";
  case WRENN_E_PROTOCOL:
    return "protocol violated";
  case WRENN_E_TOO_LARGE:
    return "too large";
  case WRENN_E_REFUSED:
    return "refused";
  case WRENN_E_CANCELLED:
    return "cancelled";
  case WRENN_E_FILE:
    return "the file could not be read";
  }
  return "unknown status";
}

/* Nothing to do: the wake-up is all that is needed. */
static void on_wake(uv_async_t *wake) { (void)wake; }

wrenn_streams wrenn_streams_hold(void) {
  wrenn_streams held = {.count = 0};
  for (;;) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fd <= STDERR_FILENO) {
      held.fds[held.count++] = fd;
      continue;
    }
    if (fd >= 0)
      close(fd);
    return held;
  }
}

void wrenn_streams_release(const wrenn_streams *held) {
  for (int i = 0; i < held->count; i++)
    close(held->fds[i]);
}

wrenn_loop *wrenn_loop_new(wrenn_status *why) {
  wrenn_loop *loop = calloc(1, sizeof(*loop));
  if (!loop) {
    *why = WRENN_E_MEMORY;
    return NULL;
  }
  loop->pid = getpid();
  loop->wake.data = loop;
  wrenn_streams held = wrenn_streams_hold();
  loop->bare = held.count > 0;
  int rc = uv_loop_init(&loop->uv);
  if (rc)
    goto failed;
  rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
  if (rc) {
    uv_loop_close(&loop->uv);
    goto failed;
  }
  wrenn_streams_release(&held);
  *why = WRENN_OK;
  return loop;

failed:
  wrenn_streams_release(&held);
  free(loop);
  *why = rc == UV_ENOMEM ? WRENN_E_MEMORY : WRENN_E_SYSTEM;
  return NULL;
}

wrenn_status wrenn_loop_check(const wrenn_loop *loop) {
  return loop->pid == getpid() ? WRENN_OK : WRENN_E_FORKED;
}

int wrenn_loop_fd(const wrenn_loop *loop) { return uv_backend_fd(&loop->uv); }

static bool has_event(const wrenn_loop *loop) {
  return loop->queue.head || wrenn_node_has_rest(loop->current);
}

int wrenn_loop_timeout(const wrenn_loop *loop) {
  if (loop->dirty || loop->kicks || has_event(loop))
    return 0;
  /* libuv counts from when it last looked at the clock, but the caller may have
   * taken time since it started a timer. */
  uv_update_time((uv_loop_t *)&loop->uv);
  return uv_backend_timeout(&loop->uv);
}

/* ---- the fd alone -------------------------------------------------------- */

void wrenn_loop_wake(wrenn_loop *loop) {
  if (loop->watched && !loop->turning)
    uv_async_send(&loop->wake);
}

void wrenn_loop_dirty(wrenn_loop *loop) {
  loop->dirty = true;
  wrenn_loop_wake(loop);
}

/* An alarm that fires early only costs a step, so it is never set later. */
static void arm_alarm(wrenn_loop *loop) {
  int wait = wrenn_loop_timeout(loop);
  if (wait < 0)
    return;
  uint64_t at = uv_now(&loop->uv) + (uint64_t)wait;
  if ((!loop->alarm_at || at < loop->alarm_at) &&
      wrenn_alarm_set(loop->alarm_fd, (uint64_t)wait))
    loop->alarm_at = at ? at : 1;
}

static void on_alarm(uv_poll_t *alarm, int status, int events) {
  (void)status;
  (void)events;
  wrenn_loop *loop = alarm->data;
  if (wrenn_alarm_take(loop->alarm_fd))
    loop->alarm_at = 0;
}

wrenn_status wrenn_loop_watch(wrenn_loop *loop) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status || loop->watched)
    return status;
  wrenn_streams held = wrenn_streams_hold();
  loop->alarm_fd = wrenn_alarm_new();
  wrenn_streams_release(&held);
  if (loop->alarm_fd < 0)
    return WRENN_E_SYSTEM;
  if (uv_poll_init(&loop->uv, &loop->alarm, loop->alarm_fd)) {
    close(loop->alarm_fd);
    return WRENN_E_SYSTEM;
  }
  loop->alarm.data = loop;
  uv_poll_start(&loop->alarm, UV_READABLE, on_alarm);
  loop->watched = true;
  /* libuv registers new handles, including the alarm's, only when it runs. */
  return wrenn_loop_step(loop);
}

/* ---- one turn ------------------------------------------------------------ */

static void run_kicks(wrenn_loop *loop) {
  wrenn_op *op = loop->kicks;
  loop->kicks = NULL;
  while (op) {
    wrenn_op *next = op->next_kick;
    op->kicked = false;
    if (!op->ended)
      op->class->kick(op);
    wrenn_op_unref(op);
    op = next;
  }
}

static void turn_once(wrenn_loop *loop) {
  loop->dirty = false;
  loop->turning = true;
  uv_update_time(&loop->uv);
  run_kicks(loop);
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  loop->turning = false;
  if (loop->watched)
    arm_alarm(loop);
}

/* The same without libuv. */
static void kick_once(wrenn_loop *loop) {
  loop->turning = true;
  uv_update_time(&loop->uv);
  run_kicks(loop);
  loop->turning = false;
  if (loop->watched)
    arm_alarm(loop);
}

/* TLS libraries use write(2), which raises SIGPIPE on a broken connection. A
 * library must not change the disposition of signals, so SIGPIPE is blocked in
 * this thread meanwhile, and consumed if it was raised. */
static void do_without_sigpipe(wrenn_loop *loop,
                               void (*work)(wrenn_loop *loop)) {
  sigset_t sigpipe, before, pending;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  work(loop);
  if (!sigismember(&pending, SIGPIPE))
    wrenn_sigpipe_take();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void do_safely(wrenn_loop *loop, void (*work)(wrenn_loop *loop)) {
  wrenn_streams held = {.count = 0};
  if (loop->bare)
    held = wrenn_streams_hold();
  if (loop->sigpipe)
    do_without_sigpipe(loop, work);
  else
    work(loop);
  wrenn_streams_release(&held);
}

void wrenn_loop_do(wrenn_loop *loop, void (*work)(wrenn_loop *loop)) {
  loop->turning = true;
  do_safely(loop, work);
  loop->turning = false;
  wrenn_loop_wake(loop);
}

wrenn_status wrenn_loop_step(wrenn_loop *loop) {
  wrenn_status status = wrenn_loop_check(loop);
  if (!status)
    do_safely(loop, turn_once);
  return status;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

wrenn_status wrenn_loop_wait(wrenn_loop *loop, int timeout_ms) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  int64_t end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
  while (!has_event(loop)) {
    if (loop->kicks && !loop->dirty) { /* what is sent leaves before the wait */
      do_safely(loop, kick_once);
      continue;
    }
    int wait = wrenn_loop_timeout(loop);
    int left = timeout_ms;
    if (timeout_ms > 0) {
      int64_t until = end - now_ms();
      left = until > 0 ? (int)until : 0;
    }
    if (wait < 0 || (left >= 0 && left < wait))
      wait = left;
    struct pollfd fd = {.fd = wrenn_loop_fd(loop), .events = POLLIN};
    /* With pending work the fd need not be polled: the step does that. Unlike
     * libuv's own waiting, poll returns on a signal; unlike epoll_wait, it
     * consumes nothing: some versions of libuv see a wake-up only once. */
    if (wait != 0 && poll(&fd, 1, wait) < 0)
      return errno == EINTR ? WRENN_OK : WRENN_E_SYSTEM;
    do_safely(loop, turn_once);
    if (left == 0)
      break;
  }
  return WRENN_OK;
}

bool wrenn_loop_next(wrenn_loop *loop, wrenn_event *event) {
  if (!wrenn_node_has_rest(loop->current)) {
    wrenn_node_free(loop->current);
    loop->current = wrenn_queue_pop(&loop->queue);
    if (!loop->current)
      return false;
    wrenn_op_taken(loop, loop->current);
  }
  wrenn_node_take(loop->current, event);
  return true;
}

bool wrenn_loop_next_frame(wrenn_loop *loop, wrenn_id id, wrenn_event *event) {
  const wrenn_node *next =
      wrenn_node_has_rest(loop->current) ? loop->current : loop->queue.head;
  return next && next->event.id == id && next->event.type == WRENN_EV_FRAME &&
         wrenn_loop_next(loop, event);
}

void wrenn_loop_drop(wrenn_loop *loop, wrenn_id id) {
  wrenn_node *current = loop->current;
  if (current && current->event.id == id)
    current->taken = current->count;
  wrenn_queue_drop(&loop->queue, id);
}

const char *wrenn_event_header(const wrenn_event *event, const char *name,
                               size_t *len) {
  const char *found = NULL;
  const char *at = event->headers;
  const char *end = at + event->headers_len;
  size_t name_len = strlen(name);
  while (at < end) {
    const char *eol = memchr(at, '\n', (size_t)(end - at));
    const char *next = eol ? eol + 1 : end;
    size_t line = (size_t)((eol ? eol : end) - at);
    if (line > name_len && at[name_len] == ':' &&
        strncasecmp(at, name, name_len) == 0) {
      const char *value = at + name_len + 1;
      const char *stop = at + line;
      while (value < stop && (*value == ' ' || *value == '\t'))
        value++;
      while (stop > value &&
             (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
      found = value;
      *len = (size_t)(stop - value);
    }
    at = next;
  }
  return found;
}

bool wrenn_event_text(const wrenn_event *event, const char *name, char *to,
                      size_t size) {
  wrenn_json object, value;
  const char *why;
  if (size > 0)
    *to = '\0';
  if (!wrenn_json_parse(event->data, event->data_len, &object, &why) ||
      !wrenn_json_get(&object, name, &value) ||
      value.type != WRENN_JSON_STRING || value.len >= size)
    return false;
  size_t len = wrenn_json_decode(&value, to);
  to[len] = '\0';
  if (strlen(to) == len)
    return true;
  *to = '\0';
  return false;
}

/* ---- end ----------------------------------------------------------------- */

void wrenn_loop_free(wrenn_loop *loop) {
  /* A forked child shares the parent's sockets and epoll set: closing them in
   * order would break the parent's. */
  if (!loop || wrenn_loop_check(loop))
    return;
  wrenn_op_stop_all(loop);
  run_kicks(loop);
  wrenn_engine_free(loop->engine);
  if (loop->watched)
    uv_close((uv_handle_t *)&loop->alarm, NULL);
  uv_close((uv_handle_t *)&loop->wake, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT); /* only close callbacks are left */
  uv_loop_close(&loop->uv);
  if (loop->watched)
    close(loop->alarm_fd);
  wrenn_queue_drop(&loop->queue, 0);
  wrenn_node_free(loop->current);
  free(loop->slots);
  free(loop);
}
