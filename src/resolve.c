#include "resolve.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Shared by the loop and the look-up's thread; the last of the two frees it. */
struct wrenn_lookup {
  pthread_mutex_t lock;
  wrenn_loop *loop; /* NULL once the loop has walked away; under the lock */
  bool answered;    /* under the lock */
  struct addrinfo *list;
  int error;
  char *host; /* NULL: this machine's loopback */
  char port[8];
  int flags;
  wrenn_lookup *next; /* the loop's list */
  wrenn_lookup_cb *done;
  void *arg;
};

static void free_lookup(wrenn_lookup *lookup) {
  if (lookup->list)
    freeaddrinfo(lookup->list);
  pthread_mutex_destroy(&lookup->lock);
  free(lookup->host);
  free(lookup);
}

static void ask(wrenn_lookup *lookup) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC,
                           .ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_NUMERICSERV | lookup->flags};
  lookup->error =
      getaddrinfo(lookup->host, lookup->port, &hints, &lookup->list);
}

static void *run_thread(void *arg) {
  wrenn_lookup *lookup = arg;
  ask(lookup);
  pthread_mutex_lock(&lookup->lock);
  bool abandoned = !lookup->loop;
  lookup->answered = true;
  if (!abandoned)
    uv_async_send(&lookup->loop->wake); /* under the lock: it still lives */
  pthread_mutex_unlock(&lookup->lock);
  if (abandoned)
    free_lookup(lookup);
  return NULL;
}

/* RFC 6761: localhost and names under it are loopback, whatever a resolver
 * says, or does not know. */
static bool is_loopback(const char *host) {
  static const char tail[] = ".localhost";
  size_t len = strlen(host), tail_len = sizeof(tail) - 1;
  return !strcasecmp(host, tail + 1) ||
         (len > tail_len && !strcasecmp(host + len - tail_len, tail));
}

static bool is_numeric(const char *host) {
  unsigned char address[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, host, address) == 1 || strchr(host, ':') != NULL;
}

static int start_thread(wrenn_lookup *lookup) {
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all, before;
  if (pthread_attr_init(&attr))
    return -1;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, (size_t)256 * 1024);
  sigfillset(&all); /* signals are the application's threads' business */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&thread, &attr, run_thread, lookup);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return rc;
}

wrenn_lookup *wrenn_lookup_start(wrenn_loop *loop, const char *host, int port,
                                 wrenn_lookup_cb *done, void *arg) {
  wrenn_lookup *lookup = calloc(1, sizeof(*lookup));
  if (!lookup)
    return NULL;
  pthread_mutex_init(&lookup->lock, NULL);
  lookup->loop = loop;
  lookup->done = done;
  lookup->arg = arg;
  snprintf(lookup->port, sizeof(lookup->port), "%d", port);
  bool loopback = is_loopback(host);
  lookup->host = loopback ? NULL : strdup(host);
  if (!loopback && !lookup->host)
    goto failed;
  if (loopback || is_numeric(host)) {
    lookup->flags = loopback ? 0 : AI_NUMERICHOST;
    ask(lookup);
    lookup->answered = true;
    uv_async_send(&loop->wake);
  } else {
    lookup->flags = AI_ADDRCONFIG;
    if (start_thread(lookup))
      goto failed;
  }
  lookup->next = loop->lookups;
  loop->lookups = lookup;
  return lookup;

failed:
  free_lookup(lookup);
  return NULL;
}

/* Takes a look-up out of the loop's list; its thread may still be running. */
static void walk_away(wrenn_lookup *lookup) {
  pthread_mutex_lock(&lookup->lock);
  bool answered = lookup->answered;
  lookup->loop = NULL;
  pthread_mutex_unlock(&lookup->lock);
  if (answered)
    free_lookup(lookup);
}

void wrenn_lookup_cancel(wrenn_loop *loop, wrenn_lookup *lookup) {
  wrenn_lookup **at = &loop->lookups;
  while (*at && *at != lookup)
    at = &(*at)->next;
  if (!*at)
    return;
  *at = lookup->next;
  walk_away(lookup);
}

static wrenn_lookup *take_answered(wrenn_loop *loop) {
  for (wrenn_lookup **at = &loop->lookups; *at; at = &(*at)->next) {
    wrenn_lookup *lookup = *at;
    pthread_mutex_lock(&lookup->lock);
    bool answered = lookup->answered;
    pthread_mutex_unlock(&lookup->lock);
    if (answered) {
      *at = lookup->next;
      return lookup;
    }
  }
  return NULL;
}

void wrenn_lookups_done(wrenn_loop *loop) {
  wrenn_lookup *lookup;
  while ((lookup = take_answered(loop))) {
    struct addrinfo *list = lookup->list;
    lookup->list = NULL;
    lookup->done(lookup->arg, list, list ? NULL : gai_strerror(lookup->error));
    free_lookup(lookup);
  }
}

void wrenn_lookups_abandon(wrenn_loop *loop) {
  while (loop->lookups) {
    wrenn_lookup *lookup = loop->lookups;
    loop->lookups = lookup->next;
    walk_away(lookup);
  }
}
