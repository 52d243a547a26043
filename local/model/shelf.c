#include "model/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/words.h"
#include "model/templates.h"
#include "util/tree.h"

static const char usage[] = "usage: wrenn-local template add NAME DIR|TARBALL\n"
                            "       wrenn-local template list\n"
                            "       wrenn-local template remove NAME\n";

/* False if there is none: the variable is empty, or nobody's home is known. */
static bool find_folder(char folder[PATH_MAX]) {
  const char *given = getenv("WRENN_LOCAL_TEMPLATES");
  const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
  int len = 0;
  if (given)
    len = snprintf(folder, PATH_MAX, "%s", given);
  else if (data && *data)
    len = snprintf(folder, PATH_MAX, "%s/wrenn-local/templates", data);
  else if (home && *home)
    len = snprintf(folder, PATH_MAX, "%s/.local/share/wrenn-local/templates",
                   home);
  return len > 0 && len < PATH_MAX;
}

static bool is_there(const char *tree, const char *name) {
  char path[PATH_MAX];
  struct stat info;
  snprintf(path, sizeof(path), "%s/%s", tree, name);
  return lstat(path, &info) == 0;
}

const char *shelf_refuses(const char *tree) {
  struct stat info;
  if (stat(tree, &info))
    return strerror(errno);
  if (!S_ISDIR(info.st_mode))
    return "it is not a folder";
  if (strlen(tree) > SHELF_PATH_MAX)
    return "its path is too long";
  if (info.st_uid != geteuid())
    return "it does not belong to the user who runs the server";
  if (!is_there(tree, "bin/sh") && !is_there(tree, "usr/bin/sh"))
    return "it is no system, as it has no /bin/sh";
  return NULL;
}

void shelf_each(shelf_found *found, void *arg) {
  char folder[PATH_MAX], tree[PATH_MAX];
  DIR *dir = find_folder(folder) ? opendir(folder) : NULL;
  struct dirent *item;
  while (dir && (item = readdir(dir))) {
    char path[2 * PATH_MAX];
    struct stat info;
    snprintf(path, sizeof(path), "%s/%s", folder, item->d_name);
    if (template_name_ok(item->d_name) && lstat(path, &info) == 0 &&
        realpath(path, tree) && strlen(tree) <= SHELF_PATH_MAX)
      found(arg, item->d_name, tree, info.st_mtime);
  }
  if (dir)
    closedir(dir);
}

/* ---- the command --------------------------------------------------------- */

static int fail(const char *what, const char *why) {
  fprintf(stderr, "wrenn-local: %s: %s\n", what, why);
  return 1;
}

static bool make_folders(char *path) {
  for (char *at = path + 1; (at = strchr(at, '/')); at++) {
    *at = '\0';
    bool ok = mkdir(path, 0755) == 0 || errno == EEXIST;
    *at = '/';
    if (!ok)
      return false;
  }
  return mkdir(path, 0755) == 0 || errno == EEXIST;
}

/* All belongs to the user, as nobody else can be anybody in a capsule; devices
 * are made by each capsule for itself. */
static const char *unpack(const char *tarball, const char *to) {
  words w = {0};
  words_add_all(&w, "env", "tar", "-x", "-p", "--no-same-owner", "--anchored",
                "--exclude=./dev/*", "--exclude=dev/*", "-C", to, "-f",
                tarball);
  bool ok = words_run(&w, "/usr/bin/env", false);
  words_free(&w);
  return ok ? shelf_refuses(to) : "tar cannot unpack it";
}

/* It gets its name when it is complete. */
static int add(const char *folder, const char *name, const char *source) {
  char path[2 * PATH_MAX], fresh[2 * PATH_MAX], whole[PATH_MAX];
  struct stat info;
  const char *wrong = NULL;
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  snprintf(fresh, sizeof(fresh), "%s/.%s.new", folder, name);
  if (lstat(path, &info) == 0)
    return fail(name, "there is a template with this name");
  if (!realpath(source, whole) || stat(whole, &info))
    return fail(source, strerror(errno));
  tree_remove(fresh);
  if (S_ISDIR(info.st_mode)) {
    wrong = shelf_refuses(whole);
    if (!wrong && symlink(whole, fresh))
      wrong = strerror(errno);
  } else {
    wrong = mkdir(fresh, 0755) ? strerror(errno) : unpack(whole, fresh);
  }
  if (!wrong && rename(fresh, path))
    wrong = strerror(errno);
  if (!wrong)
    return 0;
  tree_remove(fresh);
  return fail(source, wrong);
}

static void show(void *arg, const char *name, const char *tree, time_t made) {
  (void)arg;
  (void)made;
  printf("%s\t%s\n", name, tree);
}

/* Of a link, only that is removed. */
static int remove_it(const char *folder, const char *name) {
  char path[2 * PATH_MAX], old[2 * PATH_MAX];
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  snprintf(old, sizeof(old), "%s/.%s.old", folder, name);
  tree_remove(old);
  if (rename(path, old) || tree_remove(old))
    return fail(name, errno == ENOENT ? "there is no such template"
                                      : strerror(errno));
  return 0;
}

int shelf_command(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  bool adds = !strcmp(verb, "add") && argc == 4;
  bool removes = !strcmp(verb, "remove") && argc == 3;
  char folder[PATH_MAX];
  if (!adds && !removes && !(!strcmp(verb, "list") && argc == 2)) {
    fputs(usage, stderr);
    return 2;
  }
  if ((adds || removes) && !template_name_ok(argv[2])) {
    fail(argv[2], "a name consists of letters, digits and . _ -, and begins"
                  " with one of the former");
    return 2;
  }
  if (adds && template_is_platform(argv[2]))
    return fail(argv[2], "this name is that of a template of the platform");
  if (!find_folder(folder))
    return fail("there is no folder for templates",
                "set WRENN_LOCAL_TEMPLATES or HOME");
  if (!adds && !removes) {
    shelf_each(show, NULL);
    return 0;
  }
  if (!make_folders(folder))
    return fail(folder, strerror(errno));
  return adds ? add(folder, argv[2], argv[3]) : remove_it(folder, argv[2]);
}
