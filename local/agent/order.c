/* What an order says, and what is wrong with it. */
#include "agent/agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void agent_fail(agent_reply *reply, const char *error, const char *format,
                ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  reply->error = error;
  wrenn_buf_clear(&reply->detail);
  wrenn_buf_puts(&reply->detail, text);
}

char *agent_string(const wrenn_json *order, const char *name) {
  wrenn_json value;
  if (!wrenn_json_get(order, name, &value) || value.type != WRENN_JSON_STRING)
    return NULL;
  char *text = malloc(value.len + 1);
  if (!text)
    return NULL;
  size_t len = wrenn_json_decode(&value, text);
  text[len] = '\0';
  if (strlen(text) == len)
    return text;
  free(text);
  return NULL;
}

void agent_fail_errno(agent_reply *reply, const char *what) {
  int number = errno;
  agent_fail(reply, "failed", "%s: %s (os error %d)", what, strerror(number),
             number);
}

/* As in the real guest daemon, the links of a relative path are followed here,
 * so that even its last name stands for its target. */
static char *follow_links(char *path) {
  char *real = realpath(path, NULL);
  if (!real)
    return path; /* it does not exist, or not yet */
  free(path);
  return real;
}

char *agent_path(const agent *a, const wrenn_json *order, const char *name,
                 agent_reply *reply) {
  char *given = agent_string(order, name), *full = NULL;
  const char *rest = given;
  if (!given) {
    agent_fail(reply, "invalid", "malformed path");
    return NULL;
  }
  if (given[0] == '/')
    return given;
  if (given[0] == '~') {
    rest = given + 1;
    if (*rest != '\0' && *rest != '/') {
      agent_fail(reply, "invalid", "cannot expand user-specific home dir");
      goto out;
    }
    rest += *rest == '/';
  }
  size_t size = strlen(a->home) + strlen(rest) + 2;
  full = malloc(size);
  if (full)
    snprintf(full, size, "%s%s%s", a->home, *rest ? "/" : "", rest);
  if (full && given[0] != '~')
    full = follow_links(full);
  if (!full)
    agent_fail(reply, "failed", "out of memory");

out:
  free(given);
  return full;
}
