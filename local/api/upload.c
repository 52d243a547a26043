/*
 * Handlers: writing files. The plain write accepts a form of up to 100 MiB with
 * its parts in any order, and writes when it is complete. The streamed one
 * writes while the form arrives, if the generation does, so the path has to
 * come first; and it ignores what follows the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "api/api.h"
#include "http/multipart.h"
#include "util/json_out.h"

#define PLAIN_MAX ((size_t)100 * 1024 * 1024)
#define PATH_SIZE_MAX ((size_t)64 * 1024)
/* The file of a plain write is kept in memory up to this size, then in a
 * file. */
#define MEMORY_MAX ((size_t)1024 * 1024)

typedef enum part { NO_PART, PATH_PART, FILE_PART, OTHER_PART } part;

typedef struct upload {
  conn *conn; /* NULL once the request is over */
  bool streamed;
  multipart form;
  part part;
  bool has_path, has_file;
  bool skipped; /* the file came before the path, and counts as empty */
  bool enough;  /* of a streamed form: the rest is ignored */
  wrenn_buf path;
  wrenn_buf file; /* data received before the file is open */
  int spill;      /* a file with the first part of it, if it is large; or -1 */
  uint64_t received, file_size;
  int fd;
  bool opening; /* the agent has been asked to open the file: */
  bool asked;   /* now, or earlier */
  bool ended;   /* the form is complete */
  /* The answer, which is sent after the whole request has been read. */
  fault fault;
  char text[1200];
} upload;

static guest_call call_of(const upload *u) {
  return u->streamed ? GUEST_STREAM_WRITE : GUEST_WRITE;
}

static void fail(upload *u, fault what, const char *text) {
  if (u->fault)
    return;
  u->fault = what;
  strncpy(u->text, text, sizeof(u->text) - 1);
  wrenn_buf_free(&u->file);
}

static void free_if_over(upload *u) {
  if (u->conn || u->opening)
    return;
  if (u->fd >= 0)
    close(u->fd);
  if (u->spill >= 0)
    close(u->spill);
  wrenn_buf_free(&u->path);
  wrenn_buf_free(&u->file);
  free(u);
}

static void drop_upload(conn *c) {
  upload *u = c->task.state;
  u->conn = NULL;
  free_if_over(u);
}

/* Handles a failure of the agent, or of writing to its file. */
static void fail_inside(upload *u, const char *error, const char *text) {
  wrenn_buf message = {0}, path = {0};
  wrenn_buf_append(&path, u->path.data, u->path.len);
  wrenn_buf_append(&path, "", 1);
  if (!path.oom) {
    fault what = guest_fault(server_of(u->conn)->traits, call_of(u), path.data,
                             error, text, &message);
    wrenn_buf_append(&message, "", 1);
    fail(u, what, message.oom ? "" : message.data);
  }
  wrenn_buf_free(&message);
  wrenn_buf_free(&path);
}

static void fail_writing(upload *u) {
  char text[256];
  bool full = errno == ENOSPC || errno == EDQUOT;
  snprintf(text, sizeof(text), "error writing file: %s (os error %d)",
           strerror(errno), errno);
  fail_inside(u, full ? "full" : "failed",
              full ? "not enough disk space available" : text);
}

/* The guest daemon hangs up if a body is too large. */
static void fail_too_large(upload *u) {
  fail(u, FAULT_AGENT,
       u->streamed ? "internal: write file stream: Post "
                     "\"http://127.0.0.1:49983/files\": write: broken pipe"
                   : "internal: write file: write file: Post "
                     "\"http://127.0.0.1:49983/files\": write: broken pipe");
}

static void write_all(upload *u, int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      fail_writing(u);
      return;
    }
    data += n;
    len -= (size_t)n;
  }
}

/* Moves the collected data to an unnamed file. */
static void spill(upload *u) {
  const char *data = server_of(u->conn)->capsules.data;
  if (u->spill < 0) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/upload-XXXXXX", data);
    u->spill = mkostemp(path, O_CLOEXEC);
    if (u->spill >= 0)
      unlink(path);
  }
  if (u->spill < 0)
    fail_writing(u);
  else
    write_all(u, u->spill, u->file.data, u->file.len);
  wrenn_buf_clear(&u->file);
}

/* Writes the collected data to the file. */
static void write_collected(upload *u) {
  off_t at = 0;
  ssize_t n = 1;
  while (u->spill >= 0 && n > 0) {
    n = sendfile(u->fd, u->spill, &at, (size_t)PLAIN_MAX);
    if (n < 0 && errno == EINTR)
      n = 1;
  }
  if (n < 0)
    fail_writing(u);
  else
    write_all(u, u->fd, u->file.data, u->file.len);
}

static void reply(upload *u) {
  if (u->fault)
    api_reply_fault(u->conn, u->fault, u->text);
  else
    conn_reply(u->conn, 204, NULL, "", 0);
}

/* ---- the file ------------------------------------------------------------ */

static void on_opened(void *arg, const sandbox_reply *answer) {
  upload *u = arg;
  u->opening = false;
  if (!u->conn) {
    free_if_over(u);
    return;
  }
  if (answer->error) {
    fail_inside(u, answer->error, answer->text);
  } else {
    u->fd = sandbox_take_fd(answer);
    /* A file that the agent has opened must not block the server. */
    if (u->fd < 0 || fcntl(u->fd, F_SETFL, O_NONBLOCK))
      fail(u, FAULT_AGENT, "no file came");
    else
      write_collected(u);
  }
  wrenn_buf_free(&u->file);
  if (u->ended)
    reply(u);
  else
    conn_release(u->conn);
}

