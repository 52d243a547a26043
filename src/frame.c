#include "frame.h"

#include <limits.h>
#include <string.h>

#include "base64.h"
#include "json.h"

static const char unknown[] = "unknown";

static const struct {
  const char *name;
  wrenn_frame_kind kind;
  unsigned codecs; /* bit set */
} kinds[] = {
    {"stdout", WRENN_FRAME_STDOUT, 1u << WRENN_CODEC_STREAM},
    {"stderr", WRENN_FRAME_STDERR, 1u << WRENN_CODEC_STREAM},
    {"output", WRENN_FRAME_OUTPUT, 1u << WRENN_CODEC_PTY},
    {"start", WRENN_FRAME_START, 1u << WRENN_CODEC_STREAM},
    {"started", WRENN_FRAME_STARTED, 1u << WRENN_CODEC_PTY},
    {"exit", WRENN_FRAME_EXIT,
     1u << WRENN_CODEC_STREAM | 1u << WRENN_CODEC_PTY},
    {"error", WRENN_FRAME_ERROR,
     1u << WRENN_CODEC_STREAM | 1u << WRENN_CODEC_PTY},
    {"ping", WRENN_FRAME_PING, 1u << WRENN_CODEC_PTY},
};

/* Decodes a string member in place. Null counts as absent. */
static bool take_string(const wrenn_json *value, char *text, const char **data,
                        size_t *len) {
  if (value->type == WRENN_JSON_NULL)
    return true;
  if (value->type != WRENN_JSON_STRING)
    return false;
  char *at = text + (value->text - text);
  *data = at;
  *len = value->escaped ? wrenn_json_decode(value, at) : value->len;
  return true;
}

static bool take_int(const wrenn_json *value, int64_t *number) {
  return value->type == WRENN_JSON_NULL || wrenn_json_int(value, number);
}

static bool take_member(wrenn_frame *frame, const wrenn_json *key,
                        const wrenn_json *value, char *text, int64_t *exit_code,
                        const char **why) {
  if (wrenn_json_is(key, "type")) {
    *why = "type is not a string";
    return take_string(value, text, &frame->type, &frame->type_len);
  }
  if (wrenn_json_is(key, "data")) {
    *why = "data is not a string";
    return take_string(value, text, &frame->data, &frame->data_len);
  }
  if (wrenn_json_is(key, "tag")) {
    *why = "tag is not a string";
    return take_string(value, text, &frame->tag, &frame->tag_len);
  }
  if (wrenn_json_is(key, "pid")) {
    *why = "pid is not a whole number";
    return take_int(value, &frame->pid);
  }
  if (wrenn_json_is(key, "exit_code")) {
    *why = "exit_code is not a whole number";
    return take_int(value, exit_code);
  }
  if (wrenn_json_is(key, "fatal")) {
    *why = "fatal is not a boolean";
    frame->fatal = wrenn_json_true(value);
    return value->type == WRENN_JSON_BOOL || value->type == WRENN_JSON_NULL;
  }
  return true;
}

static wrenn_frame_kind kind_of(wrenn_codec codec, const wrenn_frame *frame) {
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (kinds[i].codecs & 1u << codec &&
        strlen(kinds[i].name) == frame->type_len &&
        memcmp(kinds[i].name, frame->type, frame->type_len) == 0)
      return kinds[i].kind;
  return WRENN_FRAME_UNKNOWN;
}

static bool decode_output(wrenn_frame *frame, char *text, const char **why) {
  char *at = text + (frame->data - text);
  if (frame->data_len == 0 ||
      wrenn_base64_decode(frame->data, frame->data_len, at, &frame->data_len))
    return true;
  *why = "invalid base64 in output";
  return false;
}

bool wrenn_frame_decode(wrenn_codec codec, bool binary, char *text, size_t len,
                        wrenn_frame *frame, const char **why) {
  wrenn_json_iter it;
  wrenn_json key, value;
  int64_t exit_code = -1;
  int found;
  *frame = (wrenn_frame){.data = "", .exit_code = -1};
  if (binary && codec == WRENN_CODEC_STREAM) {
    *why = "unexpected binary message";
    return false;
  }
  if (binary) {
    frame->kind = WRENN_FRAME_OUTPUT;
    frame->type = "output";
    frame->type_len = sizeof("output") - 1;
    frame->data = text;
    frame->data_len = len;
    frame->binary = true;
    return true;
  }
  if (!wrenn_json_open(&it, text, len)) {
    *why = it.why;
    return false;
  }
  while ((found = wrenn_json_next(&it, &key, &value)) > 0)
    if (!take_member(frame, &key, &value, text, &exit_code, why))
      return false;
  if (found < 0) {
    *why = it.why;
    return false;
  }
  if (exit_code < INT_MIN || exit_code > INT_MAX) {
    *why = "exit_code is out of range";
    return false;
  }
  frame->exit_code = (int)exit_code;
  if (frame->type_len == 0) {
    frame->type = unknown;
    frame->type_len = sizeof(unknown) - 1;
  }
  frame->kind = kind_of(codec, frame);
  return frame->kind != WRENN_FRAME_OUTPUT || decode_output(frame, text, why);
}

void wrenn_frame_put_start(wrenn_buf *out, const char *const *words,
                           size_t count) {
  wrenn_buf_puts(out, "{\"type\":\"start\",\"cmd\":");
  wrenn_json_put_string(out, words[0], strlen(words[0]));
  for (size_t i = 1; i < count; i++) {
    wrenn_buf_puts(out, i == 1 ? ",\"args\":[" : ",");
    wrenn_json_put_string(out, words[i], strlen(words[i]));
  }
  wrenn_buf_puts(out, count > 1 ? "]}" : "}");
}

void wrenn_frame_put_input(wrenn_buf *out, const void *bytes, size_t len) {
  static const char head[] = "{\"type\":\"input\",\"data\":\"";
  size_t encoded = WRENN_BASE64_ENCODED(len);
  wrenn_buf_puts(out, head);
  if (wrenn_buf_reserve(out, encoded)) {
    wrenn_base64_encode(bytes, len, out->data + out->len);
    out->len += encoded;
  }
  wrenn_buf_puts(out, "\"}");
}
