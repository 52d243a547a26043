/*
 * The library as a C program sees it: what the Lua binding does not use, and
 * what has to hold for a program that was compiled with another header.
 */
#include <wrenn/wrenn.h>

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define LIMIT_MS 20000

/* ---- a peer -------------------------------------------------------------- */

/* Answers each connection's first request with the same bytes and closes it. */
typedef struct peer {
  int fd;
  pthread_t thread;
  const char *answer;
  char url[64];
} peer;

static void answer_one(int fd, const char *answer) {
  char request[4096];
  size_t len = 0;
  while (len < sizeof(request) - 1) {
    ssize_t got = recv(fd, request + len, sizeof(request) - 1 - len, 0);
    if (got <= 0)
      return;
    len += (size_t)got;
    request[len] = '\0';
    const char *end = strstr(request, "\r\n\r\n");
    if (end && (!strstr(request, "Content-Length: 4") ||
                strlen(end) >= strlen("\r\n\r\nbody")))
      break;
  }
  send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

static void *run_peer(void *arg) {
  peer *p = arg;
  int fd;
  while ((fd = accept(p->fd, NULL, NULL)) >= 0) {
    answer_one(fd, p->answer);
    shutdown(fd, SHUT_WR);
    char rest;
    while (recv(fd, &rest, 1, 0) > 0)
      ;
    close(fd);
  }
  return NULL;
}

static void start_peer(peer *p, const char *scheme, const char *answer) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  p->answer = answer;
  p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&address, len) ||
      listen(p->fd, 8) ||
      getsockname(p->fd, (struct sockaddr *)&address, &len) ||
      pthread_create(&p->thread, NULL, run_peer, p)) {
    perror("peer");
    exit(1);
  }
  snprintf(p->url, sizeof(p->url), "%s://127.0.0.1:%u/", scheme,
           (unsigned)ntohs(address.sin_port));
}

static void stop_peer(peer *p) {
  shutdown(p->fd, SHUT_RDWR);
  pthread_join(p->thread, NULL);
  close(p->fd);
}

static wrenn_loop *new_loop(void) {
  wrenn_status why;
  wrenn_loop *loop = wrenn_loop_new(&why);
  if (!loop) {
    printf("no loop: %s\n", wrenn_strerror(why));
    exit(1);
  }
  return loop;
}

/* Waits for the next event; false: there was none in time. */
static bool next(wrenn_loop *loop, wrenn_event *event) {
  if (wrenn_loop_next(loop, event))
    return true;
  return wrenn_loop_wait(loop, LIMIT_MS) == WRENN_OK &&
         wrenn_loop_next(loop, event);
}

/* ---- texts --------------------------------------------------------------- */

static void version(void) {
  CHECK(strcmp(wrenn_version(), WRENN_VERSION) == 0);
}

static void every_status_has_a_text(void) {
  for (int i = WRENN_OK; i <= WRENN_E_FILE; i++) {
    const char *text = wrenn_strerror((wrenn_status)i);
    CHECK(*text && strcmp(text, "unknown status") != 0);
    for (int j = WRENN_OK; j < i; j++)
      CHECK(strcmp(text, wrenn_strerror((wrenn_status)j)) != 0);
  }
  CHECK(strcmp(wrenn_strerror(WRENN_E_FILE + 1), "unknown status") == 0);
}

static void headers_are_found(void) {
  static const char lines[] = "Content-Type: text/plain\r\n"
                              "x-empty:\r\nX-Twice: one\r\n"
                              "X-TWICE: \t two \r\nX-Twice-More: three\r\n";
  static const struct {
    const char *name, *value;
  } rows[] = {{"content-type", "text/plain"},
              {"X-Empty", ""},
              {"x-twice", "two"},
              {"x-twice-more", "three"},
              {"x-twic", NULL},
              {"text/plain", NULL},
              {"", NULL}};
  const wrenn_event event = {.headers = lines,
                             .headers_len = sizeof(lines) - 1};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    size_t len = 99;
    const char *value = wrenn_event_header(&event, rows[i].name, &len);
    CHECK_ROW(rows[i].name, !value == !rows[i].value);
    if (value && rows[i].value)
      CHECK_ROW(rows[i].name, len == strlen(rows[i].value) &&
                                  memcmp(value, rows[i].value, len) == 0);
  }
}

