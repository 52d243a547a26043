/*
 * The frames of the WebSocket endpoints. Covers the decoding side of the
 * protocol's cases
 *   106, 109 to 112, 121, 122: exec and process streams;
 *   135, 145, 148, 150, 151, 154, 156, 157: the PTY in both encodings.
 */
#include "frame.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define STREAM WRENN_CODEC_STREAM
#define PTY WRENN_CODEC_PTY

static char *held; /* the text of the last decode: a frame points into it */
static size_t held_len;

static bool decode(wrenn_codec codec, bool binary, const char *text, size_t len,
                   wrenn_frame *frame, const char **why) {
  free(held);
  held = malloc(len ? len : 1);
  held_len = len;
  memcpy(held, text, len);
  *why = NULL;
  return wrenn_frame_decode(codec, binary, held, len, frame, why);
}

static bool inside(const char *at, size_t len) {
  uintptr_t from = (uintptr_t)held, p = (uintptr_t)at;
  return p >= from && p - from <= held_len && len <= held_len - (p - from);
}

static bool same(const char *got, size_t len, const char *want) {
  return got && len == strlen(want) && memcmp(got, want, len) == 0;
}

typedef struct row {
  wrenn_codec codec;
  const char *text;
  wrenn_frame_kind kind;
  const char *type;
  const char *data;
  int64_t pid;
  int exit_code;
  bool fatal;
  const char *tag; /* NULL: absent */
} row;

