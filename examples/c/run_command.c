/*
 * Runs one shell command in a capsule of its own:
 *
 *   run_command 'uname -a; exit 3'
 *
 * Prints what the command prints as it comes, and ends with its exit code.
 * WRENN_API_KEY is the key, WRENN_BASE_URL the server. The capsule is destroyed
 * at the end, also after a failure, Ctrl-C or a broken pipe.
 *
 * Each operation's `user` points to the function that takes its events. There
 * is one operation at a time here; any number would work the same way.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wrenn/wrenn.h>

typedef struct client {
  wrenn_loop *loop;
  char base[1024]; /* of all URLs, without its "http" */
  char key[512];   /* the header line */
  char id[64];     /* the capsule's; empty while there is none */
  wrenn_id now;    /* the operation that is under way */
  bool creating, ending, done;
  int asked; /* how often whether the capsule runs */
  int code;  /* the exit code; 1 until it is known */
} client;

typedef struct handler {
  void (*take)(client *c, const wrenn_event *event);
} handler;

static void take_capsule(client *c, const wrenn_event *event);
static void take_timer(client *c, const wrenn_event *event);
static void take_stream(client *c, const wrenn_event *event);
static void take_end(client *c, const wrenn_event *event);
static handler on_capsule = {take_capsule}, on_timer = {take_timer},
               on_stream = {take_stream}, on_end = {take_end};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

/* ---- operations ---------------------------------------------------------- */

static void complain(const char *what, const char *why) {
  fprintf(stderr, "run_command: %s: %s\n", what, why);
}

/* Says why an event is not the one hoped for. */
static void complain_event(const char *what, const wrenn_event *event) {
  fprintf(stderr, "run_command: %s: ", what);
  if (event->type == WRENN_EV_FAILED) /* else there was no error below HTTP */
    fprintf(stderr, "%s: ", wrenn_strerror(event->error));
  if (event->status)
    fprintf(stderr, "HTTP status %d: ", event->status);
  fprintf(stderr, "%.*s\n", (int)event->data_len, event->data);
}

static void request(client *c, const char *method, handler *user) {
  char url[1200];
  const char *headers[] = {c->key, "Content-Type: application/json"};
  snprintf(url, sizeof(url), "http%s/v1/capsules%s%s", c->base,
           *c->id ? "/" : "", c->id);
  const wrenn_http_options options = {
      .size = sizeof(options),
      .user = user,
      .method = method,
      .url = url,
      .headers = headers,
      .header_count = 2,
      .body = "{}",
      .body_len = strcmp(method, "POST") == 0 ? 2 : 0,
      .deadlines = {.connect_ms = 10000, .total_ms = 30000}};
  wrenn_status status = wrenn_http_start(c->loop, &options, &c->now);
  if (status == WRENN_OK)
    return;
  complain(method, wrenn_strerror(status));
  c->done = true;
}

/* Destroys the capsule; what is under way is of no use any more. */
static void end(client *c) {
  c->ending = true;
  wrenn_cancel(c->loop, c->now);
  if (*c->id)
    request(c, "DELETE", &on_end);
  else
    c->done = true;
}

/* A program with more to read would use a JSON library: this finds the first
 * member of that name whose value is a string. */
static bool copy_member(const wrenn_event *answer, const char *name, char *to,
                        size_t size) {
  char text[8192], pattern[64];
  snprintf(text, sizeof(text), "%.*s", (int)answer->data_len, answer->data);
  snprintf(pattern, sizeof(pattern), "\"%s\":\"", name);
  const char *at = strstr(text, pattern);
  size_t len = at ? strcspn(at += strlen(pattern), "\"") : size;
  if (len >= size)
    return false;
  snprintf(to, size, "%.*s", (int)len, at);
  return true;
}

static void open_stream(client *c) {
  char url[1200];
  const char *headers[] = {c->key};
  snprintf(url, sizeof(url), "ws%s/v1/capsules/%s/exec/stream", c->base, c->id);
  const wrenn_ws_options options = {.size = sizeof(options),
                                    .user = &on_stream,
                                    .url = url,
                                    .headers = headers,
                                    .header_count = 1,
                                    .codec = WRENN_CODEC_STREAM,
                                    .deadlines = {.connect_ms = 10000}};
  if (wrenn_ws_open(c->loop, &options, &c->now) != WRENN_OK)
    end(c);
}

