#include "http/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends(char c) { return c == '\0' || c == '?'; }

bool route_match(const char *pattern, const char *path,
                 route_value values[ROUTE_VALUES]) {
  size_t count = 0;
  for (; *pattern; pattern++) {
    if (*pattern != ':') {
      if (*path != *pattern)
        return false;
      path++;
      continue;
    }
    size_t len = strcspn(path, "/?");
    if (len == 0 || count == ROUTE_VALUES)
      return false;
    values[count++] = (route_value){path, len};
    path += len;
  }
  return ends(*path);
}

bool route_below(const char *prefix, const char *path) {
  size_t len = strlen(prefix);
  return strncmp(path, prefix, len) == 0 &&
         (ends(path[len]) || path[len] == '/');
}

static int hex(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *decode(const route_value *value, bool plus) {
  char *text = malloc(value->len + 1), *out = text;
  const char *at = value->text, *end = at + value->len;
  while (text && at < end) {
    if (*at != '%') {
      *out = *at++;
      if (plus && *out == '+')
        *out = ' ';
      out++;
      continue;
    }
    int high = end - at > 2 ? hex(at[1]) : -1;
    int low = end - at > 2 ? hex(at[2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) {
      free(text);
      return NULL;
    }
    *out++ = (char)(high * 16 + low);
    at += 3;
  }
  if (text)
    *out = '\0';
  return text;
}

char *route_decode(const route_value *value) { return decode(value, false); }

/* Whether Go leaves a character of a path unescaped. */
static bool is_plain(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
         (c >= 'a' && c <= 'z') || (c && strchr("-_.~$&+,/:;=@", c));
}

/* Whether a path is escaped exactly as Go would escape it. */
static bool is_canonical(const char *path) {
  for (; !ends(*path); path++) {
    if (*path != '%') {
      if (!is_plain((unsigned char)*path))
        return false;
      continue;
    }
    int high = hex(path[1]), low = high < 0 ? -1 : hex(path[2]);
    if (low < 0 || is_plain((unsigned char)(high * 16 + low)) ||
        path[1] >= 'a' || path[2] >= 'a')
      return false;
    path += 2;
  }
  return true;
}

char *route_take(const char *path, const route_value *value) {
  char *text = route_decode(value);
  if (text && !is_canonical(path))
    snprintf(text, value->len + 1, "%.*s", (int)value->len, value->text);
  return text;
}

char *route_decode_query(const route_value *value) {
  return decode(value, true);
}
