/*
 * The channel between wrenn-local and the agent in a capsule: messages of JSON
 * text, each with up to CHANNEL_FDS file descriptors, over a SOCK_SEQPACKET
 * socket. A message too large for one packet is passed as a memfd, which
 * neither side notices.
 */
#ifndef WRENN_LOCAL_BOX_CHANNEL_H
#define WRENN_LOCAL_BOX_CHANNEL_H

#include <stddef.h>

#include "buf.h"

#define CHANNEL_FDS 3
/* The longest message. */
#define CHANNEL_MAX ((size_t)256 * 1024 * 1024)

typedef struct channel_message {
  wrenn_buf text;
  int fds[CHANNEL_FDS + 1]; /* the receiver's, to close */
  int fd_count;
} channel_message;

typedef enum channel_status {
  CHANNEL_OK,
  CHANNEL_AGAIN,  /* not now: the socket is full, or empty */
  CHANNEL_CLOSED, /* the other side is gone */
  CHANNEL_FAILED  /* errno */
} channel_status;

/* Creates both ends, close-on-exec. Returns 0 or -1. */
int channel_pair(int ends[2]);

/* Sends copies of the text and the descriptors, which remain the caller's. */
channel_status channel_send(int fd, const char *text, size_t len,
                            const int *fds, int fd_count);

/* Receives one message into a zeroed struct; close it with channel_drop. */
channel_status channel_receive(int fd, channel_message *message);

/* Frees a message and closes the descriptors that are still in it. */
void channel_drop(channel_message *message);

#endif
