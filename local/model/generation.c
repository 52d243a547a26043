#include "model/generation.h"

#include <string.h>

#define MIB ((size_t)1024 * 1024)
/* For generations without a documented limit. Data has to be kept in memory
 * until it is complete. */
#define LOOSE_MESSAGE (64 * MIB)
#define LOOSE_OUTPUT (256 * MIB)
/* The guest daemon of 0.1.5 accepts a body of 2 MiB, including what the server
 * adds around the file. */
#define PART_MAX (2 * MIB - 238)

static void begin_as_0_1(traits *t) {
  *t = (traits){.version = "0.1.5",
                .template = "minimal",
                .vcpus = 1,
                .memory_mb = 512,
                .vmm_key = "firecracker_version",
                .waits = true,
                .keeps_timeout = true,
                .shows_host_ip = true,
                .pauses_unseen = true,
                .odd_names = "fatal",
                .part_max = PART_MAX,
                .message_max = LOOSE_MESSAGE,
                .output_max = LOOSE_OUTPUT,
                .read_max = INT64_MAX,
                .bare_foreground = true,
                .opens_to_strangers = true,
                .user = "root",
                .pty_cmd = "/bin/bash"};
}

static void become_0_2(traits *t) {
  t->version = "0.2.0";
  t->vmm_key = "vmm_version";
  t->waits = t->keeps_timeout = t->shows_host_ip = t->pauses_unseen = false;
  t->takes_disk_size = t->shows_disk_size = true;
  t->odd_names = "skipped";
  t->part_max = 0;
  t->bare_foreground = t->opens_to_strangers = false;
  t->kills_group = true;
  t->checks_user = true;
}

static void become_0_2_2(traits *t) {
  t->version = "0.2.2";
  t->template = "minimal-ubuntu";
  t->takes_disk_size = false;
  t->binary_pty = t->deflates_pty = true;
  t->pty_cmd = "";
}

static void become_0_3(traits *t) {
  t->version = "0.3.0";
  t->typed_errors = true;
  t->message_max = 4 * MIB;
  t->output_max = 64 * MIB;
  t->read_max = (int64_t)(256 * MIB);
  t->user = "wrenn-user";
  t->login_shell = true;
  t->replays = true;
  t->lists_to_the_end = true;
  t->drops_pty = true;
}

static void become_0_4(traits *t) {
  t->version = "0.4.0";
  t->vcpus = 2;
  t->memory_mb = 2048;
  t->shows_disk_usage = true;
  t->has_labels = t->has_slugs = true;
}

/* Each says what differs from the one before. */
static const struct {
  const char *name;
  void (*become)(traits *t);
} generations[] = {
    [GENERATION_0_1] = {"0.1", begin_as_0_1},
    [GENERATION_0_2] = {"0.2", become_0_2},
    [GENERATION_0_2_2] = {"0.2.2", become_0_2_2},
    [GENERATION_0_3] = {"0.3", become_0_3},
    [GENERATION_0_4] = {"0.4", become_0_4},
};

bool generation_parse(const char *text, generation *g) {
  for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++)
    if (strcmp(generations[i].name, text) == 0) {
      *g = (generation)i;
      return true;
    }
  return false;
}

traits generation_traits(generation g) {
  traits t;
  for (size_t i = 0; i <= (size_t)g; i++)
    generations[i].become(&t);
  return t;
}

void traits_soften(traits *t) {
  t->friendly = true;
  t->odd_names = NULL;
  t->part_max = 0;
  t->pauses_unseen = false;
}
