/* wrenn-local: the command line, signals, start and end. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api.h"
#include "api/keys.h"
#include "box/accounts.h"
#include "box/cgroup.h"
#include "box/layers.h"
#include "box/survey.h"
#include "box/uplink.h"
#include "box/walls.h"
#include "model/shelf.h"
#include "model/stats.h"
#include "proxy/proxy.h"
#include "util/clock.h"
#include "util/data.h"
#include "util/root.h"
#include "util/tree.h"
#include "wrenn.h"

#define PTY_PING_MS 30000
#define HEAD_MS 30000
#define KEPT_MS 120000

typedef struct options {
  char address[64];
  int port;
  const char *data;
  keys keys;
  bool bwrap;
  bool private_network, outgoing;
  bool range;         /* of users */
  const char *system; /* a tree; NULL: the host's */
  bool lenient;
  bool check;
  const account *user; /* NULL: the default of the generation */
  generation generation;
  char **command; /* or NULL */
} options;

typedef struct program {
  options options;
  uv_loop_t loop;
  server server;
  traits traits;
  char url[128];
  data_folder data;
  char agent[PATH_MAX], bwrap[PATH_MAX], slirp[PATH_MAX], system[PATH_MAX];
  char etc[PATH_MAX + 8]; /* of its capsules */
  cgroups cgroups;
  uv_signal_t signals[3];
  uv_process_t command;
  bool command_runs, sizes;
  bool is_root; /* of the machine */
  int exit_status;
} program;

static const char usage[] =
    "usage: wrenn-local [OPTION...] [-- COMMAND [ARGUMENT...]]\n"
    "       wrenn-local template add NAME DIR|TARBALL\n"
    "       wrenn-local template list\n"
    "       wrenn-local template remove NAME\n"
    "\n"
    "Serves the capsule API on this machine. With a command, runs the command "
    "with WRENN_BASE_URL and WRENN_API_KEY set, and exits when it does.\n"
    "\n"
    "  --listen ADDRESS:PORT  default: 127.0.0.1:0; port 0 chooses a free one\n"
    "  --allow-remote         allow --listen an address that is not loopback:\n"
    "                         anyone with the key can run commands here\n"
    "  --data DIR             the folder for the capsules' files, which the\n"
    "                         next server takes up; default: a temporary "
    "one\n"
    "  --api-key KEY          default: WRENN_LOCAL_API_KEY, else a random "
    "key,\n"
    "                         which is printed; each key is a team of its own\n"
    "  --api-key-file FILE    the same, with one key per line\n"
    "  --generation G         of the API: 0.1, 0.2 (default), 0.2.2, 0.3, 0.4\n"
    "  --isolation bwrap|none default: WRENN_LOCAL_ISOLATION, else bwrap; "
    "none:\n"
    "                         commands run as you and see your files\n"
    "  --network outgoing|none|host\n"
    "                         default: outgoing: each capsule has a network\n"
    "                         of its own with a way out, by slirp4netns; "
    "none:\n"
    "                         only a loopback interface\n"
    "  --system host|DIR      default: host; DIR: each capsule has a system "
    "of\n"
    "                         its own, which begins as a copy of this tree\n"
    "  --uids one|range       default: one; range: systems of their own have\n"
    "                         many users, of those in /etc/subuid\n"
    "  --user root|wrenn-user the user that commands run as; default: root, "
    "or\n"
    "                         wrenn-user in 0.3 and 0.4\n"
    "  --lenient              give friendlier answers where the real servers\n"
    "                         are silent or odd\n"
    "  --check                print what works on this machine\n"
    "  --version, --help\n";

_Noreturn static void die(int status, const char *text, const char *detail) {
  fprintf(stderr, "wrenn-local: %s%s\n", text, detail);
  exit(status);
}

/* ---- command line -------------------------------------------------------- */

static void parse_listen(options *o, const char *text, bool remote) {
  const char *colon = strrchr(text, ':');
  char *end;
  size_t len = colon ? (size_t)(colon - text) : 0;
  if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
    text++;
    len -= 2;
  }
  long port = colon ? strtol(colon + 1, &end, 10) : -1;
  if (!colon || colon[1] == '\0' || *end || port < 0 || port > 65535 ||
      len == 0 || len >= sizeof(o->address))
    die(2, "--listen takes ADDRESS:PORT, not ", text);
  memcpy(o->address, text, len);
  o->address[len] = '\0';
  o->port = (int)port;
  if (!strcmp(o->address, "localhost"))
    strcpy(o->address, "127.0.0.1");
  bool loopback = !strncmp(o->address, "127.", 4) || !strcmp(o->address, "::1");
  if (!loopback && !remote)
    die(2, "only loopback addresses are served without --allow-remote, not ",
        o->address);
}

