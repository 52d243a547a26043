/*
 * The failures of requests, each with a name, and the status, code and wording
 * of each generation for them.
 */
#ifndef WRENN_LOCAL_API_FAULT_H
#define WRENN_LOCAL_API_FAULT_H

#include "http/conn.h"

typedef enum fault {
  FAULT_NONE,
  FAULT_NO_KEY,
  FAULT_WRONG_KEY,
  FAULT_TOKEN,        /* a token: there are none */
  FAULT_SESSION_ONLY, /* served to signed-in people only */
  FAULT_CAPSULE_ID,
  FAULT_NO_CAPSULE,
  FAULT_AWAY,            /* text: its id */
  FAULT_NOT_RUNNING,     /* text: the status */
  FAULT_FILES_NOT_READY, /* the same, from the file endpoints */
  FAULT_CANNOT_PAUSE,    /* text: the status */
  FAULT_CANNOT_RESUME,   /* text: the status */
  FAULT_NOT_DONE,        /* a change of status; text: the status now */
  FAULT_JSON,
  FAULT_REQUEST,    /* text: the message */
  FAULT_FIELD,      /* text: the field of the body that is missing */
  FAULT_FORM_FIELD, /* text: the part of the form that is missing */
  FAULT_NO_FORM,
  FAULT_NO_BOUNDARY, /* of a streamed form */
  FAULT_FORM,        /* the form is malformed */
  FAULT_CUT_FILE,    /* the body ends within the file */
  FAULT_METADATA,    /* text: what is wrong with it */
  FAULT_TEMPLATE_NAME,
  FAULT_SNAPSHOT_NAME,
  FAULT_NO_TEMPLATE, /* these three: text: the name */
  FAULT_NO_BASE,     /* for a new capsule; text: the name */
  FAULT_NO_ROOM,     /* for one more capsule */
  FAULT_OPEN_FILES,  /* too many; text: the message */
  FAULT_UNREACHABLE, /* the capsule's sandbox is ending */
  FAULT_NOT_FOUND,   /* text: the message */
  FAULT_CONFLICT,    /* text: the message */
  FAULT_AGENT,       /* something inside has failed; text: what */
  FAULT_EXEC,        /* a command has; text: why */
  FAULT_CWD,         /* of a command in the foreground; text: the message */
  FAULT_TIMEOUT,
  FAULT_FILE_SIZE,
  FAULT_BODY_SIZE,
  FAULT_MEMORY
} fault;

/* Answers the request with a fault. `text` is as listed above, or NULL. */
void api_reply_fault(conn *c, fault what, const char *text);

/* For failures with a single place of origin. The answer is
 * {"error":{"code":...,"message":...}} with the additions of the generation. */
void api_reply_error(conn *c, int status, const char *code, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));

/* The same, with a message that is complete and with one member of `details`,
 * which only generations with typed errors show. */
void api_reply_details(conn *c, int status, const char *code, const char *name,
                       const char *value, const char *message);

#endif
