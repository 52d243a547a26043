#include "box/channel.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define INLINE_MAX ((size_t)32 * 1024)

/* The first byte of a packet says where the text is. */
#define INLINE 'i'
#define IN_MEMFD 'm'

int channel_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int write_all(int fd, const char *data, size_t len) {
  while (len) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return -1;
    data += n;
    len -= (size_t)n;
  }
  return 0;
}

static channel_status send_packet(int fd, char kind, const char *text,
                                  size_t len, const int *fds, int fd_count) {
  union {
    char bytes[CMSG_SPACE((CHANNEL_FDS + 1) * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec parts[2] = {{&kind, 1}, {(void *)text, len}};
  struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
  if (fd_count > 0) {
    size_t size = (size_t)fd_count * sizeof(int);
    memset(&control, 0, sizeof(control));
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(first), fds, size);
  }
  ssize_t n;
  do
    n = sendmsg(fd, &header, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0)
    return CHANNEL_OK;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
    return CHANNEL_AGAIN;
  return errno == EPIPE || errno == ECONNRESET ? CHANNEL_CLOSED
                                               : CHANNEL_FAILED;
}

channel_status channel_send(int fd, const char *text, size_t len,
                            const int *fds, int fd_count) {
  if (len <= INLINE_MAX)
    return send_packet(fd, INLINE, text, len, fds, fd_count);
  channel_status status = CHANNEL_FAILED;
  int all[CHANNEL_FDS + 1];
  if (len > CHANNEL_MAX)
    return CHANNEL_FAILED;
  all[0] = memfd_create("wrenn-message", MFD_CLOEXEC);
  if (all[0] < 0)
    return CHANNEL_FAILED;
  for (int i = 0; i < fd_count; i++)
    all[i + 1] = fds[i];
  if (write_all(all[0], text, len) == 0)
    status = send_packet(fd, IN_MEMFD, NULL, 0, all, fd_count + 1);
  close(all[0]);
  return status;
}

/* Reads the text from the first descriptor, and closes that. */
static int read_memfd(channel_message *message) {
  int fd = message->fds[0], rc = -1;
  struct stat info;
  wrenn_buf *text = &message->text;
  text->len = 0;
  message->fd_count--;
  memmove(message->fds, message->fds + 1,
          (size_t)message->fd_count * sizeof(int));
  if (fstat(fd, &info) || info.st_size < 0 ||
      (size_t)info.st_size > CHANNEL_MAX ||
      !wrenn_buf_reserve(text, (size_t)info.st_size))
    goto out;
  while (text->len < (size_t)info.st_size) {
    ssize_t n = pread(fd, text->data + text->len,
                      (size_t)info.st_size - text->len, (off_t)text->len);
    if (n <= 0)
      goto out;
    text->len += (size_t)n;
  }
  rc = 0;

out:
  close(fd);
  return rc;
}

static void take_fds(struct msghdr *header, channel_message *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c;
       c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    size_t size = c->cmsg_len - CMSG_LEN(0);
    message->fd_count = (int)(size / sizeof(int));
    memcpy(message->fds, CMSG_DATA(c), size);
  }
}

channel_status channel_receive(int fd, channel_message *message) {
  union {
    char bytes[CMSG_SPACE((CHANNEL_FDS + 1) * sizeof(int))];
    struct cmsghdr align;
  } control;
  char kind = 0;
  ssize_t n;
  *message = (channel_message){0};
  if (!wrenn_buf_reserve(&message->text, INLINE_MAX))
    return CHANNEL_FAILED;
  struct iovec parts[2] = {{&kind, 1}, {message->text.data, INLINE_MAX}};
  struct msghdr header = {.msg_iov = parts,
                          .msg_iovlen = 2,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control)};
  do
    n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n <= 0) {
    wrenn_buf_free(&message->text);
    if (n == 0 || errno == ECONNRESET)
      return CHANNEL_CLOSED;
    return errno == EAGAIN || errno == EWOULDBLOCK ? CHANNEL_AGAIN
                                                   : CHANNEL_FAILED;
  }
  take_fds(&header, message);
  message->text.len = (size_t)n - 1;
  if (kind == INLINE || (message->fd_count > 0 && read_memfd(message) == 0))
    return CHANNEL_OK;
  channel_drop(message);
  return CHANNEL_FAILED;
}

void channel_drop(channel_message *message) {
  for (int i = 0; i < message->fd_count; i++)
    close(message->fds[i]);
  message->fd_count = 0;
  wrenn_buf_free(&message->text);
}
