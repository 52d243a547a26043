#include "head.h"

#include <string.h>
#include <strings.h>

/* Below libcurl's own limits (100 KiB per line, 300 KiB in all), whose errors
 * cannot be told from others. */
#define MAX_BYTES ((size_t)256 * 1024)
#define MAX_LINES 256
#define MAX_INTERIM 100

typedef struct text {
  const char *data;
  size_t len;
} text;

static bool refuse(wrenn_head *head, wrenn_status error, const char *why) {
  head->error = error;
  head->why = why;
  return false;
}

static bool violated(wrenn_head *head, const char *why) {
  return refuse(head, WRENN_E_PROTOCOL, why);
}

static bool is(text value, const char *word) {
  return value.len == strlen(word) &&
         strncasecmp(value.data, word, value.len) == 0;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_token(text name) {
  for (size_t i = 0; i < name.len; i++) {
    char c = name.data[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !is_digit(c) && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
      return false;
  }
  return name.len > 0;
}

static text trimmed(const char *from, const char *to) {
  while (from < to && (*from == ' ' || *from == '\t'))
    from++;
  while (to > from &&
         (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r' || to[-1] == '\n'))
    to--;
  return (text){from, (size_t)(to - from)};
}

/* "HTTP/1.1 200 OK" */
static bool take_status(wrenn_head *head, const char *line, size_t len) {
  if (len < 13 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) ||
      line[8] != ' ' || !is_digit(line[9]) || !is_digit(line[10]) ||
      !is_digit(line[11]) || is_digit(line[12]) || line[9] == '0')
    return violated(head, "the answer's status line is malformed");
  head->status =
      (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  head->old = line[7] == '0';
  head->begun = true;
  head->chunked = head->coded = false;
  head->length = -1;
  head->count = 0;
  wrenn_buf_clear(&head->lines);
  return true;
}

static bool take_length(wrenn_head *head, text value) {
  int64_t length = 0;
  bool fits = true;
  for (size_t i = 0; i < value.len; i++) {
    if (!is_digit(value.data[i]))
      return violated(head, "the answer's Content-Length is malformed");
    int digit = value.data[i] - '0';
    fits = fits && length <= (INT64_MAX - digit) / 10;
    length = fits ? length * 10 + digit : length;
  }
  if (!value.len)
    return violated(head, "the answer's Content-Length is malformed");
  if (!fits)
    return refuse(head, WRENN_E_TOO_LARGE,
                  "the answer's Content-Length is beyond all bounds");
  if (head->length >= 0 && head->length != length)
    return violated(head, "the answer has two different Content-Lengths");
  head->length = length;
  return true;
}

static bool take_header(wrenn_head *head, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  text name = {line, colon ? (size_t)(colon - line) : 0};
  if (!is_token(name))
    return violated(head, "a header line of the answer is malformed");
  text value = trimmed(colon + 1, line + len);
  if (is(name, "Content-Length"))
    return take_length(head, value);
  if (is(name, "Transfer-Encoding")) {
    if (head->chunked || !is(value, "chunked"))
      return violated(head, "the answer has a Transfer-Encoding that nobody"
                            " asked for");
    head->chunked = true;
  } else if (is(name, "Content-Encoding")) {
    head->coded = head->coded || (value.len && !is(value, "identity"));
  }
  return true;
}

static bool take_end(wrenn_head *head) {
  head->begun = false;
  if (head->status == 101)
    return violated(head, "the server switched protocols unasked (101)");
  if (head->status < 200)
    return ++head->interim <= MAX_INTERIM ||
           violated(head, "the server sent too many interim answers");
  bool empty = head->no_body || head->status == 204 || head->status == 304;
  if (head->chunked && head->length >= 0)
    return violated(
        head, "the answer has both a Content-Length and a Transfer-Encoding");
  if (head->chunked && head->old)
    return violated(head, "the answer has a Transfer-Encoding in HTTP/1.0");
  if (head->coded && !head->encoded && !empty)
    return violated(head, "the answer has a Content-Encoding that nobody asked"
                          " for");
  head->done = true;
  return true;
}

bool wrenn_head_take(wrenn_head *head, const char *line, size_t len) {
  head->bytes += len;
  if (head->bytes > MAX_BYTES || ++head->count > MAX_LINES + 1)
    return refuse(head, WRENN_E_TOO_LARGE,
                  "the answer's head is over its limit");
  if (head->done) /* trailers say nothing that anybody here asks for */
    return true;
  if (!head->begun)
    return take_status(head, line, len);
  if (len <= 2 && (line[0] == '\r' || line[0] == '\n'))
    return take_end(head);
  if (!take_header(head, line, len))
    return false;
  wrenn_buf_append(&head->lines, line, len);
  return !head->lines.oom ||
         refuse(head, WRENN_E_MEMORY, wrenn_strerror(WRENN_E_MEMORY));
}

void wrenn_head_free(wrenn_head *head) { wrenn_buf_free(&head->lines); }
