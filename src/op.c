#include "op.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An id is generation * SLOTS + slot + 1: below 2^53, so a double holds it. */
#define SLOTS ((uint64_t)1 << 24)
#define GENERATIONS ((uint32_t)1 << 28)
#define MESSAGE_SIZE 512
#define SPARE_FDS 16
/* The maximum time from the start of a head to its end. */
#define HEAD_MS 30000
/* A deadline that is noticed so late had nobody to watch it: the process was
 * stopped or busy. What has arrived meanwhile is then read first. */
#define LATE_MS 100
#define READ_MS 20

static void on_timer(uv_timer_t *timer);

/* ---- slots --------------------------------------------------------------- */

static bool grow_slots(wrenn_loop *loop) {
  uint32_t count = loop->slot_count ? loop->slot_count * 2 : 16;
  if (count > SLOTS - 1)
    return false;
  wrenn_slot *slots = realloc(loop->slots, count * sizeof(*slots));
  if (!slots)
    return false;
  for (uint32_t i = count; i-- > loop->slot_count;) {
    slots[i] = (wrenn_slot){.next_free = loop->free_slot};
    loop->free_slot = i + 1;
  }
  loop->slots = slots;
  loop->slot_count = count;
  return true;
}

static wrenn_slot *find_slot(const wrenn_loop *loop, wrenn_id id) {
  uint64_t index = id % SLOTS;
  if (index == 0 || index > loop->slot_count)
    return NULL;
  wrenn_slot *slot = &loop->slots[index - 1];
  return slot->op && slot->generation == id / SLOTS ? slot : NULL;
}

wrenn_op *wrenn_op_find(const wrenn_loop *loop, wrenn_id id) {
  wrenn_slot *slot = find_slot(loop, id);
  return slot ? slot->op : NULL;
}

static void release_slot(wrenn_op *op) {
  wrenn_slot *slot = find_slot(op->loop, op->id);
  if (!slot)
    return;
  slot->op = NULL;
  slot->generation = (slot->generation + 1) % GENERATIONS;
  slot->next_free = op->loop->free_slot;
  op->loop->free_slot = (uint32_t)(slot - op->loop->slots) + 1;
}

/* ---- life ---------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle) {
  wrenn_op_unref(handle->data);
}

static void arm_timer(wrenn_op *op);

wrenn_status wrenn_op_start(wrenn_loop *loop, wrenn_op *op,
                            const wrenn_op_class *class,
                            const wrenn_deadlines *limits) {
  if (!loop->free_slot && !grow_slots(loop))
    return WRENN_E_MEMORY;
  op->reserve = wrenn_node_new(0, WRENN_EV_FAILED, 0);
  if (!op->reserve)
    return WRENN_E_MEMORY;
  uint32_t index = loop->free_slot - 1;
  wrenn_slot *slot = &loop->slots[index];
  loop->free_slot = slot->next_free;
  slot->op = op;
  op->loop = loop;
  op->class = class;
  op->id = slot->generation * SLOTS + index + 1;
  op->refs = class->stop ? 2 : 1;
  op->limits = *limits;
  uv_timer_init(&loop->uv, &op->timer);
  op->timer.data = op;
  uv_update_time(&loop->uv);
  op->started = op->active = uv_now(&loop->uv);
  arm_timer(op);
  wrenn_loop_wake(loop);
  return WRENN_OK;
}

void wrenn_op_unref(wrenn_op *op) {
  if (--op->refs > 0)
    return;
  wrenn_node_free(op->reserve);
  op->class->free(op);
}

/* Ends an op, after its terminal event or without one when the loop ends. */
static void end_op(wrenn_op *op) {
  op->ended = true;
  release_slot(op);
  uv_close((uv_handle_t *)&op->timer, on_timer_closed);
  if (op->class->stop)
    op->class->stop(op);
}

void wrenn_op_stop_all(wrenn_loop *loop) {
  for (uint32_t i = 0; i < loop->slot_count; i++)
    if (loop->slots[i].op)
      end_op(loop->slots[i].op);
}

void wrenn_op_call(wrenn_op *op) {
  if (op->kicked || op->ended || !op->class->kick)
    return;
  op->kicked = true;
  op->next_kick = op->loop->kicks;
  op->loop->kicks = op;
  op->refs++; /* for the kick list */
  wrenn_loop_wake(op->loop);
}

void wrenn_op_kick(wrenn_op *op) {
  wrenn_op_call(op);
  wrenn_loop_dirty(op->loop);
}

/* ---- deadlines ----------------------------------------------------------- */

static uint64_t sooner(uint64_t at, uint64_t from, uint32_t limit) {
  return limit && from + limit < at ? from + limit : at;
}

