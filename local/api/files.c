/* Handlers: reading files and changing directories. The agent opens the files
 * inside; their contents are sent from here. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "util/json_out.h"

#define PIECE ((size_t)256 * 1024)
/* The file is not read while this much waits for the client. */
#define HIGH ((size_t)512 * 1024)
/* The maximum sent in one turn, before other connections get theirs. */
#define TURN ((size_t)4 * 1024 * 1024)

typedef struct job {
  conn *conn; /* NULL once the request is over */
  session session;
  void (*done)(struct job *j, const sandbox_reply *reply);
  guest_call call;
  char *path;
  bool pending; /* an order has not been answered */
  bool chunked;
  bool silent; /* reports no failures */
  int fd;
  int64_t left; /* bytes of the file to send, if its length was announced */
  char *piece;
} job;

static void free_if_over(job *j) {
  if (j->conn || j->pending)
    return;
  if (j->fd >= 0)
    close(j->fd);
  free(j->piece);
  free(j->path);
  free(j);
}

static void drop_job(conn *c) {
  job *j = c->task.state;
  j->conn = NULL;
  session_leave(&j->session);
  free_if_over(j);
}

/* The head of a stream is sent before anything is known about the file. */
static void reply_failed(job *j, const sandbox_reply *reply) {
  if (j->silent)
    conn_reply(j->conn, 200, "application/octet-stream", "", 0);
  else
    api_reply_guest(j->conn, j->call, j->path, reply->error, reply->text);
}

static void on_order_done(void *arg, const sandbox_reply *reply) {
  job *j = arg;
  j->pending = false;
  if (j->conn && reply->error)
    reply_failed(j, reply);
  else if (j->conn)
    j->done(j, reply);
  else
    free_if_over(j);
}

static wrenn_buf begin_order(const job *j, const char *op) {
  wrenn_buf order = {0};
  json_text(&order, "op", op);
  json_text(&order, "path", j->path);
  return order;
}

static void send_order(job *j, wrenn_buf *order) {
  j->pending =
      box_order(&request_of(j->conn)->capsule->box, order, on_order_done, j);
  wrenn_buf_free(order);
  if (!j->pending)
    api_reply_fault(j->conn, FAULT_UNREACHABLE, NULL);
}

/* Sends an order with only a path. */
static void order(job *j, const char *op) {
  wrenn_buf text = begin_order(j, op);
  send_order(j, &text);
}

/* Checks the request and creates a job; NULL if it has been answered. */
static job *begin(conn *c, wrenn_json *body, guest_call call) {
  if (!api_running(c, false) || !api_body(c, body))
    return NULL;
  char *path = api_path(c, body);
  job *j = path ? calloc(1, sizeof(*j)) : NULL;
  if (!j) {
    if (path)
      api_reply_fault(c, FAULT_MEMORY, NULL);
    free(path);
    return NULL;
  }
  j->conn = c;
  j->fd = -1;
  j->path = path;
  j->call = call;
  c->task = (conn_task){.drop = drop_job, .state = j};
  return j;
}

/* ---- reading ------------------------------------------------------------- */

/* Reads the next piece. Returns its length, 0 at the end, -1 on failure. */
static ssize_t read_piece(job *j) {
  size_t want = PIECE;
  ssize_t len;
  if (!j->chunked && (uint64_t)j->left < want)
    want = (size_t)j->left;
  if (want == 0)
    return 0;
  do
    len = read(j->fd, j->piece, want);
  while (len < 0 && errno == EINTR);
  /* The head has announced more. */
  return len == 0 && !j->chunked ? -1 : len;
}

static void pump(conn *c) {
  job *j = c->task.state;
  size_t sent = 0;
  while (conn_unsent(c) < HIGH) {
    if (sent >= TURN) { /* a fast client must not starve the others */
      conn_want_turn(c);
      return;
    }
    ssize_t len = read_piece(j);
    if (len < 0 && !j->silent)
      conn_abort(c); /* an incomplete answer must not look complete */
    else if (len <= 0)
      conn_stream_end(c);
    if (len <= 0)
      return;
    j->left -= len;
    sent += (size_t)len;
    conn_stream_data(c, j->piece, (size_t)len);
    if (c->stage == CONN_CLOSED)
      return;
  }
}

