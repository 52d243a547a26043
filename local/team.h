/* Who everything here belongs to: one team with one key. */
#ifndef WRENN_LOCAL_TEAM_H
#define WRENN_LOCAL_TEAM_H

#define TEAM_ID "team-0000000000000000000000001"
#define TEAM_SLUG "local"
#define PLATFORM_SLUG "wrenn"
#define KEY_ID "key-0000000000000000000000001"
#define KEY_NAME "wrenn-local"
#define HOST_ID "host-0000000000000000000000001"

#endif
