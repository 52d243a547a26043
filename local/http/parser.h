/* HTTP/1.1 messages as they arrive: requests, or the answers of a service. */
#ifndef WRENN_LOCAL_HTTP_PARSER_H
#define WRENN_LOCAL_HTTP_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

typedef enum method {
  METHOD_OTHER,
  METHOD_CONNECT,
  METHOD_DELETE,
  METHOD_GET,
  METHOD_HEAD,
  METHOD_PATCH,
  METHOD_POST,
  METHOD_PUT
} method;

/* What is to follow a head. */
typedef enum parser_next {
  PARSER_BODY,    /* what the head says */
  PARSER_NO_BODY, /* nothing, whatever it says */
  PARSER_TUNNEL,  /* nothing that is HTTP */
  PARSER_BROKEN   /* the message is not taken */
} parser_next;

typedef enum parser_result {
  PARSER_OK, /* it is at the end of the input, or paused */
  PARSER_HEAD_TOO_LARGE,
  PARSER_MALFORMED
} parser_result;

typedef struct parser parser;

typedef struct parser_hooks {
  void (*begun)(void *arg); /* the first byte is there; or NULL */
  parser_next (*head)(void *arg);
  bool (*body)(void *arg, const char *data, size_t len); /* false: no more */
  void (*complete)(void *arg);
} parser_hooks;

struct parser {
  /* The message, from the hook `head` on. */
  method method;
  const char *method_name;
  unsigned status;  /* of an answer */
  wrenn_buf text;   /* a request's target; an answer's reason */
  wrenn_buf fields; /* as in fields.h, without trailers */
  unsigned minor;   /* of HTTP/1.x */
  bool chunked;
  int64_t length;  /* that the head tells; -1: none */
  bool upgrade;    /* to another protocol */
  bool keep_alive; /* as the head has it */

  /* How it is parsed. */
  bool answers;
  const parser_hooks *hooks;
  void *arg;
  struct parser_state *state;
  wrenn_buf name, value;
  bool in_value, headed;
};

/* Prepares to read requests, or answers. False when memory is out. */
bool parser_init(parser *p, bool answers, const parser_hooks *hooks, void *arg);
void parser_free(parser *p);

/* Forgets the message. */
void parser_clear(parser *p);

/* Parses on, a length of 0 for the end of it all; *done is how much of the
 * input it has taken. */
parser_result parser_feed(parser *p, const char *data, size_t len,
                          size_t *done);

/* Stops behind what the hook that calls this was told of; or before the next
 * input. Feeding goes on. */
void parser_pause(parser *p);

/* Of a request: it is one like all others. */
void parser_refuse_upgrade(parser *p);

/* Whether a body follows the head. */
bool parser_has_body(const parser *p);

/* "Not Found" for 404, and so on. */
const char *parser_status_text(int status);

#endif
