#include "json.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are compared together. */
typedef signed char bytes16 __attribute__((vector_size(16)));

/* In place of a depth: a container is not looked into. */
#define SHALLOW (WRENN_JSON_DEPTH + 1)

static const char truncated[] = "JSON ends too early";
static const char trailing[] = "something follows the JSON value";

/* ---- scanning ------------------------------------------------------------ */

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
    at++;
  return at;
}

/* Skips plain bytes in a string, many at a time: all except quotes,
 * backslashes, control characters and non-ASCII bytes, which are negative. */
static const char *skip_plain(const char *at, const char *end) {
  for (; end - at >= (ptrdiff_t)sizeof(bytes16); at += sizeof(bytes16)) {
    bytes16 w;
    uint64_t special[2];
    memcpy(&w, at, sizeof(w));
    w = (w == '"') | (w == '\\') | (w < ' ');
    memcpy(special, &w, sizeof(w));
    if (special[0] | special[1]) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      return at + (special[0] ? __builtin_ctzll(special[0])
                              : __builtin_ctzll(special[1]) + 64) /
                      8;
#else
      break;
#endif
    }
  }
  while (at < end && (signed char)*at >= ' ' && *at != '"' && *at != '\\')
    at++;
  return at;
}

/* Length of the UTF-8 sequence at `at`; 0 when it is not a valid one. */
static size_t utf8_length(const char *text, const char *end) {
  const unsigned char *s = (const unsigned char *)text;
  size_t left = (size_t)(end - text);
  unsigned char low = 0x80, high = 0xbf;
  size_t len;
  if (left == 0)
    return 0;
  if (s[0] < 0x80)
    return 1;
  if (s[0] < 0xc2 || s[0] > 0xf4)
    return 0;
  len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  if (left < len)
    return 0;
  if (s[0] == 0xe0)
    low = 0xa0; /* overlong below */
  else if (s[0] == 0xed)
    high = 0x9f; /* surrogates above */
  else if (s[0] == 0xf0)
    low = 0x90;
  else if (s[0] == 0xf4)
    high = 0x8f; /* beyond U+10FFFF above */
  if (s[1] < low || s[1] > high)
    return 0;
  for (size_t i = 2; i < len; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  return len;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* What a backslash and a byte stand for; 0 for nothing. */
static const char escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

/* Length of the escape at the backslash `at`; 0 with *why when malformed. */
static size_t escape_length(const char *at, const char *end, const char **why) {
  *why = truncated;
  if (end - at < 2)
    return 0;
  if (at[1] != 'u') {
    *why = "unknown escape in a string";
    return escapes[(unsigned char)at[1]] ? 2 : 0;
  }
  if (end - at < 6)
    return 0;
  *why = "malformed \\u escape in a string";
  for (int i = 2; i < 6; i++)
    if (hex_digit(at[i]) < 0)
      return 0;
  return 6;
}

/* Scans a string after its opening quote; returns the position after it. */
static const char *scan_string(const char *at, const char *end,
                               wrenn_json *value, const char **why) {
  value->type = WRENN_JSON_STRING;
  value->text = at;
  value->escaped = false;
  for (;;) {
    size_t len;
    at = skip_plain(at, end);
    if (at == end) {
      *why = truncated;
      return NULL;
    }
    if (*at == '"')
      break;
    if (*at == '\\') {
      value->escaped = true;
      len = escape_length(at, end, why);
    } else if ((unsigned char)*at < 0x20) {
      *why = "control character in a string";
      return NULL;
    } else {
      *why = "invalid UTF-8 in a string";
      len = utf8_length(at, end);
    }
    if (len == 0)
      return NULL;
    at += len;
  }
  value->len = (size_t)(at - value->text);
  return at + 1;
}

static const char *scan_digits(const char *at, const char *end) {
  while (at < end && *at >= '0' && *at <= '9')
    at++;
  return at;
}

static const char *scan_number(const char *at, const char *end,
                               wrenn_json *value, const char **why) {
  const char *digits;
  value->type = WRENN_JSON_NUMBER;
  value->text = at;
  *why = "malformed number";
  if (at < end && *at == '-')
    at++;
  digits = at;
  at = scan_digits(at, end);
  if (at == digits || (*digits == '0' && at - digits > 1))
    return NULL;
  if (at < end && *at == '.') {
    digits = ++at;
    at = scan_digits(at, end);
    if (at == digits)
      return NULL;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-'))
      at++;
    digits = at;
    at = scan_digits(at, end);
    if (at == digits)
      return NULL;
  }
  value->len = (size_t)(at - value->text);
  return at;
}

static const char *scan_word(const char *at, const char *end, const char *word,
                             wrenn_json_type type, wrenn_json *value,
                             const char **why) {
  size_t len = strlen(word);
  if ((size_t)(end - at) < len || memcmp(at, word, len) != 0) {
    *why = "unknown word";
    return NULL;
  }
  value->type = type;
  value->text = at;
  value->len = len;
  return at + len;
}

static int step(wrenn_json_iter *it, wrenn_json *key, wrenn_json *value,
                unsigned depth);

/* Scans one value; returns the position after it, or NULL with *why. */
static const char *scan_value(const char *at, const char *end,
                              wrenn_json *value, unsigned depth,
                              const char **why) {
  value->escaped = false;
  if (at == end) {
    *why = truncated;
    return NULL;
  }
  switch (*at) {
  case '"':
    return scan_string(at + 1, end, value, why);
  case '{':
  case '[':
    break;
  case 't':
    return scan_word(at, end, "true", WRENN_JSON_BOOL, value, why);
  case 'f':
    return scan_word(at, end, "false", WRENN_JSON_BOOL, value, why);
  case 'n':
    return scan_word(at, end, "null", WRENN_JSON_NULL, value, why);
  default:
    return scan_number(at, end, value, why);
  }
  value->type = *at == '{' ? WRENN_JSON_OBJECT : WRENN_JSON_ARRAY;
  value->text = at;
  if (depth == SHALLOW)
    return at;
  if (depth == WRENN_JSON_DEPTH) {
    *why = "JSON is nested too deeply";
    return NULL;
  }
  wrenn_json key, element;
  wrenn_json_iter it = {
      .at = at + 1, .end = end, .object = *at == '{', .first = true};
  int found;
  do
    found = step(&it, &key, &element, depth + 1);
  while (found > 0);
  if (found < 0) {
    *why = it.why;
    return NULL;
  }
  value->len = (size_t)(it.at - at);
  return it.at;
}

/* ---- walking ------------------------------------------------------------- */

static int malformed(wrenn_json_iter *it, const char *why) {
  it->why = it->at == it->end ? truncated : why;
  return -1;
}

/* One member or element. At the end it->at is behind the closing bracket. */
static int step(wrenn_json_iter *it, wrenn_json *key, wrenn_json *value,
                unsigned depth) {
  char close = it->object ? '}' : ']';
  it->at = skip_space(it->at, it->end);
  if (it->at < it->end && *it->at == close) {
    it->at++;
    return 0;
  }
  if (!it->first) {
    if (it->at == it->end || *it->at != ',')
      return malformed(it, "a comma is missing");
    it->at = skip_space(it->at + 1, it->end);
  }
  it->first = false;
  if (it->object) {
    if (it->at == it->end || *it->at != '"')
      return malformed(it, "a member name is not a string");
    it->at = scan_string(it->at + 1, it->end, key, &it->why);
    if (!it->at)
      return -1;
    it->at = skip_space(it->at, it->end);
    if (it->at == it->end || *it->at != ':')
      return malformed(it, "a colon is missing");
    it->at = skip_space(it->at + 1, it->end);
  }
  it->at = scan_value(it->at, it->end, value, depth, &it->why);
  return it->at ? 1 : -1;
}

int wrenn_json_next(wrenn_json_iter *it, wrenn_json *key, wrenn_json *value) {
  wrenn_json unused;
  if (it->at == NULL)
    return it->why ? -1 : 0;
  int found = step(it, key ? key : &unused, value, 1);
  if (found == 0) {
    bool more = skip_space(it->at, it->end) != it->end;
    it->why = more ? trailing : NULL;
    it->at = NULL;
    return more ? -1 : 0;
  }
  return found;
}

bool wrenn_json_begin(wrenn_json_iter *it, const char *text, size_t len,
                      wrenn_json *value) {
  const char *end = text + len;
  *it = (wrenn_json_iter){.end = end};
  it->at = scan_value(skip_space(text, end), end, value, SHALLOW, &it->why);
  return it->at != NULL;
}

void wrenn_json_enter(wrenn_json_iter *inner, const wrenn_json_iter *it,
                      const wrenn_json *container) {
  *inner = (wrenn_json_iter){.at = container->text + 1,
                             .end = it->end,
                             .object = container->type == WRENN_JSON_OBJECT,
                             .first = true};
}

int wrenn_json_step(wrenn_json_iter *it, wrenn_json *key, wrenn_json *value) {
  return step(it, key, value, SHALLOW);
}

void wrenn_json_leave(wrenn_json_iter *it, const wrenn_json_iter *inner) {
  it->at = inner->at;
}

bool wrenn_json_end(wrenn_json_iter *it) {
  if (skip_space(it->at, it->end) == it->end)
    return true;
  it->why = trailing;
  return false;
}

bool wrenn_json_open(wrenn_json_iter *it, const char *text, size_t len) {
  const char *end = text + len;
  const char *at = skip_space(text, end);
  *it = (wrenn_json_iter){.end = end, .object = true, .first = true};
  if (at == end || *at != '{') {
    it->why = "not a JSON object";
    return false;
  }
  it->at = at + 1;
  return true;
}

void wrenn_json_walk(wrenn_json_iter *it, const wrenn_json *container) {
  *it = (wrenn_json_iter){.first = true};
  if (container->type != WRENN_JSON_OBJECT &&
      container->type != WRENN_JSON_ARRAY)
    return;
  it->object = container->type == WRENN_JSON_OBJECT;
  it->at = container->text + 1;
  it->end = container->text + container->len;
}

bool wrenn_json_parse(const char *text, size_t len, wrenn_json *value,
                      const char **why) {
  const char *end = text + len;
  const char *at = scan_value(skip_space(text, end), end, value, 0, why);
  if (!at)
    return false;
  if (skip_space(at, end) == end)
    return true;
  *why = trailing;
  return false;
}

bool wrenn_json_get(const wrenn_json *object, const char *name,
                    wrenn_json *value) {
  wrenn_json_iter it;
  wrenn_json key, found;
  bool any = false;
  if (object->type != WRENN_JSON_OBJECT)
    return false;
  wrenn_json_walk(&it, object);
  while (wrenn_json_next(&it, &key, &found) > 0)
    if (wrenn_json_is(&key, name)) {
      *value = found;
      any = true;
    }
  return any;
}

/* ---- values -------------------------------------------------------------- */

static unsigned hex4(const char *at) {
  unsigned code = 0;
  for (int i = 0; i < 4; i++)
    code = code << 4 | (unsigned)hex_digit(at[i]);
  return code;
}

static size_t put_utf8(char *dst, unsigned code) {
  if (code < 0x80) {
    dst[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    dst[0] = (char)(0xc0 | code >> 6);
    dst[1] = (char)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    dst[0] = (char)(0xe0 | code >> 12);
    dst[1] = (char)(0x80 | (code >> 6 & 0x3f));
    dst[2] = (char)(0x80 | (code & 0x3f));
    return 3;
  }
  dst[0] = (char)(0xf0 | code >> 18);
  dst[1] = (char)(0x80 | (code >> 12 & 0x3f));
  dst[2] = (char)(0x80 | (code >> 6 & 0x3f));
  dst[3] = (char)(0x80 | (code & 0x3f));
  return 4;
}

/* Decodes the \u escape at `at`, with its second half if it has one. */
static const char *decode_unicode(const char *at, const char *end, char **dst) {
  unsigned code = hex4(at + 2);
  at += 6;
  if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' &&
      at[1] == 'u') {
    unsigned low = hex4(at + 2);
    if (low >= 0xdc00 && low < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      at += 6;
    }
  }
  if (code >= 0xd800 && code < 0xe000)
    code = 0xfffd;
  *dst += put_utf8(*dst, code);
  return at;
}

size_t wrenn_json_decode(const wrenn_json *value, char *dst) {
  const char *at = value->text, *end = at + value->len;
  char *start = dst;
  if (!value->escaped) {
    memmove(dst, at, value->len);
    return value->len;
  }
  while (at < end) {
    const char *slash = memchr(at, '\\', (size_t)(end - at));
    size_t plain = (size_t)((slash ? slash : end) - at);
    memmove(dst, at, plain);
    dst += plain;
    at += plain;
    if (at == end)
      break;
    if (at[1] == 'u') {
      at = decode_unicode(at, end, &dst);
    } else {
      *dst++ = escapes[(unsigned char)at[1]];
      at += 2;
    }
  }
  return (size_t)(dst - start);
}

bool wrenn_json_true(const wrenn_json *value) {
  return value->type == WRENN_JSON_BOOL && value->text[0] == 't';
}

bool wrenn_json_double(const wrenn_json *value, double *out) {
  char text[1024];
  const char *point = localeconv()->decimal_point;
  const char *dot = value->type == WRENN_JSON_NUMBER
                        ? memchr(value->text, '.', value->len)
                        : NULL;
  size_t whole = dot ? (size_t)(dot - value->text) : value->len;
  if (value->type != WRENN_JSON_NUMBER ||
      value->len + strlen(point) >= sizeof(text))
    return false;
  memcpy(text, value->text, whole);
  text[whole] = '\0';
  if (dot) {
    size_t rest = value->len - whole - 1;
    char *at = stpcpy(text + whole, point);
    memcpy(at, dot + 1, rest);
    at[rest] = '\0';
  }
  *out = strtod(text, NULL);
  return true;
}

/* The digits of a number without its point, and the power of ten that they are
 * to be multiplied by. Zeros at the end of the digits are part of the power, so
 * that a whole number's is never negative. */
typedef struct decimal {
  uint64_t digits;
  int64_t power;
  bool fits; /* the digits are in `digits` */
} decimal;

static void add_digit(decimal *d, unsigned digit) {
  d->fits = d->fits && d->digits <= (UINT64_MAX - digit) / 10;
  d->digits = d->digits * 10 + digit;
}

/* Reads a number that has been checked. By hand: what the C library takes for
 * the point depends on the locale. */
static decimal read_decimal(const wrenn_json *value) {
  const char *at = value->text + (*value->text == '-');
  const char *end = value->text + value->len;
  decimal d = {.fits = true};
  bool fraction = false;
  int64_t zeros = 0; /* not added yet: others may follow */
  for (; at < end && (*at == '.' || (*at >= '0' && *at <= '9')); at++) {
    if (*at == '.') {
      fraction = true;
      continue;
    }
    d.power -= fraction;
    if (*at == '0') {
      zeros += d.digits > 0 || !d.fits;
      continue;
    }
    for (; zeros > 0; zeros--)
      add_digit(&d, 0);
    add_digit(&d, (unsigned)(*at - '0'));
  }
  d.power += zeros;
  if (at == end)
    return d;
  bool minus = *++at == '-';
  int64_t exponent = 0;
  for (at += *at == '-' || *at == '+'; at < end; at++)
    if (exponent < INT32_MAX)
      exponent = exponent * 10 + (*at - '0');
  d.power += minus ? -exponent : exponent;
  return d;
}

bool wrenn_json_int(const wrenn_json *value, int64_t *out) {
  if (value->type != WRENN_JSON_NUMBER)
    return false;
  bool minus = *value->text == '-';
  uint64_t most = (uint64_t)INT64_MAX + minus;
  decimal d = read_decimal(value);
  if (!d.digits && d.fits) {
    *out = 0;
    return true;
  }
  if (!d.fits || d.power < 0)
    return false;
  for (; d.power > 0; d.power--) {
    if (d.digits > most / 10)
      return false;
    d.digits *= 10;
  }
  if (d.digits > most)
    return false;
  *out = minus ? (int64_t)(0 - d.digits) : (int64_t)d.digits;
  return true;
}

/* ---- writing ------------------------------------------------------------- */

bool wrenn_json_utf8(const char *bytes, size_t len) {
  const char *at = bytes, *end = bytes + len;
  while (at < end) {
    const char *next = skip_plain(at, end);
    if (next == end)
      return true;
    size_t step = utf8_length(next, end);
    if (step == 0)
      return false;
    at = next + step;
  }
  return true;
}

static size_t plain_run(const char *at, const char *end) {
  const char *from = at;
  while (at < end) {
    const char *next = skip_plain(at, end);
    const char *html = at;
    while (html < next && *html != '<' && *html != '>' && *html != '&')
      html++;
    if (html < next)
      return (size_t)(html - from);
    at = next;
    size_t len =
        at < end && (unsigned char)*at >= 0x80 ? utf8_length(at, end) : 0;
    if (len == 0)
      break;
    at += len;
  }
  return (size_t)(at - from);
}

void wrenn_json_put_string(wrenn_buf *out, const char *bytes, size_t len) {
  static const char replacement[] = "\xef\xbf\xbd";
  const char *at = bytes, *end = bytes + len;
  wrenn_buf_append(out, "\"", 1);
  while (at < end) {
    size_t run = plain_run(at, end);
    wrenn_buf_append(out, at, run);
    at += run;
    if (at == end)
      break;
    unsigned char c = (unsigned char)*at++;
    switch (c) {
    case '"':
      wrenn_buf_puts(out, "\\\"");
      break;
    case '\\':
      wrenn_buf_puts(out, "\\\\");
      break;
    case '\n':
      wrenn_buf_puts(out, "\\n");
      break;
    case '\r':
      wrenn_buf_puts(out, "\\r");
      break;
    case '\t':
      wrenn_buf_puts(out, "\\t");
      break;
    default:
      if (c >= 0x80)
        wrenn_buf_puts(out, replacement);
      else
        wrenn_buf_printf(out, "\\u%04x", c);
    }
  }
  wrenn_buf_append(out, "\"", 1);
}
