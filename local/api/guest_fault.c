#include "api/guest_fault.h"

#include <string.h>

#include "api/server.h"
#include "util/json_out.h"

/* The agent's kinds of failures, with their names in the two protocols of the
 * guest daemon. */
static const struct {
  const char *error, *code;
  int status;
  fault fault;
} kinds[] = {{"not_found", "not_found", 404, FAULT_NOT_FOUND},
             {"exists", "already_exists", 409, FAULT_CONFLICT},
             {"invalid", "invalid_argument", 400, FAULT_REQUEST},
             {"no_cwd", "invalid_argument", 400, FAULT_CWD},
             {"full", "resource_exhausted", 507, FAULT_AGENT},
             {"failed", "internal", 500, FAULT_AGENT}};

static size_t kind_of(const char *error) {
  size_t last = sizeof(kinds) / sizeof(kinds[0]) - 1, i = 0;
  while (i < last && strcmp(kinds[i].error, error) != 0)
    i++;
  return i;
}

/* The prefixes of the layers, and what remains of the kind after them. */
static const struct {
  const char *front;
  bool by_http;     /* in between: an HTTP status and its JSON */
  bool with_path;   /* in front: the path, too */
  bool is_internal; /* for the outer layers, whatever the kind was */
  bool told;        /* also where errors are typed */
} calls[] = {
    [GUEST_READ] = {"internal: read file: read file ", true, true, true, false},
    [GUEST_WRITE] = {"internal: write file: write file ", true, true, true,
                     false},
    [GUEST_STREAM_WRITE] = {"internal: envd write", true, false, true, false},
    [GUEST_LIST] = {"internal: list dir: list dir: ", false, false, true, true},
    [GUEST_MKDIR] = {"", false, false, false, true},
    [GUEST_REMOVE] = {"internal: remove: remove: ", false, false, true, false},
    [GUEST_EXEC] = {"internal: exec: stream error: ", false, false, true, true},
    [GUEST_BACKGROUND] = {"internal: start background: start background "
                          "process stream: ",
                          false, false, true, false},
    [GUEST_KILL] = {"not_found: kill process: ", false, false, false, false},
};

static void put_http(wrenn_buf *message, guest_call call, const char *path,
                     int status, const char *text) {
  if (calls[call].with_path)
    wrenn_buf_puts(message, path);
  wrenn_buf_printf(message, ": status %d: ", status);
  json_object(message, NULL);
  json_int(message, "code", status);
  json_text(message, "message", text);
  json_object_end(message);
}

fault guest_fault(const traits *t, guest_call call, const char *path,
                  const char *error, const char *text, wrenn_buf *message) {
  size_t kind = kind_of(error);
  if (t->friendly || (t->typed_errors && calls[call].told)) {
    wrenn_buf_puts(message, text);
    return kinds[kind].fault;
  }
  wrenn_buf_puts(message, calls[call].front);
  if (calls[call].by_http) {
    put_http(message, call, path, kinds[kind].status, text);
  } else {
    /* The agent knows what is missing; the real guest daemon does not say
     * so. */
    bool removed = call == GUEST_REMOVE;
    wrenn_buf_printf(message, "%s: %s", removed ? "internal" : kinds[kind].code,
                     text);
  }
  if (calls[call].is_internal || t->typed_errors)
    return FAULT_AGENT;
  return kinds[kind].fault;
}

void api_reply_guest(conn *c, guest_call call, const char *path,
                     const char *error, const char *text) {
  wrenn_buf message = {0};
  fault what =
      guest_fault(server_of(c)->traits, call, path, error, text, &message);
  wrenn_buf_append(&message, "", 1); /* ends the text */
  if (message.oom)
    conn_abort(c);
  else
    api_reply_fault(c, what, message.data);
  wrenn_buf_free(&message);
}