static void members_are_copied(void) {
  static const char text[] =
      "{\"id\":\"cl-1\",\"empty\":\"\",\"n\":1,\"o\":{\"in\":\"x\"},"
      "\"escaped\":\"a\\n\\u00e9\",\"nul\":\"a\\u0000b\",\"twice\":\"1\","
      "\"twice\":\"2\",\"long\":\"0123456789012345\"}";
  static const struct {
    const char *name, *value;
  } rows[] = {{"id", "cl-1"},   {"empty", ""}, {"escaped", "a\n\xc3\xa9"},
              {"twice", "2"},   {"n", NULL},   {"o", NULL},
              {"in", NULL},     {"nul", NULL}, {"long", NULL},
              {"missing", NULL}};
  const wrenn_event event = {.data = text, .data_len = sizeof(text) - 1};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char value[16] = "before";
    bool found = wrenn_event_text(&event, rows[i].name, value, sizeof(value));
    CHECK_ROW(rows[i].name, found == (rows[i].value != NULL));
    CHECK_ROW(rows[i].name,
              strcmp(value, rows[i].value ? rows[i].value : "") == 0);
  }
  static const char *const others[] = {"", "[\"id\"]", "null", "{\"id\":\"x\"",
                                       "{\"id\":\"\xff\"}"};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    char value[16];
    const wrenn_event other = {.data = others[i],
                               .data_len = strlen(others[i])};
    CHECK_ROW(others[i], !wrenn_event_text(&other, "id", value, sizeof(value)));
  }
  CHECK(!wrenn_event_text(&event, "id", NULL, 0));
}

/* ---- loops and timers ---------------------------------------------------- */

static void an_idle_loop(void) {
  wrenn_loop *loop = new_loop();
  wrenn_event event;
  int fd = wrenn_loop_fd(loop);
  CHECK(fd > 2);
  CHECK(wrenn_loop_step(loop) == WRENN_OK);
  CHECK(wrenn_loop_timeout(loop) == -1);
  CHECK(wrenn_loop_wait(loop, 0) == WRENN_OK);
  CHECK(!wrenn_loop_next(loop, &event));
  CHECK(!wrenn_loop_next_frame(loop, 1, &event));
  CHECK(wrenn_loop_watch(loop) == WRENN_OK);
  CHECK(wrenn_loop_watch(loop) == WRENN_OK);
  CHECK(wrenn_release(loop, 1) == WRENN_OK);
  CHECK(wrenn_loop_fd(loop) == fd);
  wrenn_loop_free(loop);
  wrenn_loop_free(NULL);
}

static void timers_give_back_what_is_the_users(void) {
  wrenn_loop *loop = new_loop();
  int things[3];
  wrenn_id ids[3];
  wrenn_event event;
  for (size_t i = 0; i < 3; i++)
    CHECK(wrenn_timer_start(loop, 1, &things[i], &ids[i]) == WRENN_OK);
  CHECK(wrenn_cancel(loop, ids[1]) == WRENN_OK);
  for (size_t i = 0; i < 3; i++) {
    CHECK(next(loop, &event));
    const int *thing = event.user;
    CHECK(thing >= things && thing <= things + 2);
    CHECK(event.id == ids[thing - things]);
    CHECK(event.type ==
          (thing == &things[1] ? WRENN_EV_FAILED : WRENN_EV_FIRED));
  }
  CHECK(wrenn_timer_start(loop, 0, NULL, &ids[0]) == WRENN_OK);
  CHECK(next(loop, &event) && event.type == WRENN_EV_FIRED && !event.user);
  wrenn_loop_free(loop);
}

