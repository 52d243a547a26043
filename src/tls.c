#include "tls.h"

/* libwebsockets would build a context of its own, but one that also trusts
 * whatever lies in ../share below the working directory. */
SSL_CTX *wrenn_tls_context(const char *ca_file) {
  SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
  if (!tls)
    return NULL;
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  SSL_CTX_set_mode(tls, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  int ok = ca_file ? SSL_CTX_load_verify_file(tls, ca_file)
                   : SSL_CTX_set_default_verify_paths(tls);
  if (ok == 1)
    return tls;
  SSL_CTX_free(tls);
  return NULL;
}
