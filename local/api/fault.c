#include "api/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/server.h"
#include "util/json_out.h"

/* The wording of one generation. A %s in the message stands for the text. */
typedef struct wording {
  int status;
  const char *code, *message;
} wording;

/* The rules for names; %s is the invalid name. */
#define NAME_RULE                                                              \
  "name \"%s\" contains invalid characters or is too long (max 64, must "      \
  "match ^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$)"

#define INTERNAL                                                               \
  {                                                                            \
    500, "internal_error",                                                     \
        "Something went wrong on our end. Try again; if it keeps failing, "    \
        "contact support with the request ID."                                 \
  }

static const struct {
  wording plain, typed; /* up to 0.2.2, from 0.3 on */
  const char *detail;   /* a member of `details`, if there is one, */
  const char *value;    /* and its value: the text when this is NULL */
} faults[] = {
    [FAULT_NO_KEY] = {{401, "unauthorized",
                       "X-API-Key or Authorization: Bearer <token> required"},
                      {401, "auth_session_required",
                       "A valid session or API key is required."},
                      NULL,
                      NULL},
    [FAULT_WRONG_KEY] = {{401, "unauthorized", "invalid API key"},
                         {401, "auth_invalid_api_key", "Invalid API key."},
                         NULL,
                         NULL},
    [FAULT_TOKEN] = {{401, "unauthorized", "invalid or expired token"},
                     {401, "auth_session_required",
                      "A valid session or API key is required."},
                     NULL,
                     NULL},
    [FAULT_SESSION_ONLY] = {{401, "unauthorized", "a user session is required"},
                            {401, "auth_session_required",
                             "A valid session or API key is required."},
                            NULL,
                            NULL},
    [FAULT_CAPSULE_ID] = {{400, "invalid_request", "invalid sandbox ID"},
                          {400, "invalid_request", "Invalid sandbox ID."},
                          NULL,
                          NULL},
    [FAULT_NO_CAPSULE] = {{404, "not_found", "sandbox not found"},
                          {404, "sandbox_not_found", "Sandbox not found."},
                          NULL,
                          NULL},
    [FAULT_AWAY] = {{404, "not_found", "not_found: sandbox not found: %s"},
                    {404, "sandbox_not_found", "Sandbox not found."},
                    NULL,
                    NULL},
    [FAULT_NOT_RUNNING] = {{409, "invalid_state",
                            "sandbox is not running (status: %s)"},
                           {409, "sandbox_not_running",
                            "Sandbox is not running."},
                           "status",
                           NULL},
    [FAULT_FILES_NOT_READY] = {{409, "invalid_state", "sandbox is not running"},
                               {409, "sandbox_not_running",
                                "Sandbox is not running."},
                               "status",
                               NULL},
    [FAULT_CANNOT_PAUSE] = {{409, "invalid_state", "resource is not running"},
                            {409, "sandbox_not_running",
                             "Sandbox is not running."},
                            "status",
                            NULL},
    [FAULT_CANNOT_RESUME] = {{409, "invalid_state", "resource is not paused"},
                             {409, "sandbox_not_paused",
                              "Sandbox is not paused."},
                             "status",
                             NULL},
    [FAULT_NOT_DONE] = {{502, "agent_error",
                         "internal: the sandbox has become: %s"},
                        INTERNAL,
                        NULL,
                        NULL},
    [FAULT_JSON] = {{400, "invalid_request", "invalid JSON body"},
                    {400, "invalid_request", "Invalid JSON body."},
                    NULL,
                    NULL},
    [FAULT_REQUEST] = {{400, "invalid_request", "%s"},
                       {400, "invalid_request", "%s"},
                       NULL,
                       NULL},
    [FAULT_FIELD] = {{400, "invalid_request", "%s is required"},
                     {400, "validation_failed", "The %s field is required."},
                     "field",
                     NULL},
    [FAULT_FORM_FIELD] = {{400, "invalid_request", "%s field is required"},
                          {400, "validation_failed",
                           "The %s field is required."},
                          "field",
                          NULL},
    [FAULT_NO_FORM] = {{400, "invalid_request", "expected multipart/form-data"},
                       {400, "invalid_request",
                        "Expected multipart/form-data."},
                       NULL,
                       NULL},
    [FAULT_NO_BOUNDARY] = {{400, "invalid_request",
                            "expected multipart/form-data with boundary"},
                           {400, "invalid_request",
                            "Expected multipart/form-data with a boundary."},
                           NULL,
                           NULL},
    [FAULT_FORM] = {{400, "invalid_request", "failed to parse multipart"},
                    {400, "invalid_request",
                     "Failed to parse the multipart form."},
                    NULL,
                    NULL},
    [FAULT_CUT_FILE] = {{500, "read_error", "failed to read uploaded file"},
                        {500, "internal_error",
                         "Failed to read the uploaded file."},
                        NULL,
                        NULL},
    [FAULT_METADATA] = {{400, "invalid_request", "invalid metadata: %s"},
                        {400, "validation_failed", "Invalid metadata: %s"},
                        "field",
                        "metadata"},
    [FAULT_TEMPLATE_NAME] = {{400, "invalid_request", "invalid request"},
                             {400, "validation_failed",
                              "Invalid template reference: " NAME_RULE "."},
                             NULL,
                             NULL},
    [FAULT_SNAPSHOT_NAME] = {{400, "invalid_request",
                              "invalid snapshot name: " NAME_RULE},
                             {400, "invalid_request", "Invalid snapshot name."},
                             NULL,
                             NULL},
    [FAULT_NO_TEMPLATE] = {{404, "not_found", "template not found"},
                           {404, "template_not_found",
                            "Template \"%s\" not found."},
                           NULL,
                           NULL},
    [FAULT_NO_BASE] = {{404, "not_found", "resource not found"},
                       {404, "template_not_found",
                        "Template \"%s\" not found."},
                       NULL,
                       NULL},
    [FAULT_NO_ROOM] = {{503, "no_hosts_available",
                        "no servers available — try again later"},
                       {503, "capacity_unavailable",
                        "No servers are available. Try again later."},
                       NULL,
                       NULL},
    [FAULT_OPEN_FILES] = {{503, "host_unavailable", "%s"},
                          {503, "service_unavailable", "%s"},
                          NULL,
                          NULL},
    [FAULT_UNREACHABLE] = {{503, "host_unavailable",
                            "sandbox host is not reachable"},
                           {502, "host_unreachable",
                            "Sandbox host is not reachable."},
                           NULL,
                           NULL},
    [FAULT_NOT_FOUND] = {{404, "not_found", "%s"},
                         {404, "not_found", "%s"},
                         NULL,
                         NULL},
    [FAULT_CONFLICT] = {{409, "conflict", "%s"},
                        {409, "conflict", "%s"},
                        NULL,
                        NULL},
    [FAULT_AGENT] = {{502, "agent_error", "%s"}, INTERNAL, NULL, NULL},
    [FAULT_EXEC] = {{502, "agent_error", "internal: exec: stream error: %s"},
                    INTERNAL,
                    NULL,
                    NULL},
    [FAULT_CWD] = {{502, "agent_error", "%s"},
                   {400, "invalid_request", "%s"},
                   NULL,
                   NULL},
    [FAULT_TIMEOUT] =
        {{502, "agent_error",
          "internal: exec: stream error: deadline_exceeded: context "
          "deadline exceeded"},
         {504, "timeout", "The operation timed out. Try again."},
         NULL,
         NULL},
    [FAULT_FILE_SIZE] = {{413, "too_large", "file exceeds 100 MB limit"},
                         {413, "payload_too_large",
                          "File exceeds the 100 MB limit."},
                         NULL,
                         NULL},
    [FAULT_BODY_SIZE] = {{413, "too_large", "request body too large"},
                         {413, "payload_too_large", "Request body too large."},
                         NULL,
                         NULL},
    [FAULT_MEMORY] = {{500, "internal_error", "out of memory"},
                      INTERNAL,
                      NULL,
                      NULL},
};

