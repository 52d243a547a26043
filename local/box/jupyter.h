/*
 * Capsules of the template code-runner-beta run the host's Jupyter server, on
 * port 8888. Those on the host's network share its ports and cannot all listen
 * on that one: there Jupyter listens on a socket file instead, which stands for
 * the port.
 */
#ifndef WRENN_LOCAL_BOX_JUPYTER_H
#define WRENN_LOCAL_BOX_JUPYTER_H

#include "box/box.h"

#define JUPYTER_TEMPLATE "code-runner-beta"
#define JUPYTER_PORT 8888
/* The error for this template if the host has no Jupyter. */
#define JUPYTER_MISSING                                                        \
  "template not found: " JUPYTER_TEMPLATE " needs jupyter-server and"          \
  " ipykernel on this machine (Debian: jupyter-server, python3-ipykernel)"
#define JUPYTER_SOCKET_MAX 4200

/* Whether a tree, or the host (NULL), has everything that is needed. */
bool jupyter_installed(const char *system);

/* Starts Jupyter in a capsule whose agent is ready; does nothing for a capsule
 * that neither has the template nor was made from one that had. It answers
 * after some seconds. */
void jupyter_start(box *b);

/* Returns the socket file, as the capsule sees it, that stands for a port.
 * False for those that are what they seem. */
bool jupyter_socket(const box *b, long port, char path[JUPYTER_SOCKET_MAX]);

#endif