static const row rows[] = {
    /* streams */
    {STREAM, "{\"type\":\"start\",\"pid\":42}", WRENN_FRAME_START, "start", "",
     42, -1, false, NULL},
    {STREAM, "{\"type\":\"start\"}", WRENN_FRAME_START, "start", "", 0, -1,
     false, NULL},
    {STREAM, "{\"type\":\"stdout\",\"data\":\"hello\"}", WRENN_FRAME_STDOUT,
     "stdout", "hello", 0, -1, false, NULL},
    {STREAM, "{\"data\":\"order is free\",\"type\":\"stdout\"}",
     WRENN_FRAME_STDOUT, "stdout", "order is free", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"stdout\"}", WRENN_FRAME_STDOUT, "stdout", "", 0, -1,
     false, NULL},
    {STREAM,
     "{\"type\":\"stdout\",\"data\":\"a\\n\\t\\\"\\u00e9\\ud83d\\ude00"
     "\"}",
     WRENN_FRAME_STDOUT, "stdout", "a\n\t\"\xc3\xa9\xf0\x9f\x98\x80", 0, -1,
     false, NULL},
    {STREAM, "{\"type\":\"stdout\",\"data\":\"\\ud83d!\"}", WRENN_FRAME_STDOUT,
     "stdout", "\xef\xbf\xbd!", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"std\\u0065rr\",\"data\":\"oops\\n\"}",
     WRENN_FRAME_STDERR, "stderr", "oops\n", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"stderr\",\"data\":\"aGk=\"}", WRENN_FRAME_STDERR,
     "stderr", "aGk=", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"exit\",\"exit_code\":0}", WRENN_FRAME_EXIT, "exit",
     "", 0, 0, false, NULL},
    {STREAM, "{\"type\":\"exit\",\"exit_code\":137.0}\n", WRENN_FRAME_EXIT,
     "exit", "", 0, 137, false, NULL},
    {STREAM, "{\"type\":\"exit\"}", WRENN_FRAME_EXIT, "exit", "", 0, -1, false,
     NULL},
    {STREAM, "{\"type\":\"exit\",\"exit_code\":null}", WRENN_FRAME_EXIT, "exit",
     "", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"error\",\"data\":\"no such process\"}",
     WRENN_FRAME_ERROR, "error", "no such process", 0, -1, false, NULL},
    {STREAM,
     "{\"type\":null,\"data\":null,\"pid\":null,\"exit_code\":null,"
     "\"fatal\":null,\"tag\":null}",
     WRENN_FRAME_UNKNOWN, "unknown", "", 0, -1, false, NULL},
    {STREAM, "{}", WRENN_FRAME_UNKNOWN, "unknown", "", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"\"}", WRENN_FRAME_UNKNOWN, "unknown", "", 0, -1,
     false, NULL},
    {STREAM, "{\"data\":\"x\"}", WRENN_FRAME_UNKNOWN, "unknown", "x", 0, -1,
     false, NULL},
    {STREAM, "{\"type\":\"later\",\"data\":\"kept\",\"more\":[{\"a\":[]}]}",
     WRENN_FRAME_UNKNOWN, "later", "kept", 0, -1, false, NULL},
    {STREAM, " {\"type\" : \"stdout\" ,\r\n\t\"data\":\"x\"} \r\n",
     WRENN_FRAME_STDOUT, "stdout", "x", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"output\",\"data\":\"aGk=\"}", WRENN_FRAME_UNKNOWN,
     "output", "aGk=", 0, -1, false, NULL},
    {STREAM, "{\"type\":\"started\",\"pid\":1}", WRENN_FRAME_UNKNOWN, "started",
     "", 1, -1, false, NULL},
    {STREAM, "{\"type\":\"ping\"}", WRENN_FRAME_UNKNOWN, "ping", "", 0, -1,
     false, NULL},
    {STREAM, "{\"type\":\"stdou\"}", WRENN_FRAME_UNKNOWN, "stdou", "", 0, -1,
     false, NULL},
    {STREAM,
     "{\"type\":\"a\",\"data\":\"1\",\"type\":\"stdout\",\"data\":"
     "\"2\"}",
     WRENN_FRAME_STDOUT, "stdout", "2", 0, -1, false, NULL},
    /* the PTY */
    {PTY, "{\"type\":\"started\",\"tag\":\"pty-1\",\"pid\":7}",
     WRENN_FRAME_STARTED, "started", "", 7, -1, false, "pty-1"},
    {PTY, "{\"type\":\"started\",\"tag\":\"\",\"pid\":3e2}",
     WRENN_FRAME_STARTED, "started", "", 300, -1, false, ""},
    {PTY, "{\"type\":\"started\",\"pid\":9007199254740993,\"tag\":null}",
     WRENN_FRAME_STARTED, "started", "", 9007199254740993, -1, false, NULL},
    {PTY, "{\"type\":\"output\",\"data\":\"aGkK\"}\n", WRENN_FRAME_OUTPUT,
     "output", "hi\n", 0, -1, false, NULL},
    {PTY, "{\"type\":\"output\",\"data\":\"aGk=\"}", WRENN_FRAME_OUTPUT,
     "output", "hi", 0, -1, false, NULL},
    {PTY, "{\"type\":\"output\",\"data\":\"aGk\"}", WRENN_FRAME_OUTPUT,
     "output", "hi", 0, -1, false, NULL},
    {PTY, "{\"data\":\"Pz8\\/\\u0050z8\\/\",\"type\":\"output\"}",
     WRENN_FRAME_OUTPUT, "output", "?\?\?\?\?\?", 0, -1, false, NULL},
    {PTY, "{\"type\":\"output\",\"data\":\"\"}", WRENN_FRAME_OUTPUT, "output",
     "", 0, -1, false, NULL},
    {PTY, "{\"type\":\"output\"}", WRENN_FRAME_OUTPUT, "output", "", 0, -1,
     false, NULL},
    {PTY, "{\"type\":\"exit\",\"exit_code\":-2147483648}", WRENN_FRAME_EXIT,
     "exit", "", 0, INT_MIN, false, NULL},
    {PTY, "{\"type\":\"exit\",\"exit_code\":2147483647}", WRENN_FRAME_EXIT,
     "exit", "", 0, INT_MAX, false, NULL},
    {PTY, "{\"type\":\"exit\"}", WRENN_FRAME_EXIT, "exit", "", 0, -1, false,
     NULL},
    {PTY, "{\"type\":\"error\",\"data\":\"gone\",\"fatal\":true}",
     WRENN_FRAME_ERROR, "error", "gone", 0, -1, true, NULL},
    {PTY, "{\"type\":\"error\",\"data\":\"slow\",\"fatal\":false}",
     WRENN_FRAME_ERROR, "error", "slow", 0, -1, false, NULL},
    {PTY, "{\"type\":\"error\",\"fatal\":null}", WRENN_FRAME_ERROR, "error", "",
     0, -1, false, NULL},
    {PTY, "{\"type\":\"ping\"}", WRENN_FRAME_PING, "ping", "", 0, -1, false,
     NULL},
    {PTY, "{\"type\":\"resized\",\"data\":\"not base64!\"}",
     WRENN_FRAME_UNKNOWN, "resized", "not base64!", 0, -1, false, NULL},
    {PTY, "{\"type\":\"stdout\",\"data\":\"x\"}", WRENN_FRAME_UNKNOWN, "stdout",
     "x", 0, -1, false, NULL},
    {PTY, "{\"type\":\"start\",\"pid\":1}", WRENN_FRAME_UNKNOWN, "start", "", 1,
     -1, false, NULL},
};

