/*
 * Capsules of the template code-runner-beta: the host's Jupyter server runs
 * inside. Where capsules share the host's network they cannot all listen on
 * port 8888: Jupyter listens on a socket file, which stands for that port.
 */
#ifndef WRENN_LOCAL_BOX_JUPYTER_H
#define WRENN_LOCAL_BOX_JUPYTER_H

#include "box/box.h"

#define JUPYTER_TEMPLATE "code-runner-beta"
#define JUPYTER_PORT 8888
/* What those are told who want the template where there is no Jupyter. */
#define JUPYTER_MISSING                                                        \
  "template not found: " JUPYTER_TEMPLATE " needs jupyter-server and"          \
  " ipykernel on this machine (Debian: jupyter-server, python3-ipykernel)"
#define JUPYTER_SOCKET_MAX 4200

/* Whether the host has what a capsule needs for it. */
bool jupyter_installed(void);

/* Starts it in a capsule whose agent is ready; nothing for one that is not
 * of the template and was not made from one that was. It takes seconds until
 * it answers. */
void jupyter_start(box *b);

/* The socket file, as the capsule sees it, that stands for a port of a
 * capsule. False when the port is one like all others. */
bool jupyter_socket(const box *b, long port, char path[JUPYTER_SOCKET_MAX]);

#endif