static void arm_timer(wrenn_op *op) {
  uint64_t at = sooner(UINT64_MAX, op->started, op->limits.total_ms);
  if (!op->connected)
    at = sooner(at, op->started, op->limits.connect_ms);
  else if (!op->starved) {
    at = op->paused ? at : sooner(at, op->active, op->limits.idle_ms);
    at = sooner(at, op->asked, op->limits.answer_ms);
    if (!op->answered)
      at = sooner(at, op->asked, op->limits.head_ms);
    if (!op->answered && op->begun)
      at = sooner(at, op->begun, HEAD_MS);
  }
  if (at == UINT64_MAX) {
    uv_timer_stop(&op->timer);
    return;
  }
  uint64_t now = uv_now(&op->loop->uv);
  op->due = at > now ? at : now;
  uv_timer_start(&op->timer, on_timer, op->due - now, 0);
}

/* In integers: a fraction might be printed with a comma. */
static void too_late(wrenn_op *op, const char *what, uint32_t ms) {
  char part[8] = "";
  if (ms % 1000) {
    snprintf(part, sizeof(part), ".%03u", ms % 1000);
    for (char *end = part + 3; *end == '0'; end--)
      *end = '\0';
  }
  wrenn_op_fail(op, WRENN_E_TIMEOUT, "%s %u%s s", what, ms / 1000, part);
}

static bool passed(uint64_t now, uint64_t from, uint32_t limit) {
  return limit && now >= from + limit;
}

static void on_timer(uv_timer_t *timer) {
  wrenn_op *op = timer->data;
  const wrenn_deadlines *limits = &op->limits;
  uint64_t now = uv_now(&op->loop->uv);
  bool flows = op->connected && !op->starved;
  bool waits = flows && !op->answered;
  if (op->due && now > op->due + LATE_MS) {
    op->due = 0;
    uv_timer_start(timer, on_timer, READ_MS, 0);
    return;
  }
  if (!op->class->stop)
    wrenn_op_finish(op, wrenn_op_node(op, WRENN_EV_FIRED, 0));
  else if (!op->connected && passed(now, op->started, limits->connect_ms))
    too_late(op, "not connected within", limits->connect_ms);
  else if (passed(now, op->started, limits->total_ms))
    too_late(op, "not finished within", limits->total_ms);
  else if (flows && passed(now, op->asked, limits->answer_ms))
    too_late(op, "no whole answer within", limits->answer_ms);
  else if (waits && passed(now, op->asked, limits->head_ms))
    too_late(op, "no answer within", limits->head_ms);
  else if (waits && op->begun && passed(now, op->begun, HEAD_MS))
    too_late(op, "the head of the answer took more than", HEAD_MS);
  else if (flows && !op->paused && passed(now, op->active, limits->idle_ms))
    too_late(op, "no data for", limits->idle_ms);
  else
    arm_timer(op);
}

void wrenn_op_touch(wrenn_op *op) { op->active = uv_now(&op->loop->uv); }

void wrenn_op_connected(wrenn_op *op) {
  if (op->connected || op->ended)
    return;
  op->connected = true;
  wrenn_op_touch(op);
  op->asked = op->active;
  arm_timer(op);
}

void wrenn_op_asking(wrenn_op *op) {
  wrenn_op_touch(op);
  op->asked = op->active;
}

void wrenn_op_starve(wrenn_op *op, bool starved) {
  if (op->starved == starved || op->ended || (starved && op->answered))
    return;
  op->starved = starved;
  uv_update_time(&op->loop->uv);
  wrenn_op_asking(op);
  arm_timer(op);
}

void wrenn_op_head(wrenn_op *op, bool begun) {
  if (op->ended || op->answered || begun == (op->begun != 0))
    return;
  op->begun = begun ? uv_now(&op->loop->uv) : 0;
  if (begun && (!uv_is_active((uv_handle_t *)&op->timer) ||
                uv_timer_get_due_in(&op->timer) > HEAD_MS))
    arm_timer(op);
}

void wrenn_op_answered(wrenn_op *op) {
  op->answered = true;
  wrenn_op_starve(op, false);
}

/* ---- back-pressure ------------------------------------------------------- */

static void update_pause(wrenn_op *op) {
  bool paused = op->user_paused || op->backlog >= WRENN_WINDOW;
  if (paused == op->paused || op->ended)
    return;
  op->paused = paused;
  if (!paused) {
    uv_update_time(&op->loop->uv); /* a slow reader may have taken time */
    wrenn_op_touch(op);
    arm_timer(op);
  }
  wrenn_op_kick(op);
}

