#include "walls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The host's own folders that a capsule may read and run. */
static const char *const system_folders[] = {"/usr", "/bin",   "/sbin",
                                             "/lib", "/lib32", "/lib64",
                                             "/etc", "/opt",   "/nix"};

/* A capsule's own folders, parents first. */
static const struct {
  const char *name;
  mode_t mode;
} own_folders[] = {{"root", 0700},      {"tmp", 01777},    {"home", 0755},
                   {"mnt", 0755},       {"var", 0755},     {"var/tmp", 01777},
                   {"var/cache", 0755}, {"var/lib", 0755}, {"var/log", 0755}};

/* A link in the place of a folder would lead anywhere on the host. */
static int make_folder(int top, const char *name, mode_t mode) {
  struct stat info;
  if (fstatat(top, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(info.st_mode))
      return 0;
    if (unlinkat(top, name, 0))
      return -1;
  }
  return mkdirat(top, name, mode) || fchmodat(top, name, mode, 0) ? -1 : 0;
}

int walls_make_folders(const char *folder) {
  int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = top < 0 ? -1 : 0;
  for (size_t i = 0; rc == 0 && i < COUNT(own_folders); i++)
    rc = make_folder(top, own_folders[i].name, own_folders[i].mode);
  int error = errno;
  if (top >= 0)
    close(top);
  errno = error;
  return rc;
}

static bool is_own(const char *path) {
  for (size_t i = 0; i < COUNT(own_folders); i++)
    if (strcmp(own_folders[i].name, path) == 0)
      return true;
  return false;
}

/* Whether the host's path is that of the entry or lies below it. */
static bool leads_to(const char *entry, const char *host) {
  size_t len = strlen(entry);
  return strncmp(host + 1, entry, len) == 0 &&
         (host[len + 1] == '\0' || host[len + 1] == '/');
}

bool walls_need(const char *path) {
  static const char *const made[] = {"/proc", "/dev", "/run", "/var/run"};
  char resolver[PATH_MAX];
  if (is_own(path))
    return false;
  for (size_t i = 0; i < COUNT(made); i++)
    if (strcmp(made[i] + 1, path) == 0)
      return true;
  for (size_t i = 0; i < COUNT(system_folders); i++)
    if (strcmp(system_folders[i] + 1, path) == 0)
      return access(system_folders[i], F_OK) == 0;
  return realpath("/etc/resolv.conf", resolver) && leads_to(path, resolver);
}

/* A top-level folder as it is on the host: a link stays one. */
static void put_system_folder(words *w, const char *path) {
  struct stat info;
  char target[PATH_MAX];
  if (lstat(path, &info))
    return;
  if (!S_ISLNK(info.st_mode)) {
    words_add_all(w, "--ro-bind", path, path);
    return;
  }
  ssize_t len = readlink(path, target, sizeof(target) - 1);
  if (len > 0) {
    target[len] = '\0';
    words_add_all(w, "--symlink", target, path);
  }
}

/* Secrets of the host that root inside would otherwise be able to read. */
static void put_curtains(words *w) {
  static const char *const files[] = {"/etc/shadow", "/etc/shadow-",
                                      "/etc/gshadow", "/etc/gshadow-"};
  for (size_t i = 0; i < COUNT(files); i++)
    if (access(files[i], F_OK) == 0)
      words_add_all(w, "--ro-bind", "/dev/null", files[i]);
  if (access("/etc/ssl/private", F_OK) == 0)
    words_add_all(w, "--tmpfs", "/etc/ssl/private");
}

/* Files of /proc are the kernel's, and root's to write where the server is
 * run by root. */
static void put_proc(words *w) {
  static const char *const covered[] = {
      "/proc/acpi", "/proc/asound", "/proc/bus",
      "/proc/fs",   "/proc/irq",    "/proc/mtrr",
      "/proc/scsi", "/proc/sys",    "/proc/sysrq-trigger"};
  words_add_all(w, "--proc", "/proc");
  for (size_t i = 0; i < COUNT(covered); i++)
    if (access(covered[i], F_OK) == 0)
      words_add_all(w, "--ro-bind", covered[i], covered[i]);
}

/* The network is the host's. Where /etc/resolv.conf leads out of the system
 * folders, into /run mostly, what it leads to has to be there as well. */
static void put_resolver(words *w) {
  char path[PATH_MAX];
  if (!realpath("/etc/resolv.conf", path))
    return;
  for (size_t i = 0; i < COUNT(system_folders); i++) {
    size_t len = strlen(system_folders[i]);
    if (strncmp(path, system_folders[i], len) == 0 && path[len] == '/')
      return;
  }
  words_add_all(w, "--ro-bind", path, path);
}

/* Root inside is no more than the server's user outside, but where that is
 * root as well, a capability counts: CAP_SYS_ADMIN would be enough to mount
 * the system folders anew, to be written to. What is left is what programs
 * expect of root within one container. */
static void put_namespaces(words *w, bool private_network) {
  static const char *const kept[] = {
      "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",
      "CAP_FSETID", "CAP_KILL",         "CAP_NET_BIND_SERVICE",
      "CAP_SETGID", "CAP_SETUID",       "CAP_SYS_CHROOT"};
  words_add_all(w, "--unshare-user", "--uid", "0", "--gid", "0",
                "--unshare-pid", "--unshare-uts", "--unshare-ipc",
                "--die-with-parent", "--new-session", "--cap-drop", "ALL");
  /* With a loopback interface, which bubblewrap brings up. */
  if (private_network)
    words_add(w, "--unshare-net");
  for (size_t i = 0; i < COUNT(kept); i++)
    words_add_all(w, "--cap-add", kept[i]);
}

void walls_put(words *w, const sandbox_options *options) {
  words_add(w, options->bwrap);
  put_namespaces(w, options->private_network);
  words_add_all(w, "--as-pid-1", "--hostname", "capsule", "--bind",
                options->folder, "/");
  for (size_t i = 0; i < COUNT(system_folders); i++)
    put_system_folder(w, system_folders[i]);
  put_curtains(w);
  put_proc(w);
  words_add_all(w, "--dev", "/dev", "--tmpfs", "/run", "--symlink", "/run",
                "/var/run");
  put_resolver(w);
  for (size_t i = 0; i < options->bind_count; i++)
    words_add_all(w, "--bind", options->binds[i].host,
                  options->binds[i].inside);
  words_add_all(w, "--ro-bind", options->agent, WALLS_AGENT, "--chdir", "/root",
                "--");
}

bool walls_work(const char *bwrap, bool private_network) {
  words w = {0};
  int status = -1;
  words_add(&w, bwrap);
  put_namespaces(&w, private_network);
  words_add_all(&w, "--hostname", "capsule", "--ro-bind", "/", "/", "--proc",
                "/proc", "--dev", "/dev", "--", "true");
  pid_t child = w.oom ? -1 : fork();
  if (child == 0) {
    execv(bwrap, w.list);
    _exit(127);
  }
  bool ok = child > 0 && waitpid(child, &status, 0) == child && status == 0;
  words_free(&w);
  return ok;
}
