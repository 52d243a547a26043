/*
 * A local directory as a userdata, for archives that are made from it or
 * extracted into it. Names are relative and parsed here; no call follows a
 * symbolic link or leaves the directory, whatever a hostile archive has put
 * into it. Failures return nil and a text.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module.h"

#define TREE "wrenn.tree"
#define FILE_CLASS "wrenn.file"
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MAX_PIECE ((lua_Integer)1024 * 1024)

/* ---- results ------------------------------------------------------------- */

static int push_why(lua_State *L, const char *name, const char *why) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", name, why);
  return 2;
}

static int push_errno(lua_State *L, const char *name) {
  return push_why(L, name, strerror(errno));
}

static int push_outcome(lua_State *L, int result, const char *name) {
  if (result)
    return push_errno(L, name);
  lua_pushboolean(L, 1);
  return 1;
}

/* Creates a userdata for a descriptor before that is opened, so that it cannot
 * leak when memory is out. */
static int *new_box(lua_State *L, const char *class) {
  int *box = lua_newuserdata(L, sizeof(*box));
  *box = -1;
  luaL_getmetatable(L, class);
  lua_setmetatable(L, -2);
  return box;
}

static int check_fd(lua_State *L, const char *class) {
  const int *box = luaL_checkudata(L, 1, class);
  luaL_argcheck(L, *box >= 0, 1, "it is closed");
  return *box;
}

static int box_close(lua_State *L, const char *class) {
  int *box = luaL_checkudata(L, 1, class);
  int result = *box < 0 ? 0 : close(*box);
  *box = -1;
  return push_outcome(L, result, "close");
}

/* ---- names --------------------------------------------------------------- */

static bool name_ok(const char *name, size_t len) {
  bool dots = (len == 1 && name[0] == '.') ||
              (len == 2 && name[0] == '.' && name[1] == '.');
  return len > 0 && len <= NAME_MAX && !dots;
}

/* Returns the path at `index`; raises unless it consists of plain names
 * separated by slashes. */
static const char *check_path(lua_State *L, int index) {
  size_t len;
  const char *path = luaL_checklstring(L, index, &len);
  bool ok = strlen(path) == len && len < PATH_MAX;
  for (const char *at = path; ok; at++) {
    size_t part = strcspn(at, "/");
    ok = name_ok(at, part);
    at += part;
    if (!*at)
      break;
  }
  luaL_argcheck(L, ok, index, "not a path below the directory");
  return path;
}

/* Opens the directory that contains `path` and finds its last name. Returns a
 * descriptor, which the caller closes, or -1 with errno. */
static int open_parent(int root, const char *path, bool make,
                       const char **last) {
  char name[NAME_MAX + 1];
  int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
  const char *slash;
  while (at >= 0 && (slash = strchr(path, '/'))) {
    size_t len = (size_t)(slash - path);
    memcpy(name, path, len);
    name[len] = '\0';
    if (make && mkdirat(at, name, 0777) && errno != EEXIST) {
      close(at);
      return -1;
    }
    int next = openat(at, name, DIR_FLAGS);
    int error = errno;
    close(at);
    errno = error;
    at = next;
    path = slash + 1;
  }
  *last = path;
  return at;
}

static void close_quietly(int fd) {
  int error = errno;
  close(fd);
  errno = error;
}

/* Removes whatever is in the way, unless it is a directory. */
static int remove_old(int dir, const char *name) {
  return unlinkat(dir, name, 0) && errno != ENOENT ? -1 : 0;
}

/* Puts a symbolic link, or a hard link of the file `target` in `old_dir`, in
 * the place of a name. On failure the old file remains. */
static int put_link(int dir, const char *name, int old_dir,
                    const char *target) {
  char temp[64];
  unsigned tries = 0;
  int result, error;
  do {
    snprintf(temp, sizeof(temp), ".wrenn-%ld-%u", (long)getpid(), tries);
    result = old_dir < 0 ? symlinkat(target, dir, temp)
                         : linkat(old_dir, target, dir, temp, 0);
  } while (result && errno == EEXIST && ++tries < 100);
  if (result)
    return -1;
  result = renameat(dir, temp, dir, name);
  error = errno;
  unlinkat(dir, temp, 0); /* remains if both are hard links of a file */
  errno = error;
  return result;
}

