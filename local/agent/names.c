#include "agent/names.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>

/* `name` NULL: by uid. */
static const struct passwd *find(const char *name, uid_t uid) {
  FILE *file = fopen("/etc/passwd", "re");
  const struct passwd *user = NULL;
  while (file && (user = fgetpwent(file)))
    if (name ? strcmp(user->pw_name, name) == 0 : user->pw_uid == uid)
      break;
  if (file)
    fclose(file);
  return user;
}

const struct passwd *names_of_uid(uid_t uid) { return find(NULL, uid); }

const struct passwd *names_of_user(const char *name) { return find(name, 0); }

const char *names_of_gid(gid_t gid) {
  FILE *file = fopen("/etc/group", "re");
  const struct group *group = NULL;
  while (file && (group = fgetgrent(file)))
    if (group->gr_gid == gid)
      break;
  if (file)
    fclose(file);
  return group ? group->gr_name : NULL;
}

size_t names_groups_of(const char *user, gid_t own, gid_t *list, size_t most) {
  FILE *file = fopen("/etc/group", "re");
  const struct group *group = NULL;
  size_t count = 0;
  list[count++] = own;
  while (file && count < most && (group = fgetgrent(file)))
    for (char **name = group->gr_mem; *name; name++)
      if (strcmp(*name, user) == 0 && group->gr_gid != own && count < most)
        list[count++] = group->gr_gid;
  if (file)
    fclose(file);
  return count;
}
