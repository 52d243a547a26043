#include "ws_upgrade.h"

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

static wrenn_ws_answer wrong(wrenn_ws_upgrade *u, const char *why) {
  u->why = why;
  return WRENN_WS_WRONG;
}

/* ---- lines --------------------------------------------------------------- */

/* Collects a line without its end in u->line; false: more is needed. */
static bool read_line(wrenn_ws_upgrade *u, const char **at, size_t *len) {
  const char *eol = memchr(*at, '\n', *len);
  size_t part = eol ? (size_t)(eol - *at) : *len;
  wrenn_buf_append(&u->line, *at, part);
  if (eol)
    part++;
  *at += part;
  *len -= part;
  u->head_size += part;
  wrenn_buf *line = &u->line;
  if (eol && line->len && line->data[line->len - 1] == '\r')
    line->len--;
  return eol;
}

/* The value of the header in a line; NULL if it is another header. */
static const char *value_of(const wrenn_buf *line, const char *name,
                            size_t *len) {
  size_t name_len = strlen(name);
  if (line->len <= name_len || line->data[name_len] != ':' ||
      strncasecmp(line->data, name, name_len))
    return NULL;
  const char *value = line->data + name_len + 1;
  const char *end = line->data + line->len;
  while (value < end && (*value == ' ' || *value == '\t'))
    value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  *len = (size_t)(end - value);
  return value;
}

