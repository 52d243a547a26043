/*
 * A server that costs next to nothing, so that the client is what is measured:
 *   blast CERTIFICATE    writes a certificate for 127.0.0.1 into that file,
 *                        listens on two free ports of 127.0.0.1, the second
 *                        with TLS, prints both and its own pid, and serves
 *                        until its parent is gone
 * An upgrade is a command's stream. Its start frame holds the size of a frame's
 * data, the number of frames and what is in them, "args":["64","1000000","x"]:
 *   plain     stdout, lines of letters
 *   escapes   stdout, lines in colour, as test runners print them
 *   terminal  output of a terminal in base64
 * They are sent as fast as they are taken, prebuilt, then an exit frame and a
 * close frame. Any other request is answered with a capsule. One thread for
 * each connection.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
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

typedef struct client {
  int fd;
  SSL *ssl; /* NULL: no TLS */
} client;

static bool write_all(client *c, const char *data, size_t len) {
  while (len) {
    ssize_t put = c->ssl ? SSL_write(c->ssl, data, (int)len)
                         : send(c->fd, data, len, MSG_NOSIGNAL);
    if (put <= 0)
      return false;
    data += put;
    len -= (size_t)put;
  }
  return true;
}

static bool read_all(client *c, void *data, size_t len) {
  char *at = data;
  while (len) {
    ssize_t got = c->ssl ? SSL_read(c->ssl, at, (int)len)
                         : recv(c->fd, at, len, MSG_WAITALL);
    if (got <= 0)
      return false;
    at += got;
    len -= (size_t)got;
  }
  return true;
}

static ssize_t peek(client *c, void *data, size_t len) {
  return c->ssl ? SSL_peek(c->ssl, data, (int)len)
                : recv(c->fd, data, len, MSG_PEEK);
}

/* Reads up to the empty line; a client sends nothing after it before an
 * answer. */
static bool read_head(client *c, char *head, size_t size) {
  size_t len = 0;
  while (len + 1 < size) {
    ssize_t got = peek(c, head + len, size - len - 1);
    if (got <= 0)
      return false;
    head[len + (size_t)got] = '\0';
    char *end = strstr(head, "\r\n\r\n");
    size_t take = end ? (size_t)(end + 4 - head) - len : (size_t)got;
    if (!read_all(c, head + len, take))
      return false;
    len += take;
    head[len] = '\0';
    if (end)
      return true;
  }
  return false;
}

static bool upgrade(client *c, const char *key) {
  char text[256];
  unsigned char digest[SHA_DIGEST_LENGTH], accept[64];
  int len = snprintf(text, sizeof(text), "%.24s" GUID, key);
  SHA1((unsigned char *)text, (size_t)len, digest);
  EVP_EncodeBlock(accept, digest, sizeof(digest));
  len = snprintf(text, sizeof(text),
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 (char *)accept);
  return write_all(c, text, (size_t)len);
}

/* Reads one masked frame of less than 64 KiB into a string. */
static bool read_frame(client *c, char *text, size_t size) {
  unsigned char head[8];
  if (!read_all(c, head, 2))
    return false;
  size_t len = head[1] & 127;
  if (len == 126) {
    if (!read_all(c, head, 2))
      return false;
    len = (size_t)head[0] << 8 | head[1];
  }
  if (len >= size || !read_all(c, head, 4) || !read_all(c, text, len))
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

/* Appends `size` bytes of output as JSON text: lines of 63 letters, or of a
 * green word and letters. An escape counts as the byte that it stands for. */
static size_t put_lines(char *text, size_t size, bool coloured) {
  static const char green[] = "\\u001b[32mok\\u001b[0m \\\"";
  size_t len = 0;
  for (size_t i = 1; i <= size; i++) {
    if (coloured && i % 64 == 1 && size - i >= 13) {
      memcpy(text + len, green, sizeof(green) - 1);
      len += sizeof(green) - 1;
      i += 12;
    } else if (i % 64 == 0) {
      text[len++] = '\\';
      text[len++] = 'n';
    } else {
      text[len++] = (char)('a' + i % 26);
    }
  }
  return len;
}

/* One message of `size` bytes of output. */
static size_t put_message(char *text, size_t size, const char *what) {
  bool terminal = strcmp(what, "terminal") == 0;
  size_t len = (size_t)sprintf(text, "{\"type\":\"%s\",\"data\":\"",
                               terminal ? "output" : "stdout");
  if (terminal) {
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; bytes && i < size; i++)
      bytes[i] = (unsigned char)(i * 7);
    if (bytes)
      len += (size_t)EVP_EncodeBlock((unsigned char *)text + len, bytes,
                                     (int)size);
    free(bytes);
  } else {
    len += put_lines(text + len, size, strcmp(what, "escapes") == 0);
  }
  return len + (size_t)sprintf(text + len, "\"}");
}

static void blast(client *c, size_t size, size_t count, const char *what) {
  static const char exit_frame[] = "{\"type\":\"exit\",\"exit_code\":0}";
  static const char close_frame[] = {(char)0x88, 2, 3, (char)0xe8};
  size_t room = size * 3 / 2 + 128;
  size_t copies = BATCH / room ? BATCH / room : 1;
  char *batch = malloc(copies * room), *text = malloc(room);
  char end[64];
  size_t frame = 0;
  if (!batch || !text)
    goto out;
  size_t len = put_message(text, size, what);
  for (size_t i = 0; i < copies; i++)
    frame = put_frame(batch + i * frame, text, len);
  for (; count >= copies; count -= copies)
    if (!write_all(c, batch, copies * frame))
      goto out;
  if (count && !write_all(c, batch, count * frame))
    goto out;
  len = put_frame(end, exit_frame, sizeof(exit_frame) - 1);
  memcpy(end + len, close_frame, sizeof(close_frame));
  write_all(c, end, len + sizeof(close_frame));

out:
  free(batch);
  free(text);
}