static bool is_retryable(const char *code) {
  static const char *const codes[] = {
      "rate_limited",     "sandbox_unresponsive",
      "host_unreachable", "service_unavailable",
      "host_draining",    "capacity_unavailable",
      "timeout"};
  for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
    if (strcmp(codes[i], code) == 0)
      return true;
  return false;
}

void api_reply_details(conn *c, int status, const char *code, const char *name,
                       const char *value, const char *message) {
  wrenn_buf json = {0};
  json_object(&json, NULL);
  json_object(&json, "error");
  json_text(&json, "code", code);
  json_text(&json, "message", message);
  if (server_of(c)->traits->typed_errors) {
    json_text(&json, "request_id", conn_request_id(c));
    json_bool(&json, "retryable", is_retryable(code));
    if (name && value) {
      json_object(&json, "details");
      json_text(&json, name, value);
      json_object_end(&json);
    }
  }
  json_object_end(&json);
  json_object_end(&json);
  conn_reply_json(c, status, &json);
}

void api_reply_error(conn *c, int status, const char *code, const char *format,
                     ...) {
  char message[5000];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  api_reply_details(c, status, code, NULL, NULL, message);
}

void api_reply_fault(conn *c, fault what, const char *text) {
  const wording *w = server_of(c)->traits->typed_errors ? &faults[what].typed
                                                        : &faults[what].plain;
  const char *value = faults[what].value ? faults[what].value : text;
  const char *mark = strstr(w->message, "%s");
  wrenn_buf message = {0};
  wrenn_buf_append(&message, w->message,
                   mark ? (size_t)(mark - w->message) : strlen(w->message));
  if (mark) {
    wrenn_buf_puts(&message, text ? text : "");
    wrenn_buf_puts(&message, mark + 2);
  }
  wrenn_buf_append(&message, "", 1); /* ends the text */
  if (message.oom)
    conn_abort(c);
  else
    api_reply_details(c, w->status, w->code, faults[what].detail, value,
                      message.data);
  wrenn_buf_free(&message);
}
