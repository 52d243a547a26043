#include "box/walls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/accounts.h"
#include "box/launch.h"
#include "box/layers.h"
#include "box/uplink.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define RESOLVER "/etc/resolv.conf"
#define ADDED_RESOLVER "/run/resolv.conf"

#define SHM_SIZE "268435456"
#define RUN_SIZE "67108864"

/* Folders of the host that a capsule may read and execute. */
static const char *const system_folders[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/nix"};

/* Made anew at each start. */
static const char *const made_places[] = {"/proc", "/dev", "/run", "/var/run"};

/* The one of these that may contain folders of the host in a folder of its
 * own. */
#define SHARED "/opt"

/* The capsule's own folders, parents first. */
static const struct {
  const char *name;
  mode_t mode;
} own_folders[] = {{"root", 0700},
                   {"tmp", 01777},
                   {"home", 0755},
                   {"mnt", 0755},
                   {"var", 0755},
                   {"var/tmp", 01777},
                   {"var/cache", 0755},
                   {"var/lib", 0755},
                   {"var/log", 0755},
                   {"opt", 0755},
                   {"home/wrenn-user", 0755}};

/* A symbolic link in place of a folder could lead anywhere on the host. The
 * folders are whose the capsule is. */
static int make_folder(int top, const char *name, mode_t mode) {
  struct stat info, owner;
  if (fstatat(top, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(info.st_mode))
      return 0;
    if (unlinkat(top, name, 0))
      return -1;
  }
  return fstat(top, &owner) || mkdirat(top, name, mode) ||
                 fchmodat(top, name, mode, 0) ||
                 fchownat(top, name, owner.st_uid, owner.st_gid,
                          AT_SYMLINK_NOFOLLOW)
             ? -1
             : 0;
}

/* Removes what is not a folder where something is going to be mounted or
 * linked: bubblewrap would follow a link, and makes none where there is one. */
static int clear(int top, const char *path) {
  struct stat info;
  if (fstatat(top, path + 1, &info, AT_SYMLINK_NOFOLLOW) ||
      S_ISDIR(info.st_mode))
    return 0;
  return unlinkat(top, path + 1, 0);
}

static int clear_shared(int top) {
  DIR *dir = opendir(SHARED);
  struct dirent *item;
  int rc = 0;
  while (rc == 0 && dir && (item = readdir(dir))) {
    char path[sizeof(SHARED) + sizeof(item->d_name)];
    snprintf(path, sizeof(path), SHARED "/%s", item->d_name);
    rc = clear(top, path);
  }
  if (dir)
    closedir(dir);
  return rc;
}

int walls_make_folders(const char *folder) {
  int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = top < 0 ? -1 : 0;
  for (size_t i = 0; rc == 0 && i < COUNT(own_folders); i++)
    rc = make_folder(top, own_folders[i].name, own_folders[i].mode);
  for (size_t i = 0; rc == 0 && i < COUNT(system_folders); i++)
    rc = clear(top, system_folders[i]);
  for (size_t i = 0; rc == 0 && i < COUNT(made_places); i++)
    rc = clear(top, made_places[i]);
  if (rc == 0)
    rc = clear_shared(top);
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

/* Whether the host's path is that of the entry or below it. */
static bool leads_to(const char *entry, const char *host) {
  size_t len = strlen(entry);
  return strncmp(host + 1, entry, len) == 0 &&
         (host[len + 1] == '\0' || host[len + 1] == '/');
}

bool walls_need(const char *path) {
  char resolver[PATH_MAX];
  if (is_own(path))
    return false;
  for (size_t i = 0; i < COUNT(made_places); i++)
    if (strcmp(made_places[i] + 1, path) == 0)
      return true;
  for (size_t i = 0; i < COUNT(system_folders); i++)
    if (strcmp(system_folders[i] + 1, path) == 0)
      return access(system_folders[i], F_OK) == 0;
  if (strncmp(path, &SHARED[1], sizeof(SHARED) - 2) == 0 &&
      path[sizeof(SHARED) - 2] == '/') {
    char host[PATH_MAX];
    snprintf(host, sizeof(host), "/%s", path);
    return access(host, F_OK) == 0;
  }
  return realpath(RESOLVER, resolver) && leads_to(path, resolver);
}

/* Mounts a top-level folder as on the host: a link remains a link. */
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

/* Secrets of the host that root inside could otherwise read. */
static void put_curtains(words *w) {
  static const char *const files[] = {"/etc/shadow-", "/etc/gshadow",
                                      "/etc/gshadow-"};
  for (size_t i = 0; i < COUNT(files); i++)
    if (access(files[i], F_OK) == 0)
      words_add_all(w, "--ro-bind", "/dev/null", files[i]);
  if (access("/etc/ssl/private", F_OK) == 0)
    words_add_all(w, "--tmpfs", "/etc/ssl/private", "--remount-ro",
                  "/etc/ssl/private");
}

/* Mounts each entry of a folder of the host at the same place. */
static void put_entries(words *w, const char *folder) {
  DIR *dir = opendir(folder);
  struct dirent *item;
  while (dir && (item = readdir(dir))) {
    struct stat info;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, item->d_name);
    if (item->d_name[0] != '.' && lstat(path, &info) == 0 &&
        (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)))
      words_add_all(w, "--ro-bind", path, path);
  }
  if (dir)
    closedir(dir);
}

