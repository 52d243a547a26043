/* The metadata that a user gives a capsule. No I/O. */
#ifndef WRENN_LOCAL_API_LABELS_H
#define WRENN_LOCAL_API_LABELS_H

#include "buf.h"
#include "json.h"

/* Whether a text may be the name of a template or of a label. */
bool label_name_ok(const char *name, size_t len);

/* Appends the members of an object as JSON text, separated by commas. NULL
 * when all of them are fine, else what is wrong (a constant). */
const char *labels_read(const wrenn_json *object, wrenn_buf *out);

#endif
