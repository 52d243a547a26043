#include "ws_upgrade.h"

#include <string.h>

typedef struct agreed {
  bool upgrade, connection, accepted;
} agreed;

static const char *read_line(agreed *agreed, const char *line, size_t len,
                             const char *accept, const char *protocols) {
  const char *value;
  if ((value = wrenn_answer_value(line, &len, "Upgrade"))) {
    agreed->upgrade =
        agreed->upgrade || wrenn_answer_has_word(value, len, "websocket", 9);
  } else if ((value = wrenn_answer_value(line, &len, "Connection"))) {
    agreed->connection =
        agreed->connection || wrenn_answer_has_word(value, len, "upgrade", 7);
  } else if ((value = wrenn_answer_value(line, &len, "Sec-WebSocket-Accept"))) {
    if (len != strlen(accept) || memcmp(value, accept, len))
      return "Sec-WebSocket-Accept does not fit the key";
    agreed->accepted = true;
  } else if (wrenn_answer_value(line, &len, "Sec-WebSocket-Extensions")) {
    return "the server chose an extension that nobody asked for";
  } else if ((value =
                  wrenn_answer_value(line, &len, "Sec-WebSocket-Protocol"))) {
    if (!protocols ||
        !wrenn_answer_has_word(protocols, strlen(protocols), value, len))
      return "the server chose a protocol that nobody asked for";
  }
  return NULL;
}

const char *wrenn_ws_upgrade_fault(const wrenn_answer *answer,
                                   const char *accept, const char *protocols) {
  agreed agreed = {false, false, false};
  const char *why = NULL, *at = answer->head.data;
  const char *end = at ? at + answer->head.len : NULL;
  while (at < end && !why) {
    const char *eol = memchr(at, '\n', (size_t)(end - at)); /* behind each */
    why = read_line(&agreed, at, (size_t)(eol - at) - 1, accept, protocols);
    at = eol + 1;
  }
  if (why)
    return why;
  if (!agreed.upgrade || !agreed.connection)
    return "the 101 is not for a WebSocket";
  return agreed.accepted ? NULL : "the 101 has no Sec-WebSocket-Accept";
}
