/*
 * Runs one shell command in a capsule of its own:
 *
 *   run_command 'uname -a; exit 3'
 *
 * Prints what the command prints as it comes, and ends with its exit code.
 * WRENN_API_KEY is the key, WRENN_BASE_URL the server. The capsule is destroyed
 * at the end, also after a failure, Ctrl-C or a broken pipe.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wrenn/wrenn.h>

static wrenn_loop *loop;
static char base[1024]; /* of all URLs, without its "http" */
static char key[512];   /* the header line */
static char id[64];     /* the capsule's; empty while there is none */
static bool stoppable;  /* whether a signal counts: not while it is created */
static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

/* Says what failed and, if an event tells, why. Returns false. */
static bool fail(const char *what, const wrenn_event *event) {
  fprintf(stderr, "run_command: %s", what);
  if (event && event->type == WRENN_EV_FAILED)
    fprintf(stderr, ": %s", wrenn_strerror(event->error));
  if (event && event->status)
    fprintf(stderr, ": HTTP status %d", event->status);
  if (event)
    fprintf(stderr, ": %.*s", (int)event->data_len, event->data);
  fputc('\n', stderr);
  return false;
}

/* Waits for the next event of an operation. Returns false if there will be
 * none, or a signal has come. */
static bool next(wrenn_id of, wrenn_event *event) {
  do
    while (!wrenn_loop_next(loop, event)) /* a signal may precede the wait */
      if ((interrupted && stoppable) || wrenn_loop_wait(loop, 500) != WRENN_OK)
        return false;
  while (event->id != of);
  return true;
}

/* Sends a request about the capsule and waits for its answer. */
static bool request(const char *method, wrenn_event *event) {
  char url[1200];
  const char *headers[] = {key, "Content-Type: application/json"};
  bool post = strcmp(method, "POST") == 0;
  wrenn_id request;
  snprintf(url, sizeof(url), "http%s/v1/capsules%s%s", base, *id ? "/" : "",
           id);
  const wrenn_http_options options = {
      .size = sizeof(options),
      .method = method,
      .url = url,
      .headers = headers,
      .header_count = 2,
      .body = post ? "{}" : NULL,
      .body_len = post ? 2 : 0,
      .deadlines = {.connect_ms = 10000, .total_ms = 30000}};
  wrenn_status status = wrenn_http_start(loop, &options, &request);
  if (status)
    return fail(wrenn_strerror(status), NULL);
  return next(request, event) &&
         ((event->type == WRENN_EV_DONE && event->status / 100 == 2) ||
          fail(method, event));
}

/* Lets a moment pass. */
static bool rest(void) {
  wrenn_event event;
  wrenn_id timer;
  return wrenn_timer_start(loop, 250, NULL, &timer) == WRENN_OK &&
         next(timer, &event);
}

/* Creates the capsule, and waits until it runs. */
static bool create(void) {
  wrenn_event event;
  char status[32];
  bool ok = request("POST", &event);
  stoppable = true;
  for (int tries = 0; ok && tries < 120; tries++) {
    if (!wrenn_event_text(&event, "id", id, sizeof(id)) ||
        !wrenn_event_text(&event, "status", status, sizeof(status)))
      return fail("the server's answer describes no capsule", NULL);
    if (strcmp(status, "running") == 0)
      return true;
    if (strcmp(status, "error") == 0)
      break;
    ok = rest() && request("GET", &event);
  }
  return ok && fail("the capsule does not start", NULL);
}

/* Runs the command. Returns its exit code, or 1. */
static int stream(const char *command) {
  const char *words[] = {"/bin/sh", "-c", command};
  const char *headers[] = {key};
  char url[1200];
  wrenn_event event;
  wrenn_id ws;
  snprintf(url, sizeof(url), "ws%s/v1/capsules/%s/exec/stream", base, id);
  const wrenn_ws_options options = {.size = sizeof(options),
                                    .url = url,
                                    .headers = headers,
                                    .header_count = 1,
                                    .codec = WRENN_CODEC_STREAM,
                                    .deadlines = {.connect_ms = 10000}};
  if (wrenn_ws_open(loop, &options, &ws) ||
      wrenn_ws_send_start(loop, ws, words, 3))
    return 1;
  while (next(ws, &event)) {
    const wrenn_frame *frame = &event.frame;
    FILE *to = frame->kind == WRENN_FRAME_STDOUT ? stdout : stderr;
    if (event.type == WRENN_EV_OPENED)
      continue;
    if (event.type != WRENN_EV_FRAME) { /* FAILED, or CLOSED early */
      fail("the stream ended early", &event);
      return 1;
    }
    switch (frame->kind) {
    case WRENN_FRAME_STDOUT:
    case WRENN_FRAME_STDERR:
      if (fwrite(frame->data, 1, frame->data_len, to) != frame->data_len ||
          fflush(to))
        return 1;
      break;
    case WRENN_FRAME_EXIT: /* -1: a signal ended it */
      return frame->exit_code >= 0 ? frame->exit_code : 1;
    case WRENN_FRAME_ERROR:
      fprintf(stderr, "run_command: %.*s\n", (int)frame->data_len, frame->data);
      return 1;
    default: /* START, and what later servers may add */
      break;
    }
  }
  return 1;
}

static bool configure(void) {
  const char *url = getenv("WRENN_BASE_URL"), *secret = getenv("WRENN_API_KEY");
  if (!url || !*url)
    url = "https://app.wrenn.dev/api";
  size_t len = strlen(url);
  len -= len > 0 && url[len - 1] == '/';
  if (strncmp(url, "http", 4) != 0 || len >= sizeof(base))
    return fail("WRENN_BASE_URL: not a URL of http or https", NULL);
  if (!secret || !*secret || strlen(secret) > 400)
    return fail("WRENN_API_KEY: not set, or too long", NULL);
  snprintf(base, sizeof(base), "%.*s", (int)len - 4, url + 4);
  snprintf(key, sizeof(key), "X-API-Key: %s", secret);
  return true;
}

int main(int argc, char **argv) {
  wrenn_status why;
  wrenn_event event;
  if (argc != 2) {
    fail("usage: run_command COMMAND", NULL);
    return 2;
  }
  if (!configure() || !(loop = wrenn_loop_new(&why)))
    return 1;
  signal(SIGPIPE, SIG_IGN); /* a write that fails is enough to know */
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  int code = create() ? stream(argv[1]) : 1;
  stoppable = false;
  if (*id && !request("DELETE", &event))
    fail("the capsule may be left over", NULL);
  wrenn_loop_free(loop);
  return code;
}
