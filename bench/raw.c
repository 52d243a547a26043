#include "raw.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool start_tls(raw *r, const char *ca_file) {
  r->context = SSL_CTX_new(TLS_client_method());
  if (!r->context || !SSL_CTX_load_verify_locations(r->context, ca_file, NULL))
    return false;
  SSL_CTX_set_verify(r->context, SSL_VERIFY_PEER, NULL);
  r->ssl = SSL_new(r->context);
  return r->ssl && SSL_set_fd(r->ssl, r->fd) == 1 && SSL_connect(r->ssl) == 1;
}

bool raw_connect(raw *r, const char *host, const char *port,
                 const char *ca_file) {
  int on = 1;
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
  *r = (raw){.fd = socket(AF_INET, SOCK_STREAM, 0)};
  if (r->fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1)
    return false;
  setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return connect(r->fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
         (!ca_file || start_tls(r, ca_file));
}

void raw_close(raw *r) {
  SSL_free(r->ssl);
  SSL_CTX_free(r->context);
  if (r->fd >= 0)
    close(r->fd);
}

ssize_t raw_read(raw *r, void *data, size_t len) {
  return r->ssl ? SSL_read(r->ssl, data, (int)len) : read(r->fd, data, len);
}

bool raw_read_all(raw *r, void *data, size_t len) {
  char *at = data;
  while (len) {
    ssize_t got = raw_read(r, at, len);
    if (got <= 0)
      return false;
    at += got;
    len -= (size_t)got;
  }
  return true;
}

bool raw_write(raw *r, const void *data, size_t len) {
  ssize_t put =
      r->ssl ? SSL_write(r->ssl, data, (int)len) : write(r->fd, data, len);
  return put == (ssize_t)len;
}

bool raw_upgrade(raw *r, const char *host, const char *path, const char *key) {
  char text[2048], byte;
  unsigned matched = 0;
  int len = snprintf(text, sizeof(text),
                     "GET %s HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                     path, host, key);
  if (len < 0 || len >= (int)sizeof(text) || !raw_write(r, text, (size_t)len))
    return false;
  while (matched < 4 && raw_read_all(r, &byte, 1))
    matched = byte == "\r\n\r\n"[matched] ? matched + 1 : byte == '\r';
  return matched == 4;
}

bool raw_send(raw *r, const char *text) {
  unsigned char frame[8 + 1024] = {0x81};
  size_t len = strlen(text), at = 2;
  if (len > 1024)
    return false;
  if (len < 126) {
    frame[1] = (unsigned char)(0x80 | len);
  } else {
    frame[1] = 0x80 | 126;
    frame[2] = (unsigned char)(len >> 8);
    frame[3] = (unsigned char)len;
    at = 4;
  }
  at += 4;                       /* a mask of zeros */
  memcpy(frame + at, text, len); /* NOLINT: a frame has no NUL */
  return raw_write(r, frame, at + len);
}