/* The host's folders are read-only: programs to be found in the PATH are
 * mounted over existing files, or into folders that are hardly used. The host's
 * profile decides which of these are in the PATH. */
static void put_sudo(words *w, const char *agent) {
  static const char *const places[] = {"/usr/local/sbin", "/usr/local/games"};
  struct stat info;
  words_add_all(w, "--symlink", WALLS_AGENT, WALLS_SUDO);
  if (lstat("/usr/bin/sudo", &info) == 0 && S_ISREG(info.st_mode))
    words_add_all(w, "--ro-bind", agent, "/usr/bin/sudo");
  for (size_t i = 0; i < COUNT(places); i++) {
    if (lstat(places[i], &info) || !S_ISDIR(info.st_mode))
      continue;
    words_add_all(w, "--tmpfs", places[i]);
    put_entries(w, places[i]);
    words_add_all(w, "--symlink", WALLS_SUDO);
    words_addf(w, "%s/sudo", places[i]);
    words_add_all(w, "--remount-ro", places[i]);
  }
}

/* Files in /proc belong to the kernel, and root may write them if the server is
 * run by root. Some tell of other users of the machine. */
static void put_proc(words *w) {
  static const char *const covered[] = {
      "/proc/acpi", "/proc/asound", "/proc/bus",
      "/proc/fs",   "/proc/irq",    "/proc/mtrr",
      "/proc/scsi", "/proc/sys",    "/proc/sysrq-trigger"};
  static const char *const hidden[] = {
      "/proc/kcore",       "/proc/key-users",   "/proc/keys",
      "/proc/kmsg",        "/proc/kpagecount",  "/proc/kpageflags",
      "/proc/kpagecgroup", "/proc/sched_debug", "/proc/timer_list",
      "/proc/vmallocinfo", "/proc/slabinfo"};
  words_add_all(w, "--proc", "/proc");
  for (size_t i = 0; i < COUNT(hidden); i++)
    if (access(hidden[i], F_OK) == 0)
      words_add_all(w, "--ro-bind", "/dev/null", hidden[i]);
  for (size_t i = 0; i < COUNT(covered); i++)
    if (access(covered[i], F_OK) == 0)
      words_add_all(w, "--ro-bind", covered[i], covered[i]);
}

static void put_tmpfs(words *w, const char *place, const char *bytes) {
  if (bytes)
    words_add_all(w, "--size", bytes);
  words_add_all(w, "--tmpfs", place);
}

/* What is written there takes memory that belongs to everybody. */
static void put_devices(words *w, bool sizes) {
  words_add_all(w, "--dev", "/dev");
  put_tmpfs(w, "/dev/shm", sizes ? SHM_SIZE : NULL);
  words_add_all(w, "--remount-ro", "/dev");
  put_tmpfs(w, "/run", sizes ? RUN_SIZE : NULL);
}

/* The network is the host's. If /etc/resolv.conf is a link out of the system
 * folders, usually into /run, its target has to exist as well. */
static void put_resolver(words *w) {
  char path[PATH_MAX];
  if (!realpath(RESOLVER, path))
    return;
  for (size_t i = 0; i < COUNT(system_folders); i++) {
    size_t len = strlen(system_folders[i]);
    if (strncmp(path, system_folders[i], len) == 0 && path[len] == '/')
      return;
  }
  words_add_all(w, "--ro-bind", path, path);
}

