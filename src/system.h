/*
 * What each kind of system does in its own way. There is a file for each:
 * system_linux.c and system_bsd.c (FreeBSD and macOS). Internal.
 */
#ifndef WRENN_SYSTEM_H
#define WRENN_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* socket and accept, for a descriptor that no program gets which is started
 * meanwhile. */
int wrenn_socket(int family, int type, int protocol);
int wrenn_accept(int fd);

/* A descriptor that becomes readable some time after it was set: a clock that
 * others can wait for. -1: there is none. */
int wrenn_alarm_new(void);

/* From now; replaces an earlier time. */
bool wrenn_alarm_set(int fd, uint64_t ms);

/* If the time is over, makes it unreadable again and returns true. */
bool wrenn_alarm_take(int fd);

/* A descriptor that is readable while `fd` is ready in one of the ways (as of
 * wrenn_ready_start), whatever else waits for that. -1 with errno set: EPERM if
 * it always is, EBADF if there is no such descriptor. */
int wrenn_readiness_new(int fd, int how);

/* The ways in which it is ready. An end or an error is told as what is waited
 * for: the call that follows returns it. */
int wrenn_readiness_take(int readiness, int how);

/* Consumes a SIGPIPE that is pending. It is blocked in this thread. */
void wrenn_sigpipe_take(void);

/* The events of poll for which the end of a unix socket's peer is told. */
short wrenn_poll_end(void);

/* Whether the peer of a unix socket is a process. */
bool wrenn_peer_is(int fd, pid_t pid);

#endif
