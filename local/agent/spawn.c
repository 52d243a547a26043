#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/names.h"
#include "util/json_out.h"

/* Of a command, and of all processes of a capsule. */
#define FILES_MAX 65536
#define PROCESSES_MAX 2048

/* What a child needs; prepared before the fork. */
typedef struct plan {
  char **argv;
  char **envp;
  char *cwd;
  int in, out, err; /* the child's ends */
  bool pty;
  bool group; /* a process group of its own */
  uint64_t open_files;
  bool alone; /* its capsule has walls */
  unsigned uid;
} plan;

/* Converts an array of strings to a NULL-terminated list in a single
 * allocation; NULL if it is malformed. `first`, unless NULL, is prepended and
 * taken over. */
static char **string_list(const wrenn_json *order, const char *name,
                          char *first) {
  wrenn_json array, item;
  wrenn_json_iter it;
  size_t count = 0, size = 8;
  char **list = calloc(size, sizeof(*list));
  if (!list) {
    free(first);
    return NULL;
  }
  if (first)
    list[count++] = first;
  if (!wrenn_json_get(order, name, &array))
    return list;
  wrenn_json_walk(&it, &array);
  while (wrenn_json_next(&it, NULL, &item) > 0) {
    if (count + 2 > size) {
      char **longer = realloc(list, 2 * size * sizeof(*list));
      if (!longer)
        goto failed;
      list = longer;
      size *= 2;
    }
    char *text = malloc(item.len + 1);
    if (!text)
      goto failed;
    text[wrenn_json_decode(&item, text)] = '\0';
    list[count++] = text;
    list[count] = NULL;
  }
  list[count] = NULL;
  return list;

failed:
  list[count] = NULL;
  for (size_t i = 0; i < count; i++)
    free(list[i]);
  free(list);
  return NULL;
}

/* Removes assignments that a later one replaces: a program may find the first
 * one. */
static void drop_overridden(char **envp) {
  size_t kept = 0;
  for (size_t i = 0; envp[i]; i++) {
    size_t name = strcspn(envp[i], "=") + 1;
    bool again = false;
    for (size_t j = i + 1; envp[j] && !again; j++)
      again = strncmp(envp[i], envp[j], name) == 0;
    if (again)
      free(envp[i]);
    else
      envp[kept++] = envp[i];
  }
  envp[kept] = NULL;
}

static void free_list(char **list) {
  for (char **item = list; item && *item; item++)
    free(*item);
  free(list);
}

/* ---- what to run --------------------------------------------------------- */

/* The user's shell if it understands the script below. */
static const char *login_shell(unsigned uid) {
  static const char *const known[] = {"bash", "dash", "ksh", "sh", "zsh"};
  const struct passwd *user = names_of_uid(uid);
  const char *slash = user ? strrchr(user->pw_shell, '/') : NULL;
  for (size_t i = 0; slash && i < sizeof(known) / sizeof(known[0]); i++)
    if (!strcmp(slash + 1, known[i]) && !access(user->pw_shell, X_OK))
      return user->pw_shell;
  return "/bin/sh";
}

/* Replaces a leading ~ or ~/ by the home directory; false when memory is
 * out. */
static bool expand_home(const agent *a, char **word) {
  const char *rest = *word + 1;
  if (**word != '~' || (*rest != '\0' && *rest != '/'))
    return true;
  size_t size = strlen(a->home) + strlen(rest) + 1;
  char *full = malloc(size);
  if (!full)
    return false;
  snprintf(full, size, "%s%s", a->home, rest);
  free(*word);
  *word = full;
  return true;
}

/* What the shell runs first. The output of profiles is discarded. */
#define PROFILE                                                                \
  "{ [ -r /etc/profile ] && . /etc/profile; "                                  \
  "[ -r ~/.bashrc ] && . ~/.bashrc; } >/dev/null 2>&1; exec \"$@\""

/* Prepends the login shell to the words of a command. Several words are passed
 * unchanged; a single one is a line for that shell; none means the shell
 * itself. Takes over and returns the list. */