/* Root inside has the rights of somebody else outside, who may be root of a
 * container, though: CAP_SYS_ADMIN would allow to remount the system folders
 * writable. Only those capabilities remain that programs expect of root in a
 * container. */
static void put_namespaces(words *w, const account *user, bool private_network,
                           bool range) {
  static const char *const kept[] = {
      "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",
      "CAP_FSETID", "CAP_KILL",         "CAP_NET_BIND_SERVICE",
      "CAP_SETGID", "CAP_SETUID",       "CAP_SYS_CHROOT"};
  if (!range) { /* otherwise that has been done */
    words_add_all(w, "--unshare-user", "--uid");
    words_addf(w, "%u", user->id);
    words_add(w, "--gid");
    words_addf(w, "%u", user->id);
  }
  words_add_all(w, "--unshare-pid", "--unshare-uts", "--unshare-ipc",
                "--die-with-parent", "--new-session", "--cap-drop", "ALL");
  /* bubblewrap sets up the loopback interface. */
  if (private_network)
    words_add(w, "--unshare-net");
  /* The kernel wants it of who maps root into a further namespace. */
  if (range)
    words_add_all(w, "--cap-add", "CAP_SETFCAP");
  for (size_t i = 0; (range || user->id == 0) && i < COUNT(kept); i++)
    words_add_all(w, "--cap-add", kept[i]);
}

/* What a capsule has if its system is that of the host. */
static void put_host(words *w, const sandbox_options *options) {
  words_add_all(w, "--bind", options->folder, "/");
  for (size_t i = 0; i < COUNT(system_folders); i++)
    put_system_folder(w, system_folders[i]);
  put_entries(w, SHARED);
  put_curtains(w);
  accounts_put_walls(w, options->etc);
}

static void put_host_additions(words *w, const sandbox_options *options) {
  char resolver[PATH_MAX];
  words_add_all(w, "--symlink", "/run", "/var/run");
  if (!options->slirp)
    put_resolver(w);
  else if (realpath(RESOLVER, resolver))
    uplink_put_walls(w, options->etc, resolver);
  if (options->user->id != 0)
    put_sudo(w, options->agent);
}

/* The agent makes links to these from where they belong: bubblewrap might
 * follow one that it finds there. */
static void put_additions(words *w, const sandbox_options *options) {
  if (options->slirp)
    uplink_put_walls(w, options->etc, ADDED_RESOLVER);
  else if (!options->private_network && access(RESOLVER, F_OK) == 0)
    words_add_all(w, "--ro-bind", RESOLVER, ADDED_RESOLVER);
  if (options->user->id != 0)
    words_add_all(w, "--symlink", WALLS_AGENT, WALLS_SUDO);
}

void walls_put(words *w, const sandbox_options *options) {
  sandbox_options staged = *options;
  bool own = options->system != NULL;
  launch_put(w, &staged);
  options = &staged;
  words_add(w, options->bwrap);
  put_namespaces(w, options->user, options->private_network,
                 own && options->range);
  words_add_all(w, "--as-pid-1", "--hostname", "capsule");
  if (own) {
    words_add(w, "--bind");
    words_addf(w, "%s/" LAYERS_ROOT, options->folder);
    words_add(w, "/");
  } else {
    put_host(w, options);
  }
  put_proc(w);
  put_devices(w, options->sizes);
  for (size_t i = 0; i < options->bind_count; i++) {
    words_add(w, "--bind");
    launch_put_bind(w, options, i);
    words_add(w, options->binds[i].inside);
  }
  words_add_all(w, "--ro-bind", options->agent, WALLS_AGENT);
  if (own)
    put_additions(w, options);
  else
    put_host_additions(w, options);
  words_add_all(w, "--chdir", own ? "/" : options->user->home, "--");
}

const char *walls_program(const sandbox_options *options) {
  return launch_needed(options) ? options->agent : options->bwrap;
}

bool walls_work(const char *bwrap, bool private_network, bool sizes) {
  words w = {0};
  words_add(&w, bwrap);
  put_namespaces(&w, account_find("root"), private_network, false);
  words_add_all(&w, "--hostname", "capsule", "--ro-bind", "/", "/", "--proc",
                "/proc");
  put_devices(&w, sizes);
  words_add_all(&w, "--", "true");
  /* The try without them says what is wrong. */
  bool ok = words_run(&w, bwrap, sizes);
  words_free(&w);
  return ok;
}
