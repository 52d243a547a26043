/* Tunnels: the bytes of a connection as they are, both ways. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carry.h"

/* A tunnel accepts more while less than this waits to be sent. */
#define SEND_WINDOW ((size_t)256 * 1024)

typedef struct tunnel_op {
  wrenn_transfer transfer; /* first */
  curl_socket_t fd;
  bool open;
  bool drained;   /* there is nothing to read until the socket says so */
  bool blocked;   /* the connection accepts no data for now */
  bool broken;    /* or never will again */
  bool want_room; /* the user waits for WRITABLE */
  wrenn_buf sending;
  wrenn_buf queued; /* behind `sending` */
  size_t sent;      /* of `sending` */
} tunnel_op;

/* ---- out ----------------------------------------------------------------- */

static size_t unsent(const tunnel_op *t) {
  return t->sending.len - t->sent + t->queued.len;
}

/* The next bytes to be sent; false if there are none. */
static bool has_more(tunnel_op *t) {
  if (t->sent == t->sending.len) {
    wrenn_buf spent = t->sending;
    t->sending = t->queued;
    t->queued = spent;
    wrenn_buf_clear(&t->queued);
    t->sent = 0;
  }
  return t->sending.len > 0;
}

static void tell_room(tunnel_op *t) {
  if (!t->want_room || (!t->broken && unsent(t) >= SEND_WINDOW / 2))
    return;
  t->want_room = false;
  wrenn_node *node = wrenn_op_node(&t->transfer.op, WRENN_EV_WRITABLE, 0);
  if (node)
    wrenn_op_emit(&t->transfer.op, node);
}

/* A failed write is not the end: what the peer has sent before it closed is
 * still to be read, and reading reports the end. */
static void flush(tunnel_op *t) {
  t->blocked = false;
  while (!t->broken && has_more(t)) {
    size_t part = 0;
    CURLcode code = curl_easy_send(t->transfer.easy, t->sending.data + t->sent,
                                   t->sending.len - t->sent, &part);
    t->blocked = code == CURLE_AGAIN;
    if (t->blocked)
      break;
    t->broken = code != CURLE_OK;
    t->sent += part;
    wrenn_op_touch(&t->transfer.op);
  }
  tell_room(t);
}

/* ---- in ------------------------------------------------------------------ */

static void emit_chunk(tunnel_op *t, const char *data, size_t len) {
  wrenn_node *node = wrenn_op_node(&t->transfer.op, WRENN_EV_CHUNK, len);
  if (!node)
    return;
  memcpy(node->bytes, data, len);
  node->event.data_len = len;
  wrenn_op_touch(&t->transfer.op);
  wrenn_op_emit(&t->transfer.op, node);
}

static void finish(tunnel_op *t, CURLcode code) {
  wrenn_op *op = &t->transfer.op;
  if (code == CURLE_GOT_NOTHING)
    wrenn_op_finish(op, wrenn_op_node(op, WRENN_EV_CLOSED, 0));
  else
    wrenn_op_fail(op, WRENN_E_BROKEN, "the connection has broken");
}

static void read_on(tunnel_op *t) {
  wrenn_op *op = &t->transfer.op;
  while (!op->ended && !op->paused) {
    size_t len;
    wrenn_block *block = wrenn_engine_block(t->transfer.engine);
    if (!block) {
      wrenn_op_fail(op, WRENN_E_MEMORY, "%s", wrenn_strerror(WRENN_E_MEMORY));
      return;
    }
    CURLcode code = wrenn_carry_read(&t->transfer, block, t->broken, &len);
    if (len)
      emit_chunk(t, block->bytes, len);
    t->drained = code == CURLE_AGAIN;
    if (op->ended || (t->drained && !t->broken))
      return;
    if (code)
      finish(t, code);
  }
}

static void write_on(tunnel_op *t) {
  wrenn_op *op = &t->transfer.op;
  flush(t);
  if (t->broken && !op->ended)
    read_on(t);
  if (!op->ended)
    wrenn_watch_want(t->transfer.engine, t->fd,
                     (op->paused ? 0 : UV_READABLE) |
                         (t->blocked ? UV_WRITABLE : 0));
}

static void turn(tunnel_op *t) {
  read_on(t);
  if (!t->transfer.op.ended)
    write_on(t);
}

/* ---- life ---------------------------------------------------------------- */

static void on_ready(void *arg, int events) {
  (void)events; /* failing reads and writes report errors */
  turn(arg);
}

static void on_connected(wrenn_transfer *transfer, CURLcode code) {
  tunnel_op *t = (tunnel_op *)transfer;
  if (!wrenn_carry_begin(transfer, code, &t->fd, on_ready, t))
    return;
  t->open = true;
  wrenn_op_connected(&transfer->op);
  wrenn_op_answered(&transfer->op);
  wrenn_node *node = wrenn_op_node(&transfer->op, WRENN_EV_OPENED, 0);
  if (!node)
    return;
  wrenn_op_emit(&transfer->op, node);
  turn(t);
}

static void kick_tunnel(wrenn_op *op) {
  tunnel_op *t = (tunnel_op *)op;
  if (t->open && t->drained)
    write_on(t);
  else if (t->open)
    turn(t);
}

static void stop_tunnel(wrenn_op *op) {
  wrenn_transfer_end(&((tunnel_op *)op)->transfer);
  wrenn_op_unref(op);
}

static void free_tunnel(wrenn_op *op) {
  tunnel_op *t = (tunnel_op *)op;
  wrenn_transfer_end(&t->transfer);
  wrenn_buf_free(&t->sending);
  wrenn_buf_free(&t->queued);
  free(t);
}

/* ---- API ----------------------------------------------------------------- */

wrenn_status wrenn_tunnel_open(wrenn_loop *loop,
                               const wrenn_tunnel_options *given,
                               wrenn_id *id) {
  static const wrenn_op_class class = {
      .kick = kick_tunnel, .stop = stop_tunnel, .free = free_tunnel};
  wrenn_tunnel_options options;
  if (!wrenn_options_copy(&options, sizeof(options), given, given->size) ||
      !options.url || !wrenn_url_ok(options.url, "http"))
    return WRENN_E_ARGUMENT;
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  tunnel_op *t = calloc(1, sizeof(*t));
  if (!t)
    return WRENN_E_MEMORY;
  t->transfer.op.user = options.user;
  t->transfer.done = on_connected;
  status = wrenn_carry_prepare(loop, &t->transfer, options.url, &options.net,
                               &options.deadlines);
  if (!status)
    status = wrenn_op_start(loop, &t->transfer.op, &class, &options.deadlines);
  if (status) {
    free_tunnel(&t->transfer.op);
    return status;
  }
  *id = t->transfer.op.id;
  wrenn_transfer_go(&t->transfer);
  return WRENN_OK;
}

wrenn_status wrenn_tunnel_send(wrenn_loop *loop, wrenn_id id, const void *data,
                               size_t len, bool *room) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_op *op = wrenn_op_find(loop, id);
  if (!op || op->class->stop != stop_tunnel)
    return WRENN_E_CLOSED;
  tunnel_op *t = (tunnel_op *)op;
  if (!t->broken)
    wrenn_buf_append(&t->queued, data, len);
  if (t->queued.oom)
    return WRENN_E_MEMORY;
  t->want_room = !t->broken && unsent(t) >= SEND_WINDOW;
  if (room)
    *room = !t->want_room;
  wrenn_op_call(op);
  return WRENN_OK;
}
