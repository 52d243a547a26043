/* Removing a file or a whole directory tree. */
#ifndef WRENN_LOCAL_UTIL_TREE_H
#define WRENN_LOCAL_UTIL_TREE_H

/* Removes what is at the path; a symbolic link itself. Works on while single
 * entries resist. Returns 0, or -1 with the errno of the first that did. */
int tree_remove(const char *path);

#endif
