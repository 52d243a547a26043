/* Directory listings as the API shows them. */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"

static const char *type_of(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : "unknown";
}

static void put_permissions(wrenn_buf *out, mode_t mode) {
  static const char letters[] = "rwxrwxrwx";
  char text[11] = "-";
  if (S_ISDIR(mode))
    text[0] = 'd';
  else if (S_ISLNK(mode))
    text[0] = 'L';
  else if (S_ISBLK(mode))
    text[0] = 'b';
  else if (S_ISCHR(mode))
    text[0] = 'c';
  else if (S_ISFIFO(mode))
    text[0] = 'p';
  else if (S_ISSOCK(mode))
    text[0] = 'S';
  for (int i = 0; i < 9; i++)
    text[i + 1] = mode & 0400u >> i ? letters[i] : '-';
  wrenn_buf_printf(out, ",\"permissions\":\"%s\"", text);
}

static void put_text(wrenn_buf *out, const char *name, const char *text) {
  wrenn_buf_printf(out, ",\"%s\":", name);
  wrenn_json_put_string(out, text, strlen(text));
}

static void put_owner(wrenn_buf *out, const struct stat *info) {
  char number[32];
  struct passwd *user = getpwuid(info->st_uid);
  snprintf(number, sizeof(number), "%u", (unsigned)info->st_uid);
  put_text(out, "owner", user ? user->pw_name : number);
  struct group *group = getgrgid(info->st_gid);
  snprintf(number, sizeof(number), "%u", (unsigned)info->st_gid);
  put_text(out, "group", group ? group->gr_name : number);
}

/* One FileEntry. A working link shows its target's type and mode, and its own
 * size and permissions. False when the path is gone. */
static bool put_entry(wrenn_buf *out, const char *path, const char *name) {
  struct stat link, target;
  char real[PATH_MAX];
  if (lstat(path, &link))
    return false;
  target = link;
  bool is_link = S_ISLNK(link.st_mode);
  bool broken = is_link && stat(path, &target) != 0;
  wrenn_buf_puts(out, "{\"name\":");
  wrenn_json_put_string(out, name, strlen(name));
  put_text(out, "path", path);
  put_text(out, "type", broken ? "unknown" : type_of(target.st_mode));
  wrenn_buf_printf(out, ",\"size\":%lld,\"mode\":%u", (long long)link.st_size,
                   (unsigned)(target.st_mode & 07777));
  put_permissions(out, link.st_mode);
  put_owner(out, &link);
  wrenn_buf_printf(out, ",\"modified_at\":%lld", (long long)link.st_mtime);
  if (is_link)
    put_text(out, "symlink_target",
             !broken && realpath(path, real) ? real : path);
  wrenn_buf_puts(out, "}");
  return true;
}

static bool is_real_directory(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as was asked for */
static void put_children(wrenn_buf *out, const char *folder, int64_t depth,
                         bool *first) {
  DIR *dir = opendir(folder);
  struct dirent *child;
  const char *glue = folder[strlen(folder) - 1] == '/' ? "" : "/";
  while (dir && (child = readdir(dir))) {
    char path[PATH_MAX];
    size_t before = out->len;
    if (!strcmp(child->d_name, ".") || !strcmp(child->d_name, ".."))
      continue;
    int len = snprintf(path, sizeof(path), "%s%s%s", folder, glue,
                       child->d_name);
    if (len < 0 || (size_t)len >= sizeof(path))
      continue;
    if (!*first)
      wrenn_buf_puts(out, ",");
    if (!put_entry(out, path, child->d_name)) {
      out->len = before; /* vanished meanwhile */
      continue;
    }
    *first = false;
    if (depth > 1 && is_real_directory(path))
      put_children(out, path, depth - 1, first);
  }
  if (dir)
    closedir(dir);
}

void agent_list(const agent *a, const wrenn_json *order, agent_reply *reply) {
  struct stat info;
  wrenn_json value;
  int64_t depth = 1;
  bool first = true;
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  if (wrenn_json_get(order, "depth", &value))
    wrenn_json_int(&value, &depth);
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/')
    path[--len] = '\0';
  if (stat(path, &info)) {
    agent_fail(reply, "not_found", "not_found: path not found: %s", path);
  } else if (!S_ISDIR(info.st_mode)) {
    agent_fail(reply, "invalid", "path is not a directory: %s", path);
  } else if (wrenn_json_get(order, "single", &value)) {
    const char *slash = strrchr(path, '/');
    wrenn_buf_puts(&reply->detail, ",\"entry\":");
    put_entry(&reply->detail, path, slash && slash[1] ? slash + 1 : path);
  } else {
    wrenn_buf_puts(&reply->detail, ",\"entries\":[");
    put_children(&reply->detail, path, depth, &first);
    wrenn_buf_puts(&reply->detail, "]");
  }
  free(path);
}
