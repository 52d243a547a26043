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

static const traits all[] = {
    [GENERATION_0_1] = {.name = "0.1",
                        .version = "0.1.5",
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
                        .pty_cmd = "/bin/bash"},
    [GENERATION_0_2] = {.name = "0.2",
                        .version = "0.2.0",
                        .template = "minimal",
                        .vcpus = 1,
                        .memory_mb = 512,
                        .vmm_key = "vmm_version",
                        .takes_disk_size = true,
                        .shows_disk_size = true,
                        .odd_names = "skipped",
                        .message_max = LOOSE_MESSAGE,
                        .output_max = LOOSE_OUTPUT,
                        .read_max = INT64_MAX,
                        .kills_group = true,
                        .user = "root",
                        .pty_cmd = "/bin/bash",
                        .checks_user = true},
    [GENERATION_0_2_2] = {.name = "0.2.2",
                          .version = "0.2.2",
                          .template = "minimal-ubuntu",
                          .vcpus = 1,
                          .memory_mb = 512,
                          .vmm_key = "vmm_version",
                          .shows_disk_size = true,
                          .odd_names = "skipped",
                          .message_max = LOOSE_MESSAGE,
                          .output_max = LOOSE_OUTPUT,
                          .read_max = INT64_MAX,
                          .kills_group = true,
                          .binary_pty = true,
                          .deflates_pty = true,
                          .user = "root",
                          .pty_cmd = "",
                          .checks_user = true},
    [GENERATION_0_3] = {.name = "0.3",
                        .version = "0.3.0",
                        .template = "minimal-ubuntu",
                        .vcpus = 1,
                        .memory_mb = 512,
                        .vmm_key = "vmm_version",
                        .shows_disk_size = true,
                        .odd_names = "skipped",
                        .typed_errors = true,
                        .message_max = 4 * MIB,
                        .output_max = 64 * MIB,
                        .read_max = (int64_t)(256 * MIB),
                        .user = "wrenn-user",
                        .login_shell = true,
                        .kills_group = true,
                        .replays = true,
                        .lists_to_the_end = true,
                        .binary_pty = true,
                        .deflates_pty = true,
                        .pty_cmd = "",
                        .checks_user = true,
                        .drops_pty = true},
    [GENERATION_0_4] = {.name = "0.4",
                        .version = "0.4.0",
                        .template = "minimal-ubuntu",
                        .vcpus = 2,
                        .memory_mb = 2048,
                        .vmm_key = "vmm_version",
                        .shows_disk_size = true,
                        .shows_disk_usage = true,
                        .has_labels = true,
                        .has_slugs = true,
                        .odd_names = "skipped",
                        .typed_errors = true,
                        .message_max = 4 * MIB,
                        .output_max = 64 * MIB,
                        .read_max = (int64_t)(256 * MIB),
                        .user = "wrenn-user",
                        .login_shell = true,
                        .kills_group = true,
                        .replays = true,
                        .lists_to_the_end = true,
                        .binary_pty = true,
                        .deflates_pty = true,
                        .pty_cmd = "",
                        .checks_user = true,
                        .drops_pty = true},
};

bool generation_parse(const char *text, generation *g) {
  for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
    if (strcmp(all[i].name, text) == 0) {
      *g = (generation)i;
      return true;
    }
  return false;
}

const traits *generation_traits(generation g) { return &all[g]; }

void traits_soften(traits *t) {
  t->friendly = true;
  t->odd_names = NULL;
  t->part_max = 0;
  t->pauses_unseen = false;
}
