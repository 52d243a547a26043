/* A folder's record in the data folder: a small JSON file that describes it. A
 * folder without one was left by a server that was killed. With `lasts` a
 * change is on the disk before the call returns, as far as the disk tells the
 * truth. */
#ifndef WRENN_LOCAL_MODEL_RECORD_H
#define WRENN_LOCAL_MODEL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "json.h"

/* Writes a folder's record atomically. Returns false on failure. */
bool record_write(const char *folder, const wrenn_buf *text, bool lasts);

/* Removes the record: the folder counts as incomplete from now on. */
void record_drop(const char *folder, bool lasts);

/* Calls `found` for each folder below a folder whose name is `ours`, with its
 * allocated path, which it takes over, and its record; removes folders without
 * one, and leaves those alone whose record cannot be read. Creates the outer
 * folder if necessary. Returns how many could not be read; -1 if it cannot be
 * used. */
typedef bool record_ours(const char *name);
typedef void record_found(void *arg, char *path, const wrenn_json *record);
int record_each(const char *above, record_ours *ours, record_found *found,
                void *arg);

/* Reads a member of a record: text that fits, or a number; otherwise "" and
 * 0. */
void record_text(const wrenn_json *record, const char *name, char *text,
                 size_t size);
int64_t record_number(const wrenn_json *record, const char *name);

#endif
