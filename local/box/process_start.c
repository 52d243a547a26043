/* Processes: starting one. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/accounts.h"
#include "box/process.h"
#include "util/json_out.h"

typedef struct start {
  box *of;
  process_started *done;
  void *arg;
  char *tag;
  wrenn_buf words;
  bool pty;
} start;

static void free_start(start *s) {
  if (s) {
    free(s->tag);
    wrenn_buf_free(&s->words);
  }
  free(s);
}

/* A program in a capsule may have taken over its agent: what comes from there
 * must be a descriptor that the loop can wait for. */
static bool can_be_read(int fd, bool pty) {
  struct stat info;
  return fstat(fd, &info) == 0 &&
         (pty ? S_ISCHR(info.st_mode) && isatty(fd) : S_ISFIFO(info.st_mode));
}

static bool open_pipes(process *p, const sandbox_reply *reply) {
  unsigned count = p->pty ? 1 : 2;
  bool ok = true;
  for (unsigned i = 0; i < count; i++) {
    uv_pipe_init(p->of->site->loop, &p->pipes[i], 0);
    p->pipes[i].data = p;
    p->open_handles++;
    p->open_pipes++;
    int fd = sandbox_take_fd(reply);
    if (fd < 0 || !can_be_read(fd, p->pty) || uv_pipe_open(&p->pipes[i], fd)) {
      if (fd >= 0)
        close(fd);
      ok = false;
    }
  }
  return ok;
}

static void on_spawned(void *arg, const sandbox_reply *reply) {
  start *s = arg;
  wrenn_json pid;
  if (reply->error) {
    s->done(s->arg, NULL, reply->error, reply->text);
    free_start(s);
    return;
  }
  process *p = calloc(1, sizeof(*p));
  if (!p) {
    s->done(s->arg, NULL, "failed", "out of memory");
    free_start(s);
    return;
  }
  p->of = s->of;
  p->pty = s->pty;
  p->tag = s->tag;
  p->words = s->words;
  s->tag = NULL;
  s->words = (wrenn_buf){0};
  if (wrenn_json_get(&reply->json, "pid", &pid))
    wrenn_json_int(&pid, &p->pid);
  uv_timer_init(s->of->site->loop, &p->timer);
  p->timer.data = p;
  p->open_handles = 1;
  process_output_init(p);
  process_input_init(p);
  bool opened = open_pipes(p, reply);
  list_prepend(&p->of->processes, &p->link);
  if (!opened)
    process_end_output(p);
  s->done(s->arg, p, NULL, NULL);
  process_update(p);
  free_start(s);
}

static void put_env(const wrenn_json *name, const wrenn_json *value,
                    wrenn_buf *out) {
  wrenn_buf text = {0};
  if (!wrenn_buf_reserve(&text, name->len + 1 + value->len)) {
    out->oom = true;
    return;
  }
  text.len = wrenn_json_decode(name, text.data);
  text.data[text.len++] = '=';
  text.len += wrenn_json_decode(value, text.data + text.len);
  json_bytes(out, NULL, text.data, text.len);
  wrenn_buf_free(&text);
}

void process_put_envs(const box *b, const account *user, const wrenn_json *envs,
                      wrenn_buf *out) {
  wrenn_json_iter it;
  wrenn_json name, value;
  json_array(out, "envs");
  json_text(
      out, NULL,
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  json_format(out, NULL, "USER=%s", user->name);
  json_format(out, NULL, "LOGNAME=%s", user->name);
  json_text(out, NULL, "WRENN_SANDBOX=true");
  json_format(out, NULL, "WRENN_SANDBOX_ID=%s", b->id);
  json_format(out, NULL, "WRENN_TEMPLATE_ID=%s", b->template);
  json_format(out, NULL, "HOME=%s%s", box_top(b), user->home);
  wrenn_json_walk(&it, envs);
  while (wrenn_json_next(&it, &name, &value) > 0)
    put_env(&name, &value, out);
  json_array_end(out);
}

static void put_words(const process_plan *plan, wrenn_buf *out) {
  json_text(out, "cmd", plan->cmd);
  if (plan->args.type == WRENN_JSON_ARRAY)
    json_value(out, "args", &plan->args);
}

bool process_start(box *b, const process_plan *plan, process_started *done,
                   void *arg) {
  wrenn_buf order = {0};
  bool sent = false;
  start *s = calloc(1, sizeof(*s));
  if (!s || !b->sandbox)
    goto out;
  s->of = b;
  s->done = done;
  s->arg = arg;
  s->pty = plan->pty;
  s->tag = plan->tag ? strdup(plan->tag) : NULL;
  put_words(plan, &s->words);
  if ((plan->tag && !s->tag) || s->words.oom)
    goto out;
  json_text(&order, "op", "spawn");
  json_text(&order, "cwd", *plan->cwd ? plan->cwd : "~");
  put_words(plan, &order);
  const account *user = plan->user ? plan->user : b->site->user;
  process_put_envs(b, user, &plan->envs, &order);
  if (user != b->site->user) {
    json_format(&order, "home", "%s%s", box_top(b), user->home);
    if (b->site->bwrap)
      json_text(&order, "user", user->name);
  }
  if (b->site->login_shell)
    json_bool(&order, "shell", true);
  if (b->site->kills_group)
    json_bool(&order, "group", true);
  if (plan->pty) {
    json_object(&order, "pty");
    json_int(&order, "cols", plan->cols);
    json_int(&order, "rows", plan->rows);
    json_object_end(&order);
  }
  sent = box_order(b, &order, on_spawned, s);

out:
  wrenn_buf_free(&order);
  if (!sent)
    free_start(s);
  return sent;
}
