/*
 * wrenn-agent under the name of sudo: runs a program as root or as the default
 * user, without a password. Both have the same uid on the host; a user
 * namespace that the agent has made maps it to another number. If there is
 * none, the names change and the number does not.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/names.h"

typedef struct wish {
  const char *user;
  bool keep, shell, login, nothing;
  char **words; /* assignments, then the command */
} wish;

static _Noreturn void refuse(const char *text, const char *detail) {
  fprintf(stderr, "sudo: %s%s\n", text, detail);
  exit(1);
}

/* The options before the command. Those that make no difference are ignored. */
static wish parse(int argc, char **argv) {
  static const struct option names[] = {
      {"user", required_argument, NULL, 'u'},
      {"login", no_argument, NULL, 'i'},
      {"shell", no_argument, NULL, 's'},
      {"preserve-env", optional_argument, NULL, 'E'},
      {"non-interactive", no_argument, NULL, 'n'},
      {"set-home", no_argument, NULL, 'H'},
      {"validate", no_argument, NULL, 'v'},
      {"list", no_argument, NULL, 'l'},
      {NULL, 0, NULL, 0}};
  wish w = {.user = "root"};
  int option;
  while ((option = getopt_long(argc, argv, "+AbEHiknKPSsvlu:g:p:C:h:D:", names,
                               NULL)) != -1) {
    if (option == 'u')
      w.user = optarg;
    else if (option == '?')
      exit(1);
    w.keep |= option == 'E';
    w.shell |= option == 's' || option == 'i';
    w.login |= option == 'i';
    w.nothing |= strchr("vlkK", option) != NULL;
  }
  w.words = argv + optind;
  return w;
}

static const struct passwd *find_user(const char *name) {
  const struct passwd *user =
      name[0] == '#' ? names_of_uid((uid_t)strtoul(name + 1, NULL, 10))
                     : names_of_user(name);
  if (!user)
    refuse("unknown user ", name);
  if (!agent_has_stairs() && strcmp(user->pw_name, "root") != 0 &&
      strcmp(user->pw_name, "wrenn-user") != 0)
    refuse("there is no way here to become ", name);
  return user;
}

static void keep_only_terminal(void) {
  static const char *const kept[] = {"TERM", "LANG", "LC_ALL", "COLORTERM"};
  char *values[sizeof(kept) / sizeof(kept[0])];
  for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
    const char *value = getenv(kept[i]);
    values[i] = value ? strdup(value) : NULL;
  }
  clearenv();
  for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
    if (values[i])
      setenv(kept[i], values[i], 1);
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
         1);
}

static void tell_who(const char *asker, const struct passwd *user) {
  char number[16];
  if (*asker)
    setenv("SUDO_USER", asker, 1);
  snprintf(number, sizeof(number), "%u", getuid());
  setenv("SUDO_UID", number, 1);
  setenv("USER", user->pw_name, 1);
  setenv("LOGNAME", user->pw_name, 1);
  setenv("HOME", user->pw_dir, 1);
  setenv("SHELL", user->pw_shell, 1);
}

int agent_sudo(int argc, char **argv) {
  char line[] = "\"$@\"", dash_c[] = "-c", name[] = "sh", asker[256];
  wish w = parse(argc, argv);
  const struct passwd *user = names_of_uid(getuid());
  snprintf(asker, sizeof(asker), "%s", user ? user->pw_name : "");
  user = find_user(w.user);
  if (w.nothing && !*w.words)
    return 0;
  if (!w.keep)
    keep_only_terminal();
  tell_who(asker, user);
  if (agent_has_stairs() && !agent_become(user))
    refuse("there is no way here to become ", user->pw_name);
  if (getuid() != user->pw_uid)
    agent_climb(user->pw_uid); /* or only the names change */
  for (; *w.words && strchr(*w.words, '=') && **w.words != '/'; w.words++)
    putenv(*w.words);
  if (w.login && chdir(user->pw_dir))
    refuse("cannot enter ", user->pw_dir);
  if (!*w.words) {
    if (!w.shell)
      refuse("a command is missing", "");
    execl(user->pw_shell, user->pw_shell, (char *)NULL);
  } else if (w.shell) {
    char **with = calloc((size_t)argc + 8, sizeof(*with));
    size_t count = 0;
    if (!with)
      refuse("out of memory", "");
    with[count++] = user->pw_shell;
    with[count++] = dash_c;
    with[count++] = line;
    with[count++] = name;
    while (*w.words)
      with[count++] = *w.words++;
    execv(user->pw_shell, with);
    free(with);
  } else {
    execvp(*w.words, w.words);
    fprintf(stderr, "sudo: %s: %s\n", *w.words,
            errno == ENOENT ? "command not found" : strerror(errno));
  }
  return 1;
}
