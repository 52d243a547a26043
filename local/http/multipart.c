#include "http/multipart.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
  BODY,  /* of a part, or what precedes the first one */
  AFTER, /* behind a delimiter: blanks and CR LF, or - - */
  HEADERS,
  DONE,
  BROKEN
};

/* Returns the value of a parameter in "form-data; name=\"x\"", unquoted in
 * place. */
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
    while (*p &&
           (quoted ? *p != '"' : *p != ';' && !isspace((unsigned char)*p))) {
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
  m->delimiter_len = (size_t)snprintf(m->delimiter, sizeof(m->delimiter),
                                      "\r\n--%s", boundary);
  m->matched = 2; /* the first delimiter need not follow a line break */
  m->handle = handle;
  m->arg = arg;
  return true;
}

bool multipart_complete(const multipart *m) { return m->state == DONE; }

static bool emit(multipart *m, multipart_event event, const char *data,
                 size_t len) {
  return !m->in_part || (event == MULTIPART_DATA && len == 0) ||
         m->handle(m->arg, event, data, len);
}

static void delimiter_found(multipart *m) {
  m->matched = 0;
  m->tail_len = 0;
  m->state = AFTER;
}

/* Continues with a delimiter that began in the previous input. If it is none,
 * its bytes are taken from the delimiter itself, as they are the same. */
static const char *feed_match(multipart *m, const char *at, const char *end,
                              bool *ok) {
  while (at < end && *at == m->delimiter[m->matched]) {
    at++;
    if (++m->matched == m->delimiter_len) {
      delimiter_found(m);
      return at;
    }
  }
  if (at < end) {
    *ok = emit(m, MULTIPART_DATA, m->delimiter, m->matched);
    m->matched = 0;
  }
  return at;
}

/* How many bytes at the end of the input may begin a delimiter, which contains
 * a single CR, at its start. */
static size_t match_at_end(const multipart *m, const char *at,
                           const char *end) {
  size_t most = m->delimiter_len - 1;
  size_t len = (size_t)(end - at) < most ? (size_t)(end - at) : most;
  const char *cr = memrchr(end - len, '\r', len);
  size_t rest = cr ? (size_t)(end - cr) : 0;
  return rest && memcmp(cr, m->delimiter, rest) == 0 ? rest : 0;
}

static const char *feed_body(multipart *m, const char *at, const char *end,
                             bool *ok) {
  if (m->matched > 0)
    return feed_match(m, at, end, ok);
  const char *found =
      memmem(at, (size_t)(end - at), m->delimiter, m->delimiter_len);
  if (found) {
    *ok = emit(m, MULTIPART_DATA, at, (size_t)(found - at));
    delimiter_found(m);
    return found + m->delimiter_len;
  }
  m->matched = match_at_end(m, at, end);
  *ok = emit(m, MULTIPART_DATA, at, (size_t)(end - at) - m->matched);
  return end;
}

/* It was not a delimiter, but began like one. */
static bool take_back(multipart *m) {
  char tail[sizeof(m->tail)];
  size_t len = m->tail_len;
  bool ok = emit(m, MULTIPART_DATA, m->delimiter, m->delimiter_len);
  memcpy(tail, m->tail, len);
  m->state = BODY;
  for (const char *at = tail; ok && at < tail + len;)
    at = feed_body(m, at, tail + len, &ok); /* too short for a delimiter */
  return ok;
}

/* Handles a byte after a delimiter. *again: it was not consumed. */
static bool feed_after(multipart *m, char c, bool *again) {
  const char *before = m->tail_len ? &m->tail[m->tail_len - 1] : "";
  bool line = *before == '\r' && c == '\n';
  bool last = *before == '-' && c == '-';
  *again = false;
  if (line || last) {
    bool ok = emit(m, MULTIPART_END, "", 0);
    m->in_part = false;
    m->header_len = 0;
    m->state = line ? HEADERS : DONE;
    return ok;
  }
  bool blank = c == ' ' || c == '\t';
  bool blank_before = *before == ' ' || *before == '\t';
  if (m->tail_len < sizeof(m->tail) &&
      (((blank || c == '\r') && (m->tail_len == 0 || blank_before)) ||
       (c == '-' && m->tail_len == 0))) {
    m->tail[m->tail_len++] = c;
    return true;
  }
  *again = true;
  return take_back(m);
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
      m->in_part = true;
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

bool multipart_feed(multipart *m, const char *data, size_t len) {
  const char *at = data, *end = data + len;
  bool ok = m->state != BROKEN, again;
  while (at < end && ok && m->state != DONE) {
    if (m->state == BODY) {
      at = feed_body(m, at, end, &ok);
    } else if (m->state == HEADERS) {
      ok = feed_header(m, *at++);
    } else {
      ok = feed_after(m, *at, &again);
      at += !again;
    }
  }
  if (!ok)
    m->state = BROKEN;
  return ok;
}
