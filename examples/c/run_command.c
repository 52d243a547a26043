/*
 * Runs one shell command in a capsule of its own:
 *
 *   run_command 'uname -a; exit 3'
 *
 * Prints what the command prints as it comes, and ends with its exit code.
 * WRENN_API_KEY is the key, WRENN_BASE_URL the server. The capsule is destroyed
 * at the end, also after a failure, Ctrl-C or a broken pipe.
 *
 * One operation at a time: each step starts one and waits for its events. A
 * program with many would look up by event.id whom each event is for.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wrenn/json.h>
#include <wrenn/wrenn.h>

#define URL_SIZE 1200

typedef struct client {
  wrenn_loop *loop;
  char base[1024]; /* of all URLs, from behind its "http" */
  char key[512];   /* the header line */
  char id[64];     /* the capsule's; empty while there is none */
  char status[32];
} client;

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

/* ---- operations ---------------------------------------------------------- */

/* Waits for the next event of one operation. Returns false when the loop
 * failed or, if `may_stop`, when a signal came. */
static bool next_event(client *c, wrenn_id id, bool may_stop,
                       wrenn_event *event) {
  while (!may_stop || !interrupted) {
    while (wrenn_loop_next(c->loop, event))
      if (event->id == id) /* others are left over from an earlier step */
        return true;
    /* Not forever: a signal may come right before the wait. */
    if (wrenn_loop_wait(c->loop, 500) != WRENN_OK)
      return false;
  }
  return false;
}

static void complain(const char *what, const char *why) {
  fprintf(stderr, "run_command: %s: %s\n", what, why);
}

/* Says why an operation's last event is not the one hoped for. */
static void complain_event(const char *what, const wrenn_event *event) {
  fprintf(stderr, "run_command: %s: ", what);
  if (event->type == WRENN_EV_FAILED) /* else there was no error below HTTP */
    fprintf(stderr, "%s: ", wrenn_strerror(event->error));
  if (event->status)
    fprintf(stderr, "HTTP status %d: ", event->status);
  fprintf(stderr, "%.*s\n", (int)event->data_len, event->data);
}

/* The URL of the capsule, or of all while there is none. */
static void make_url(const client *c, const char *scheme, const char *tail,
                     char url[URL_SIZE]) {
  snprintf(url, URL_SIZE, "%s%s/v1/capsules%s%s%s", scheme, c->base,
           *c->id ? "/" : "", c->id, tail);
}

/* Returns whether the answer is a good one; it is in *event until the next
 * call. Signals have to wait: who gives up on a create never learns the id. */
static bool request(client *c, const char *method, const char *body,
                    wrenn_event *event) {
  char url[URL_SIZE];
  const char *headers[] = {c->key, "Content-Type: application/json"};
  wrenn_id id;
  make_url(c, "http", "", url);
  const wrenn_http_options options = {
      .method = method,
      .url = url,
      .headers = headers,
      .header_count = 2,
      .body = body,
      .body_len = strlen(body),
      .deadlines = {.connect_ms = 10000, .total_ms = 30000}};
  wrenn_status status = wrenn_http_start(c->loop, &options, &id);
  if (status != WRENN_OK)
    complain(method, wrenn_strerror(status));
  if (status != WRENN_OK || !next_event(c, id, false, event))
    return false;
  bool good = event->type == WRENN_EV_DONE && event->status / 100 == 2;
  if (!good)
    complain_event(method, event);
  return good;
}

/* Copies a member that is a string; false when it is missing or too long. */
static bool copy_member(const wrenn_json *object, const char *name, char *to,
                        size_t size) {
  wrenn_json value;
  if (!wrenn_json_get(object, name, &value) ||
      value.type != WRENN_JSON_STRING || value.len >= size)
    return false;
  to[wrenn_json_decode(&value, to)] = '\0'; /* never longer than value.len */
  return true;
}

static bool read_capsule(client *c, const wrenn_event *answer) {
  wrenn_json capsule;
  const char *why;
  if (wrenn_json_parse(answer->data, answer->data_len, &capsule, &why) &&
      copy_member(&capsule, "id", c->id, sizeof(c->id)) &&
      copy_member(&capsule, "status", c->status, sizeof(c->status)))
    return true;
  complain("capsule", "the server's answer does not describe one");
  return false;
}

/* Creating answers before the capsule runs: asks until it does. */
static bool await_running(client *c) {
  wrenn_event event;
  wrenn_id timer;
  time_t until = time(NULL) + 30;
  while (strcmp(c->status, "running") != 0) {
    if (!strcmp(c->status, "error") || !strcmp(c->status, "stopped") ||
        !strcmp(c->status, "missing") || time(NULL) > until) {
      complain("the capsule does not start, its status is", c->status);
      return false;
    }
    if (wrenn_timer_start(c->loop, 250, &timer) != WRENN_OK ||
        !next_event(c, timer, true, &event) || !request(c, "GET", "", &event) ||
        !read_capsule(c, &event))
      return false;
  }
  return true;
}

