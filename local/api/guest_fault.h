/*
 * The messages for failures inside a capsule. On the real server a reason
 * passes through several layers, each of which adds a prefix.
 */
#ifndef WRENN_LOCAL_API_GUEST_FAULT_H
#define WRENN_LOCAL_API_GUEST_FAULT_H

#include "api/fault.h"
#include "buf.h"
#include "model/generation.h"

/* The operation that failed. */
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

/* Reads the agent's failure (kind and text as in sandbox_reply); `path` is that
 * of a file, or NULL. Appends the text for the returned fault. */
fault guest_fault(const traits *t, guest_call call, const char *path,
                  const char *error, const char *text, wrenn_buf *message);

/* Answers a request with such a failure. */
void api_reply_guest(conn *c, guest_call call, const char *path,
                     const char *error, const char *text);

#endif
