/*
 * What has failed inside a capsule, as the API says so: the real server hands
 * reasons on through several layers, each of which puts something in front.
 */
#ifndef WRENN_LOCAL_API_GUEST_FAULT_H
#define WRENN_LOCAL_API_GUEST_FAULT_H

#include "api/fault.h"
#include "buf.h"
#include "model/generation.h"

/* What was tried. */
typedef enum guest_call {
  GUEST_READ,
  GUEST_WRITE,
  GUEST_STREAM_WRITE,
  GUEST_LIST,
  GUEST_MKDIR,
  GUEST_REMOVE,
  GUEST_EXEC,
  GUEST_BACKGROUND,
  GUEST_KILL
} guest_call;

/* Reads the agent's failure, its kind and text as in sandbox_reply; `path` is
 * that of a file, or NULL. Appends what the fault returned has as its text. */
fault guest_fault(const traits *t, guest_call call, const char *path,
                  const char *error, const char *text, wrenn_buf *message);

/* Answers a request with it. */
void api_reply_guest(conn *c, guest_call call, const char *path,
                     const char *error, const char *text);

#endif