/* The capsule ended during the answer. A stream does not report that. */
static void on_cut(session *s) {
  job *j = (job *)((char *)s - offsetof(job, session));
  conn *c = j->conn;
  if (!c || !j->silent)
    return;
  if (c->answer != CONN_UNANSWERED)
    conn_stream_end(c);
  else
    conn_reply(c, 200, "application/octet-stream", "", 0);
}

/* Accepts the file that the agent has opened. A program in a capsule may have
 * taken over its agent, so nothing is trusted. */
static bool take_file(job *j, const sandbox_reply *reply) {
  struct stat info;
  j->fd = sandbox_take_fd(reply);
  j->piece = malloc(PIECE);
  if (j->fd < 0 || !j->piece || fstat(j->fd, &info) || !S_ISREG(info.st_mode))
    return false;
  j->left = info.st_size;
  return true;
}

static void on_opened(job *j, const sandbox_reply *reply) {
  conn *c = j->conn;
  ssize_t first = 0;
  if (!take_file(j, reply)) {
    api_reply_fault(c, FAULT_AGENT, "no file came");
    return;
  }
  if (!j->chunked && j->left > server_of(c)->traits->read_max) {
    api_reply_fault(c, FAULT_AGENT, "the file is too large for one answer");
    return;
  }
  if (j->left == 0) {
    j->chunked = true; /* files in /proc have no size, but contents */
    first = read_piece(j);
    j->chunked = first > 0;
  }
  c->task.drained = pump;
  conn_stream_begin(c, 200, "application/octet-stream",
                    j->chunked ? -1 : j->left);
  if (first > 0)
    conn_stream_data(c, j->piece, (size_t)first);
  if (c->stage != CONN_CLOSED)
    pump(c);
}

static void begin_reading(conn *c, bool chunked) {
  wrenn_json body;
  job *j = begin(c, &body, GUEST_READ);
  if (!j)
    return;
  j->done = on_opened;
  j->chunked = chunked;
  j->silent = chunked && !server_of(c)->traits->friendly;
  j->session.cut = on_cut;
  session_join(request_of(c)->capsule, &j->session);
  order(j, "open_read");
}

void handle_file_read(conn *c) { begin_reading(c, false); }

void handle_file_stream_read(conn *c) {
  if (request_of(c)->capsule->away)
    conn_reply(c, 200, "application/octet-stream", "", 0);
  else
    begin_reading(c, true);
}

/* ---- directories --------------------------------------------------------- */

/* Answers with a member of the agent's answer. */
static void reply_member(job *j, const sandbox_reply *reply, const char *name) {
  wrenn_json value;
  wrenn_buf json = {0};
  if (!wrenn_json_get(&reply->json, name, &value)) {
    api_reply_fault(j->conn, FAULT_AGENT, "the answer is incomplete");
    return;
  }
  json_object(&json, NULL);
  json_value(&json, name, &value);
  json_object_end(&json);
  conn_reply_json(j->conn, 200, &json);
}

static void on_listed(job *j, const sandbox_reply *reply) {
  reply_member(j, reply, "entries");
}

void handle_file_list(conn *c) {
  wrenn_json body;
  int64_t depth = 1;
  const char *odd = server_of(c)->traits->odd_names;
  job *j = begin(c, &body, GUEST_LIST);
  if (!j || !api_unsigned(c, &body, "depth", &depth))
    return;
  wrenn_buf text = begin_order(j, "list");
  json_int(&text, "depth", depth > 0 ? depth : 1);
  if (odd)
    json_text(&text, "odd", odd);
  j->done = on_listed;
  send_order(j, &text);
}

static void on_made(job *j, const sandbox_reply *reply) {
  reply_member(j, reply, "entry");
}

void handle_file_mkdir(conn *c) {
  wrenn_json body;
  job *j = begin(c, &body, GUEST_MKDIR);
  if (!j)
    return;
  j->done = on_made;
  order(j, "mkdir");
}

static void on_removed(job *j, const sandbox_reply *reply) {
  (void)reply;
  conn_reply(j->conn, 204, NULL, "", 0);
}

void handle_file_remove(conn *c) {
  wrenn_json body;
  job *j = begin(c, &body, GUEST_REMOVE);
  if (!j)
    return;
  j->done = on_removed;
  order(j, "remove");
}