/* The next string of a JSON array of strings without escapes, cut off in place;
 * *at moves on behind it. NULL at the end. */
static char *next_string(char **at) {
  char *text = strchr(*at, '"');
  char *end = text ? strchr(text + 1, '"') : NULL;
  if (!end)
    return NULL;
  *end = '\0';
  *at = end + 1;
  return text + 1;
}

/* "args":["SIZE","COUNT","WHAT"] */
static bool read_args(char *text, size_t *size, size_t *count,
                      const char **what) {
  char *at = text + sizeof("\"args\":") - 1;
  const char *first = next_string(&at), *second = next_string(&at);
  *what = next_string(&at);
  if (!*what)
    return false;
  *size = strtoul(first, NULL, 10);
  *count = strtoul(second, NULL, 10);
  return *size > 0;
}

static void serve_stream(client *c, const char *key) {
  char text[8192];
  const char *what;
  size_t size, count;
  if (!upgrade(c, key) || !read_frame(c, text, sizeof(text)))
    return;
  char *args = strstr(text, "\"args\":");
  if (args && read_args(args, &size, &count, &what))
    blast(c, size, count, what);
}

static void serve_requests(client *c) {
  static const char answer[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: 32\r\n\r\n" CAPSULE;
  char head[8192];
  while (read_head(c, head, sizeof(head))) {
    const char *key = strcasestr(head, "sec-websocket-key: ");
    if (key) {
      serve_stream(c, strchr(key, ':') + 2);
      shutdown(c->fd, SHUT_WR);
      while (recv(c->fd, head, sizeof(head), 0) > 0)
        ;
      return;
    }
    if (!write_all(c, answer, sizeof(answer) - 1))
      return;
  }
}

static void *serve(void *arg) {
  client *c = arg;
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!c->ssl || SSL_accept(c->ssl) == 1)
    serve_requests(c);
  SSL_free(c->ssl);
  close(c->fd);
  free(c);
  return NULL;
}

/* ---- TLS ----------------------------------------------------------------- */

static X509 *self_signed(EVP_PKEY *key) {
  X509 *cert = X509_new();
  X509_EXTENSION *address =
      X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
  X509_NAME *name = X509_NAME_new();
  bool ok =
      cert && address && name && X509_set_version(cert, 2) &&
      ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
      X509_gmtime_adj(X509_getm_notBefore(cert), -60) &&
      X509_gmtime_adj(X509_getm_notAfter(cert), 24L * 60 * 60) &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                 (const unsigned char *)"blast", -1, -1, 0) &&
      X509_set_subject_name(cert, name) && X509_set_issuer_name(cert, name) &&
      X509_set_pubkey(cert, key) && X509_add_ext(cert, address, -1) &&
      X509_sign(cert, key, EVP_sha256());
  X509_EXTENSION_free(address);
  X509_NAME_free(name);
  if (ok)
    return cert;
  X509_free(cert);
  return NULL;
}

static SSL_CTX *tls_context(const char *certificate) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = key ? self_signed(key) : NULL;
  FILE *file = fopen(certificate, "w");
  bool ok = context && cert && file && PEM_write_X509(file, cert) &&
            SSL_CTX_use_certificate(context, cert) == 1 &&
            SSL_CTX_use_PrivateKey(context, key) == 1;
  if (file && fclose(file))
    ok = false;
  X509_free(cert);
  EVP_PKEY_free(key);
  if (ok)
    return context;
  SSL_CTX_free(context);
  return NULL;
}

/* ---- listening ----------------------------------------------------------- */

static int listen_anywhere(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) || listen(fd, 64) ||
      getsockname(fd, (struct sockaddr *)&address, &len))
    return -1;
  *port = ntohs(address.sin_port);
  return fd;
}

static void take(int listener, SSL_CTX *context) {
  pthread_t thread;
  client *c = calloc(1, sizeof(*c));
  if (!c)
    return;
  c->fd = accept(listener, NULL, NULL);
  if (c->fd >= 0 && context) {
    c->ssl = SSL_new(context);
    if (c->ssl)
      SSL_set_fd(c->ssl, c->fd);
  }
  if (c->fd >= 0 && pthread_create(&thread, NULL, serve, c) == 0)
    pthread_detach(thread);
  else
    free(c);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  int port, tls_port;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX *context = tls_context(argv[1]);
  struct pollfd listeners[2] = {{listen_anywhere(&port), POLLIN, 0},
                                {listen_anywhere(&tls_port), POLLIN, 0}};
  if (!context || listeners[0].fd < 0 || listeners[1].fd < 0)
    return 1;
  printf("%d %d %d\n", port, tls_port, (int)getpid());
  fflush(stdout);
  while (poll(listeners, 2, -1) > 0)
    for (int i = 0; i < 2; i++)
      if (listeners[i].revents & POLLIN)
        take(listeners[i].fd, i == 1 ? context : NULL);
  return 1;
}
