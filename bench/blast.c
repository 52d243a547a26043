/*
 * A server that costs next to nothing, so that the client is what is measured:
 *   blast       listens on a free port of 127.0.0.1, prints it and its own pid,
 *               and serves until its parent is gone
 * An upgrade is a command's stream. Its start frame holds the size of a frame's
 * data and the number of frames, "args":["64","1000000"]: they are sent as fast
 * as they are taken, prebuilt, then an exit frame and a close frame. Any other
 * request is answered with a capsule. One thread for each connection.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH ((size_t)256 * 1024)
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define CAPSULE "{\"id\":\"cl-1\",\"status\":\"running\"}"

static bool write_all(int fd, const char *data, size_t len) {
  while (len) {
    ssize_t put = send(fd, data, len, MSG_NOSIGNAL);
    if (put <= 0)
      return false;
    data += put;
    len -= (size_t)put;
  }
  return true;
}

/* Reads up to the empty line; what a client sends after it waits for us. */
static bool read_head(int fd, char *head, size_t size) {
  size_t len = 0;
  while (len + 1 < size) {
    ssize_t got = recv(fd, head + len, size - len - 1, MSG_PEEK);
    if (got <= 0)
      return false;
    head[len + (size_t)got] = '\0';
    char *end = strstr(head, "\r\n\r\n");
    size_t take = end ? (size_t)(end + 4 - head) - len : (size_t)got;
    if (recv(fd, head + len, take, 0) != (ssize_t)take)
      return false;
    len += take;
    head[len] = '\0';
    if (end)
      return true;
  }
  return false;
}

static bool upgrade(int fd, const char *key) {
  char text[256];
  unsigned char digest[SHA_DIGEST_LENGTH], accept[64];
  int len = snprintf(text, sizeof(text), "%.24s" GUID, key);
  SHA1((unsigned char *)text, (size_t)len, digest);
  EVP_EncodeBlock(accept, digest, sizeof(digest));
  len = snprintf(text, sizeof(text),
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 (char *)accept);
  return write_all(fd, text, (size_t)len);
}

/* Reads one masked frame of less than 64 KiB into a string. */
static bool read_frame(int fd, char *text, size_t size) {
  unsigned char head[8];
  if (recv(fd, head, 2, MSG_WAITALL) != 2)
    return false;
  size_t len = head[1] & 127;
  if (len == 126) {
    if (recv(fd, head, 2, MSG_WAITALL) != 2)
      return false;
    len = (size_t)head[0] << 8 | head[1];
  }
  if (len >= size || recv(fd, head, 4, MSG_WAITALL) != 4 ||
      recv(fd, text, len, MSG_WAITALL) != (ssize_t)len)
    return false;
  for (size_t i = 0; i < len; i++)
    text[i] = (char)(text[i] ^ head[i % 4]);
  text[len] = '\0';
  return true;
}

static size_t put_frame(char *out, const char *text, size_t len) {
  size_t at = 2;
  out[0] = (char)0x81;
  if (len < 126) {
    out[1] = (char)len;
  } else if (len < 65536) {
    out[1] = 126;
    out[2] = (char)(len >> 8);
    out[3] = (char)len;
    at = 4;
  } else {
    out[1] = 127;
    for (int i = 0; i < 8; i++)
      out[2 + i] = (char)((uint64_t)len >> (56 - 8 * i));
    at = 10;
  }
  memcpy(out + at, text, len);
  return at + len;
}

/* Lines of text, as programs print them: 63 characters and an escaped LF. */
static size_t put_stdout(char *out, char *text, size_t size) {
  size_t len = (size_t)sprintf(text, "{\"type\":\"stdout\",\"data\":\"");
  for (size_t i = 1; i <= size; i++) {
    text[len++] = i % 64 ? (char)('a' + i % 26) : '\\';
    if (i % 64 == 0)
      text[len++] = 'n';
  }
  len += (size_t)sprintf(text + len, "\"}");
  return put_frame(out, text, len);
}

static void blast(int fd, size_t size, size_t count) {
  static const char exit_frame[] = "{\"type\":\"exit\",\"exit_code\":0}";
  static const char close_frame[] = {(char)0x88, 2, 3, (char)0xe8};
  size_t room = size + size / 64 + 64;
  size_t copies = BATCH / room ? BATCH / room : 1;
  char *batch = malloc(copies * room), *text = malloc(room);
  char end[64];
  size_t frame = 0;
  if (!batch || !text)
    goto out;
  for (size_t i = 0; i < copies; i++)
    frame = put_stdout(batch + i * frame, text, size);
  for (; count >= copies; count -= copies)
    if (!write_all(fd, batch, copies * frame))
      goto out;
  if (!write_all(fd, batch, count * frame))
    goto out;
  size_t len = put_frame(end, exit_frame, sizeof(exit_frame) - 1);
  memcpy(end + len, close_frame, sizeof(close_frame));
  write_all(fd, end, len + sizeof(close_frame));

out:
  free(batch);
  free(text);
}

/* "args":["SIZE","COUNT"] */
static bool read_args(const char *text, size_t *size, size_t *count) {
  char *end;
  text += sizeof("\"args\":[\"") - 1;
  *size = strtoul(text, &end, 10);
  if (strncmp(end, "\",\"", 3) != 0)
    return false;
  *count = strtoul(end + 3, &end, 10);
  return *end == '"' && *size > 0;
}

static void *serve(void *arg) {
  static const char answer[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: 32\r\n\r\n" CAPSULE;
  int fd = (int)(intptr_t)arg, on = 1;
  char head[8192];
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  while (read_head(fd, head, sizeof(head))) {
    const char *key = strcasestr(head, "sec-websocket-key: ");
    if (!key) {
      if (!write_all(fd, answer, sizeof(answer) - 1))
        break;
      continue;
    }
    size_t size, count;
    if (upgrade(fd, strchr(key, ':') + 2) &&
        read_frame(fd, head, sizeof(head)) && strstr(head, "\"args\":") &&
        read_args(strstr(head, "\"args\":"), &size, &count))
      blast(fd, size, count);
    shutdown(fd, SHUT_WR);
    while (recv(fd, head, sizeof(head), 0) > 0)
      ;
    break;
  }
  close(fd);
  return NULL;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
      listen(listener, 64) ||
      getsockname(listener, (struct sockaddr *)&address, &len))
    return 1;
  printf("%d %d\n", ntohs(address.sin_port), (int)getpid());
  fflush(stdout);
  for (;;) {
    pthread_t thread;
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0 &&
        pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
      pthread_detach(thread);
  }
}