static char **wrap(char **words, unsigned uid) {
  const char *shell = login_shell(uid);
  const char *front[8] = {shell, "-c", PROFILE, shell};
  size_t fronts = 4, count = 0;
  while (words[count])
    count++;
  if (count == 1) {
    front[fronts++] = shell;
    if (*words[0])
      front[fronts++] = "-c";
  }
  char **list = calloc(fronts + count + 1, sizeof(*list));
  for (size_t i = 0; list && i < fronts; i++)
    if (!(list[i] = strdup(front[i])))
      break;
  if (!list || !list[fronts - 1]) {
    free_list(list);
    free_list(words);
    return NULL;
  }
  if (count == 1 && !*words[0])
    free(words[0]);
  else
    memcpy(list + fronts, words, count * sizeof(*list));
  free(words);
  return list;
}

static bool has_user(const char *program) {
  return program[0] == '~' && program[1] != '\0' && program[1] != '/';
}

/* Prepends the command that changes the user. Takes over and returns the
 * list. */
static char **wrap_for(char *user, char **words) {
  const char *const front[] = {"/run/sudo", "-n", "-E", "-u", user, "--"};
  size_t fronts = sizeof(front) / sizeof(front[0]), count = 0;
  while (words[count])
    count++;
  char **list = calloc(fronts + count + 1, sizeof(*list));
  for (size_t i = 0; list && i < fronts; i++)
    list[i] = strdup(front[i]);
  free(user);
  if (!list) {
    free_list(words);
    return NULL;
  }
  memcpy(list + fronts, words, count * sizeof(*list));
  free(words);
  return list;
}

/* The words of an order's command; NULL with a failure set. */
static char **make_argv(const agent *a, const wrenn_json *order,
                        agent_reply *reply) {
  wrenn_json value;
  bool in_shell = wrenn_json_get(order, "shell", &value);
  char *program = agent_string(order, "cmd");
  if (program && in_shell && has_user(program)) {
    agent_fail(reply, "invalid", "cannot expand user-specific home dir");
    free(program);
    return NULL;
  }
  if (program && !*program && !in_shell) {
    free(program);
    program = strdup(login_shell(a->uid));
  }
  char **words = program ? string_list(order, "args", program) : NULL;
  bool ok = words != NULL;
  for (size_t i = 0; ok && in_shell && words[i]; i++)
    ok = expand_home(a, &words[i]);
  if (ok && in_shell)
    words = wrap(words, a->uid);
  char *user = agent_string(order, "user");
  if (ok && words && user)
    words = wrap_for(user, words);
  else
    free(user);
  if (ok && words)
    return words;
  free_list(words);
  agent_fail(reply, "invalid", "malformed command");
  return NULL;
}

/* The environment of an order's command; NULL with a failure set. */
static char **make_envp(const agent *a, const wrenn_json *order,
                        agent_reply *reply) {
  wrenn_json value;
  char *shell = NULL;
  if (wrenn_json_get(order, "shell", &value) &&
      asprintf(&shell, "SHELL=%s", login_shell(a->uid)) < 0)
    shell = NULL;
  char **envp = string_list(order, "envs", shell);
  if (envp)
    drop_overridden(envp);
  else
    agent_fail(reply, "invalid", "malformed command");
  return envp;
}

/* ---- the child ----------------------------------------------------------- */

/* This is the message of the program through which real servers run commands.
 */
static void complain(const char *program) {
  dprintf(2, "/usr/bin/nice: '%s': %s\n", program, strerror(errno));
}

/* Lowers a limit, for this process and all below it. */
static void limit(int what, rlim_t soft, rlim_t hard) {
  struct rlimit now;
  if (getrlimit(what, &now))
    return;
  now.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
  now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
  setrlimit(what, &now);
}

/* When memory runs out, the kernel takes it from commands before it takes it
 * from anything else of this user. */
static bool go_first(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, "1000", 4) == 4;
  if (fd >= 0)
    close(fd);
  return ok;
}

/* Only calls what is safe between fork and exec of a single-threaded
 * process. */
