#include "box/uplink.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/path.h"

#define TUN "/dev/net/tun"
#define NAMES "resolv.conf"

/* The program's descriptors. */
enum { EXIT = 3, READY, OWNER, NETWORK, COUNT };

bool uplink_write(const char *folder) {
  static const char text[] = "nameserver 10.0.2.3\n";
  char *path = path_join(folder, NAMES);
  int fd =
      path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
  bool ok = fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1 &&
            fchmod(fd, 0644) == 0;
  if (fd >= 0)
    close(fd);
  free(path);
  return ok;
}

void uplink_put_walls(words *w, const char *folder, const char *place) {
  words_add(w, "--ro-bind");
  words_addf(w, "%s/" NAMES, folder);
  words_add(w, place);
}

/* Root's capsules are somebody else's, for whom the agent makes a device of
 * their own if this one is root's. */
static bool opens_for_others(void) {
  struct stat info;
  return stat(TUN, &info) == 0 &&
         ((info.st_mode & S_IROTH && info.st_mode & S_IWOTH) ||
          (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 1 &&
           prctl(PR_CAPBSET_READ, CAP_MKNOD) == 1));
}

const char *uplink_lacks(const char *slirp, bool is_root) {
  int tun = open(TUN, O_RDWR | O_CLOEXEC);
  if (tun >= 0)
    close(tun);
  if (is_root && !opens_for_others())
    tun = -1;
  if (!slirp)
    return "slirp4netns is missing. Install it";
  return tun >= 0 ? NULL
                  : TUN " cannot be opened. Load the module tun, or allow it"
                        " with chmod 0666 " TUN;
}

/* Opens the network of the capsule, and the user namespace that it belongs to:
 * bubblewrap may have put another one into that. */
static bool open_network(pid_t bwrap, int *network, int *owner) {
  char path[64];
  int agent = 0;
  *network = *owner = -1;
  snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)bwrap,
           (int)bwrap);
  FILE *file = fopen(path, "re");
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes this number */
  if (file && fscanf(file, "%d", &agent) != 1)
    agent = 0;
  if (file)
    fclose(file);
  snprintf(path, sizeof(path), "/proc/%d/ns/net", agent);
  if (agent > 0)
    *network = open(path, O_RDONLY | O_CLOEXEC);
  if (*network >= 0)
    *owner = ioctl(*network, NS_GET_USERNS);
  return *owner >= 0;
}

static void close_end(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static void settle(uplink *u, bool works) {
  void (*settled)(void *, bool) = u->settled;
  u->settled = NULL;
  if (!uv_is_closing((uv_handle_t *)&u->poll))
    uv_poll_stop(&u->poll);
  if (settled)
    settled(u->arg, works);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  uplink *u = poll->data;
  char byte;
  (void)status;
  (void)events;
  settle(u, read(u->ready, &byte, 1) == 1);
}

static void on_closed(uv_handle_t *handle) {
  uplink *u = handle->data;
  if (--u->open_handles > 0)
    return;
  close_end(&u->ready);
  u->gone(u->arg);
}

static void close_handles(uplink *u) {
  uv_close((uv_handle_t *)&u->poll, on_closed);
  uv_close((uv_handle_t *)&u->process, on_closed);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal) {
  uplink *u = process->data;
  (void)status;
  (void)signal;
  u->exited = true;
  if (u->stopped)
    close_handles(u);
  else
    settle(u, false);
}

bool uplink_start(uplink *u, uv_loop_t *loop, const char *agent,
                  const char *slirp, pid_t bwrap) {
  int ends[2] = {-1, -1}, told[2] = {-1, -1}, network, owner;
  char *args[] = {"launch",
                  "join",
                  "5",
                  TUN,
                  (char *)slirp,
                  "--enable-sandbox",
                  "--enable-seccomp",
                  "--configure",
                  "--mtu=65520",
                  "--disable-host-loopback",
                  "--exit-fd=3",
                  "--ready-fd=4",
                  "--netns-type=path",
                  "/proc/self/fd/6",
                  "tap0",
                  NULL};
  uv_stdio_container_t stdio[COUNT] = {
      {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
  const uv_process_options_t options = {.file = agent,
                                        .args = args,
                                        .exit_cb = on_exit_of,
                                        .flags = UV_PROCESS_DETACHED,
                                        .stdio = stdio,
                                        .stdio_count = COUNT};
  bool ok = open_network(bwrap, &network, &owner) &&
            pipe2(ends, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0;
  int given[COUNT] = {-1,
                      -1,
                      -1,
                      [EXIT] = ends[0],
                      [READY] = told[1],
                      [OWNER] = owner,
                      [NETWORK] = network};
  for (int i = EXIT; i < COUNT; i++) {
    stdio[i].flags = UV_INHERIT_FD;
    stdio[i].data.fd = given[i];
  }
  u->process.data = u->poll.data = u;
  ok = ok && fcntl(told[0], F_SETFL, O_NONBLOCK) == 0;
  if (ok)
    u->exited = uv_spawn(loop, &u->process, &options) != 0;
  for (int i = EXIT; i < COUNT; i++)
    close_end(&given[i]);
  if (!ok) {
    close_end(&ends[1]);
    close_end(&told[0]);
    return false;
  }
  u->hold = ends[1];
  u->ready = told[0];
  u->open_handles = 2;
  uv_poll_init(loop, &u->poll, u->ready);
  if (u->exited)
    settle(u, false);
  else
    uv_poll_start(&u->poll, UV_READABLE, on_ready);
  return true;
}

/* By itself it ends when nobody holds the other end of its pipe, which is so
 * when the server has been killed. */
void uplink_stop(uplink *u) {
  u->stopped = true;
  u->settled = NULL;
  close_end(&u->hold);
  if (u->exited)
    close_handles(u);
  else
    uv_process_kill(&u->process, SIGKILL);
}
