/*
 * The port proxy's names and heads. No I/O: what a host name means, and which
 * header lines go on to the other side. Header lines are text of the form
 * "Name: value" CRLF.
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

/* Reads "<port>-<capsule id>.<anything>"; false for any other host name. The
 * port may be out of range and the id no id: whoever wrote it means a port. */
bool proxy_name_read(const char *host, proxy_name *name);

/* How a message's body is told from what follows. */
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

/* Appends the head that the service gets: Host is its own address, the client
 * is added to X-Forwarded-For, and the API key stays behind. */
void proxy_put_request(wrenn_buf *out, const proxy_request_head *head);

typedef struct proxy_answer_head {
  int status;
  const wrenn_buf *reason;
  const wrenn_buf *fields;
  long port;
  proxy_body body;
  bool keep_alive;
} proxy_answer_head;

/* Appends the head that the client gets. One with status 101 goes on as it
 * is. */
void proxy_put_answer(wrenn_buf *out, const proxy_answer_head *head);

#endif