static bool parse_isolation(const char *where, const char *text) {
  bool bwrap = !strcmp(text, "bwrap");
  if (!bwrap && strcmp(text, "none") != 0)
    die(2, where, text);
  return bwrap;
}

/* The key if none was given. */
static void take_usual_key(keys *k) {
  const char *usual = getenv("WRENN_LOCAL_API_KEY");
  const char *wrong = k->count == 0 && usual ? keys_add(k, usual) : NULL;
  if (wrong)
    die(2, wrong, "");
}

static options parse(int argc, char **argv) {
  static const struct option names[] = {
      {"listen", required_argument, NULL, 'l'},
      {"allow-remote", no_argument, NULL, 'r'},
      {"data", required_argument, NULL, 'd'},
      {"api-key", required_argument, NULL, 'k'},
      {"api-key-file", required_argument, NULL, 'f'},
      {"generation", required_argument, NULL, 'g'},
      {"isolation", required_argument, NULL, 'i'},
      {"network", required_argument, NULL, 'n'},
      {"system", required_argument, NULL, 's'},
      {"uids", required_argument, NULL, 'U'},
      {"user", required_argument, NULL, 'u'},
      {"lenient", no_argument, NULL, 'e'},
      {"check", no_argument, NULL, 'c'},
      {"version", no_argument, NULL, 'v'},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0}};
  const char *isolation = getenv("WRENN_LOCAL_ISOLATION");
  options o = {.bwrap = true, .generation = GENERATION_0_2};
  const char *wrong = NULL;
  const char *listen = "127.0.0.1:0";
  bool remote = false, chosen = false;
  int name;
  if (isolation && *isolation)
    o.bwrap = parse_isolation("WRENN_LOCAL_ISOLATION is bwrap or none, not ",
                              isolation);
  while ((name = getopt_long(argc, argv, "+", names, NULL)) != -1) {
    switch (name) {
    case 'l':
      listen = optarg;
      break;
    case 'r':
      remote = true;
      break;
    case 'd':
      o.data = optarg;
      break;
    case 'k':
      wrong = keys_add(&o.keys, optarg);
      if (wrong)
        die(2, wrong, "");
      break;
    case 'f':
      wrong = keys_read(&o.keys, optarg);
      if (wrong)
        die(2, "--api-key-file: ", wrong);
      break;
    case 'g':
      if (!generation_parse(optarg, &o.generation))
        die(2, "--generation is 0.1, 0.2, 0.2.2, 0.3 or 0.4, not ", optarg);
      break;
    case 'i':
      o.bwrap = parse_isolation("--isolation is bwrap or none, not ", optarg);
      break;
    case 'n':
      chosen = true;
      o.outgoing = !strcmp(optarg, "outgoing");
      o.private_network = o.outgoing || !strcmp(optarg, "none");
      if (!o.private_network && strcmp(optarg, "host") != 0)
        die(2, "--network is outgoing, none or host, not ", optarg);
      break;
    case 's':
      o.system = strcmp(optarg, "host") != 0 ? optarg : NULL;
      break;
    case 'U':
      o.range = !strcmp(optarg, "range");
      if (!o.range && strcmp(optarg, "one") != 0)
        die(2, "--uids is one or range, not ", optarg);
      break;
    case 'u':
      o.user = account_find(optarg);
      if (!o.user)
        die(2, "--user is root or wrenn-user, not ", optarg);
      break;
    case 'e':
      o.lenient = true;
      break;
    case 'c':
      o.check = true;
      break;
    case 'v':
      puts("wrenn-local " WRENN_VERSION);
      exit(0);
    case 'h':
      fputs(usage, stdout);
      exit(0);
    default:
      fputs(usage, stderr);
      exit(2);
    }
  }
  if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
    die(2, "unexpected argument ", argv[optind]);
  if (optind < argc)
    o.command = argv + optind;
  else if (strcmp(argv[argc - 1], "--") == 0)
    die(2, "there is no command after --", "");
  if (!chosen)
    o.outgoing = o.private_network = o.bwrap;
  if (o.private_network && !o.bwrap)
    die(2,
        "--network outgoing or none needs bubblewrap: it does not work with"
        " --isolation none",
        "");
  if (o.system && !o.bwrap)
    die(2,
        "--system DIR needs bubblewrap: it does not work with --isolation"
        " none",
        "");
  take_usual_key(&o.keys);
  parse_listen(&o, listen, remote);
  return o;
}

