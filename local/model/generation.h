/* The generations of servers that wrenn-local imitates, and all differences
 * between them except the wording of errors (fault.h). */
#ifndef WRENN_LOCAL_MODEL_GENERATION_H
#define WRENN_LOCAL_MODEL_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In order: they can be compared with >=. */
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
  const char *vmm_key;  /* one of the keys of the metadata */
  bool waits;           /* a change of status is answered when it is complete */
  bool keeps_timeout;   /* also one of less than a minute */
  bool shows_host_ip;   /* after the first start */
  bool takes_disk_size; /* as requested; else all have the same */
  bool shows_disk_size; /* the size of the disk */
  bool shows_disk_usage; /* if a single capsule is requested */
  bool pauses_unseen;    /* idle capsules; their status changes later */
  bool has_labels;       /* the user's metadata */
  bool has_slugs;        /* before the names of templates */

  /* files */
  bool friendly;         /* reports what real servers are silent about */
  const char *odd_names; /* if a name in a list is not UTF-8: "fatal",
                            "skipped", or NULL: it is shown */
  size_t part_max;       /* maximum size of a file in a form; 0: none */

  /* errors and limits */
  bool typed_errors;  /* and request ids */
  size_t message_max; /* maximum size of a message from a client */
  size_t output_max;  /* maximum output of a foreground command */
  int64_t read_max;   /* maximum size of a file in a plain read */

  /* commands */
  const char *user;     /* the default one */
  bool bare_foreground; /* envs and cwd work in the background only */
  bool login_shell;     /* runs each command, and lines without args */
  bool kills_group;     /* each command leads a process group */
  bool replays; /* output is collected, and new clients get the latest */
  bool lists_to_the_end; /* until the end of the output, not of the process */

  /* WebSockets */
  bool opens_to_strangers; /* and refuses a wrong key after the upgrade */
  bool binary_pty;
  bool deflates_pty;   /* if the client offers it */
  const char *pty_cmd; /* when none is asked for; "" is the login shell */
  bool checks_user;
  bool drops_pty; /* after the exit frame, and for an unknown tag */
} traits;

/* Reads "0.1", "0.2", "0.2.2", "0.3" or "0.4"; false for anything else. */
bool generation_parse(const char *text, generation *g);

traits generation_traits(generation g);

/* Changes the traits for --lenient: removes the silences of real servers. */
void traits_soften(traits *t);

#endif
