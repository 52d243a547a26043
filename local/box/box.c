#include "box/box.h"

#include "box/jupyter.h"
#include "box/layers.h"
#include "box/process.h"
#include "box/walls.h"

static void on_ready(void *arg) {
  box *b = arg;
  jupyter_start(b);
  b->hooks.ready(b);
}

static void on_exited(void *arg, int64_t pid, int code) {
  process_exited(arg, pid, code);
}

static void on_gone(void *arg) {
  box *b = arg;
  b->hooks.gone(b);
}

bool box_start(box *b, const sandbox_bind *binds, size_t count) {
  const sandbox_options options = {.loop = b->site->loop,
                                   .bwrap = b->site->bwrap,
                                   .folder = b->folder,
                                   .agent = b->site->agent,
                                   .system = b->system,
                                   .layers = b->layers,
                                   .layer_count = b->layer_count,
                                   .range = b->site->range,
                                   .is_root = b->site->is_root,
                                   .etc = b->site->etc,
                                   .user = b->site->user,
                                   .binds = binds,
                                   .bind_count = count,
                                   .open_files = b->site->open_files,
                                   .hooks = {on_ready, on_exited, on_gone, b},
                                   .private_network = b->site->private_network,
                                   .slirp = b->site->slirp,
                                   .sizes = b->site->sizes,
                                   .cgroups = b->site->cgroups,
                                   .id = b->id,
                                   .limits = b->limits};
  if (b->system ? layers_make(b->folder) : walls_make_folders(b->folder) == 0)
    b->sandbox = sandbox_start(&options);
  return b->sandbox != NULL;
}

bool box_order(const box *b, const wrenn_buf *order, sandbox_done *done,
               void *arg) {
  return b->sandbox && sandbox_order(b->sandbox, order, done, arg);
}

void box_stop(box *b) {
  if (b->sandbox)
    sandbox_stop(b->sandbox);
}

void box_end(box *b) {
  processes_end(b);
  sandbox_free(b->sandbox);
  b->sandbox = NULL;
}

const char *box_top(const box *b) { return b->site->bwrap ? "" : b->folder; }