/* ---- what it needs ------------------------------------------------------- */

static bool find_in_path(const char *name, char file[PATH_MAX]) {
  const char *path = getenv("PATH");
  while (path && *path) {
    size_t len = strcspn(path, ":");
    int size = snprintf(file, PATH_MAX, "%.*s/%s", (int)len, path, name);
    if (len > 0 && size < PATH_MAX && access(file, X_OK) == 0)
      return true;
    path += len + (path[len] == ':');
  }
  return false;
}

static void find_bwrap(program *p) {
  static const char none[] =
      ", or use --isolation none: commands then run with your own rights and"
      " see all of your files";
  if (!find_in_path("bwrap", p->bwrap))
    die(1, "bubblewrap (bwrap) is missing. Install it", none);
  p->sizes = walls_work(p->bwrap, p->options.private_network, true);
  if (p->sizes || walls_work(p->bwrap, p->options.private_network, false))
    return;
  if (p->options.private_network && walls_work(p->bwrap, false, false))
    die(1,
        "capsules cannot have networks of their own on this system. With"
        " --network host they share this machine's",
        "");
  fprintf(stderr,
          "wrenn-local: bubblewrap (bwrap) cannot create a sandbox on this"
          " system.\n");
  die(1, survey_remedy(), none);
}

static void find_slirp(program *p) {
  const char *lacks = uplink_lacks(
      find_in_path("slirp4netns", p->slirp) ? p->slirp : NULL, p->is_root);
  if (!lacks)
    return;
  p->options.outgoing = false;
  fprintf(stderr,
          "wrenn-local: there is no way out for capsules, which have no network"
          " but their own: %s\n",
          lacks);
}

/* The agent has said what is wrong, unless it could not be started there. */
static void try_system(program *p) {
  char folder[PATH_MAX + 8];
  sandbox_options o = {.bwrap = p->bwrap,
                       .folder = folder,
                       .agent = p->agent,
                       .system = p->system,
                       .range = p->options.range,
                       .is_root = p->is_root,
                       .etc = p->etc,
                       .user = p->options.user,
                       .private_network = p->options.private_network,
                       .slirp = p->options.outgoing ? p->slirp : NULL,
                       .sizes = p->sizes};
  snprintf(folder, sizeof(folder), "%s/try", p->data.path);
  if (layers_try(&o))
    return;
  data_close(&p->data);
  die(1, "no capsule can be started with --system ", p->options.system);
}

/* A new one for each server: its capsules may own it. */
static bool make_etc(program *p) {
  snprintf(p->etc, sizeof(p->etc), "%s/etc", p->data.path);
  return (tree_remove(p->etc) == 0 || errno == ENOENT) &&
         mkdir(p->etc, 0700) == 0 && accounts_write(p->etc, p->options.user) &&
         (!p->options.outgoing || uplink_write(p->etc));
}

static void find_system(program *p) {
  const char *wrong = realpath(p->options.system, p->system)
                          ? shelf_refuses(p->system)
                          : strerror(errno);
  if (wrong)
    die(1, "cannot use the tree of --system: ", wrong);
}

/* wrenn-agent is in the folder of this program, or where it is installed. */
static bool find_agent(program *p) {
  static const char *const places[] = {"wrenn-agent",
                                       "../libexec/wrenn/wrenn-agent"};
  char self[PATH_MAX], path[2 * PATH_MAX];
  const char *given = getenv("WRENN_AGENT");
  ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
  self[len > 0 ? len : 0] = '\0';
  char *slash = strrchr(self, '/');
  if (slash)
    slash[1] = '\0';
  if (given && realpath(given, p->agent))
    return true;
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    snprintf(path, sizeof(path), "%s%s", self, places[i]);
    if (realpath(path, p->agent))
      return true;
  }
  return false;
}

static _Noreturn void check(program *p, uint64_t open_files) {
  cgroups_open(&p->cgroups);
  const survey s = {.bwrap = find_in_path("bwrap", p->bwrap) ? p->bwrap : NULL,
                    .agent = find_agent(p) ? p->agent : NULL,
                    .slirp =
                        find_in_path("slirp4netns", p->slirp) ? p->slirp : NULL,
                    .is_root = p->is_root,
                    .cgroups = &p->cgroups,
                    .open_files = open_files};
  bool ok = survey_print(&s);
  cgroups_close(&p->cgroups);
  exit(ok ? 0 : 1);
}

