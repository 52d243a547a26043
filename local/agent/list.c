/* Directory listings as the API shows them. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/names.h"
#include "util/json_out.h"

static const char *type_of(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : "unknown";
}

static void put_permissions(wrenn_buf *out, mode_t mode) {
  static const char letters[] = "rwxrwxrwx";
  char text[11] = "----------";
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
    if (mode & 0400u >> i)
      text[i + 1] = letters[i];
  json_text(out, "permissions", text);
}

static void put_name(wrenn_buf *out, const char *name, const char *text,
                     unsigned number) {
  if (text)
    json_text(out, name, text);
  else
    json_format(out, name, "%u", number);
}

/* Looking up a name means reading a file; usually it is the previous one. */
typedef struct owners {
  bool known;
  uid_t uid;
  gid_t gid;
  wrenn_buf text;
} owners;

static void put_owner(wrenn_buf *out, const struct stat *info, owners *last) {
  if (!last->known || last->uid != info->st_uid || last->gid != info->st_gid) {
    wrenn_buf_clear(&last->text);
    const struct passwd *user = names_of_uid(info->st_uid);
    put_name(&last->text, "owner", user ? user->pw_name : NULL, info->st_uid);
    put_name(&last->text, "group", names_of_gid(info->st_gid), info->st_gid);
    last->known = true;
    last->uid = info->st_uid;
    last->gid = info->st_gid;
  }
  json_written(out, last->text.data, last->text.len);
}

/* Appends a FileEntry, as a member or (with NULL) as an element. A working link
 * has the type and mode of its target, but its own size and permissions. False
 * if the path no longer exists. */
static bool put_entry(wrenn_buf *out, const char *member, const char *path,
                      const char *name, owners *last) {
  struct stat link, target;
  char real[PATH_MAX];
  if (lstat(path, &link))
    return false;
  target = link;
  bool is_link = S_ISLNK(link.st_mode);
  bool broken = is_link && stat(path, &target) != 0;
  json_object(out, member);
  json_text(out, "name", name);
  json_text(out, "path", path);
  json_text(out, "type", broken ? "unknown" : type_of(target.st_mode));
  json_int(out, "size", link.st_size);
  json_int(out, "mode", broken ? 0 : target.st_mode & 07777);
  put_permissions(out, link.st_mode);
  put_owner(out, &link, last);
  json_int(out, "modified_at", link.st_mtime);
  if (is_link)
    json_text(out, "symlink_target",
              !broken && realpath(path, real) ? real : path);
  json_object_end(out);
  return true;
}

static bool is_real_directory(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void agent_put_entry(const char *path, agent_reply *reply) {
  owners last = {0};
  const char *slash = strrchr(path, '/');
  put_entry(&reply->detail, "entry", path, slash && slash[1] ? slash + 1 : path,
            &last);
  wrenn_buf_free(&last.text);
}

/* What to do with a name that is not UTF-8. */
typedef enum odd_names {
  ODD_SHOWN, /* with a mark for each byte that is none */
  ODD_SKIPPED,
  ODD_FATAL /* to the whole list */
} odd_names;

/* A recursive listing; `path` is the present position. */
typedef struct walk {
  wrenn_buf *out;
  char path[PATH_MAX];
  owners last;
  odd_names odd;
  bool failed;
} walk;

/* Whether an entry is shown. */
static bool is_shown(walk *w, const char *name) {
  if (!strcmp(name, ".") || !strcmp(name, ".."))
    return false;
  if (w->odd == ODD_SHOWN || wrenn_json_utf8(name, strlen(name)))
    return true;
  w->failed = w->failed || w->odd == ODD_FATAL;
  return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as was asked for */
static void put_children(walk *w, int64_t depth) {
  DIR *dir = opendir(w->path);
  struct dirent *child;
  size_t len = strlen(w->path);
  const char *glue = w->path[len - 1] == '/' ? "" : "/";
  while (dir && (child = readdir(dir))) {
    size_t room = sizeof(w->path) - len;
    if (!is_shown(w, child->d_name))
      continue;
    int added = snprintf(w->path + len, room, "%s%s", glue, child->d_name);
    if (added > 0 && (size_t)added < room &&
        put_entry(w->out, NULL, w->path, child->d_name, &w->last) &&
        depth > 1 && is_real_directory(w->path))
      put_children(w, depth - 1);
    w->path[len] = '\0';
  }
  if (dir)
    closedir(dir);
}

static odd_names read_odd(const wrenn_json *order) {
  wrenn_json value;
  if (!wrenn_json_get(order, "odd", &value))
    return ODD_SHOWN;
  return wrenn_json_is(&value, "fatal") ? ODD_FATAL : ODD_SKIPPED;
}

void agent_list(const agent *a, const wrenn_json *order, agent_reply *reply) {
  struct stat info;
  wrenn_json value;
  int64_t depth = 1;
  walk w = {.out = &reply->detail, .odd = read_odd(order)};
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  if (wrenn_json_get(order, "depth", &value))
    wrenn_json_int(&value, &depth);
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/')
    path[--len] = '\0';
  if (stat(path, &info)) {
    bool missing = errno == ENOENT;
    agent_fail_errno(reply,
                     missing ? "path not found" : "error resolving path");
    if (missing)
      reply->error = "not_found";
  } else if (!S_ISDIR(info.st_mode)) {
    agent_fail(reply, "invalid", "path is not a directory: %s", path);
  } else {
    json_array(&reply->detail, "entries");
    memcpy(w.path, path, len + 1); /* short enough, as stat has accepted it */
    put_children(&w, depth);
    json_array_end(&reply->detail);
  }
  if (w.failed)
    agent_fail(reply, "failed",
               "marshal message: string field contains invalid UTF-8");
  wrenn_buf_free(&w.last.text);
  free(path);
}
