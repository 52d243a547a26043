#include "box/layers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/launch.h"
#include "box/walls.h"
#include "util/strangers.h"
#include "util/tree.h"

bool layers_make(const char *folder) {
  static const char *const names[] = {LAYERS_OWN, "work", LAYERS_ROOT};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
    if (mkdir(path, 0755) ? errno != EEXIST : chmod(path, 0755) != 0)
      return false;
  }
  return true;
}

void layers_put(words *w, const sandbox_options *options) {
  words_add_all(w, "over", options->folder);
  for (size_t i = 0; i < options->layer_count; i++)
    launch_put_layer(w, options, i);
  words_add_all(w, options->system, "at", "/proc", "/dev", "/run");
  for (size_t i = 0; i < options->bind_count; i++)
    words_add(w, options->binds[i].inside);
}

bool layers_try(const sandbox_options *options) {
  words w = {0};
  walls_put(&w, options);
  words_add_all(&w, WALLS_AGENT, "--works");
  bool ok = mkdir(options->folder, 0700) == 0 && layers_make(options->folder) &&
            words_run(&w, walls_program(options), false);
  words_free(&w);
  strangers_remove(options->folder, options->agent);
  return ok;
}

bool layers_work(const char *agent, bool range, bool is_root) {
  const char *base = getenv("TMPDIR");
  char both[PATH_MAX], folder[PATH_MAX + 8], tree[PATH_MAX + 8];
  words w = {0};
  snprintf(both, sizeof(both), "%s/wrenn-try-XXXXXX",
           base && *base ? base : "/tmp");
  if (!mkdtemp(both))
    return false;
  snprintf(folder, sizeof(folder), "%s/own", both);
  snprintf(tree, sizeof(tree), "%s/tree", both);
  sandbox_options o = {
      .folder = folder, .system = tree, .range = range, .is_root = is_root};
  launch_put(&w, &o);
  words_add(&w, "/bin/true");
  bool ok = mkdir(tree, 0700) == 0 && mkdir(folder, 0700) == 0 &&
            layers_make(folder) && words_run(&w, agent, true);
  words_free(&w);
  tree_remove(both);
  return ok;
}