/* Raises the limit of descriptors as far as possible. Returns the old limit,
 * which commands get, as some programs iterate over all descriptors. */
static uint64_t raise_limit(uint64_t *now) {
  struct rlimit limit = {1024, 1024};
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  *now = setrlimit(RLIMIT_NOFILE, &limit) ? before : limit.rlim_max;
  return before;
}

/* ---- the end ------------------------------------------------------------- */

static void close_rest(uv_handle_t *handle, void *arg) {
  (void)arg;
  if (!uv_is_closing(handle))
    uv_close(handle, NULL);
}

static void on_all_gone(void *arg) {
  program *p = arg;
  capsules_free(&p->server.capsules);
  templates_free(&p->server.templates);
  volumes_free(&p->server.volumes);
  for (size_t i = 0; i < 3; i++)
    close_rest((uv_handle_t *)&p->signals[i], NULL);
}

static void end(program *p) {
  if (p->server.http.ending)
    return;
  http_server_end(&p->server.http);
  for (int i = 0; i < p->server.teams; i++)
    stats_end(p->server.stats[i]);
  event_streams_end(&p->server.streams);
  capsules_end(&p->server.capsules);
}

static void on_command_exit(uv_process_t *process, int64_t status, int signal) {
  program *p = process->data;
  p->command_runs = false;
  p->exit_status = signal ? 128 + signal : (int)status;
  uv_close((uv_handle_t *)process, NULL);
  end(p);
}

static void on_signal(uv_signal_t *handle, int number) {
  program *p = handle->data;
  if (!p->command_runs)
    end(p);
  else if (number != SIGINT) /* a terminal sends SIGINT to both */
    uv_process_kill(&p->command, number);
}

static void watch_signals(program *p) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  for (size_t i = 0; i < 3; i++) {
    uv_signal_init(&p->loop, &p->signals[i]);
    p->signals[i].data = p;
    uv_signal_start(&p->signals[i], on_signal, numbers[i]);
  }
}

/* ---- start --------------------------------------------------------------- */

static void run_command(program *p) {
  uv_stdio_container_t stdio[3];
  for (int i = 0; i < 3; i++) {
    stdio[i].flags = UV_INHERIT_FD;
    stdio[i].data.fd = i;
  }
  setenv("WRENN_BASE_URL", p->url, 1);
  setenv("WRENN_API_KEY", p->server.keys[0], 1);
  uv_process_options_t o = {.file = p->options.command[0],
                            .args = p->options.command,
                            .exit_cb = on_command_exit,
                            .stdio = stdio,
                            .stdio_count = 3};
  p->command.data = p;
  int rc = uv_spawn(&p->loop, &p->command, &o);
  if (rc) {
    fprintf(stderr, "wrenn-local: cannot run %s: %s\n", o.file,
            uv_strerror(rc));
    p->exit_status = rc == UV_ENOENT ? 127 : 126;
    uv_close((uv_handle_t *)&p->command, NULL);
    end(p);
    return;
  }
  p->command_runs = true;
}

static void announce(const program *p) {
  printf("wrenn-local listening on %s\n", p->url);
  if (*p->options.keys.made)
    printf("WRENN_API_KEY=%s\n", p->options.keys.made);
  fflush(stdout);
  survey_warn(&(survey){.cgroups = &p->cgroups,
                        .open_files = p->server.http.open_files});
}

/* Opens the standard streams if they are closed: otherwise other files would
 * get their numbers, be written to, and not be closed by libuv. */
static void fill_standard_streams(void) {
  int fd;
  do
    fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0)
    close(fd);
}

/* libuv 1.45 to 1.48 uses io_uring by itself, and with 1.48 connections of ours
 * then break as they begin, one in five where many come and go. It reads the
 * variable once, so the command need not see it. */
static void init_loop(uv_loop_t *loop) {
  static const char name[] = "UV_USE_IO_URING";
  bool avoid = uv_version() < 0x013100 && !getenv(name);
  if (avoid)
    setenv(name, "0", 1);
  uv_loop_init(loop);
  if (avoid)
    unsetenv(name);
}

