/* The TLS context of WebSocket connections. Internal. */
#ifndef WRENN_TLS_H
#define WRENN_TLS_H

#include <openssl/ssl.h>

/* Makes a client context that trusts `ca_file`, or the system's certificates
 * when it is NULL. NULL when the file cannot be read or memory is out. Free
 * with SSL_CTX_free. Verification itself is switched on by libwebsockets, for
 * each connection. */
SSL_CTX *wrenn_tls_context(const char *ca_file);

#endif
