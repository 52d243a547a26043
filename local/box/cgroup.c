#include "box/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "wrenn-local-"
/* The server itself: in version 2 no group has both processes and groups. */
#define OWN "server"
#define PERIOD_US 100000

static bool join(char out[PATH_MAX], const char *folder, const char *name) {
  int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
  return len > 0 && len < PATH_MAX;
}

static bool put(const char *folder, const char *name, const char *text) {
  char path[PATH_MAX];
  int fd = join(path, folder, name) ? open(path, O_WRONLY | O_CLOEXEC) : -1;
  size_t len = strlen(text);
  bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len;
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return ok;
}

static bool is_there(const char *folder, const char *name) {
  char path[PATH_MAX];
  return join(path, folder, name) && access(path, W_OK) == 0;
}

/* Whether a list with commas or spaces has a word. */
static bool lists(const char *list, const char *word) {
  size_t len = strlen(word);
  for (const char *at = list; *at; at += *at != '\0') {
    size_t part = strcspn(at, ", \n");
    if (part == len && strncmp(at, word, len) == 0)
      return true;
    at += part;
  }
  return false;
}

/* ---- where this process is ------------------------------------------------
 */

/* Reads the path in the hierarchy of a controller, "" for version 2. */
static bool own_path(const char *controller, char out[PATH_MAX]) {
  char *line = NULL;
  size_t size = 0;
  bool found = false;
  FILE *file = fopen("/proc/self/cgroup", "re");
  while (file && !found && getline(&line, &size, file) > 0) {
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (!path)
      continue;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    found = *controller ? lists(list + 1, controller) : list[1] == '\0';
    found = found && strlen(path) < PATH_MAX;
    if (found)
      memcpy(out, path, strlen(path) + 1);
  }
  free(line);
  if (file)
    fclose(file);
  return found;
}

/* Finds the folder of a path of that hierarchy in a line of mountinfo:
 * id parent device ROOT PLACE options ... - TYPE source OPTIONS */
static bool folder_in(char *line, const char *controller, const char *path,
                      char out[PATH_MAX]) {
  char *words[5] = {0}, *rest = strstr(line, " - "), *state = NULL;
  if (!rest)
    return false;
  *rest = '\0';
  for (size_t i = 0; i < 5; i++)
    words[i] = strtok_r(i == 0 ? line : NULL, " ", &state);
  char *type = strtok_r(rest + 3, " ", &state);
  const char *options = strtok_r(NULL, " ", &state) ? state : "";
  if (!words[4] || !type ||
      strcmp(type, *controller ? "cgroup" : "cgroup2") != 0 ||
      (*controller && !lists(options, controller)))
    return false;
  const char *root = strcmp(words[3], "/") ? words[3] : "";
  size_t len = strlen(root);
  if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
    return false;
  path += len;
  return join(out, words[4], path + (*path == '/'));
}

/* The folder of the group that this process is in. */
static bool own_folder(const char *controller, char out[PATH_MAX]) {
  char path[PATH_MAX], *line = NULL;
  size_t size = 0;
  bool found = false;
  FILE *file =
      own_path(controller, path) ? fopen("/proc/self/mountinfo", "re") : NULL;
  while (file && !found && getline(&line, &size, file) > 0)
    found = folder_in(line, controller, path, out);
  free(line);
  if (file)
    fclose(file);
  size_t len = found ? strlen(out) : 0;
  if (len > 0 && out[len - 1] == '/')
    out[len - 1] = '\0';
  return found;
}

/* ---- the server's group ----------------------------------------------------
 */

static void remove_below(const char *folder) {
  char path[PATH_MAX];
  DIR *dir = opendir(folder);
  struct dirent *item;
  while (dir && (item = readdir(dir)))
    if (item->d_name[0] != '.' && join(path, folder, item->d_name))
      rmdir(path); /* what is no group stays */
  if (dir)
    closedir(dir);
}

/* A group that nobody has locked was left by a server that was killed. */
static void sweep(const char *base) {
  char path[PATH_MAX];
  DIR *dir = opendir(base);
  struct dirent *item;
  while (dir && (item = readdir(dir))) {
    if (strncmp(item->d_name, PREFIX, sizeof(PREFIX) - 1) != 0 ||
        !join(path, base, item->d_name))
      continue;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
      remove_below(path);
      rmdir(path);
    }
    if (fd >= 0)
      close(fd);
  }
  if (dir)
    closedir(dir);
}

/* Another server may sweep it away before it is locked: then again. */
static bool make_own(cgroup_tree *t, const char *base) {
  char name[64];
  struct stat held, now;
  snprintf(name, sizeof(name), PREFIX "%d", (int)getpid());
  if (!join(t->path, base, name))
    return false;
  for (int tries = 0; tries < 10; tries++) {
    if (mkdir(t->path, 0755) && errno != EEXIST)
      return false;
    t->lock = open(t->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->lock >= 0 && flock(t->lock, LOCK_EX | LOCK_NB) == 0 &&
        fstat(t->lock, &held) == 0 && stat(t->path, &now) == 0 &&
        held.st_ino == now.st_ino)
      return true;
    if (t->lock >= 0)
      close(t->lock);
  }
  return false;
}