int main(int argc, char **argv) {
  static program p;
  fill_standard_streams();
  if (argc > 1 && !strcmp(argv[1], "template"))
    return shelf_command(argc - 1, argv + 1);
  p.options = parse(argc, argv);
  p.is_root = root_is_real();
  uint64_t open_files = raise_limit(&p.server.http.open_files);
  if (p.options.check)
    check(&p, p.server.http.open_files);
  if (p.options.bwrap)
    find_bwrap(&p);
  if (p.options.outgoing)
    find_slirp(&p);
  if (p.options.system)
    find_system(&p);
  if (!find_agent(&p))
    die(1,
        "wrenn-agent is missing. It should be in the folder of wrenn-local, or"
        " in ../libexec/wrenn",
        "");
  signal(SIGPIPE, SIG_IGN);
  init_loop(&p.loop);
  if (p.options.keys.count == 0)
    keys_make(&p.options.keys);
  p.server.http.loop = &p.loop;
  p.server.teams = p.options.keys.count;
  for (int i = 0; i < p.server.teams; i++)
    p.server.keys[i] = p.options.keys.list[i];
  p.server.generation = p.options.generation;
  p.traits = generation_traits(p.options.generation);
  if (p.options.lenient)
    traits_soften(&p.traits);
  p.server.traits = &p.traits;
  if (!p.options.user)
    p.options.user = account_find(p.traits.user);
  p.server.pty_ping_ms = clock_ms("WRENN_LOCAL_PTY_PING_MS", PTY_PING_MS);
  p.server.http.head_ms = clock_ms("WRENN_LOCAL_HEAD_MS", HEAD_MS);
  p.server.http.kept_ms = clock_ms("WRENN_LOCAL_KEPT_MS", KEPT_MS);
  p.server.http.hooks = (http_hooks){.tunnels = proxy_wants,
                                     .begin = proxy_begin,
                                     .request = proxy_request,
                                     .forget = api_forget};
  p.server.http.context_size = sizeof(request);
  p.server.http.message_max = p.traits.message_max;
  p.server.http.tells_ids = p.traits.typed_errors;
  int port =
      http_server_start(&p.server.http, p.options.address, p.options.port);
  if (port < 0)
    die(1, "cannot listen: ", uv_strerror(port));
  bool ipv6 = strchr(p.options.address, ':') != NULL;
  snprintf(p.url, sizeof(p.url), "http://%s%s%s:%d", ipv6 ? "[" : "",
           p.options.address, ipv6 ? "]" : "", port);
  const char *failed = data_open(&p.data, p.options.data, p.agent);
  if (failed)
    die(1, failed, strerror(errno));
  p.server.capsules =
      (capsules){.site = {.loop = &p.loop,
                          .bwrap = p.options.bwrap ? p.bwrap : NULL,
                          .agent = p.agent,
                          .range = p.options.range,
                          .is_root = p.is_root,
                          .etc = p.etc,
                          .user = p.options.user,
                          .open_files = open_files,
                          .private_network = p.options.private_network,
                          .slirp = p.options.outgoing ? p.slirp : NULL,
                          .sizes = p.sizes,
                          .cgroups = &p.cgroups},
                 .generation = p.options.generation,
                 .events = &p.server.streams.events,
                 .traits = p.server.traits,
                 .volumes = &p.server.volumes,
                 .templates = &p.server.templates,
                 .data = p.data.path,
                 .system = p.options.system ? p.system : NULL,
                 .keep_data = !p.data.own,
                 .all_gone = on_all_gone,
                 .arg = &p};
  if (!make_etc(&p))
    die(1, "cannot use the data folder: ", strerror(errno));
  if (p.options.system)
    try_system(&p);
  event_streams_start(&p.server.streams, &p.loop);
  capsules_start(&p.server.capsules);
  for (int i = 0; i < p.server.teams; i++)
    if (!(p.server.stats[i] = stats_start(&p.loop, &p.server.capsules, i)))
      die(1, "out of memory", "");
  if (!templates_open(&p.server.templates, &p.server.capsules) ||
      !volumes_open(&p.server.volumes, &p.server.capsules) ||
      !capsules_take_up(&p.server.capsules))
    die(1, "cannot use the data folder: ", strerror(errno));
  cgroups_open(&p.cgroups);
  watch_signals(&p);
  if (p.options.command)
    run_command(&p);
  else
    announce(&p);
  uv_run(&p.loop, UV_RUN_DEFAULT);
  uv_loop_close(&p.loop);
  cgroups_close(&p.cgroups);
  data_close(&p.data);
  return p.exit_status;
}
