/* Paths. */
#ifndef WRENN_LOCAL_UTIL_PATH_H
#define WRENN_LOCAL_UTIL_PATH_H

/* Returns "<folder>/<name>", allocated; NULL if memory is out. */
char *path_join(const char *folder, const char *name);

#endif
