/*
 * A C program in which the n-th allocation of the library fails, for every n:
 * each call and each operation ends, with an error that says so, and nothing is
 * left. The linker puts the functions below in front of the C library's.
 */
#include <wrenn/wrenn.h>

#include <signal.h>
#include <unistd.h>

#include "alloc_peer.h"
#include "check.h"

#define LIMIT_MS 20000

static _Thread_local bool counting;
static size_t count, fail_at;
static long alive;

/* The linker's names. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *old);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static bool fails(void) { return counting && ++count == fail_at; }

static void *note(void *new) {
  if (new &&counting)
    alive++;
  return new;
}

void *__wrap_malloc(size_t size) {
  return fails() ? NULL : note(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size) {
  return fails() ? NULL : note(__real_calloc(number, size));
}

void *__wrap_realloc(void *old, size_t size) {
  if (fails())
    return NULL;
  return old ? __real_realloc(old, size) : note(__real_realloc(NULL, size));
}

char *__wrap_strdup(const char *text) {
  return fails() ? NULL : note(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size) {
  return fails() ? NULL : note(__real_strndup(text, size));
}

void __wrap_free(void *old) {
  if (old && counting)
    alive--;
  __real_free(old);
}

/* ---- the program --------------------------------------------------------- */

static char http_url[64], ws_url[64];

/* Waits for the end of an operation; whether it was a success. */
static bool finish(wrenn_loop *loop, wrenn_id id) {
  wrenn_event event;
  for (;;) {
    while (wrenn_loop_next(loop, &event)) {
      if (event.id != id)
        continue;
      if (event.type == WRENN_EV_FAILED) {
        CHECK(event.error != WRENN_OK && event.error != WRENN_E_TIMEOUT);
        CHECK(event.data != NULL);
        return false;
      }
      if (event.type == WRENN_EV_DONE) {
        CHECK(event.status == 200);
        return true;
      }
      if (event.type == WRENN_EV_CLOSED || event.type == WRENN_EV_FIRED ||
          event.type == WRENN_EV_READY || event.type == WRENN_EV_SIGNAL)
        return true;
    }
    wrenn_status status = wrenn_loop_wait(loop, LIMIT_MS);
    if (status == WRENN_E_MEMORY)
      continue; /* it may be called again */
    CHECK(status == WRENN_OK);
    if (status != WRENN_OK)
      return false;
  }
}

static bool request(wrenn_loop *loop, bool stream, const char *body) {
  static const char *const headers[] = {"X-One: 1", "X-Two: 2"};
  wrenn_http_options options = {.size = sizeof(options),
                                .method = body ? "POST" : NULL,
                                .url = http_url,
                                .headers = headers,
                                .header_count = 2,
                                .body = body,
                                .body_len = body ? strlen(body) : 0,
                                .stream = stream,
                                .net = {.owner = 1},
                                .deadlines = {.total_ms = LIMIT_MS}};
  wrenn_id id;
  wrenn_status status = wrenn_http_start(loop, &options, &id);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  return status == WRENN_OK && finish(loop, id);
}

static bool websocket(wrenn_loop *loop) {
  wrenn_ws_options options = {.size = sizeof(options),
                              .url = ws_url,
                              .codec = WRENN_CODEC_STREAM,
                              .deadlines = {.connect_ms = LIMIT_MS}};
  wrenn_id id;
  wrenn_status status = wrenn_ws_open(loop, &options, &id);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  if (status != WRENN_OK)
    return false;
  status = wrenn_ws_send(loop, id, "{\"type\":\"start\"}", 16, false);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY ||
        status == WRENN_E_CLOSED);
  bool sent = status == WRENN_OK;
  return finish(loop, id) && sent;
}

/* A request by hand, up to the beginning of its answer. */
static bool tunnel(wrenn_loop *loop) {
  static const char asked[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
  wrenn_tunnel_options options = {.size = sizeof(options),
                                  .url = http_url,
                                  .deadlines = {.total_ms = LIMIT_MS}};
  wrenn_id id;
  wrenn_event event;
  wrenn_status status = wrenn_tunnel_open(loop, &options, &id);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  if (status != WRENN_OK)
    return false;
  status = wrenn_tunnel_send(loop, id, asked, sizeof(asked) - 1, NULL);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  if (status != WRENN_OK) {
    wrenn_cancel(loop, id);
    return false;
  }
  for (;;) {
    while (wrenn_loop_next(loop, &event)) {
      if (event.type == WRENN_EV_CHUNK)
        return wrenn_cancel(loop, id) == WRENN_OK;
      if (event.type == WRENN_EV_FAILED) {
        CHECK(event.error != WRENN_E_TIMEOUT);
        return false;
      }
      CHECK(event.type == WRENN_EV_OPENED);
    }
    status = wrenn_loop_wait(loop, LIMIT_MS);
    CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  }
}

/* Whether all of it was a success. */
static bool program(void) {
  wrenn_status why = WRENN_OK;
  wrenn_loop *loop = wrenn_loop_new(&why);
  if (!loop) {
    CHECK(why == WRENN_E_MEMORY || why == WRENN_E_SYSTEM);
    return false;
  }
  bool ok = wrenn_loop_watch(loop) == WRENN_OK;
  ok = request(loop, false, NULL) && ok;
  ok = request(loop, true, NULL) && ok;
  ok = request(loop, false, "body") && ok;
  ok = websocket(loop) && ok;
  ok = tunnel(loop) && ok;
  wrenn_id timer;
  wrenn_status status = wrenn_timer_start(loop, 1, NULL, &timer);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  ok = status == WRENN_OK && finish(loop, timer) && ok;
  wrenn_id ready;
  int ends[2];
  CHECK(pipe(ends) == 0);
  status = wrenn_ready_start(loop, ends[1], WRENN_WRITABLE, NULL, &ready);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  ok = status == WRENN_OK && finish(loop, ready) && ok;
  close(ends[0]);
  close(ends[1]);
  wrenn_id winch;
  status = wrenn_signal_start(loop, SIGWINCH, NULL, &winch);
  CHECK(status == WRENN_OK || status == WRENN_E_MEMORY);
  raise(SIGWINCH);
  ok = status == WRENN_OK && finish(loop, winch) && ok;
  wrenn_loop_free(loop);
  return ok;
}

static void every_allocation_may_fail(void) {
  unsigned port = alloc_peer_start();
  snprintf(http_url, sizeof(http_url), "http://127.0.0.1:%u/x", port);
  snprintf(ws_url, sizeof(ws_url), "ws://127.0.0.1:%u/x", port);
  CHECK(program()); /* what is allocated once, by libraries too */
  size_t n = 0;
  bool whole = false;
  while (!whole && n < 100000 && !check_failures) {
    char row[32];
    snprintf(row, sizeof(row), "allocation %zu", ++n);
    count = 0;
    fail_at = n;
    alive = 0;
    counting = true;
    bool ok = program();
    counting = false;
    whole = count < n;
    CHECK_ROW(row, alive == 0);
    CHECK_ROW(row, ok || !whole);
  }
  printf("  %zu allocations\n", n - 1);
  CHECK(n > 20);
}

int main(void) {
  static const check_test tests[] = {
      {"every allocation may fail", every_allocation_may_fail}};
  return check_main(tests, 1);
}
