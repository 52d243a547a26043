/* Teams: each key belongs to a team of its own. They are numbered from 0 in the
 * order of their keys. */
#ifndef WRENN_LOCAL_MODEL_TEAM_H
#define WRENN_LOCAL_MODEL_TEAM_H

#define TEAMS_MAX 16
#define TEAM_ID "team-%025d" /* its number and 1 */
#define TEAM_SLUG "local"    /* of the first; the others' have a number */
#define PLATFORM_SLUG "wrenn"
#define KEY_ID "key-%025d"
#define KEY_NAME "wrenn-local"
#define KEY_MAX 100 /* characters */
#define HOST_ID "host-0000000000000000000000001"

#endif
