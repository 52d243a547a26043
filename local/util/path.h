/* Paths. */
#ifndef WRENN_LOCAL_UTIL_PATH_H
#define WRENN_LOCAL_UTIL_PATH_H

/* "<folder>/<name>", allocated; NULL when memory is out. */
char *path_join(const char *folder, const char *name);

#endif