static void frames_are_decoded(void) {
  for (size_t i = 0; i < COUNT(rows); i++) {
    const row *r = &rows[i];
    wrenn_frame f;
    const char *why;
    bool ok = decode(r->codec, false, r->text, strlen(r->text), &f, &why);
    CHECK_ROW(r->text, ok);
    if (!ok)
      continue;
    CHECK_ROW(r->text, f.kind == r->kind && !f.binary);
    CHECK_ROW(r->text, same(f.type, f.type_len, r->type));
    CHECK_ROW(r->text, same(f.data, f.data_len, r->data));
    CHECK_ROW(r->text, f.pid == r->pid && f.exit_code == r->exit_code);
    CHECK_ROW(r->text, f.fatal == r->fatal);
    CHECK_ROW(r->text, r->tag ? same(f.tag, f.tag_len, r->tag) : !f.tag);
    /* Nothing is copied: what was sent lies in the text. */
    CHECK_ROW(r->text, f.data_len == 0 || inside(f.data, f.data_len));
    CHECK_ROW(r->text, inside(f.type, f.type_len) ||
                           same(f.type, f.type_len, "unknown"));
    CHECK_ROW(r->text, !f.tag || inside(f.tag, f.tag_len));
  }
}

static void every_truncation_is_refused(void) {
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = (size_t)(strrchr(rows[i].text, '}') - rows[i].text) + 1;
    wrenn_frame f;
    const char *why;
    CHECK(decode(rows[i].codec, false, rows[i].text, len, &f, &why));
    while (len-- > 0)
      CHECK_ROW(rows[i].text,
                !decode(rows[i].codec, false, rows[i].text, len, &f, &why) &&
                    why);
  }
}

static void wrong_types_are_refused(void) {
  static const struct {
    const char *text, *why;
  } wrong[] = {
      {"{\"type\":1}", "type is not a string"},
      {"{\"type\":{\"a\":1}}", "type is not a string"},
      {"{\"type\":\"stdout\",\"data\":[]}", "data is not a string"},
      {"{\"data\":false}", "data is not a string"},
      {"{\"type\":\"x\",\"data\":7}", "data is not a string"},
      {"{\"type\":\"started\",\"tag\":1}", "tag is not a string"},
      {"{\"type\":\"start\",\"pid\":\"1\"}", "pid is not a whole number"},
      {"{\"pid\":1.5}", "pid is not a whole number"},
      {"{\"pid\":9223372036854775808}", "pid is not a whole number"},
      {"{\"pid\":{}}", "pid is not a whole number"},
      {"{\"type\":\"exit\",\"exit_code\":\"0\"}",
       "exit_code is not a whole number"},
      {"{\"type\":\"exit\",\"exit_code\":true}",
       "exit_code is not a whole number"},
      {"{\"exit_code\":0.5}", "exit_code is not a whole number"},
      {"{\"exit_code\":1e99}", "exit_code is not a whole number"},
      {"{\"exit_code\":2147483648}", "exit_code is out of range"},
      {"{\"exit_code\":-2147483649}", "exit_code is out of range"},
      {"{\"type\":\"error\",\"fatal\":1}", "fatal is not a boolean"},
      {"{\"fatal\":\"true\"}", "fatal is not a boolean"},
      {"[]", "not a JSON object"},
      {"\"stdout\"", "not a JSON object"},
      {"null", "not a JSON object"},
      {"plain text", "not a JSON object"},
      {"", "not a JSON object"},
      {"\n", "not a JSON object"},
      {"{}{}", "something follows the JSON value"},
      {"{\"type\":\"ping\"}x", "something follows the JSON value"},
      {"{\"data\":\"\xff\"}", "invalid UTF-8 in a string"},
      {"{\"more\":\"\xed\xa0\x80\"}", "invalid UTF-8 in a string"},
      {"{\"data\":\"a\nb\"}", "control character in a string"},
  };
  static const wrenn_codec codecs[] = {STREAM, PTY};
  for (size_t i = 0; i < COUNT(wrong); i++)
    for (size_t c = 0; c < COUNT(codecs); c++) {
      wrenn_frame f;
      const char *why;
      CHECK_ROW(wrong[i].text, !decode(codecs[c], false, wrong[i].text,
                                       strlen(wrong[i].text), &f, &why));
      CHECK_ROW(wrong[i].text, why && strcmp(why, wrong[i].why) == 0);
    }
}