static void disable(const char *folder) {
  put(folder, "cgroup.subtree_control", "-memory");
  put(folder, "cgroup.subtree_control", "-cpu");
}

static void close_tree(cgroup_tree *t) {
  char *slash = strrchr(t->path, '/');
  remove_below(t->path);
  if (t->unified) { /* this process goes back to where it was */
    disable(t->path);
    *slash = '\0';
    disable(t->path);
    put(t->path, "cgroup.procs", "0");
    *slash = '/';
    remove_below(t->path);
  }
  rmdir(t->path);
  close(t->lock);
}

/* In version 2 the controllers have to be enabled for the groups below, and
 * there may be no process beside those groups: only this one moves. */
static bool delegate(cgroup_tree *t, const char *base, const char *which) {
  char own[PATH_MAX];
  if (!join(own, t->path, OWN) || mkdir(own, 0755))
    return false;
  return put(own, "cgroup.procs", "0") &&
         put(base, "cgroup.subtree_control", which) &&
         put(t->path, "cgroup.subtree_control", which);
}

static void add_tree(cgroups *all, const char *base, bool unified, bool memory,
                     bool cpu) {
  cgroup_tree *t = &all->trees[all->count];
  *t = (cgroup_tree){
      .lock = -1, .unified = unified, .memory = memory, .cpu = cpu};
  sweep(base);
  if ((!memory && !cpu) || !make_own(t, base))
    return;
  if (unified && !delegate(t, base,
                           memory && cpu ? "+memory +cpu"
                           : memory      ? "+memory"
                                         : "+cpu"))
    close_tree(t);
  else
    all->count++;
}

static void open_unified(cgroups *all) {
  char base[PATH_MAX], path[PATH_MAX], list[256] = "";
  if (!own_folder("", base) || !is_there(base, "cgroup.subtree_control") ||
      !join(path, base, "cgroup.controllers"))
    return;
  FILE *file = fopen(path, "re");
  if (file && !fgets(list, sizeof(list), file))
    list[0] = '\0';
  if (file)
    fclose(file);
  add_tree(all, base, true, lists(list, "memory"), lists(list, "cpu"));
}

void cgroups_open(cgroups *all) {
  char base[PATH_MAX];
  *all = (cgroups){0};
  open_unified(all);
  if (!cgroups_memory(all) && own_folder("memory", base) &&
      is_there(base, "cgroup.procs"))
    add_tree(all, base, false, true, false);
  if (!cgroups_cpu(all) && own_folder("cpu", base) &&
      is_there(base, "cgroup.procs"))
    add_tree(all, base, false, false, true);
}

void cgroups_close(cgroups *all) {
  while (all->count > 0)
    close_tree(&all->trees[--all->count]);
}

bool cgroups_memory(const cgroups *all) {
  return (all->count > 0 && all->trees[0].memory) ||
         (all->count > 1 && all->trees[1].memory);
}

bool cgroups_cpu(const cgroups *all) {
  return (all->count > 0 && all->trees[0].cpu) ||
         (all->count > 1 && all->trees[1].cpu);
}

/* ---- a capsule's group ------------------------------------------------------
 */

/* Swapping is for the host's own: a capsule's memory is what it has. The limits
 * of swap are missing where there is none. */
static bool limit_memory(const cgroup_tree *t, const char *path, int64_t mb) {
  char bytes[32];
  snprintf(bytes, sizeof(bytes), "%lld", (long long)mb << 20);
  if (t->unified) {
    put(path, "memory.swap.max", "0");
    return put(path, "memory.max", bytes);
  }
  if (!put(path, "memory.limit_in_bytes", bytes))
    return false;
  put(path, "memory.memsw.limit_in_bytes", bytes);
  return true;
}

static bool limit_cpu(const cgroup_tree *t, const char *path, int64_t vcpus) {
  char text[64];
  long long quota = (long long)vcpus * PERIOD_US;
  if (t->unified)
    snprintf(text, sizeof(text), "%lld %d", quota, PERIOD_US);
  else
    snprintf(text, sizeof(text), "%lld", quota);
  return put(path, t->unified ? "cpu.max" : "cpu.cfs_quota_us", text);
}

bool cgroup_make(const cgroups *all, const char *id, cgroup_limits limits) {
  char path[PATH_MAX];
  bool ok = true;
  for (size_t i = 0; ok && i < all->count; i++) {
    const cgroup_tree *t = &all->trees[i];
    ok = join(path, t->path, id) &&
         (mkdir(path, 0755) == 0 || errno == EEXIST) &&
         (!t->memory || limit_memory(t, path, limits.memory_mb)) &&
         (!t->cpu || limit_cpu(t, path, limits.vcpus));
  }
  int error = errno;
  if (!ok)
    cgroup_remove(all, id);
  errno = error;
  return ok;
}

void cgroup_put(words *w, const cgroups *all, const char *id) {
  for (size_t i = 0; i < all->count; i++) {
    words_add(w, "in");
    words_addf(w, "%s/%s/cgroup.procs", all->trees[i].path, id);
  }
}

void cgroup_remove(const cgroups *all, const char *id) {
  char path[PATH_MAX];
  for (size_t i = 0; i < all->count; i++)
    if (join(path, all->trees[i].path, id))
      rmdir(path);
}
