/* Standard base64 (RFC 4648 section 4). No I/O, no allocation. */
#ifndef WRENN_BASE64_H
#define WRENN_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* The number of bytes that `len` bytes occupy when encoded. */
#define WRENN_BASE64_ENCODED(len) (((len) + 2) / 3 * 4)
/* The maximum number of bytes that `len` encoded bytes decode to. */
#define WRENN_BASE64_DECODED(len) (((len) + 3) / 4 * 3)

/* Encodes with padding; `dst` has WRENN_BASE64_ENCODED(len) bytes. */
void wrenn_base64_encode(const void *src, size_t len, char *dst);

/* Decodes to `dst`, which has WRENN_BASE64_DECODED(len) bytes and may be `src`
 * itself. Missing padding is accepted; any other character outside the alphabet
 * is not. Sets *out_len; returns false if the input is malformed. */
bool wrenn_base64_decode(const char *src, size_t len, char *dst,
                         size_t *out_len);

#endif