/* The server runs a program with arguments; a shell makes it a command. */
static bool send_start(client *c, const char *command) {
  static const char head[] = "{\"type\":\"start\",\"cmd\":\"/bin/sh\","
                             "\"args\":[\"-c\",\"";
  char *text = malloc(sizeof(head) + 6 * strlen(command) + 4);
  if (!text)
    return false;
  char *at = text + sprintf(text, "%s", head);
  for (; *command; command++)
    if (*command == '"' || *command == '\\')
      at += sprintf(at, "\\%c", *command);
    else if ((unsigned char)*command < ' ')
      at += sprintf(at, "\\u%04x", (unsigned)*command);
    else
      *at++ = *command;
  at += sprintf(at, "\"]}");
  wrenn_status status =
      wrenn_ws_send(c->loop, c->now, text, (size_t)(at - text), false);
  free(text);
  return status == WRENN_OK;
}

/* ---- events -------------------------------------------------------------- */

static const char *command;

/* The answer to the creation, and to each question whether it runs by now. */
static void take_capsule(client *c, const wrenn_event *event) {
  char status[32];
  c->creating = false;
  if (event->type != WRENN_EV_DONE || event->status / 100 != 2) {
    complain_event("capsule", event);
    end(c);
  } else if (!copy_member(event, "id", c->id, sizeof(c->id)) ||
             !copy_member(event, "status", status, sizeof(status))) {
    complain("capsule", "the server's answer does not describe one");
    end(c);
  } else if (strcmp(status, "running") == 0) {
    open_stream(c);
    if (!c->ending && !send_start(c, command))
      end(c);
  } else if (strcmp(status, "error") == 0 || c->asked++ > 120 ||
             wrenn_timer_start(c->loop, 250, &on_timer, &c->now)) {
    complain("the capsule does not start, its status is", status);
    end(c);
  }
}

static void take_timer(client *c, const wrenn_event *event) {
  if (event->type == WRENN_EV_FIRED)
    request(c, "GET", &on_capsule);
}

static void take_frame(client *c, const wrenn_frame *frame) {
  FILE *to = frame->kind == WRENN_FRAME_STDOUT ? stdout : stderr;
  switch (frame->kind) {
  case WRENN_FRAME_STDOUT:
  case WRENN_FRAME_STDERR:
    if (fwrite(frame->data, 1, frame->data_len, to) != frame->data_len ||
        fflush(to))
      end(c);
    return;
  case WRENN_FRAME_EXIT: /* -1: a signal ended it */
    c->code = frame->exit_code >= 0 ? frame->exit_code : 1;
    end(c);
    return;
  case WRENN_FRAME_ERROR:
    fprintf(stderr, "run_command: %.*s\n", (int)frame->data_len, frame->data);
    end(c);
    return;
  default: /* the start frame, and what later servers may add */
    return;
  }
}

static void take_stream(client *c, const wrenn_event *event) {
  if (c->ending) /* the end of the stream that `end` has cancelled */
    return;
  if (event->type == WRENN_EV_FRAME) {
    take_frame(c, &event->frame);
  } else if (event->type != WRENN_EV_OPENED) { /* FAILED, or CLOSED early */
    complain_event("the stream ended early", event);
    end(c);
  }
}

static void take_end(client *c, const wrenn_event *event) {
  if (event->type != WRENN_EV_DONE || event->status / 100 != 2)
    complain_event("the capsule may be left over", event);
  c->done = true;
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

int main(int argc, char **argv) {
  client c = {.creating = true, .code = 1};
  wrenn_status why;
  wrenn_event event;
  if (argc != 2) {
    complain("usage", "run_command COMMAND");
    return 2;
  }
  command = argv[1];
  if (!configure(&c) || !(c.loop = wrenn_loop_new(&why)))
    return 1;
  signal(SIGPIPE, SIG_IGN); /* a write that fails is enough to know */
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  request(&c, "POST", &on_capsule);
  /* Not for ever: a signal may come right before the wait. */
  while (!c.done && wrenn_loop_wait(c.loop, 500) == WRENN_OK) {
    while (!c.done && wrenn_loop_next(c.loop, &event))
      ((const handler *)event.user)->take(&c, &event);
    /* Who gives up on a creation never learns the id. */
    if (interrupted && !c.creating && !c.ending)
      end(&c);
  }
  wrenn_loop_free(c.loop);
  return c.code;
}
