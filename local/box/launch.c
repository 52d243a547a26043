#include "box/launch.h"

#include "box/layers.h"
#include "util/root.h"

/* Whether the agent makes a user namespace for the capsule. */
static bool changes_hands(const sandbox_options *o) {
  return o->system || o->is_root;
}

bool launch_needed(const sandbox_options *options) {
  return changes_hands(options) ||
         (options->cgroups && options->cgroups->count);
}

static void stage(words *w, const char *how, const char **path,
                  const char *place) {
  if (!*path)
    return;
  words_add_all(w, how, *path, place);
  *path = place;
}

static void put_stage(words *w, sandbox_options *o) {
  stage(w, "own", &o->folder, ROOT_STAGE "/capsule");
  stage(w, "own", &o->etc, ROOT_STAGE "/etc");
  stage(w, "show", &o->agent, ROOT_STAGE "/agent");
  stage(w, "show", &o->bwrap, ROOT_STAGE "/bwrap");
  stage(w, "tree", &o->system, ROOT_STAGE "/tree");
  for (size_t i = 0; i < o->layer_count; i++) {
    words_add_all(w, "own", o->layers[i]);
    launch_put_layer(w, o, i);
  }
  for (size_t i = 0; i < o->bind_count; i++) {
    words_add_all(w, "own", o->binds[i].host);
    launch_put_bind(w, o, i);
  }
}

void launch_put(words *w, sandbox_options *options) {
  if (!launch_needed(options))
    return;
  words_add_all(w, "launch",
                !changes_hands(options)             ? "none"
                : options->system && options->range ? "range"
                                                    : "one");
  if (options->cgroups)
    cgroup_put(w, options->cgroups, options->id);
  if (options->is_root)
    put_stage(w, options);
  if (options->system)
    layers_put(w, options);
  words_add(w, "--");
}

void launch_put_bind(words *w, const sandbox_options *options, size_t index) {
  if (options->is_root)
    words_addf(w, ROOT_STAGE "/bind-%zu", index);
  else
    words_add(w, options->binds[index].host);
}

void launch_put_layer(words *w, const sandbox_options *options, size_t index) {
  if (options->is_root)
    words_addf(w, ROOT_STAGE "/layer-%zu", index);
  else
    words_add(w, options->layers[index]);
}

bool launch_works(const char *agent) {
  words w = {0};
  words_add_all(&w, "launch", "one", "--", "/bin/true");
  bool ok = words_run(&w, agent, true);
  words_free(&w);
  return ok;
}
