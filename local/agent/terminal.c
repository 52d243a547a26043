/*
 * wrenn-agent: commands on terminals. When the leader of a session ends, the
 * kernel hangs up its terminal and discards unread output. So a process of our
 * own, the keeper, leads the session, and ends when all output has been read.
 * The command is the keeper's sibling, not its child, so that the agent learns
 * of its end as usual.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent.h"

/* How often the keeper checks, and for how long: a server that has closed the
 * terminal reads no more. */
#define LOOK_US 2000
#define LOOKS 2500

/* The foreground process group is the command's, not the keeper's. */
static void take_foreground(int terminal) {
  sigset_t ttou;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU); /* the price of asking from the background */
  sigprocmask(SIG_BLOCK, &ttou, NULL);
  setpgid(0, 0);
  tcsetpgrp(terminal, getpid());
}

static bool unread(int master) {
  struct pollfd p = {.fd = master, .events = POLLIN};
  return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

/* Closes everything except these two: the agent's channel and the terminal
 * too. */
static _Noreturn void keep(int master, int command) {
  if (dup2(master, 0) < 0 || dup2(command, 1) < 0)
    _exit(1);
  agent_close_from(2);
  struct pollfd ended = {.fd = 1, .events = POLLIN};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR)
    ;
  for (int i = 0; i < LOOKS && unread(0); i++)
    usleep(LOOK_US);
  _exit(0);
}

static _Noreturn void lead(int master, int terminal, int tell,
                           void (*become)(const void *), const void *arg) {
  sigset_t all;
  setsid();
  ioctl(terminal, TIOCSCTTY, 0);
  pid_t pid =
      (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid == 0) {
    take_foreground(terminal);
    become(arg);
    _exit(126);
  }
  sigfillset(&all); /* they are meant for the command */
  sigprocmask(SIG_SETMASK, &all, NULL);
  int command = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
  if (write(tell, &pid, sizeof(pid)) != sizeof(pid) || command < 0)
    _exit(1);
  keep(master, command);
}

pid_t agent_start_on_terminal(int master, int terminal,
                              void (*become)(const void *), const void *arg) {
  int told[2];
  pid_t pid = -1;
  if (pipe2(told, O_CLOEXEC))
    return -1;
  pid_t keeper = fork();
  if (keeper == 0)
    lead(master, terminal, told[1], become, arg);
  close(told[1]);
  ssize_t len;
  do
    len = keeper > 0 ? read(told[0], &pid, sizeof(pid)) : 0;
  while (len < 0 && errno == EINTR);
  close(told[0]);
  if (len != sizeof(pid))
    errno = EAGAIN;
  return len == sizeof(pid) ? pid : -1;
}
