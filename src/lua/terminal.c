/* The terminal of the program: raw mode, size, and its restoration.
 *
 * The modes of a terminal outlive the process that has set them, and a shell
 * on a raw terminal is of no use. So they are restored when the process ends,
 * also by a signal: a handler needs what it works with in variables of the
 * process. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "module.h"

/* Those that end a process. One that has a handler already, or is ignored, is
 * left alone: whoever handles it restores the terminal. */
static const int fatal[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGSEGV,
                            SIGABRT, SIGBUS, SIGILL,  SIGFPE};
enum { FATAL = sizeof(fatal) / sizeof(*fatal) };

static volatile sig_atomic_t raw_fd = -1; /* -1: no terminal is raw */
static struct termios before;
static pid_t owner;

static void restore(void) {
  int fd = raw_fd;
  if (fd < 0 || owner != getpid())
    return;
  raw_fd = -1;
  /* A process in the background would be stopped by SIGTTOU. */
  sigset_t ttou, mask;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU);
  sigprocmask(SIG_BLOCK, &ttou, &mask);
  tcsetattr(fd, TCSADRAIN, &before);
  sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void on_fatal(int number) {
  restore();
  signal(number, SIG_DFL);
  raise(number);
}

static void set_handlers(void) {
  for (size_t i = 0; i < FATAL; i++) {
    struct sigaction now, ours = {.sa_handler = on_fatal};
    if (!sigaction(fatal[i], NULL, &now) && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL)
      sigaction(fatal[i], &ours, NULL);
  }
}

/* The module may be unloaded, and the handler with it. */
static void drop_handlers(void) {
  for (size_t i = 0; i < FATAL; i++) {
    struct sigaction now;
    if (!sigaction(fatal[i], NULL, &now) && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == on_fatal)
      signal(fatal[i], SIG_DFL);
  }
}

/* At the end of the process, and before the module is unloaded. */
__attribute__((destructor)) static void at_end(void) {
  restore();
  drop_handlers();
}

/* core.terminal_raw(fd): every key is passed on at once and unchanged, and what
 * is printed is, too. True; or nil and a message. One terminal at a time. */
static int terminal_raw(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  if (raw_fd < 0) {
    struct termios raw;
    if (tcgetattr(fd, &before))
      goto failed;
    raw = before;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    owner = getpid();
    raw_fd = fd;
    set_handlers();
    if (tcsetattr(fd, TCSADRAIN, &raw)) {
      int why = errno;
      at_end();
      errno = why;
      goto failed;
    }
  }
  lua_pushboolean(L, 1);
  return 1;
failed:
  lua_pushnil(L);
  lua_pushstring(L, strerror(errno));
  return 2;
}

/* core.terminal_restore(): as it was. */
static int terminal_restore(lua_State *L) {
  (void)L;
  at_end();
  return 0;
}

/* core.terminal_size(fd): columns and rows; nothing if it has none. */
static int terminal_size(lua_State *L) {
  struct winsize size;
  if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) || !size.ws_col ||
      !size.ws_row)
    return 0;
  lua_pushinteger(L, size.ws_col);
  lua_pushinteger(L, size.ws_row);
  return 2;
}

static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

void binding_add_terminal(lua_State *L) {
  static const luaL_Reg functions[] = {{"is_terminal", is_terminal},
                                       {"terminal_raw", terminal_raw},
                                       {"terminal_restore", terminal_restore},
                                       {"terminal_size", terminal_size},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