static void become(const void *arg) {
  const plan *p = arg;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (p->open_files > 0)
    limit(RLIMIT_NOFILE, p->open_files, p->alone ? FILES_MAX : RLIM_INFINITY);
  /* The kernel counts a namespace's processes. Without one it would count all
   * processes of the server's user. */
  if (p->alone)
    limit(RLIMIT_NPROC, PROCESSES_MAX, PROCESSES_MAX);
  bool first = go_first();
  if (p->uid != getuid() &&
      (setgroups(1, (gid_t[]){p->uid}) || setresgid(p->uid, p->uid, p->uid) ||
       setresuid(p->uid, p->uid, p->uid)))
    _exit(126);
  if (p->group)
    setsid();
  dup2(p->in, 0);
  dup2(p->out, 1);
  dup2(p->err, 2);
  /* Where nobody is root, what cannot be inspected is the machine's root's. The
   * agent's descriptors must not be seen, its memory is this user's anyway. */
  if (!first && p->alone && agent_close_from(3) &&
      prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0)
    go_first();
  if (chdir(p->cwd)) {
    complain(p->cwd);
    _exit(126);
  }
  environ = p->envp;
  execvp(p->argv[0], p->argv);
  int code = errno == ENOENT ? 127 : 126;
  complain(p->argv[0]);
  _exit(code);
}

static bool open_pty(const wrenn_json *pty, plan *p, agent_reply *reply) {
  struct winsize size = {.ws_col = 80, .ws_row = 24};
  wrenn_json value;
  int64_t number;
  int master, slave;
  if (wrenn_json_get(pty, "cols", &value) && wrenn_json_int(&value, &number))
    size.ws_col = (unsigned short)number;
  if (wrenn_json_get(pty, "rows", &value) && wrenn_json_int(&value, &number))
    size.ws_row = (unsigned short)number;
  if (openpty(&master, &slave, NULL, NULL, &size))
    return false;
  fcntl(master, F_SETFD, FD_CLOEXEC);
  fcntl(slave, F_SETFD, FD_CLOEXEC);
  p->in = p->out = p->err = slave;
  p->pty = true;
  reply->fds[reply->fd_count++] = master;
  return true;
}

static bool open_pipes(plan *p, agent_reply *reply) {
  int out[2], err[2];
  p->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (p->in < 0 || pipe2(out, O_CLOEXEC))
    return false;
  p->out = out[1];
  reply->fds[reply->fd_count++] = out[0];
  if (pipe2(err, O_CLOEXEC))
    return false;
  p->err = err[1];
  reply->fds[reply->fd_count++] = err[0];
  return true;
}

static void close_child_ends(plan *p) {
  if (p->in >= 0)
    close(p->in);
  if (p->out >= 0 && p->out != p->in)
    close(p->out);
  if (p->err >= 0 && p->err != p->in)
    close(p->err);
}

pid_t agent_spawn(const agent *self, const wrenn_json *order,
                  agent_reply *reply) {
  agent here = *self, *a = &here;
  char *home = agent_string(order, "home");
  plan p = {.in = -1,
            .out = -1,
            .err = -1,
            .open_files = a->open_files,
            .alone = a->alone,
            .uid = a->uid};
  struct stat info;
  wrenn_json pty, group;
  pid_t pid = -1;
  if (home)
    here.home = home;
  p.cwd = agent_path(a, order, "cwd", reply);
  if (!p.cwd)
    goto out;
  if (stat(p.cwd, &info) || !S_ISDIR(info.st_mode)) {
    agent_fail(reply, "no_cwd", "cwd '%s' does not exist", p.cwd);
    goto out;
  }
  p.argv = make_argv(a, order, reply);
  p.envp = p.argv ? make_envp(a, order, reply) : NULL;
  if (!p.argv || !p.envp)
    goto out;
  if (!(wrenn_json_get(order, "pty", &pty) ? open_pty(&pty, &p, reply)
                                           : open_pipes(&p, reply))) {
    agent_fail(reply, "failed", "start process: %s", strerror(errno));
    goto out;
  }
  p.group = !p.pty && wrenn_json_get(order, "group", &group);
  pid =
      p.pty ? agent_start_on_terminal(reply->fds[0], p.in, become, &p) : fork();
  if (pid == 0)
    become(&p);
  if (pid < 0)
    agent_fail(reply, "failed", "start process: %s", strerror(errno));
  else
    json_int(&reply->detail, "pid", pid);

out:
  close_child_ends(&p);
  free_list(p.argv);
  free_list(p.envp);
  free(p.cwd);
  free(home);
  return pid;
}
