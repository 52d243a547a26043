#include "box/jupyter.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/layers.h"
#include "box/process.h"
#include "util/json_out.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The folders of a capsule's PATH, in which programs are looked up. */
static const char *const programs[] = {"/usr/local/bin/jupyter-server",
                                       "/usr/bin/jupyter-server"};
static const char *const kernels[] = {
    "/usr/local/share/jupyter/kernels/python3",
    "/usr/share/jupyter/kernels/python3"};

static const char *first_there(const char *system, const char *const *paths,
                               size_t count) {
  for (size_t i = 0; i < count; i++) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s%s", system ? system : "", paths[i]);
    if (access(path, R_OK | X_OK) == 0)
      return paths[i];
  }
  return NULL;
}

bool jupyter_installed(const char *system) {
  return first_there(system, programs, COUNT(programs)) &&
         first_there(system, kernels, COUNT(kernels));
}

/* Whether it has been started where these files come from. */
static bool was_in(const char *folder, const char *below) {
  char path[PATH_MAX];
  struct stat info;
  snprintf(path, sizeof(path), "%s%s/var/lib/jupyter/kernels/python3", folder,
           below);
  return lstat(path, &info) == 0;
}

/* Whether a capsule has this template, or was made from a snapshot of one. */
static bool wants_jupyter(const box *b) {
  bool wants = strcmp(b->template, JUPYTER_TEMPLATE) == 0 ||
               was_in(b->folder, b->system ? "/" LAYERS_OWN : "");
  for (size_t i = 0; !wants && i < b->layer_count; i++)
    wants = was_in(b->layers[i], "");
  return wants;
}

bool jupyter_socket(const box *b, long port, char path[JUPYTER_SOCKET_MAX]) {
  if (port != JUPYTER_PORT || !b->has_jupyter || b->site->private_network)
    return false;
  if (b->site->bwrap)
    snprintf(path, JUPYTER_SOCKET_MAX, "/run/jupyter.sock");
  else
    snprintf(path, JUPYTER_SOCKET_MAX, "%s/jupyter.sock", b->folder);
  return true;
}

/* The kernelspec is the host's python3, which the real server offers only under
 * that name; the lenient mode adds the name `wrenn`. Kernels talk to the server
 * through sockets, where paths are short enough, because ports might be open to
 * everybody. The default limits on output are meant for notebooks on a screen.
 * $1: the kernelspec, $2: the server's socket, empty if it listens on the port,
 * $3: the transport of kernels, $4: the capsule's folder, $5: the additional
 * name. */
static const char line[] =
    "export JUPYTER_PATH=\"$4/var/lib/jupyter\"; "
    "export JUPYTER_RUNTIME_DIR=\"$JUPYTER_PATH/run\"; "
    "rm -rf \"$JUPYTER_RUNTIME_DIR\" ${2:+\"$2\"}; "
    "mkdir -p \"$JUPYTER_PATH/kernels\" && "
    "for name in python3 $5; do"
    "  ln -sfn \"$1\" \"$JUPYTER_PATH/kernels/$name\"; done && "
    "exec jupyter-server --no-browser --allow-root "
    "--ServerApp.ip=127.0.0.1 --ServerApp.port=8888 --ServerApp.port_retries=0 "
    "${2:+--ServerApp.sock=\"$2\"} --ServerApp.token= --ServerApp.password= "
    "--ServerApp.disable_check_xsrf=True \"--ServerApp.allow_origin=*\" "
    "--ServerApp.root_dir=\"$HOME\" --KernelManager.transport=\"$3\" "
    "--ServerApp.iopub_data_rate_limit=1e12 "
    "--ServerApp.iopub_msg_rate_limit=1e9 "
    ">\"$4/var/log/jupyter.log\" 2>&1";

/* Its output goes to a file, and nobody waits for its end: the reply closes the
 * ends of the pipes. */
static void on_started(void *arg, const sandbox_reply *reply) {
  const box *b = arg;
  if (reply->error)
    fprintf(stderr, "wrenn-local: no Jupyter in %s: %s\n", b->id, reply->text);
}

void jupyter_start(box *b) {
  char socket[JUPYTER_SOCKET_MAX] = "";
  const char *kernel = first_there(b->system, kernels, COUNT(kernels));
  wrenn_buf order = {0};
  const wrenn_json none = {.type = WRENN_JSON_NULL};
  b->has_jupyter = kernel && wants_jupyter(b);
  if (!b->has_jupyter)
    return;
  jupyter_socket(b, JUPYTER_PORT, socket);
  json_text(&order, "op", "spawn");
  json_text(&order, "cwd", "~");
  json_text(&order, "cmd", "/bin/sh");
  json_array(&order, "args");
  json_text(&order, NULL, "-c");
  json_text(&order, NULL, line);
  json_text(&order, NULL, "sh");
  json_text(&order, NULL, kernel);
  json_text(&order, NULL, socket);
  json_text(&order, NULL, b->site->bwrap ? "ipc" : "tcp");
  json_text(&order, NULL, box_top(b));
  json_text(&order, NULL, b->site->friendly ? "wrenn" : "");
  json_array_end(&order);
  json_bool(&order, "group", true);
  process_put_envs(b, b->site->user, &none, &order);
  box_order(b, &order, on_started, b);
  wrenn_buf_free(&order);
}
