/* Removing a file or a whole directory tree. */
#ifndef WRENN_LOCAL_UTIL_TREE_H
#define WRENN_LOCAL_UTIL_TREE_H

/* Removes the file or tree at the path; of a symbolic link, the link. Continues
 * after entries that cannot be removed. Returns 0, or -1 with the errno of the
 * first of them. */
int tree_remove(const char *path);

/* The same for an entry of an open folder. */
int tree_remove_at(int parent, const char *name);

#endif
