/* What the server knows of a folder in its data folder: a small JSON file in
 * it. What has none is left over from a server that was killed. */
#ifndef WRENN_LOCAL_MODEL_RECORD_H
#define WRENN_LOCAL_MODEL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "json.h"

/* Writes a folder's record in one go. False when that fails. */
bool record_write(const char *folder, const wrenn_buf *text);

/* Forgets the record: the folder counts as left over from now on. */
void record_drop(const char *folder);

/* Calls `found` for each folder below one whose name is `ours`, with its path,
 * allocated and handed over, and its record; removes those that have none.
 * Makes the folder above if need be; false when it cannot be used. */
typedef bool record_ours(const char *name);
typedef void record_found(void *arg, char *path, const wrenn_json *record);
bool record_each(const char *above, record_ours *ours, record_found *found,
                 void *arg);

/* A member of a record: text that fits, or a number; else "" and 0. */
void record_text(const wrenn_json *record, const char *name, char *text,
                 size_t size);
int64_t record_number(const wrenn_json *record, const char *name);

#endif