static mode_t check_mode(lua_State *L, int index) {
  return (mode_t)luaL_checkinteger(L, index) & 07777;
}

static struct timespec check_time(lua_State *L, int index) {
  lua_Number seconds = floor(luaL_checknumber(L, index));
  return (struct timespec){.tv_sec = (time_t)seconds};
}

/* ---- files --------------------------------------------------------------- */

static bool write_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t done = write(fd, bytes, len);
    if (done < 0 && errno != EINTR)
      return false;
    if (done > 0) {
      bytes += done;
      len -= (size_t)done;
    }
  }
  return true;
}

static int file_write(lua_State *L) {
  int fd = check_fd(L, FILE_CLASS);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  return push_outcome(L, write_all(fd, bytes, len) ? 0 : -1, "write");
}

int binding_pour(lua_State *L, int index, const char *bytes, size_t len) {
  const int *box = luaL_checkudata(L, index, FILE_CLASS);
  if (*box < 0)
    return 0;
  if (write_all(*box, bytes, len)) {
    lua_pushinteger(L, (lua_Integer)len);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_pushfstring(L, "write: %s", strerror(errno));
  return 2;
}

/* Returns up to so many bytes; "" at the end. */
static int file_read(lua_State *L) {
  int fd = check_fd(L, FILE_CLASS);
  lua_Integer count = luaL_checkinteger(L, 2);
  luaL_argcheck(L, count > 0 && count <= MAX_PIECE, 2, "1 byte to 1 MiB");
  char *bytes = lua_newuserdata(L, (size_t)count);
  ssize_t got;
  do
    got = read(fd, bytes, (size_t)count);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return push_errno(L, "read");
  lua_pushlstring(L, bytes, (size_t)got);
  return 1;
}

/* Sets mode and time, and closes. */
static int file_finish(lua_State *L) {
  int fd = check_fd(L, FILE_CLASS);
  mode_t mode = check_mode(L, 2);
  struct timespec times[2] = {check_time(L, 3), check_time(L, 3)};
  if (fchmod(fd, mode) || futimens(fd, times))
    return push_errno(L, "file");
  return box_close(L, FILE_CLASS);
}

static int file_close(lua_State *L) { return box_close(L, FILE_CLASS); }

/* ---- the tree ------------------------------------------------------------ */

static int core_tree(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int *box = new_box(L, TREE);
  *box = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return *box < 0 ? push_errno(L, path) : 1;
}

static int tree_close(lua_State *L) { return box_close(L, TREE); }

static int tree_make_dir(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  int dir = open_parent(root, path, true, &name);
  if (dir < 0)
    return push_errno(L, path);
  int result = mkdirat(dir, name, 0777);
  if (result && errno == EEXIST) {
    int there = openat(dir, name, DIR_FLAGS);
    result = there < 0 ? -1 : 0;
    if (there >= 0)
      close(there);
  }
  close_quietly(dir);
  return push_outcome(L, result, path);
}

/* Returns a new file for writing, which replaces an existing one. Its mode,
 * subject to the umask, is 0600 by default. */
static int tree_create(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  mode_t mode = lua_isnoneornil(L, 3) ? 0600 : check_mode(L, 3);
  int *box = new_box(L, FILE_CLASS);
  int dir = open_parent(root, path, true, &name);
  if (dir < 0)
    return push_errno(L, path);
  if (!remove_old(dir, name))
    *box = openat(dir, name,
                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  close_quietly(dir);
  return *box < 0 ? push_errno(L, path) : 1;
}

/* Returns a regular file to read and append to. A file with several hard links
 * is refused, as it may belong to somebody else. On failure returns nil, the
 * reason, and whether the file does not exist. */
static int tree_append(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  struct stat info;
  int *box = new_box(L, FILE_CLASS);
  int dir = open_parent(root, path, false, &name);
  if (dir < 0)
    return push_errno(L, path);
  *box = openat(dir, name,
                O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  close_quietly(dir);
  if (*box < 0 || fstat(*box, &info)) {
    int error = errno;
    if (error == ELOOP)
      return push_why(L, path, "it is a symbolic link");
    push_errno(L, path);
    lua_pushboolean(L, error == ENOENT);
    return 3;
  }
  if (!S_ISREG(info.st_mode))
    return push_why(L, path, "not a regular file");
  return info.st_nlink == 1 ? 1 : push_why(L, path, "it has another name too");
}

/* Returns a regular file to read. */
static int tree_open(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  struct stat info;
  int *box = new_box(L, FILE_CLASS);
  int dir = open_parent(root, path, false, &name);
  if (dir < 0)
    return push_errno(L, path);
  /* NONBLOCK: if a pipe was put there meanwhile, opening must not block */
  *box = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  close_quietly(dir);
  if (*box < 0 || fstat(*box, &info))
    return push_errno(L, path);
  return S_ISREG(info.st_mode) ? 1 : push_why(L, path, "not a regular file");
}

static int tree_symlink(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  const char *target = luaL_checkstring(L, 3);
  int dir = open_parent(root, path, true, &name);
  if (dir < 0)
    return push_errno(L, path);
  int result = put_link(dir, name, -1, target);
  close_quietly(dir);
  return push_outcome(L, result, path);
}

/* Makes `path` a hard link of the file `target`, which is a path of the tree
 * too. */
static int tree_link(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  const char *target = check_path(L, 3), *old_name;
  int dir = open_parent(root, path, true, &name);
  if (dir < 0)
    return push_errno(L, path);
  int old_dir = open_parent(root, target, false, &old_name);
  int result = old_dir < 0 ? -1 : 0;
  if (!result)
    result = put_link(dir, name, old_dir, old_name);
  if (old_dir >= 0)
    close_quietly(old_dir);
  close_quietly(dir);
  return push_outcome(L, result, path);
}

/* Renames a file inside the tree, replacing an existing file. */
static int tree_rename(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  const char *target = check_path(L, 3), *new_name;
  int dir = open_parent(root, path, false, &name);
  if (dir < 0)
    return push_errno(L, path);
  int new_dir = open_parent(root, target, false, &new_name);
  int result = new_dir < 0 ? -1 : renameat(dir, name, new_dir, new_name);
  if (new_dir >= 0)
    close_quietly(new_dir);
  close_quietly(dir);
  return push_outcome(L, result, target);
}

/* Removes a file. */
static int tree_remove(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  int dir = open_parent(root, path, false, &name);
  if (dir < 0)
    return push_errno(L, path);
  int result = unlinkat(dir, name, 0);
  close_quietly(dir);
  return push_outcome(L, result, path);
}

/* Sets mode and time of a directory. */
static int tree_set(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = check_path(L, 2), *name;
  mode_t mode = check_mode(L, 3);
  struct timespec times[2] = {check_time(L, 4), check_time(L, 4)};
  int dir = open_parent(root, path, false, &name);
  if (dir < 0)
    return push_errno(L, path);
  int fd = openat(dir, name, DIR_FLAGS);
  close_quietly(dir);
  if (fd < 0)
    return push_errno(L, path);
  int result = futimens(fd, times);
  if (!result)
    result = fchmod(fd, mode);
  close_quietly(fd);
  return push_outcome(L, result, path);
}

/* ---- listing ------------------------------------------------------------- */

static const char *type_name(mode_t mode) {
  return S_ISREG(mode)   ? "file"
         : S_ISDIR(mode) ? "directory"
         : S_ISLNK(mode) ? "symlink"
                         : "other";
}

static void set_number(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void push_entry(lua_State *L, int dir, const char *name,
                       const struct stat *info) {
  char target[PATH_MAX];
  lua_createtable(L, 0, 8);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, type_name(info->st_mode));
  lua_setfield(L, -2, "type");
  set_number(L, "size", info->st_size);
  set_number(L, "mode", info->st_mode & 07777);
  set_number(L, "mtime", info->st_mtime);
  if (S_ISLNK(info->st_mode)) {
    ssize_t len = readlinkat(dir, name, target, sizeof(target));
    lua_pushlstring(L, target, len < 0 ? 0 : (size_t)len);
    lua_setfield(L, -2, "target");
  }
  if (S_ISREG(info->st_mode) && info->st_nlink > 1) { /* what it shares */
    char inode[64];
    snprintf(inode, sizeof(inode), "%llx %llx",
             (unsigned long long)info->st_dev,
             (unsigned long long)info->st_ino);
    lua_pushstring(L, inode);
    lua_setfield(L, -2, "inode");
  }
}

/* The descriptor is duplicated; it is closed by collection if Lua runs out of
 * memory. */
static int push_entries(lua_State *L, DIR *dir, const char *path) {
  const struct dirent *child;
  struct stat info;
  int count = 0;
  lua_newtable(L);
  errno = 0;
  while ((child = readdir(dir))) {
    const char *name = child->d_name;
    if (name_ok(name, strlen(name)) &&
        !fstatat(dirfd(dir), name, &info, AT_SYMLINK_NOFOLLOW)) {
      push_entry(L, dirfd(dir), name, &info);
      lua_rawseti(L, -2, ++count);
    }
    errno = 0;
  }
  return errno ? push_errno(L, path) : 1;
}

static int listing_gc(lua_State *L) {
  DIR **box = lua_touserdata(L, 1);
  if (*box)
    closedir(*box);
  *box = NULL;
  return 0;
}

/* Lists a directory, or the tree itself if the path is nil: an array of {name,
 * type, size, mode, mtime, target, inode}. */
static int tree_list(lua_State *L) {
  int root = check_fd(L, TREE);
  const char *path = lua_isnoneornil(L, 2) ? "." : check_path(L, 2);
  const char *name = path;
  DIR **box = lua_newuserdata(L, sizeof(DIR *));
  *box = NULL;
  luaL_getmetatable(L, "wrenn.listing");
  lua_setmetatable(L, -2);
  int dir = lua_isnoneornil(L, 2) ? fcntl(root, F_DUPFD_CLOEXEC, 0)
                                  : open_parent(root, path, false, &name);
  if (dir < 0)
    return push_errno(L, path);
  int fd = openat(dir, name, DIR_FLAGS);
  close_quietly(dir);
  if (fd < 0)
    return push_errno(L, path);
  *box = fdopendir(fd);
  if (!*box) {
    close_quietly(fd);
    return push_errno(L, path);
  }
  int count = push_entries(L, *box, path);
  closedir(*box);
  *box = NULL;
  return count;
}

/* ---- what a path of the user's leads to ---------------------------------- */

/* Returns "file", "directory" or "other", and the size; or nil and the
 * reason. */
static int core_file_type(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat info;
  if (stat(path, &info)) {
    int missing = errno == ENOENT;
    push_errno(L, path);
    lua_pushboolean(L, missing);
    return 3;
  }
  lua_pushstring(L, type_name(info.st_mode));
  lua_pushinteger(L, info.st_size);
  return 2;
}

/* Creates a directory and its parents, following links: it is the user's own
 * path. */
static int core_make_dirs(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t len = strlen(path);
  char *copy = lua_newuserdata(L, len + 1);
  memcpy(copy, path, len + 1);
  for (size_t i = 1; i <= len; i++) {
    if (copy[i] != '/' && copy[i] != '\0')
      continue;
    char end = copy[i];
    copy[i] = '\0';
    if (mkdir(copy, 0777) && errno != EEXIST)
      return push_errno(L, path);
    copy[i] = end;
  }
  return push_outcome(L, 0, "");
}

void binding_add_tree(lua_State *L) {
  static const luaL_Reg functions[] = {{"tree", core_tree},
                                       {"file_type", core_file_type},
                                       {"make_dirs", core_make_dirs},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"make_dir", tree_make_dir}, {"create", tree_create},
      {"open", tree_open},         {"symlink", tree_symlink},
      {"link", tree_link},         {"set", tree_set},
      {"list", tree_list},         {"append", tree_append},
      {"rename", tree_rename},     {"remove", tree_remove},
      {"close", tree_close},       {NULL, NULL}};
  static const luaL_Reg file_methods[] = {{"write", file_write},
                                          {"read", file_read},
                                          {"finish", file_finish},
                                          {"close", file_close},
                                          {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", tree_close}, {NULL, NULL}};
  static const luaL_Reg file_meta[] = {{"__gc", file_close}, {NULL, NULL}};
  static const luaL_Reg listing_meta[] = {{"__gc", listing_gc}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  binding_new_class(L, TREE, methods, meta);
  binding_new_class(L, FILE_CLASS, file_methods, file_meta);
  binding_new_class(L, "wrenn.listing", none, listing_meta);
}
