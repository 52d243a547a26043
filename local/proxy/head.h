/*
 * The port proxy's host names and message heads. No I/O. It decides what a host
 * name means, and which header lines are passed on. Header lines are text of
 * the form "Name: value" CRLF.
 */
#ifndef WRENN_LOCAL_PROXY_HEAD_H
#define WRENN_LOCAL_PROXY_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* Where services of a capsule are reached. */
#define PROXY_ADDRESS "127.0.0.1"

typedef struct proxy_name {
  long port; /* more than 65535 when there are that many digits */
  char id[64];
} proxy_name;

/* Parses "<port>-<capsule id>.<anything>"; false for other host names. The port
 * may be out of range and the id invalid: the name still means a port. */
bool proxy_name_read(const char *host, proxy_name *name);

/* How the end of a message's body is found. */
typedef struct proxy_body {
  bool chunked;
  int64_t length; /* -1: there is none, or it is not known */
} proxy_body;

typedef struct proxy_request_head {
  const char *method;
  const char *target; /* path and query */
  const wrenn_buf *fields;
  const char *client; /* its address */
  long port;
  bool upgrade;
  proxy_body body;
} proxy_request_head;

/* Appends the head for the service: Host is its own address, the client is
 * added to X-Forwarded-For, and the API key is removed. */
void proxy_put_request(wrenn_buf *out, const proxy_request_head *head);

typedef struct proxy_answer_head {
  int status;
  const wrenn_buf *reason;
  const wrenn_buf *fields;
  long port;
  proxy_body body;
  bool keep_alive;
} proxy_answer_head;

/* Appends the head for the client. A head with status 101 is passed on
 * unchanged. */
void proxy_put_answer(wrenn_buf *out, const proxy_answer_head *head);

#endif