static void open_file(upload *u) {
  wrenn_buf order = {0};
  capsule *of = request_of(u->conn)->capsule;
  json_text(&order, "op", "open_write");
  json_bytes(&order, "path", u->path.data, u->path.len);
  u->asked = true;
  u->opening = box_order(&of->box, &order, on_opened, u);
  wrenn_buf_free(&order);
  if (!u->opening)
    fail(u, FAULT_UNREACHABLE, "");
}

/* ---- the form ------------------------------------------------------------ */

static void begin_part(upload *u, const char *name, size_t len) {
  bool is_path = len == 4 && memcmp(name, "path", 4) == 0;
  bool is_file = len == 4 && memcmp(name, "file", 4) == 0;
  u->part = is_path && !u->has_path   ? PATH_PART
            : is_file && !u->has_file ? FILE_PART
                                      : OTHER_PART;
  if (u->part != FILE_PART || !u->streamed)
    return;
  if (u->path.len == 0) {
    u->part = OTHER_PART;
    u->skipped = !server_of(u->conn)->traits->friendly;
  } else if (server_of(u->conn)->traits->part_max == 0) {
    open_file(u);
    if (u->opening)
      conn_hold(u->conn);
  }
}

static void add_file_data(upload *u, const char *data, size_t len) {
  size_t most = server_of(u->conn)->traits->part_max;
  u->file_size += len;
  if (most > 0 && u->file_size > most) {
    fail_too_large(u);
    return;
  }
  if (u->fd >= 0) {
    write_all(u, u->fd, data, len);
    return;
  }
  wrenn_buf_append(&u->file, data, len);
  if (u->file.oom)
    fail(u, FAULT_MEMORY, "");
  else if (u->file.len > MEMORY_MAX)
    spill(u);
}

static bool on_form(void *arg, multipart_event event, const char *data,
                    size_t len) {
  upload *u = arg;
  if (u->fault)
    return true; /* refused: the rest is read and discarded */
  switch (event) {
  case MULTIPART_PART:
    begin_part(u, data, len);
    break;
  case MULTIPART_DATA:
    if (u->part == FILE_PART)
      add_file_data(u, data, len);
    else if (u->part == PATH_PART && u->path.len + len <= PATH_SIZE_MAX)
      wrenn_buf_append(&u->path, data, len);
    break;
  case MULTIPART_END:
    u->has_path = u->has_path || u->part == PATH_PART;
    u->has_file = u->has_file || u->part == FILE_PART ||
                  (u->part == PATH_PART && u->skipped && u->path.len > 0);
    u->enough = u->streamed && u->has_file;
    u->part = NO_PART;
    break;
  }
  return true;
}

static void on_data(conn *c, const char *data, size_t len) {
  upload *u = c->task.state;
  u->received += len;
  if (!u->streamed && u->received > PLAIN_MAX)
    fail(u, FAULT_FILE_SIZE, "");
  if (!u->fault && !u->enough && !multipart_feed(&u->form, data, len) &&
      !u->enough)
    fail(u, u->streamed ? FAULT_FORM : FAULT_NO_FORM, "");
}

/* Without a part of that name, the parameter of the query is used. */
static void take_path_of_query(upload *u) {
  char path[PATH_MAX];
  if (u->path.len == 0 && !u->streamed &&
      api_query(u->conn, "path", path, sizeof(path)))
    wrenn_buf_puts(&u->path, path);
}

static void on_end(conn *c) {
  upload *u = c->task.state;
  u->ended = true;
  take_path_of_query(u);
  if (!u->fault && !api_running(c, false))
    return;
  if (!multipart_complete(&u->form) && !u->enough)
    fail(u,
         !u->streamed           ? FAULT_NO_FORM
         : u->part == FILE_PART ? FAULT_CUT_FILE
                                : FAULT_FORM,
         "");
  else if (u->path.len == 0 || memchr(u->path.data, '\0', u->path.len))
    fail(u, FAULT_FORM_FIELD, "path");
  else if (!u->has_file)
    fail(u, FAULT_FORM_FIELD, "file");
  if (!u->fault && !u->asked)
    open_file(u);
  if (!u->opening)
    reply(u);
}

/* A capsule that does not exist or does not run is refused at the end of the
 * request, with the other checks; nothing is written before. */
static void begin(conn *c, bool streamed) {
  char type[512];
  upload *u = calloc(1, sizeof(*u));
  if (!u)
    return;
  conn_header(c, "content-type", type, sizeof(type));
  u->conn = c;
  u->fd = u->spill = -1;
  u->streamed = streamed;
  c->task = (conn_task){
      .data = on_data, .end = on_end, .drop = drop_upload, .state = u};
  if (!request_of(c)->capsule ||
      request_of(c)->capsule->status != CAPSULE_RUNNING)
    fail(u, FAULT_FILES_NOT_READY,
         request_of(c)->capsule ? capsule_status_name(request_of(c)->capsule)
                                : "");
  else if (request_of(c)->capsule->away)
    fail(u, FAULT_AWAY, request_of(c)->capsule->id);
  else if (!multipart_start(&u->form, type, on_form, u))
    fail(u, streamed ? FAULT_NO_BOUNDARY : FAULT_NO_FORM, "");
  else if (!streamed && c->parser.length > (int64_t)PLAIN_MAX)
    fail(u, FAULT_FILE_SIZE, "");
  if (u->fault)
    conn_refuse(c);
}

void handle_file_write(conn *c) { begin(c, false); }

void handle_file_stream_write(conn *c) { begin(c, true); }
