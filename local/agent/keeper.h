/*
 * A process that makes user namespaces, each inside the one before it, and
 * keeps them open for sudo to enter. A user namespace gives its maker all
 * capabilities, so that commands must not make any: the agent does, before the
 * first command.
 */
#ifndef WRENN_LOCAL_AGENT_KEEPER_H
#define WRENN_LOCAL_AGENT_KEEPER_H

#include <stdbool.h>

#define KEEPER_STEPS 4

/* `link`: leads to the keeper's descriptors; that of step N is N.
 * `prepare` (may be NULL): makes the process of the agent the keeper.
 * `step`: enters one more namespace; the process that returns true goes on. */
typedef struct keeper {
  const char *link;
  bool (*prepare)(unsigned user);
  bool (*step)(unsigned number, unsigned user);
} keeper;

/* Starts it, and waits until it has made all steps. If it cannot, there is no
 * link. */
void keeper_start(const keeper *self, unsigned user);

/* Enters the first step that can be entered, from `first` on, each `every` one;
 * false if there is none. */
bool keeper_enter(const keeper *self, unsigned first, unsigned every);

#endif
