#include "answer.h"

#include <string.h>
#include <strings.h>

#define MAX_HEAD ((size_t)256 * 1024)
#define MAX_BODY ((size_t)256 * 1024)
#define UNTIL_CLOSE UINT64_MAX

enum stage {
  STATUS_LINE,
  HEADERS,
  BODY,       /* `left` bytes, or to the end */
  CHUNK_SIZE, /* the line in front of a chunk */
  CHUNK,
  CHUNK_END, /* the line break behind it */
  TRAILERS
};

static wrenn_answer_state wrong(wrenn_answer *a, const char *why) {
  a->why = why;
  return WRENN_ANSWER_WRONG;
}

/* ---- lines --------------------------------------------------------------- */

/* Collects a line without its end in a->line; false: more is needed. */
static bool read_line(wrenn_answer *a, const char **at, size_t *len) {
  const char *eol = memchr(*at, '\n', *len);
  size_t part = eol ? (size_t)(eol - *at) : *len;
  wrenn_buf_append(&a->line, *at, part);
  if (eol)
    part++;
  *at += part;
  *len -= part;
  a->head_size += part;
  wrenn_buf *line = &a->line;
  if (eol && line->len && line->data[line->len - 1] == '\r')
    line->len--;
  return eol;
}

const char *wrenn_answer_value(const char *line, size_t *len,
                               const char *name) {
  size_t name_len = strlen(name);
  if (*len <= name_len || line[name_len] != ':' ||
      strncasecmp(line, name, name_len))
    return NULL;
  const char *value = line + name_len + 1;
  const char *end = line + *len;
  while (value < end && (*value == ' ' || *value == '\t'))
    value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  *len = (size_t)(end - value);
  return value;
}

bool wrenn_answer_has_word(const char *list, size_t len, const char *word,
                           size_t word_len) {
  const char *end = list + len;
  while (list < end) {
    while (list < end && (*list == ' ' || *list == '\t' || *list == ','))
      list++;
    const char *from = list;
    while (list < end && *list != ',')
      list++;
    const char *to = list;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
      to--;
    if ((size_t)(to - from) == word_len && !strncasecmp(from, word, word_len))
      return true;
  }
  return false;
}

/* ---- the head ------------------------------------------------------------ */

/* Whether the line, or what there is of it, may be a status line. */
static bool is_http(const wrenn_buf *line) {
  static const char start[] = "HTTP/1.";
  size_t len = line->len < strlen(start) ? line->len : strlen(start);
  return len == 0 || !memcmp(line->data, start, len);
}

/* "HTTP/1.1 101 Switching Protocols"; the reason may be missing. */
static wrenn_answer_state read_status(wrenn_answer *a) {
  const char *line = a->line.data;
  size_t len = a->line.len;
  if (len < 12 || !is_http(&a->line) || line[8] != ' ' ||
      (len > 12 && line[12] != ' '))
    return wrong(a, "the answer is not HTTP");
  a->status = 0;
  for (int i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9')
      return wrong(a, "the answer is not HTTP");
    a->status = a->status * 10 + line[i] - '0';
  }
  if (a->status < 100)
    return wrong(a, "the answer's status is below 100");
  wrenn_buf_clear(&a->head);
  a->stage = HEADERS;
  return WRENN_ANSWER_WAITING;
}

static wrenn_answer_state read_length(wrenn_answer *a, const char *value,
                                      size_t len) {
  uint64_t length = 0;
  if (len == 0 || len > 18)
    return wrong(a, "Content-Length is not a length");
  for (size_t i = 0; i < len; i++) {
    if (value[i] < '0' || value[i] > '9')
      return wrong(a, "Content-Length is not a length");
    length = length * 10 + (uint64_t)(value[i] - '0');
  }
  if (a->left != UNTIL_CLOSE && a->left != length)
    return wrong(a, "two different lengths");
  a->left = length;
  return WRENN_ANSWER_WAITING;
}

static wrenn_answer_state read_header(wrenn_answer *a) {
  const wrenn_buf *line = &a->line;
  const char *value;
  size_t len = line->len;
  const char *colon = memchr(line->data, ':', line->len);
  if (!colon || colon == line->data)
    return wrong(a, "a header line without a name");
  wrenn_buf_append(&a->head, line->data, line->len);
  wrenn_buf_append(&a->head, "\r\n", 2);
  if (a->status < 200)
    return WRENN_ANSWER_WAITING;
  if ((value = wrenn_answer_value(line->data, &len, "Transfer-Encoding")))
    a->chunked = a->chunked || wrenn_answer_has_word(value, len, "chunked", 7);
  else if ((value = wrenn_answer_value(line->data, &len, "Content-Length")))
    return read_length(a, value, len);
  return WRENN_ANSWER_WAITING;
}

