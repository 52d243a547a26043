/* The server that wrenn-local imitates, and all differences between generations
 * except the wording of errors (fault.h). */
#ifndef WRENN_LOCAL_MODEL_GENERATION_H
#define WRENN_LOCAL_MODEL_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In order, so that they can be compared with >=. */
typedef enum generation {
  GENERATION_0_1,
  GENERATION_0_2,
  GENERATION_0_2_2,
  GENERATION_0_3,
  GENERATION_0_4
} generation;

typedef struct traits {
  const char *version;

  /* capsules */
  const char *template; /* when none is asked for */
  int64_t vcpus, memory_mb;
  const char *vmm_key;   /* of the metadata */
  bool waits;            /* a change of status is answered once it is done */
  bool keeps_timeout;    /* also one below a minute */
  bool shows_host_ip;    /* once it has one */
  bool takes_disk_size;  /* else it is the same for all */
  bool shows_disk_size;  /* that */
  bool shows_disk_usage; /* to those who ask for one capsule */
  bool pauses_unseen;    /* what is idle; its status shows it later */
  bool has_labels;       /* metadata of the user's */
  bool has_slugs;        /* in front of the names of templates */

  /* files */
  bool friendly;         /* says what a real server keeps to itself */
  const char *odd_names; /* lists with one that is no UTF-8: "fatal" or
                            "skipped"; NULL: it is shown */
  size_t part_max;       /* of a file to write; 0: none */

  /* errors and limits */
  bool typed_errors;  /* and request ids */
  size_t message_max; /* of a WebSocket's client */
  size_t output_max;  /* of a command in the foreground */
  int64_t read_max;   /* of a file in one answer */

  /* commands */
  const char *user;     /* whom they run as */
  bool bare_foreground; /* envs and cwd are for the background only */
  bool login_shell;     /* around each command, and for a line without args */
  bool kills_group;     /* each command is the leader of one */
  bool replays; /* output is gathered, and what was last shown to newcomers */
  bool lists_to_the_end; /* of the output, not of the process */

  /* WebSockets */
  bool opens_to_strangers; /* and tells them after the upgrade */
  bool binary_pty;
  bool deflates_pty;   /* if the client offers it */
  const char *pty_cmd; /* when none is asked for; "" is the login shell */
  bool checks_user;
  bool drops_pty; /* after the exit frame, and when there is no such tag */
} traits;

/* Reads "0.1", "0.2", "0.2.2", "0.3" or "0.4"; false for anything else. */
bool generation_parse(const char *text, generation *g);

traits generation_traits(generation g);

/* The traits for --lenient: without the silences of real servers. */
void traits_soften(traits *t);

#endif
