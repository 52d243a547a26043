/*
 * A minimal WebSocket client over a blocking socket or OpenSSL, shared by the
 * yardsticks. It trusts its peer to follow the protocol.
 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct raw {
  int fd;
  SSL_CTX *context; /* NULL without TLS */
  SSL *ssl;
} raw;

/* Connects; `ca_file` NULL means no TLS. Close with raw_close, also after a
 * failure. */
bool raw_connect(raw *r, const char *host, const char *port,
                 const char *ca_file);
void raw_close(raw *r);

/* Like read(2) and write(2); the second writes everything. */
ssize_t raw_read(raw *r, void *data, size_t len);
bool raw_read_all(raw *r, void *data, size_t len);
bool raw_write(raw *r, const void *data, size_t len);

/* Upgrades to a WebSocket; reads nothing after the head of the answer. */
bool raw_upgrade(raw *r, const char *host, const char *path, const char *key);

/* Sends a text message of less than 1 KiB. */
bool raw_send(raw *r, const char *text);

#endif
