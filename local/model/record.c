#include "model/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/path.h"
#include "util/tree.h"

#define RECORD "record.json"
#define FRESH "record.new"
#define MAX_SIZE 32768 /* most of it may be labels */

static bool write_all(const char *path, const wrenn_buf *text, bool lasts) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return false;
  bool ok = write(fd, text->data, text->len) == (ssize_t)text->len &&
            (!lasts || fsync(fd) == 0);
  return close(fd) == 0 && ok;
}

/* Names belong to the folder that they are in. */
static bool sync_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool ok = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0)
    close(fd);
  return ok;
}

bool record_write(const char *folder, const wrenn_buf *text, bool lasts) {
  char *fresh = path_join(folder, FRESH), *path = path_join(folder, RECORD);
  char *above = path_join(folder, "..");
  bool ok = fresh && path && above && !text->oom && text->len <= MAX_SIZE &&
            write_all(fresh, text, lasts) && rename(fresh, path) == 0 &&
            (!lasts || (sync_folder(folder) && sync_folder(above)));
  free(fresh);
  free(path);
  free(above);
  return ok;
}

void record_drop(const char *folder, bool lasts) {
  char *path = path_join(folder, RECORD);
  if (path)
    unlink(path);
  if (lasts)
    sync_folder(folder);
  free(path);
}

/* Reads the record into `text`, which the JSON refers to; with errno set if
 * there is none. */
static bool read_record(const char *folder, char *text, wrenn_json *record) {
  char *path = path_join(folder, RECORD);
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  const char *why;
  int error = errno;
  free(path);
  errno = error;
  if (fd < 0)
    return false;
  ssize_t len = read(fd, text, MAX_SIZE);
  close(fd);
  errno = EINVAL;
  return len > 0 && wrenn_json_parse(text, (size_t)len, record, &why) &&
         record->type == WRENN_JSON_OBJECT;
}

int record_each(const char *above, record_ours *ours, record_found *found,
                void *arg) {
  struct dirent *item;
  int unread = 0;
  char text[MAX_SIZE];
  if (mkdir(above, 0700) && errno != EEXIST)
    return -1;
  DIR *dir = opendir(above);
  if (!dir)
    return -1;
  while ((item = readdir(dir))) {
    wrenn_json record;
    if (!ours(item->d_name))
      continue;
    char *path = path_join(above, item->d_name);
    if (path && read_record(path, text, &record)) {
      found(arg, path, &record);
      continue;
    }
    const bool absent = path && errno == ENOENT;
    unread += !absent;
    if (absent)
      tree_remove(path);
    else if (path)
      fprintf(stderr, "wrenn-local: %s/" RECORD " cannot be read: %s\n", path,
              strerror(errno));
    free(path);
  }
  closedir(dir);
  return unread;
}

void record_text(const wrenn_json *record, const char *name, char *text,
                 size_t size) {
  wrenn_json value;
  text[0] = '\0';
  if (wrenn_json_get(record, name, &value) && value.type == WRENN_JSON_STRING &&
      value.len < size)
    text[wrenn_json_decode(&value, text)] = '\0';
}

int64_t record_number(const wrenn_json *record, const char *name) {
  wrenn_json value;
  int64_t number = 0;
  if (wrenn_json_get(record, name, &value))
    wrenn_json_int(&value, &number);
  return number;
}