static void invalid_base64_is_refused(void) {
  static const char *const bad[] = {
      "A",    "A===", "aGk=aGk=",   "aG k",   "aGk!",
      "aGk-", "aGk_", "\\u0000AAA", "aGkK\\n"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char text[80];
    wrenn_frame f;
    const char *why;
    int len = snprintf(text, sizeof(text),
                       "{\"type\":\"output\",\"data\":\"%s\"}", bad[i]);
    CHECK_ROW(text, !decode(PTY, false, text, (size_t)len, &f, &why));
    CHECK_ROW(text, why && strcmp(why, "invalid base64 in output") == 0);
  }
}

static void data_may_hold_any_byte(void) {
  static const char stream[] = "{\"type\":\"stdout\",\"data\":\"a\\u0000b\"}";
  static const char pty[] = "{\"type\":\"output\",\"data\":\"AP/+\"}";
  wrenn_frame f;
  const char *why;
  CHECK(decode(STREAM, false, stream, sizeof(stream) - 1, &f, &why));
  CHECK(f.data_len == 3 && memcmp(f.data, "a\0b", 3) == 0);
  CHECK(decode(PTY, false, pty, sizeof(pty) - 1, &f, &why));
  CHECK(f.data_len == 3 && memcmp(f.data, "\0\xff\xfe", 3) == 0);
}

static void binary_messages(void) {
  static const struct {
    const char *bytes;
    size_t len;
  } messages[] = {
      {"", 0}, {"hi", 2}, {"\0\xff\x1b[0m", 6}, {"{\"type\":\"exit\"}", 15}};
  for (size_t i = 0; i < COUNT(messages); i++) {
    size_t len = messages[i].len;
    wrenn_frame f;
    const char *why;
    CHECK(decode(PTY, true, messages[i].bytes, len, &f, &why));
    CHECK(f.kind == WRENN_FRAME_OUTPUT && f.binary && f.exit_code == -1);
    CHECK(same(f.type, f.type_len, "output"));
    CHECK(f.data == held && f.data_len == len);
    CHECK(memcmp(f.data, messages[i].bytes, len) == 0);
    CHECK(!decode(STREAM, true, messages[i].bytes, len, &f, &why));
    CHECK(why && strcmp(why, "unexpected binary message") == 0);
  }
}

static void input_is_written(void) {
  static const struct {
    const char *bytes;
    size_t len;
    const char *text;
  } inputs[] = {
      {"", 0, "{\"type\":\"input\",\"data\":\"\"}"},
      {"l", 1, "{\"type\":\"input\",\"data\":\"bA==\"}"},
      {"ls\n", 3, "{\"type\":\"input\",\"data\":\"bHMK\"}"},
      {"\0\xff\xfe\x03", 4, "{\"type\":\"input\",\"data\":\"AP/+Aw==\"}"},
  };
  for (size_t i = 0; i < COUNT(inputs); i++) {
    wrenn_buf b = {0};
    wrenn_frame_put_input(&b, inputs[i].bytes, inputs[i].len);
    CHECK_ROW(inputs[i].text, same(b.data, b.len, inputs[i].text));
    wrenn_buf_free(&b);
  }
}

static void a_start_is_written(void) {
  static const struct {
    const char *words[3];
    size_t count;
    const char *text;
  } rows[] = {
      {{"ls"}, 1, "{\"type\":\"start\",\"cmd\":\"ls\"}"},
      {{"/bin/sh", "-c", "echo \"\\\n"},
       3,
       "{\"type\":\"start\",\"cmd\":\"/bin/sh\","
       "\"args\":[\"-c\",\"echo \\\"\\\\\\n\"]}"},
      {{"x", ""}, 2, "{\"type\":\"start\",\"cmd\":\"x\",\"args\":[\"\"]}"},
      {{"\xff"}, 1, "{\"type\":\"start\",\"cmd\":\"\xef\xbf\xbd\"}"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    wrenn_buf b = {0};
    wrenn_frame_put_start(&b, rows[i].words, rows[i].count);
    CHECK_ROW(rows[i].text, same(b.data, b.len, rows[i].text));
    wrenn_buf_free(&b);
  }
}

CHECK_MAIN({"frames are decoded", frames_are_decoded},
           {"every truncation is refused", every_truncation_is_refused},
           {"wrong types are refused", wrong_types_are_refused},
           {"invalid base64 is refused", invalid_base64_is_refused},
           {"data may hold any byte", data_may_hold_any_byte},
           {"binary messages", binary_messages},
           {"input is written", input_is_written},
           {"a start is written", a_start_is_written})
