/* Matches paths of the API with patterns. No I/O. */
#ifndef WRENN_LOCAL_HTTP_ROUTE_H
#define WRENN_LOCAL_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#define ROUTE_VALUES 2

/* A segment of the path, still percent-encoded. */
typedef struct route_value {
  const char *text;
  size_t len;
} route_value;

/* Matches a path (up to a `?`) against a pattern such as "/v1/capsules/:/exec"
 * in which `:` stands for one segment that is not empty. */
bool route_match(const char *pattern, const char *path,
                 route_value values[ROUTE_VALUES]);

/* Decodes percent escapes into an allocated string; NULL when they are
 * malformed, hide a NUL, or memory is out. */
char *route_decode(const route_value *value);

/* Decodes a value like the real server's router: only if each escape in the
 * whole path is one that Go would write. Otherwise like route_decode. */
char *route_take(const char *path, const route_value *value);

/* Like route_decode, for a query, where a plus is a space. */
char *route_decode_query(const route_value *value);

/* Whether the path is equal to the prefix, or continues it with a slash. */
bool route_below(const char *prefix, const char *path);

#endif
