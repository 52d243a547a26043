#include "box/survey.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box/jupyter.h"
#include "box/launch.h"
#include "box/layers.h"
#include "box/uplink.h"
#include "box/walls.h"

/* What of a capsule's sizes is not enforced, and what to do; NULL if all is. */
static const char *sizes_lack(const survey *s) {
  bool memory = cgroups_memory(s->cgroups), cpu = cgroups_cpu(s->cgroups);
  if (memory && cpu)
    return NULL;
  if (memory)
    return "vcpus is not enforced: this server's control group has no `cpu`."
           " Add it to Delegate= of the unit user@.service";
  if (cpu)
    return "memory_mb is not enforced: this server's control group has no"
           " `memory`. Add it to Delegate= of the unit user@.service";
  if (geteuid() == 0)
    return "memory_mb and vcpus are not enforced. They are with a control"
           " group of its own: systemd-run --scope -p Delegate=yes wrenn-local";
  return "memory_mb and vcpus are not enforced. They are with a control group"
         " of its own: systemd-run --user --scope -p Delegate=yes wrenn-local";
}

/* The number in a file of /proc/sys; -1 if there is no such file. */
static long setting(const char *path) {
  char text[32] = "";
  FILE *file = fopen(path, "re");
  bool read = file && fgets(text, sizeof(text), file);
  if (file)
    fclose(file);
  return read ? strtol(text, NULL, 10) : -1;
}

const char *survey_remedy(void) {
  if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
    return "AppArmor keeps bubblewrap from creating user namespaces. Give bwrap"
           " a profile with `userns,` in /etc/apparmor.d, or set"
           " kernel.apparmor_restrict_unprivileged_userns=0 with sysctl";
  if (setting("/proc/sys/user/max_user_namespaces") == 0)
    return "There can be no user namespaces. Set"
           " user.max_user_namespaces=10000 with sysctl";
  if (setting("/proc/sys/kernel/unprivileged_userns_clone") == 0)
    return "User namespaces are for root only. Set"
           " kernel.unprivileged_userns_clone=1 with sysctl";
  if (access("/.dockerenv", F_OK) == 0 ||
      access("/run/.containerenv", F_OK) == 0)
    return "This container may not create user namespaces. Start it with"
           " --security-opt seccomp=unconfined --security-opt"
           " apparmor=unconfined --security-opt systempaths=unconfined";
  return "Allow bubblewrap to create user namespaces";
}

static bool filters(void) {
  unsigned action = SECCOMP_RET_ERRNO;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* A line of the table. */
static bool row(bool works, const char *what, const char *yes, const char *no) {
  printf("%-3s  %-17s %s\n", works ? "yes" : "no", what, works ? yes : no);
  return works;
}

bool survey_print(const survey *s) {
  const char *bwrap = s->bwrap;
  bool sizes = bwrap && walls_work(bwrap, false, true);
  bool walls = sizes || (bwrap && walls_work(bwrap, false, false));
  char files[128];
  bool ok = row(s->agent, "wrenn-agent", "is there",
                "is missing. It belongs beside wrenn-local, or in"
                " ../libexec/wrenn; WRENN_AGENT can name another one");
  ok &= row(bwrap, "bubblewrap", "is installed",
            "is missing. Install it, or use --isolation none");
  ok &= row(walls, "walls", "each capsule has namespaces of its own",
            bwrap ? survey_remedy() : "there are none without bubblewrap");
  ok &= row(filters(), "system calls",
            "new namespaces, mounts and more are denied inside",
            "the kernel has no seccomp filters, so that capsules with walls"
            " cannot be started. Use a kernel with CONFIG_SECCOMP_FILTER");
  row(bwrap && walls_work(bwrap, true, sizes), "private network",
      "--network none works",
      "there can be no network namespaces: use --network host");
  row(walls && !uplink_lacks(s->slirp, s->is_root), "way out",
      "--network outgoing works",
      walls ? uplink_lacks(s->slirp, s->is_root)
            : "there is none without walls");
  row(walls && s->agent && layers_work(s->agent, false, s->is_root),
      "system of its own", "--system DIR works, over a tree that is yours",
      "there can be none: it takes walls, Linux 5.11 or later (5.19 and the"
      " right to mount, for root), and a file system with extended attributes"
      " that is no overlay. Use --system host");
  row(walls && s->agent && layers_work(s->agent, true, s->is_root),
      "range of users", "--uids range works, with systems of their own",
      "there can be none: it takes such a system, uidmap, and lines in"
      " /etc/subuid and /etc/subgid. Install uidmap, and use usermod"
      " --add-subuids 100000-165535 --add-subgids 100000-165535 NAME");
  bool other = s->is_root && walls && s->agent && launch_works(s->agent);
  row(geteuid() != 0 || other, "server's user",
      geteuid() == 0
          ? "is root, but what leaves a capsule is a user who owns nothing else"
          : "is not root: what leaves a capsule has only this user's rights",
      "is root, and so is what leaves a capsule. Run wrenn-local, with walls,"
      " as an ordinary user");
  row(walls && (geteuid() != 0 || other), "processes",
      "a capsule has at most 2048",
      "are not limited: the kernel does not count those of root. Run"
      " wrenn-local, with walls, as an ordinary user");
  row(sizes, "/run, /dev/shm", "have at most 64 and 256 MiB",
      "may fill the memory. Install bubblewrap 0.7 or later");
  const char *lack = sizes_lack(s);
  row(!lack, "memory_mb, vcpus", "are enforced, by control groups", lack);
  snprintf(files, sizeof(files), "%llu", (unsigned long long)s->open_files);
  row(s->open_files >= SURVEY_FILES_MIN, "open files", files,
      "are few: raise the limit with ulimit -Hn, or LimitNOFILE= of systemd");
  row(jupyter_installed(NULL), "Jupyter", "is installed",
      "is missing: there is no template code-runner-beta. Install"
      " jupyter-server and python3-ipykernel");
  return ok;
}

void survey_warn(const survey *s) {
  const char *lack = sizes_lack(s);
  if (lack)
    fprintf(stderr, "wrenn-local: %s\n", lack);
  if (s->open_files < SURVEY_FILES_MIN)
    fprintf(stderr,
            "wrenn-local: at most %llu files can be open, which is little: a"
            " capsule takes one, a command two or three. ulimit -Hn, or"
            " LimitNOFILE= of systemd, raises this\n",
            (unsigned long long)s->open_files);
}