static void descriptors_and_signals_are_events(void) {
  wrenn_loop *loop = new_loop();
  int ends[2], thing;
  wrenn_id id, of_signal;
  wrenn_event event;
  CHECK(pipe(ends) == 0);
  CHECK(wrenn_ready_start(loop, ends[0], WRENN_READABLE | WRENN_WRITABLE,
                          &thing, &id) == WRENN_OK);
  CHECK(write(ends[1], "x", 1) == 1);
  CHECK(next(loop, &event) && event.type == WRENN_EV_READY && event.id == id &&
        event.user == &thing && event.code == WRENN_READABLE);
  CHECK(wrenn_cancel(loop, id) == WRENN_E_CLOSED);
  CHECK(wrenn_ready_start(loop, ends[1], 4, NULL, &id) == WRENN_E_ARGUMENT);
  CHECK(wrenn_ready_start(loop, -1, WRENN_READABLE, NULL, &id) ==
        WRENN_E_ARGUMENT);
  CHECK(wrenn_signal_start(loop, SIGKILL, NULL, &id) == WRENN_E_ARGUMENT);
  CHECK(wrenn_signal_start(loop, -1, NULL, &id) == WRENN_E_ARGUMENT);
  CHECK(wrenn_signal_start(loop, SIGWINCH, &thing, &of_signal) == WRENN_OK);
  CHECK(raise(SIGWINCH) == 0);
  CHECK(next(loop, &event) && event.type == WRENN_EV_SIGNAL &&
        event.id == of_signal && event.user == &thing &&
        event.code == SIGWINCH);
  close(ends[0]);
  close(ends[1]);
  wrenn_loop_free(loop);
}

static void tunnels_want_a_web_url(void) {
  static const char *const urls[] = {NULL, "ws://x", "http://", "http://a b"};
  wrenn_loop *loop = new_loop();
  wrenn_tunnel_options options = {.size = sizeof(options)};
  wrenn_id id;
  for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
    options.url = urls[i];
    CHECK(wrenn_tunnel_open(loop, &options, &id) == WRENN_E_ARGUMENT);
  }
  options.url = "http://127.0.0.1:1";
  options.size = 0;
  CHECK(wrenn_tunnel_open(loop, &options, &id) == WRENN_E_ARGUMENT);
  wrenn_loop_free(loop);
}

static void an_old_id_does_no_harm(void) {
  static const char *const words[] = {"true"};
  wrenn_loop *loop = new_loop();
  wrenn_event event;
  wrenn_id id;
  CHECK(wrenn_timer_start(loop, 0, NULL, &id) == WRENN_OK);
  /* A timer is neither a request nor a WebSocket nor a tunnel. */
  CHECK(wrenn_tunnel_send(loop, id, "", 0, NULL) == WRENN_E_CLOSED);
  CHECK(wrenn_http_send(loop, id, "", 0, true, NULL) == WRENN_E_CLOSED);
  CHECK(wrenn_http_send_file(loop, id, 0, 0, 0) == WRENN_E_CLOSED);
  CHECK(wrenn_ws_send(loop, id, "", 0, false) == WRENN_E_CLOSED);
  CHECK(next(loop, &event));
  CHECK(wrenn_pause(loop, id, true) == WRENN_E_CLOSED);
  CHECK(wrenn_cancel(loop, id) == WRENN_E_CLOSED);
  CHECK(wrenn_ws_send_input(loop, id, "", 0) == WRENN_E_CLOSED);
  CHECK(wrenn_ws_send_start(loop, id, words, 1) == WRENN_E_CLOSED);
  CHECK(wrenn_ws_send_start(loop, id, words, 0) == WRENN_E_ARGUMENT);
  CHECK(wrenn_ws_close(loop, id) == WRENN_E_CLOSED);
  CHECK(wrenn_ws_unsent(loop, id) == 0);
  CHECK(wrenn_cancel(loop, 0) == WRENN_E_CLOSED);
  wrenn_loop_free(loop);
}

/* ---- requests ------------------------------------------------------------ */

static const char hello[] = "HTTP/1.1 200 OK\r\nX-Name: value\r\n"
                            "Content-Length: 5\r\n\r\nhello";