static wrenn_answer_state end_head(wrenn_answer *a) {
  if (a->status == 101)
    return WRENN_ANSWER_SWITCHED;
  if (a->status < 200) { /* an interim answer: the answer follows */
    a->stage = STATUS_LINE;
    return WRENN_ANSWER_WAITING;
  }
  if (a->status == 204 || a->status == 304 || (!a->chunked && a->left == 0))
    return WRENN_ANSWER_WHOLE;
  a->stage = a->chunked ? CHUNK_SIZE : BODY;
  return WRENN_ANSWER_WAITING;
}

/* ---- the body ---------------------------------------------------- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1a;name=value". A malformed chunk size ends the body: whoever reads
 * this way knows by the status what is to be known. */
static wrenn_answer_state read_chunk_size(wrenn_answer *a) {
  uint64_t size = 0;
  size_t digits = 0;
  while (digits < a->line.len && hex_digit(a->line.data[digits]) >= 0)
    size = size << 4 | (uint64_t)hex_digit(a->line.data[digits++]);
  if (digits == 0 || digits > 15)
    return WRENN_ANSWER_WHOLE;
  a->left = size;
  a->stage = size ? CHUNK : TRAILERS;
  return WRENN_ANSWER_WAITING;
}

static wrenn_answer_state read_body(wrenn_answer *a, const char **at,
                                    size_t *len) {
  size_t part = a->left < *len ? (size_t)a->left : *len;
  size_t room = MAX_BODY - a->body.len;
  wrenn_buf_append(&a->body, *at, part < room ? part : room);
  *at += part;
  *len -= part;
  if (a->left != UNTIL_CLOSE)
    a->left -= part;
  if (a->body.len == MAX_BODY) /* enough to say why */
    return WRENN_ANSWER_WHOLE;
  if (a->left > 0)
    return WRENN_ANSWER_WAITING;
  if (a->stage == BODY)
    return WRENN_ANSWER_WHOLE;
  a->stage = CHUNK_END;
  return WRENN_ANSWER_WAITING;
}

/* ---- all of it ----------------------------------------------------------- */

static wrenn_answer_state take_line(wrenn_answer *a) {
  switch (a->stage) {
  case STATUS_LINE:
    a->left = UNTIL_CLOSE;
    return read_status(a);
  case HEADERS:
    return a->line.len ? read_header(a) : end_head(a);
  case CHUNK_SIZE:
    return read_chunk_size(a);
  case CHUNK_END:
    a->stage = CHUNK_SIZE;
    return WRENN_ANSWER_WAITING;
  default: /* TRAILERS */
    return a->line.len ? WRENN_ANSWER_WAITING : WRENN_ANSWER_WHOLE;
  }
}

wrenn_answer_state wrenn_answer_read(wrenn_answer *a, const char **at,
                                     size_t *len) {
  wrenn_answer_state state = WRENN_ANSWER_WAITING;
  while (*len && !state) {
    if (a->stage == BODY || a->stage == CHUNK) {
      state = read_body(a, at, len);
    } else {
      bool whole = read_line(a, at, len);
      if (a->head_size > MAX_HEAD)
        return a->stage > HEADERS ? WRENN_ANSWER_WHOLE
                                  : WRENN_ANSWER_HEAD_TOO_LARGE;
      if (whole && !a->line.oom) {
        state = take_line(a);
        wrenn_buf_clear(&a->line);
      } else if (a->stage == STATUS_LINE && !is_http(&a->line)) {
        return wrong(a, "the answer is not HTTP");
      }
    }
    if (a->line.oom || a->head.oom || a->body.oom)
      return WRENN_ANSWER_OUT_OF_MEMORY;
  }
  return state;
}

wrenn_answer_state wrenn_answer_end(const wrenn_answer *a) {
  return a->stage > HEADERS ? WRENN_ANSWER_WHOLE : WRENN_ANSWER_WAITING;
}

void wrenn_answer_free(wrenn_answer *a) {
  wrenn_buf_free(&a->line);
  wrenn_buf_free(&a->head);
  wrenn_buf_free(&a->body);
}
