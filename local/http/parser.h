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

/* What follows a head. */
typedef enum parser_next {
  PARSER_BODY,    /* what the head says */
  PARSER_NO_BODY, /* no body, whatever the head says */
  PARSER_TUNNEL,  /* another protocol */
  PARSER_BROKEN   /* the message is rejected */
} parser_next;

typedef enum parser_result {
  PARSER_OK, /* all input has been parsed, or the parser is paused */
  PARSER_HEAD_TOO_LARGE,
  PARSER_MALFORMED
} parser_result;

typedef struct parser parser;

typedef struct parser_hooks {
  void (*begun)(void *arg); /* the first byte has been received; may be NULL */
  parser_next (*head)(void *arg);
  bool (*body)(void *arg, const char *data, size_t len); /* false: no more */
  void (*complete)(void *arg);
} parser_hooks;

struct parser {
  /* The message; valid from the hook `head` on. */
  method method;
  const char *method_name;
  unsigned status;  /* of an answer */
  wrenn_buf text;   /* a request's target; an answer's reason */
  wrenn_buf fields; /* see fields.h; without trailers */
  unsigned minor;   /* of HTTP/1.x */
  bool chunked;
  int64_t length;  /* as the head says; -1: it does not */
  bool upgrade;    /* to another protocol */
  bool keep_alive; /* as the head says */

  /* How it is parsed. */
  bool answers;
  const parser_hooks *hooks;
  void *arg;
  struct parser_state *state;
  wrenn_buf name, value;
  bool in_value, headed;
};

/* Initializes a parser of requests, or of answers. False if memory is out. */
bool parser_init(parser *p, bool answers, const parser_hooks *hooks, void *arg);
void parser_free(parser *p);

/* Forgets the message, and frees its memory. */
void parser_clear(parser *p);

/* Parses further input; length 0 means the end of the connection. Sets *done to
 * the number of bytes consumed. */
parser_result parser_feed(parser *p, const char *data, size_t len,
                          size_t *done);

/* Stops after the part that the calling hook was told about, or before the next
 * input. parser_feed continues. */
void parser_pause(parser *p);

/* Treats the request as an ordinary one. */
void parser_refuse_upgrade(parser *p);

/* The memory that the message takes. */
size_t parser_memory(const parser *p);

/* Whether a body follows the head. */
bool parser_has_body(const parser *p);

/* "Not Found" for 404, and so on. */
const char *parser_status_text(int status);

#endif
