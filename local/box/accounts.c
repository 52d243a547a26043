#include "box/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "util/path.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const account all[] = {{"root", "/root", 0},
                              {"wrenn-user", "/home/wrenn-user", 1000}};

const account *account_find(const char *name) {
  for (size_t i = 0; i < COUNT(all); i++)
    if (strcmp(all[i].name, name) == 0)
      return &all[i];
  return NULL;
}

bool account_exists(const account *user, const char *name) {
  return !strcmp(name, "root") || !strcmp(name, user->name);
}

/* A line of the host's file is kept unless its name or its id is that of an
 * account defined here. */
static bool stays(const char *line) {
  const char *number = strchr(line, ':');
  number = number ? strchr(number + 1, ':') : NULL;
  for (size_t i = 0; number && i < COUNT(all); i++) {
    size_t len = strlen(all[i].name);
    if ((!strncmp(line, all[i].name, len) && line[len] == ':') ||
        strtoul(number + 1, NULL, 10) == all[i].id)
      return false;
  }
  return number != NULL;
}

static void copy_others(wrenn_buf *text, const char *path) {
  FILE *file = fopen(path, "re");
  char *line = NULL;
  size_t size = 0;
  while (file && getline(&line, &size, file) > 0)
    if (stays(line))
      wrenn_buf_puts(text, line);
  free(line);
  if (file)
    fclose(file);
}

static void put_user(wrenn_buf *text, const account *user) {
  wrenn_buf_printf(text, "%s:x:%u:%u:%s:%s:%s\n", user->name, user->id,
                   user->id, user->name, user->home,
                   access("/bin/bash", X_OK) ? "/bin/sh" : "/bin/bash");
}

static bool write_file(const char *folder, const char *name, mode_t mode,
                       const wrenn_buf *text) {
  char *path = path_join(folder, name);
  bool ok = false;
  int fd = -1;
  if (!path || text->oom || (unlink(path) && errno != ENOENT))
    goto out;
  fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  ok = fd >= 0 && write(fd, text->data, text->len) == (ssize_t)text->len &&
       fchmod(fd, mode) == 0;

out:
  if (fd >= 0)
    close(fd);
  free(path);
  return ok;
}

bool accounts_write(const char *folder, const account *user) {
  wrenn_buf passwd = {0}, group = {0}, shadow = {0};
  const account *root = &all[0];
  put_user(&passwd, root);
  wrenn_buf_puts(&group, "root:x:0:\n");
  wrenn_buf_puts(&shadow, "root:*:19000:0:99999:7:::\n");
  if (user != root) {
    put_user(&passwd, user);
    wrenn_buf_printf(&group, "%s:x:%u:\n", user->name, user->id);
    wrenn_buf_printf(&shadow, "%s:*:19000:0:99999:7:::\n", user->name);
  }
  copy_others(&passwd, "/etc/passwd");
  copy_others(&group, "/etc/group");
  /* Readable only for root, who may read everything. */
  bool ok = write_file(folder, "passwd", 0644, &passwd) &&
            write_file(folder, "group", 0644, &group) &&
            write_file(folder, "shadow", 0, &shadow);
  wrenn_buf_free(&passwd);
  wrenn_buf_free(&group);
  wrenn_buf_free(&shadow);
  return ok;
}

void accounts_put_walls(words *w, const char *folder) {
  static const char *const names[] = {"passwd", "group", "shadow"};
  for (size_t i = 0; i < COUNT(names); i++) {
    char place[32];
    snprintf(place, sizeof(place), "/etc/%s", names[i]);
    if (access(place, F_OK))
      continue;
    words_add(w, "--ro-bind");
    words_addf(w, "%s/%s", folder, names[i]);
    words_add(w, place);
  }
}