/* Whether a comma-separated list contains a word, ignoring case. */
static bool has_word(const char *list, size_t len, const char *word,
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
static wrenn_ws_answer read_status(wrenn_ws_upgrade *u) {
  const char *line = u->line.data;
  size_t len = u->line.len;
  if (len < 12 || !is_http(&u->line) || line[8] != ' ' ||
      (len > 12 && line[12] != ' '))
    return wrong(u, "the answer is not HTTP");
  u->status = 0;
  for (int i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9')
      return wrong(u, "the answer is not HTTP");
    u->status = u->status * 10 + line[i] - '0';
  }
  if (u->status < 100)
    return wrong(u, "the answer's status is below 100");
  wrenn_buf_clear(&u->head);
  u->stage = HEADERS;
  return WRENN_WS_WAITING;
}

static wrenn_ws_answer read_length(wrenn_ws_upgrade *u, const char *value,
                                   size_t len) {
  uint64_t length = 0;
  if (len == 0 || len > 18)
    return wrong(u, "Content-Length is not a length");
  for (size_t i = 0; i < len; i++) {
    if (value[i] < '0' || value[i] > '9')
      return wrong(u, "Content-Length is not a length");
    length = length * 10 + (uint64_t)(value[i] - '0');
  }
  if (u->left != UNTIL_CLOSE && u->left != length)
    return wrong(u, "two different lengths");
  u->left = length;
  return WRENN_WS_WAITING;
}

static wrenn_ws_answer read_upgrade_header(wrenn_ws_upgrade *u) {
  const wrenn_buf *line = &u->line;
  const char *value;
  size_t len;
  if ((value = value_of(line, "Upgrade", &len))) {
    u->upgrade = u->upgrade || has_word(value, len, "websocket", 9);
  } else if ((value = value_of(line, "Connection", &len))) {
    u->connection = u->connection || has_word(value, len, "upgrade", 7);
  } else if ((value = value_of(line, "Sec-WebSocket-Accept", &len))) {
    if (len != strlen(u->accept) || memcmp(value, u->accept, len))
      return wrong(u, "Sec-WebSocket-Accept does not fit the key");
    u->accepted = true;
  } else if (value_of(line, "Sec-WebSocket-Extensions", &len)) {
    return wrong(u, "the server chose an extension that nobody asked for");
  } else if ((value = value_of(line, "Sec-WebSocket-Protocol", &len))) {
    if (!u->protocols ||
        !has_word(u->protocols, strlen(u->protocols), value, len))
      return wrong(u, "the server chose a protocol that nobody asked for");
  }
  return WRENN_WS_WAITING;
}

static wrenn_ws_answer read_header(wrenn_ws_upgrade *u) {
  const wrenn_buf *line = &u->line;
  const char *value;
  size_t len;
  const char *colon = memchr(line->data, ':', line->len);
  if (!colon || colon == line->data)
    return wrong(u, "a header line without a name");
  wrenn_buf_append(&u->head, line->data, line->len);
  wrenn_buf_append(&u->head, "\r\n", 2);
  if (u->status == 101)
    return read_upgrade_header(u);
  if (u->status < 200)
    return WRENN_WS_WAITING;
  if ((value = value_of(line, "Transfer-Encoding", &len)))
    u->chunked = u->chunked || has_word(value, len, "chunked", 7);
  else if ((value = value_of(line, "Content-Length", &len)))
    return read_length(u, value, len);
  return WRENN_WS_WAITING;
}

static wrenn_ws_answer end_head(wrenn_ws_upgrade *u) {
  if (u->status == 101) {
    if (!u->upgrade || !u->connection)
      return wrong(u, "the 101 is not for a WebSocket");
    return u->accepted ? WRENN_WS_SWITCHED
                       : wrong(u, "the 101 has no Sec-WebSocket-Accept");
  }
  if (u->status < 200) { /* an interim answer: the answer follows */
    u->stage = STATUS_LINE;
    return WRENN_WS_WAITING;
  }
  if (u->status == 204 || u->status == 304 || (!u->chunked && u->left == 0))
    return WRENN_WS_REFUSED;
  u->stage = u->chunked ? CHUNK_SIZE : BODY;
  return WRENN_WS_WAITING;
}

/* ---- a refusal's body ---------------------------------------------------- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1a;name=value". A malformed chunk size ends the body: the answer is a
 * refusal in any case. */
static wrenn_ws_answer read_chunk_size(wrenn_ws_upgrade *u) {
  uint64_t size = 0;
  size_t digits = 0;
  while (digits < u->line.len && hex_digit(u->line.data[digits]) >= 0)
    size = size << 4 | (uint64_t)hex_digit(u->line.data[digits++]);
  if (digits == 0 || digits > 15)
    return WRENN_WS_REFUSED;
  u->left = size;
  u->stage = size ? CHUNK : TRAILERS;
  return WRENN_WS_WAITING;
}

static wrenn_ws_answer read_body(wrenn_ws_upgrade *u, const char **at,
                                 size_t *len) {
  size_t part = u->left < *len ? (size_t)u->left : *len;
  size_t room = MAX_BODY - u->body.len;
  wrenn_buf_append(&u->body, *at, part < room ? part : room);
  *at += part;
  *len -= part;
  if (u->left != UNTIL_CLOSE)
    u->left -= part;
  if (u->body.len == MAX_BODY) /* enough to say why */
    return WRENN_WS_REFUSED;
  if (u->left > 0)
    return WRENN_WS_WAITING;
  if (u->stage == BODY)
    return WRENN_WS_REFUSED;
  u->stage = CHUNK_END;
  return WRENN_WS_WAITING;
}

/* ---- all of it ----------------------------------------------------------- */

static wrenn_ws_answer take_line(wrenn_ws_upgrade *u) {
  switch (u->stage) {
  case STATUS_LINE:
    u->left = UNTIL_CLOSE;
    return read_status(u);
  case HEADERS:
    return u->line.len ? read_header(u) : end_head(u);
  case CHUNK_SIZE:
    return read_chunk_size(u);
  case CHUNK_END:
    u->stage = CHUNK_SIZE;
    return WRENN_WS_WAITING;
  default: /* TRAILERS */
    return u->line.len ? WRENN_WS_WAITING : WRENN_WS_REFUSED;
  }
}

wrenn_ws_answer wrenn_ws_upgrade_read(wrenn_ws_upgrade *u, const char **at,
                                      size_t *len) {
  wrenn_ws_answer answer = WRENN_WS_WAITING;
  while (*len && !answer) {
    if (u->stage == BODY || u->stage == CHUNK) {
      answer = read_body(u, at, len);
    } else {
      bool whole = read_line(u, at, len);
      if (u->head_size > MAX_HEAD)
        return u->stage > HEADERS ? WRENN_WS_REFUSED : WRENN_WS_HEAD_TOO_LARGE;
      if (whole && !u->line.oom) {
        answer = take_line(u);
        wrenn_buf_clear(&u->line);
      } else if (u->stage == STATUS_LINE && !is_http(&u->line)) {
        return wrong(u, "the answer is not HTTP");
      }
    }
    if (u->line.oom || u->head.oom || u->body.oom)
      return WRENN_WS_OUT_OF_MEMORY;
  }
  return answer;
}

wrenn_ws_answer wrenn_ws_upgrade_end(const wrenn_ws_upgrade *u) {
  return u->stage > HEADERS ? WRENN_WS_REFUSED : WRENN_WS_WAITING;
}

void wrenn_ws_upgrade_free(wrenn_ws_upgrade *u) {
  wrenn_buf_free(&u->line);
  wrenn_buf_free(&u->head);
  wrenn_buf_free(&u->body);
}
