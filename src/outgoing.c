#include "outgoing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "op.h"

bool wrenn_outgoing_put(wrenn_outgoing *out, const void *data, size_t len) {
  wrenn_buf_append(&out->queued, data, len);
  return !out->queued.oom;
}

wrenn_status wrenn_outgoing_put_file(wrenn_outgoing *out, int fd, uint64_t at,
                                     uint64_t len) {
  if (out->file || at > INT64_MAX || len > INT64_MAX - at)
    return WRENN_E_ARGUMENT;
  wrenn_buf_append(&out->sending, out->queued.data, out->queued.len);
  if (out->sending.oom)
    return WRENN_E_MEMORY;
  wrenn_buf_clear(&out->queued);
  if (!len)
    return WRENN_OK;
  int own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (own < 0)
    return errno == EBADF ? WRENN_E_ARGUMENT : WRENN_E_SYSTEM;
  if (!wrenn_fd_to_spare(own)) {
    close(own);
    return WRENN_E_SYSTEM;
  }
  out->file = own;
  out->at = at;
  out->left = len;
  return WRENN_OK;
}

size_t wrenn_outgoing_held(const wrenn_outgoing *out) {
  return out->sending.len - out->sent + out->queued.len;
}

bool wrenn_outgoing_is_empty(const wrenn_outgoing *out) {
  return !out->file && wrenn_outgoing_held(out) == 0;
}

static size_t take_bytes(wrenn_outgoing *out, char *dst, size_t room) {
  if (out->sent == out->sending.len && !out->file) {
    wrenn_buf spent = out->sending;
    out->sending = out->queued;
    out->queued = spent;
    wrenn_buf_clear(&out->queued);
    out->sent = 0;
  }
  size_t len = out->sending.len - out->sent;
  if (len > room)
    len = room;
  if (len)
    memcpy(dst, out->sending.data + out->sent, len);
  out->sent += len;
  return len;
}

static void close_file(wrenn_outgoing *out) {
  if (out->file)
    close(out->file);
  out->file = 0;
}

/* By its own position: the caller's descriptor shares that of the file. */
static bool take_file(wrenn_outgoing *out, char *dst, size_t room,
                      size_t *taken) {
  ssize_t got;
  if (room > out->left)
    room = (size_t)out->left;
  do
    got = pread(out->file, dst, room, (off_t)out->at);
  while (got < 0 && errno == EINTR);
  if (got <= 0) {
    out->error = got < 0 ? errno : 0;
    return false;
  }
  *taken = (size_t)got;
  out->at += *taken;
  out->left -= *taken;
  if (!out->left)
    close_file(out);
  return true;
}

bool wrenn_outgoing_take(wrenn_outgoing *out, char *dst, size_t room,
                         size_t *taken) {
  *taken = 0;
  while (*taken < room && !wrenn_outgoing_is_empty(out)) {
    size_t len = take_bytes(out, dst + *taken, room - *taken);
    if (!len && !take_file(out, dst + *taken, room - *taken, &len))
      return false;
    *taken += len;
  }
  return true;
}

void wrenn_outgoing_free(wrenn_outgoing *out) {
  close_file(out);
  wrenn_buf_free(&out->sending);
  wrenn_buf_free(&out->queued);
}
