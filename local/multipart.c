#include "multipart.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
  PREAMBLE, /* up to the first delimiter; matches as if behind a line break */
  AFTER,    /* behind a delimiter: CR LF, or - - */
  AFTER_CR,
  AFTER_DASH,
  HEADERS,
  BODY,
  DONE,
  BROKEN
};

/* The value of a parameter in "form-data; name=\"x\"": unquoted in place. */
static bool find_parameter(const char *text, const char *name, char *value,
                           size_t size) {
  size_t name_len = strlen(name);
  for (const char *at = text; (at = strchr(at, ';')); at++) {
    const char *p = at + 1;
    size_t len = 0;
    while (*p == ' ' || *p == '\t')
      p++;
    if (strncasecmp(p, name, name_len) != 0 || p[name_len] != '=')
      continue;
    p += name_len + 1;
    bool quoted = *p == '"';
    p += quoted;
    while (*p && (quoted ? *p != '"' : *p != ';' && !isspace((unsigned char)*p))) {
      if (quoted && *p == '\\' && p[1])
        p++;
      if (len + 1 >= size)
        return false;
      value[len++] = *p++;
    }
    value[len] = '\0';
    return true;
  }
  return false;
}

bool multipart_start(multipart *m, const char *content_type,
                     multipart_handler *handle, void *arg) {
  static const char type[] = "multipart/form-data";
  char boundary[MULTIPART_BOUNDARY_MAX + 1];
  memset(m, 0, sizeof(*m));
  if (strncasecmp(content_type, type, sizeof(type) - 1) != 0 ||
      !find_parameter(content_type, "boundary", boundary, sizeof(boundary)) ||
      boundary[0] == '\0')
    return false;
  memcpy(m->delimiter, "\r\n--", 4);
  strcpy(m->delimiter + 4, boundary);
  m->delimiter_len = strlen(m->delimiter);
  m->matched = 2; /* the first one need not follow a line break */
  m->handle = handle;
  m->arg = arg;
  return true;
}

bool multipart_complete(const multipart *m) { return m->state == DONE; }

static bool emit(multipart *m, multipart_event event, const char *data,
                 size_t len) {
  return m->state == PREAMBLE || (event == MULTIPART_DATA && len == 0) ||
         m->handle(m->arg, event, data, len);
}

/* Body bytes up to the delimiter. What looked like one and was not is given
 * out from the delimiter itself, whose bytes it had. */
static const char *feed_body(multipart *m, const char *at, const char *end,
                             bool *ok) {
  while (at < end && *ok) {
    if (m->matched == 0) {
      const char *cr = memchr(at, '\r', (size_t)(end - at));
      const char *stop = cr ? cr : end;
      *ok = emit(m, MULTIPART_DATA, at, (size_t)(stop - at));
      at = stop;
      if (at == end)
        break;
    }
    if (*at == m->delimiter[m->matched]) {
      at++;
      if (++m->matched < m->delimiter_len)
        continue;
      *ok = *ok && (m->state == PREAMBLE || emit(m, MULTIPART_END, "", 0));
      m->matched = 0;
      m->state = AFTER;
      return at;
    }
    size_t false_match = m->matched;
    m->matched = 0; /* a delimiter holds one CR only, at its beginning */
    *ok = emit(m, MULTIPART_DATA, m->delimiter, false_match);
  }
  return at;
}

static bool headers_done(multipart *m) {
  char name[256];
  m->header[m->header_len] = '\0';
  for (char *line = m->header; line && *line;) {
    char *next = strstr(line, "\r\n");
    if (next) {
      *next = '\0';
      next += 2;
    }
    if (strncasecmp(line, "content-disposition:", 20) == 0 &&
        find_parameter(line, "name", name, sizeof(name))) {
      m->state = BODY;
      m->header_len = 0;
      return emit(m, MULTIPART_PART, name, strlen(name));
    }
    line = next;
  }
  return false;
}

static bool feed_header(multipart *m, char c) {
  if (m->header_len + 1 >= sizeof(m->header))
    return false;
  m->header[m->header_len++] = c;
  bool blank = m->header_len >= 4 &&
               memcmp(m->header + m->header_len - 4, "\r\n\r\n", 4) == 0;
  if (m->header_len == 2 && memcmp(m->header, "\r\n", 2) == 0)
    return false; /* no headers at all: no name */
  return !blank || headers_done(m);
}

static bool feed_after(multipart *m, char c) {
  switch (m->state) {
  case AFTER:
    m->state = c == '\r' ? AFTER_CR : c == '-' ? AFTER_DASH : BROKEN;
    if (c == ' ' || c == '\t')
      m->state = AFTER;
    break;
  case AFTER_CR:
    m->state = c == '\n' ? HEADERS : BROKEN;
    break;
  default:
    m->state = c == '-' ? DONE : BROKEN;
  }
  return m->state != BROKEN;
}

bool multipart_feed(multipart *m, const char *data, size_t len) {
  const char *at = data, *end = data + len;
  bool ok = m->state != BROKEN;
  while (at < end && ok && m->state != DONE) {
    if (m->state == PREAMBLE || m->state == BODY)
      at = feed_body(m, at, end, &ok);
    else if (m->state == HEADERS)
      ok = feed_header(m, *at++);
    else
      ok = feed_after(m, *at++);
  }
  if (!ok)
    m->state = BROKEN;
  return ok;
}