static void a_streamed_answer(void) {
  static const wrenn_event_type wanted[] = {WRENN_EV_HEADERS, WRENN_EV_CHUNK,
                                            WRENN_EV_DONE};
  int thing;
  wrenn_id id;
  wrenn_event event;
  size_t len;
  peer p;
  start_peer(&p, "http", hello);
  wrenn_loop *loop = new_loop();
  const wrenn_http_options options = {
      .size = sizeof(options), .user = &thing, .url = p.url, .stream = true};
  CHECK(wrenn_http_start(loop, &options, &id) == WRENN_OK);
  for (size_t i = 0; i < 3; i++) {
    CHECK(next(loop, &event));
    CHECK(event.id == id && event.user == &thing && event.type == wanted[i]);
    if (event.type == WRENN_EV_HEADERS) {
      CHECK(event.status == 200);
      CHECK(wrenn_event_header(&event, "x-name", &len) && len == 5);
    }
    if (event.type == WRENN_EV_CHUNK)
      CHECK(event.data_len == 5 && memcmp(event.data, "hello", 5) == 0);
  }
  wrenn_loop_free(loop);
  stop_peer(&p);
}

static void an_upload(void) {
  int thing;
  wrenn_id id;
  wrenn_event event;
  bool room = false;
  peer p;
  start_peer(&p, "http", hello);
  wrenn_loop *loop = new_loop();
  const wrenn_http_options options = {.size = sizeof(options),
                                      .user = &thing,
                                      .method = "POST",
                                      .url = p.url,
                                      .upload = true,
                                      .upload_size = 4};
  CHECK(wrenn_http_start(loop, &options, &id) == WRENN_OK);
  CHECK(wrenn_http_send(loop, id, "bo", 2, false, &room) == WRENN_OK && room);
  FILE *file = tmpfile();
  CHECK(file && fputs("..d", file) >= 0 && fflush(file) == 0);
  CHECK(wrenn_http_send_file(loop, id, -1, 0, 1) == WRENN_E_ARGUMENT);
  CHECK(wrenn_http_send_file(loop, id, fileno(file), 2, 1) == WRENN_OK);
  CHECK(wrenn_http_send_file(loop, id, fileno(file), 2, 1) == WRENN_E_ARGUMENT);
  fclose(file);
  CHECK(wrenn_http_send(loop, id, "y", 1, true, NULL) == WRENN_OK);
  CHECK(wrenn_http_send_file(loop, id, 0, 0, 0) == WRENN_E_ARGUMENT);
  CHECK(wrenn_http_send(loop, id, "", 0, true, NULL) == WRENN_E_ARGUMENT);
  CHECK(next(loop, &event));
  CHECK(event.type == WRENN_EV_DONE && event.status == 200 &&
        event.user == &thing && event.data_len == 5);
  wrenn_loop_free(loop);
  stop_peer(&p);
}

static void a_prepared_request(void) {
  int thing;
  wrenn_id id;
  wrenn_event event;
  wrenn_request *request = NULL;
  peer p;
  start_peer(&p, "http", hello);
  wrenn_loop *loop = new_loop();
  wrenn_http_options options = {.size = sizeof(options), .url = "x"};
  CHECK(wrenn_request_new(&options, &request) == WRENN_E_ARGUMENT);
  options.url = p.url;
  CHECK(wrenn_request_new(&options, &request) == WRENN_OK);
  wrenn_request_options own = {.size = 1};
  CHECK(wrenn_request_start(loop, request, &own, &id) == WRENN_E_ARGUMENT);
  own = (wrenn_request_options){
      .size = sizeof(own), .user = &thing, .path = "/a b"};
  CHECK(wrenn_request_start(loop, request, &own, &id) == WRENN_E_ARGUMENT);
  own.path = "/path";
  CHECK(wrenn_request_start(loop, request, &own, &id) == WRENN_OK);
  wrenn_request_free(request);
  wrenn_request_free(NULL);
  CHECK(next(loop, &event));
  CHECK(event.type == WRENN_EV_DONE && event.status == 200 &&
        event.user == &thing && event.data_len == 5);
  wrenn_loop_free(loop);
  stop_peer(&p);
}

