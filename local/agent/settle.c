/*
 * A system of a capsule's own is some Debian, or whatever it may be. What the
 * API promises and such a tree may lack is put into it here, from inside, where
 * no link in it can lead out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "buf.h"

#define USER_ID 1000             /* of accounts.h */
#define NAMES "/run/resolv.conf" /* is there if the capsule has a network */
#define SUDO "/run/sudo"         /* is there if the default user is not root */

static void make_folders(void) {
  static const struct {
    const char *path;
    mode_t mode;
  } list[] = {{"/root", 0700},      {"/tmp", 01777},         {"/home", 0755},
              {"/mnt", 0755},       {"/opt", 0755},          {"/etc", 0755},
              {"/var", 0755},       {"/var/tmp", 01777},     {"/var/log", 0755},
              {"/var/lib", 0755},   {"/var/cache", 0755},    {"/usr", 0755},
              {"/usr/local", 0755}, {"/usr/local/bin", 0755}};
  for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
    if (mkdir(list[i].path, list[i].mode) == 0)
      chmod(list[i].path, list[i].mode); /* whatever the umask */
}

static bool read_file(const char *path, wrenn_buf *text) {
  char piece[4096];
  ssize_t some = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd >= 0 && (some = read(fd, piece, sizeof(piece))) > 0)
    wrenn_buf_append(text, piece, (size_t)some);
  if (fd >= 0)
    close(fd);
  return some == 0 && !text->oom;
}

static void write_file(const char *path, mode_t mode, const wrenn_buf *text) {
  char fresh[64];
  snprintf(fresh, sizeof(fresh), "%s.new", path);
  int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && write(fd, text->data, text->len) == (ssize_t)text->len &&
            fchmod(fd, mode) == 0;
  if (fd >= 0)
    close(fd);
  if (!ok || rename(fresh, path))
    unlink(fresh);
}

static void write_text(const char *path, const char *words) {
  wrenn_buf text = {0};
  wrenn_buf_puts(&text, words);
  if (!text.oom && access(path, F_OK))
    write_file(path, 0644, &text);
  wrenn_buf_free(&text);
}

static bool has_line(const wrenn_buf *text, const char *name) {
  size_t len = strlen(name);
  for (const char *at = text->data; at && *at; at = strchr(at, '\n')) {
    at += *at == '\n';
    if (strncmp(at, name, len) == 0 && at[len] == ':')
      return true;
  }
  return false;
}

/* Adds a line for a name that a file lacks, before all others: the first name
 * of a number is the one that programs show. */
static void add_line(const char *path, mode_t mode, const char *name,
                     const char *line) {
  wrenn_buf text = {0}, more = {0};
  bool there = read_file(path, &text);
  wrenn_buf_append(&text, "", 1);
  if ((!there && access(path, F_OK) == 0) || text.oom || has_line(&text, name))
    goto out;
  wrenn_buf_puts(&more, line);
  if (there)
    wrenn_buf_puts(&more, text.data);
  if (!more.oom)
    write_file(path, mode, &more);

out:
  wrenn_buf_free(&text);
  wrenn_buf_free(&more);
}

static void add_user(const char *name, const char *home, unsigned id) {
  char line[256];
  snprintf(line, sizeof(line), "%s:x:%u:%u:%s:%s:%s\n", name, id, id, name,
           home, access("/bin/bash", X_OK) ? "/bin/sh" : "/bin/bash");
  add_line("/etc/passwd", 0644, name, line);
  snprintf(line, sizeof(line), "%s:x:%u:\n", name, id);
  add_line("/etc/group", 0644, name, line);
  snprintf(line, sizeof(line), "%s:*:19000:0:99999:7:::\n", name);
  add_line("/etc/shadow", 0600, name, line);
}

static void put_link(const char *target, const char *path) {
  char now[64];
  ssize_t len = readlink(path, now, sizeof(now) - 1);
  if (len > 0 && (size_t)len == strlen(target) && !memcmp(now, target, len))
    return;
  unlink(path);
  if (symlink(target, path))
    errno = 0; /* the system goes without */
}

void agent_settle(const char *user, bool range) {
  make_folders();
  add_user("root", "/root", 0);
  if (strcmp(user, "root") != 0) {
    char home[64];
    snprintf(home, sizeof(home), "/home/%s", user);
    bool made = mkdir(home, 0755) == 0 && chmod(home, 0755) == 0;
    if (made && range && chown(home, USER_ID, USER_ID))
      rmdir(home);
    add_user(user, home, USER_ID);
  }
  if (access(NAMES, F_OK) == 0)
    put_link(NAMES, "/etc/resolv.conf");
  if (access(SUDO, F_OK) == 0)
    put_link(SUDO, "/usr/local/bin/sudo");
  write_text("/etc/hosts", "127.0.0.1 localhost capsule\n"
                           "::1 localhost\n");
  /* There is nobody else that it could become. */
  if (!range && access("/etc/apt/apt.conf.d", F_OK) == 0)
    write_text("/etc/apt/apt.conf.d/90wrenn", "APT::Sandbox::User \"root\";\n");
}