/* ---- the command --------------------------------------------------------- */

static bool open_stream(client *c, wrenn_id *id) {
  char url[URL_SIZE];
  const char *headers[] = {c->key};
  make_url(c, "ws", "/exec/stream", url); /* or wss, where it was https */
  const wrenn_ws_options options = {.url = url,
                                    .headers = headers,
                                    .header_count = 1,
                                    .codec = WRENN_CODEC_STREAM,
                                    .deadlines = {.connect_ms = 10000}};
  return wrenn_ws_open(c->loop, &options, id) == WRENN_OK;
}

/* The server runs a program with arguments; a shell makes it a command. */
static bool send_start(client *c, wrenn_id id, const char *command) {
  wrenn_buf json = {0};
  wrenn_buf_puts(&json, "{\"type\":\"start\",\"cmd\":\"/bin/sh\","
                        "\"args\":[\"-c\",");
  wrenn_json_put_string(&json, command, strlen(command));
  wrenn_buf_puts(&json, "]}");
  bool sent = !json.oom && wrenn_ws_send(c->loop, id, json.data, json.len,
                                         false) == WRENN_OK;
  wrenn_buf_free(&json);
  return sent;
}

static bool print(FILE *to, const wrenn_frame *frame) {
  return fwrite(frame->data, 1, frame->data_len, to) == frame->data_len &&
         fflush(to) == 0;
}

/* Returns whether more are to come; the exit frame sets *code. */
static bool on_frame(const wrenn_frame *frame, int *code) {
  switch (frame->kind) {
  case WRENN_FRAME_STDOUT:
  case WRENN_FRAME_STDERR:
    return print(frame->kind == WRENN_FRAME_STDERR ? stderr : stdout, frame);
  case WRENN_FRAME_EXIT: /* -1: a signal ended it */
    *code = frame->exit_code >= 0 ? frame->exit_code : 1;
    return false;
  case WRENN_FRAME_ERROR:
    fprintf(stderr, "run_command: %.*s\n", (int)frame->data_len, frame->data);
    return false;
  default: /* the start frame, and what later servers may add */
    return true;
  }
}

/* Runs the command; returns its exit code, or 1 when it cannot be known. */
static int stream(client *c, const char *command) {
  int code = 1;
  wrenn_id id = 0;
  wrenn_event event;
  bool more = open_stream(c, &id) && send_start(c, id, command);
  while (more && next_event(c, id, true, &event)) {
    if (event.type == WRENN_EV_FRAME) {
      more = on_frame(&event.frame, &code);
    } else if (event.type != WRENN_EV_OPENED) { /* FAILED, or CLOSED early */
      complain_event("the stream ended early", &event);
      more = false;
    }
  }
  wrenn_cancel(c->loop, id); /* the server waits for nothing more from us */
  return code;
}

/* ---- the program --------------------------------------------------------- */

static bool configure(client *c) {
  const char *base = getenv("WRENN_BASE_URL");
  const char *key = getenv("WRENN_API_KEY");
  if (!base || !*base)
    base = "https://app.wrenn.dev/api";
  size_t len = strlen(base);
  len -= len > 0 && base[len - 1] == '/';
  if (strncmp(base, "http", 4) != 0 || len >= sizeof(c->base)) {
    complain("WRENN_BASE_URL", "not a URL of http or https");
  } else if (!key || !*key || strlen(key) > 400) {
    complain("WRENN_API_KEY", "not set, or too long");
  } else {
    snprintf(c->base, sizeof(c->base), "%.*s", (int)len - 4, base + 4);
    snprintf(c->key, sizeof(c->key), "X-API-Key: %s", key);
    return true;
  }
  return false;
}

static int run(client *c, const char *command) {
  int code = 1;
  wrenn_event event;
  if (request(c, "POST", "{}", &event) && read_capsule(c, &event) &&
      await_running(c))
    code = stream(c, command);
  if (*c->id && !request(c, "DELETE", "", &event))
    complain("it may be left over", c->id);
  return code;
}

int main(int argc, char **argv) {
  client c = {0};
  wrenn_status why;
  if (argc != 2) {
    complain("usage", "run_command COMMAND");
    return 2;
  }
  if (!configure(&c) || !(c.loop = wrenn_loop_new(&why)))
    return 1;
  signal(SIGPIPE, SIG_IGN); /* a write that fails is enough to know */
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  int code = run(&c, argv[1]);
  wrenn_loop_free(c.loop);
  return code;
}