void wrenn_op_taken(wrenn_loop *loop, const wrenn_node *node) {
  wrenn_op *op = wrenn_op_find(loop, node->event.id);
  if (!op)
    return;
  op->backlog -= wrenn_node_cost(node);
  update_pause(op);
}

/* ---- events -------------------------------------------------------------- */

wrenn_node *wrenn_op_node(wrenn_op *op, wrenn_event_type type, size_t cap) {
  wrenn_node *node = wrenn_node_new(op->id, type, cap);
  if (!node)
    wrenn_op_fail(op, WRENN_E_MEMORY, "%s", wrenn_strerror(WRENN_E_MEMORY));
  return node;
}

void wrenn_op_emit(wrenn_op *op, wrenn_node *node) {
  if (op->ended) {
    wrenn_node_free(node);
    return;
  }
  op->backlog += wrenn_node_cost(node);
  node->event.user = op->user;
  wrenn_queue_push(&op->loop->queue, node);
  update_pause(op);
}

void wrenn_op_finish(wrenn_op *op, wrenn_node *node) {
  if (!node || op->ended) { /* running out of memory has ended it already */
    wrenn_node_free(node);
    return;
  }
  node->event.user = op->user;
  wrenn_queue_push(&op->loop->queue, node);
  end_op(op);
}

void wrenn_op_fail(wrenn_op *op, wrenn_status error, const char *format, ...) {
  if (op->ended)
    return;
  wrenn_node *node = wrenn_node_new(op->id, WRENN_EV_FAILED, MESSAGE_SIZE);
  if (node) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(node->bytes, MESSAGE_SIZE, format, args);
    va_end(args);
    if (len > 0)
      node->event.data_len =
          len < MESSAGE_SIZE ? (size_t)len : MESSAGE_SIZE - 1;
  } else {
    node = op->reserve;
    op->reserve = NULL;
    node->event.id = op->id;
    error = WRENN_E_MEMORY;
  }
  node->event.error = error;
  node->event.code = op->number;
  node->event.sent = op->class->sent && op->class->sent(op);
  wrenn_op_finish(op, node);
}

rlim_t wrenn_fd_limit(void) {
  struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

bool wrenn_fd_to_spare(int fd) {
  rlim_t limit = wrenn_fd_limit();
  return limit == RLIM_INFINITY || (rlim_t)fd + SPARE_FDS < limit;
}

void wrenn_op_fail_fds(wrenn_op *op) {
  wrenn_op_fail(op, WRENN_E_SYSTEM,
                "too many open files: this process may have %llu "
                "(RLIMIT_NOFILE, ulimit -n)",
                (unsigned long long)wrenn_fd_limit());
}

/* ---- options ------------------------------------------------------------- */

bool wrenn_options_copy(void *to, size_t known, const void *from, size_t size) {
  const char *bytes = from;
  if (size < sizeof(size_t))
    return false;
  for (size_t i = known; i < size; i++)
    if (bytes[i])
      return false;
  memset(to, 0, known);
  memcpy(to, from, size < known ? size : known);
  return true;
}

/* ---- API ----------------------------------------------------------------- */

static void free_timer_op(wrenn_op *op) { free(op); }

wrenn_status wrenn_timer_start(wrenn_loop *loop, uint32_t ms, void *user,
                               wrenn_id *id) {
  static const wrenn_op_class class = {.free = free_timer_op};
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_op *op = calloc(1, sizeof(*op));
  if (!op)
    return WRENN_E_MEMORY;
  /* the clock counts whole milliseconds: one has begun before */
  op->user = user;
  wrenn_deadlines limits = {.total_ms = ms < UINT32_MAX ? ms + 1 : ms};
  status = wrenn_op_start(loop, op, &class, &limits);
  if (status)
    free(op);
  else
    *id = op->id;
  return status;
}

wrenn_status wrenn_pause(wrenn_loop *loop, wrenn_id id, bool paused) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_op *op = wrenn_op_find(loop, id);
  if (!op)
    return WRENN_E_CLOSED;
  op->user_paused = paused;
  update_pause(op);
  return WRENN_OK;
}

wrenn_status wrenn_cancel(wrenn_loop *loop, wrenn_id id) {
  wrenn_op *op = wrenn_op_find(loop, id);
  if (!op) /* the usual case where operations are garbage: asks no system */
    return WRENN_E_CLOSED;
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_loop_drop(loop, id);
  wrenn_loop_dirty(loop);
  wrenn_op_fail(op, WRENN_E_CANCELLED, "%s", wrenn_strerror(WRENN_E_CANCELLED));
  return WRENN_OK;
}
