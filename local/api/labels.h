/* The metadata that a user attaches to a capsule. No I/O. */
#ifndef WRENN_LOCAL_API_LABELS_H
#define WRENN_LOCAL_API_LABELS_H

#include "buf.h"
#include "json.h"

/* Whether a text is a valid name of a template or a label. */
bool label_name_ok(const char *name, size_t len);

/* Appends the members of an object as JSON text, separated by commas. Returns
 * NULL, or what is wrong (a constant string). */
const char *labels_read(const wrenn_json *object, wrenn_buf *out);

#endif