static void a_refused_websocket(void) {
  int thing;
  wrenn_id id;
  wrenn_event event;
  peer p;
  start_peer(&p, "ws", hello);
  wrenn_loop *loop = new_loop();
  const wrenn_ws_options options = {.size = sizeof(options),
                                    .user = &thing,
                                    .url = p.url,
                                    .codec = WRENN_CODEC_PTY};
  CHECK(wrenn_ws_open(loop, &options, &id) == WRENN_OK);
  CHECK(wrenn_ws_send_input(loop, id, "ls\n", 3) == WRENN_OK);
  CHECK(wrenn_ws_unsent(loop, id) ==
        strlen("{\"type\":\"input\",\"data\":\"bHMK\"}"));
  CHECK(next(loop, &event));
  CHECK(event.type == WRENN_EV_FAILED && event.error == WRENN_E_REFUSED);
  CHECK(event.user == &thing && event.status == 200 && event.data_len == 5);
  wrenn_loop_free(loop);
  stop_peer(&p);
}

/* ---- options of another header's ----------------------------------------- */

typedef struct later_http {
  wrenn_http_options known;
  void *added;
} later_http;

typedef struct later_ws {
  wrenn_ws_options known;
  void *added;
} later_ws;

static void options_may_be_shorter_or_longer(void) {
  wrenn_id id;
  wrenn_event event;
  wrenn_loop *loop = new_loop();
  later_http http = {.known = {.url = "http://127.0.0.1:1/"}};
  later_ws ws = {.known = {.url = "ws://127.0.0.1:1/"}};
  /* What lies behind an older struct is not looked at. */
  http.known.method = "GET";
  memset(&http.known.net, 0xff, sizeof(http.known.net));
  memset(&ws.known.net, 0xff, sizeof(ws.known.net));
  CHECK(wrenn_http_start(loop, &http.known, &id) == WRENN_E_ARGUMENT);
  CHECK(wrenn_ws_open(loop, &ws.known, &id) == WRENN_E_ARGUMENT);
  http.known.size = offsetof(wrenn_http_options, net);
  ws.known.size = offsetof(wrenn_ws_options, net);
  CHECK(wrenn_http_start(loop, &http.known, &id) == WRENN_OK);
  CHECK(wrenn_ws_open(loop, &ws.known, &id) == WRENN_OK);
  for (int i = 0; i < 2; i++)
    CHECK(next(loop, &event) && event.error == WRENN_E_CONNECT);
  /* A newer one is taken as long as it asks for nothing new. */
  memset(&http.known.net, 0, sizeof(http.known.net));
  memset(&ws.known.net, 0, sizeof(ws.known.net));
  http.known.size = sizeof(http);
  ws.known.size = sizeof(ws);
  CHECK(wrenn_http_start(loop, &http.known, &id) == WRENN_OK);
  CHECK(wrenn_ws_open(loop, &ws.known, &id) == WRENN_OK);
  http.added = ws.added = &id;
  CHECK(wrenn_http_start(loop, &http.known, &id) == WRENN_E_ARGUMENT);
  CHECK(wrenn_ws_open(loop, &ws.known, &id) == WRENN_E_ARGUMENT);
  wrenn_loop_free(loop);
}

CHECK_MAIN(
    {"version", version}, {"every status has a text", every_status_has_a_text},
    {"headers are found", headers_are_found},
    {"members are copied", members_are_copied}, {"an idle loop", an_idle_loop},
    {"timers give back what is the user's", timers_give_back_what_is_the_users},
    {"descriptors and signals are events", descriptors_and_signals_are_events},
    {"a tunnel wants the URL of a web server", tunnels_want_a_web_url},
    {"an old id does no harm", an_old_id_does_no_harm},
    {"a streamed answer", a_streamed_answer}, {"an upload", an_upload},
    {"a prepared request", a_prepared_request},
    {"a refused WebSocket", a_refused_websocket},
    {"options may be shorter or longer", options_may_be_shorter_or_longer})
