/* Copies of trees: what is in them, and what must not be followed. */
#include "util/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"
#include "util/tree.h"

static char base[] = "/tmp/copy-test-XXXXXX";
static atomic_bool stop;

/* Each test has a folder of its own, which is the current one: what is to be
 * copied is `a` there, and `b` its copy. */
static void begin(void) {
  strcpy(base, "/tmp/copy-test-XXXXXX");
  CHECK(mkdtemp(base) && chdir(base) == 0 && mkdir("a", 0700) == 0);
  atomic_init(&stop, false);
}

static void end(void) { CHECK(chdir("/") == 0 && tree_remove(base) == 0); }

static int64_t copy(copy_skips *skips) {
  int64_t bytes = 0;
  return copy_tree("a", "b", skips, &stop, &bytes) == 0 ? bytes : -1;
}

static void write_file(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  CHECK_ROW(path, fd >= 0);
  CHECK_ROW(path, write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  CHECK_ROW(path, fchmod(fd, mode) == 0);
  close(fd);
}

static bool holds(const char *path, const char *text) {
  char got[64] = "";
  int fd = open(path, O_RDONLY);
  ssize_t len = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);
  if (fd >= 0)
    close(fd);
  return len == (ssize_t)strlen(text) && strcmp(got, text) == 0;
}

static struct stat look(const char *path) {
  struct stat info = {0};
  CHECK_ROW(path, lstat(path, &info) == 0);
  return info;
}

static void files(void) {
  const struct timespec times[2] = {{1000, 5}, {2000, 7}};
  begin();
  CHECK(mkdir("a/d", 0700) == 0 && mkdir("a/d/e", 0700) == 0);
  write_file("a/d/e/f", "text", 0640);
  write_file("a/empty", "", 0755);
  write_file("a/su", "x", 04755);
  CHECK(utimensat(AT_FDCWD, "a/d/e/f", times, 0) == 0);
  CHECK(chmod("a/d/e", 0550) == 0 && chmod("a/d", 01777) == 0);
  CHECK(utimensat(AT_FDCWD, "a/d", times, 0) == 0);
  CHECK(copy(NULL) > 0);
  CHECK(holds("b/d/e/f", "text"));
  CHECK(look("b/d/e/f").st_mode == (S_IFREG | 0640));
  CHECK(look("b/d/e/f").st_mtim.tv_sec == 2000);
  CHECK(look("b/d/e/f").st_mtim.tv_nsec == 7);
  CHECK(look("b/d").st_mode == (S_IFDIR | 01777));
  CHECK(look("b/d").st_mtim.tv_sec == 2000);
  CHECK(look("b/d/e").st_mode == (S_IFDIR | 0550));
  CHECK(look("b/empty").st_size == 0);
  CHECK(look("b/su").st_mode == (S_IFREG | 04755));
  end();
}

static void locked(void) {
  begin();
  CHECK(mkdir("a/d", 0700) == 0);
  write_file("a/d/f", "text", 0);
  CHECK(chmod("a/d", 0) == 0);
  CHECK(copy(NULL) > 0);
  CHECK(look("a/d").st_mode == S_IFDIR && look("b/d").st_mode == S_IFDIR);
  CHECK(chmod("a/d", 0700) == 0 && chmod("b/d", 0700) == 0);
  CHECK(look("a/d/f").st_mode == S_IFREG && look("b/d/f").st_mode == S_IFREG);
  CHECK(chmod("b/d/f", 0600) == 0 && holds("b/d/f", "text"));
  end();
}

static void links(void) {
  const struct timespec times[2] = {{1000, 5}, {2000, 7}};
  char target[64] = "";
  begin();
  write_file("outside", "secret", 0600);
  write_file("a/one", "text", 0600);
  CHECK(link("a/one", "a/two") == 0 && mkdir("a/d", 0700) == 0);
  CHECK(link("a/one", "a/d/three") == 0);
  CHECK(symlink("../outside", "a/soft") == 0);
  CHECK(symlink("..", "a/up") == 0);
  CHECK(symlink("nowhere", "a/broken") == 0);
  CHECK(utimensat(AT_FDCWD, "a/up", times, AT_SYMLINK_NOFOLLOW) == 0);
  CHECK(copy(NULL) > 0);
  CHECK(look("b/one").st_nlink == 3);
  CHECK(look("b/one").st_ino == look("b/two").st_ino);
  CHECK(look("b/one").st_ino == look("b/d/three").st_ino);
  CHECK(look("a/one").st_ino != look("b/one").st_ino);
  CHECK(readlink("b/soft", target, sizeof(target) - 1) == 10);
  CHECK(strcmp(target, "../outside") == 0);
  CHECK(S_ISLNK(look("b/up").st_mode) && S_ISLNK(look("b/broken").st_mode));
  CHECK(look("b/up").st_mtim.tv_sec == 2000);
  end();
}

static void holes(void) {
  begin();
  int fd = open("a/f", O_WRONLY | O_CREAT, 0600);
  CHECK(pwrite(fd, "x", 1, 64L * 1024 * 1024) == 1);
  CHECK(ftruncate(fd, 128L * 1024 * 1024) == 0);
  close(fd);
  int64_t bytes = copy(NULL);
  CHECK(bytes > 0 && bytes < 1048576);
  CHECK(look("b/f").st_size == 128L * 1024 * 1024);
  CHECK(look("b/f").st_blocks < 2048);
  char byte = 0;
  fd = open("b/f", O_RDONLY);
  CHECK(pread(fd, &byte, 1, 64L * 1024 * 1024) == 1 && byte == 'x');
  close(fd);
  end();
}

static void others(void) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "a/socket"};
  begin();
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
  CHECK(mkfifo("a/fifo", 0620) == 0 && chmod("a/fifo", 0620) == 0);
  CHECK(copy(NULL) >= 0);
  CHECK(look("b/fifo").st_mode == (S_IFIFO | 0620));
  CHECK(access("b/socket", F_OK) != 0);
  close(fd);
  end();
}

/* What only root can make. */
static void rooted(void) {
  begin();
  write_file("a/f", "x", 0600);
  bool given = chown("a/f", 1234, 5678) == 0;
  bool device = mknod("a/null", S_IFCHR | 0600, makedev(1, 3)) == 0;
  setxattr("a/f", "trusted.name", "x", 1, 0);
  CHECK(copy(NULL) >= 0);
  CHECK(!given || (look("b/f").st_uid == 1234 && look("b/f").st_gid == 5678));
  CHECK(!device || access("b/null", F_OK) != 0);
  CHECK(getxattr("b/f", "trusted.name", NULL, 0) == -1);
  end();
}

static bool is_unwanted(const char *path) {
  return !strcmp(path, "no") || !strcmp(path, "d/no") ||
         !strcmp(path, "d/e/no"); /* too deep to be asked about */
}

static void skipped(void) {
  begin();
  CHECK(mkdir("a/d", 0700) == 0 && mkdir("a/d/e", 0700) == 0);
  CHECK(mkdir("a/no", 0700) == 0);
  write_file("a/no/f", "x", 0600);
  write_file("a/d/no", "x", 0600);
  write_file("a/d/e/no", "x", 0600);
  CHECK(copy(is_unwanted) >= 0);
  CHECK(access("b/no", F_OK) != 0 && access("b/d/no", F_OK) != 0);
  CHECK(access("b/d/e/no", F_OK) == 0);
  end();
}

/* Where the file system has none, there is nothing to copy. */
static void attributes(void) {
  char value[8] = "";
  begin();
  CHECK(mkdir("a/d", 0700) == 0 && chmod("a", 0755) == 0);
  write_file("a/f", "x", 0400);
  if (setxattr("a/d", "user.overlay.opaque", "y", 1, 0) == 0) {
    CHECK(setxattr("a/f", "user.name", "value", 5, 0) == 0);
    CHECK(setxattr("a/f", "user.overlay.origin", "x", 1, 0) == 0);
    CHECK(copy(NULL) >= 0);
    CHECK(getxattr("b/d", "user.overlay.opaque", value, 8) == 1);
    CHECK(value[0] == 'y');
    CHECK(getxattr("b/f", "user.name", value, 8) == 5);
    CHECK(memcmp(value, "value", 5) == 0);
    CHECK(getxattr("b/f", "user.overlay.origin", value, 8) == -1);
  } else {
    CHECK(errno == ENOTSUP);
    CHECK(copy(NULL) >= 0);
  }
  CHECK(look("b").st_mode == (S_IFDIR | 0755));
  end();
}

static void removed(void) {
  begin();
  CHECK(mknod("a/gone", S_IFCHR, makedev(0, 0)) == 0);
  CHECK(copy(NULL) >= 0);
  CHECK(S_ISCHR(look("b/gone").st_mode));
  CHECK(look("b/gone").st_rdev == makedev(0, 0));
  end();
}

/* b is the layer below a. */
static void over(void) {
  char value[8] = "";
  int64_t bytes = 0;
  begin();
  CHECK(mkdir("b", 0700) == 0 && mkdir("b/merged", 0700) == 0);
  CHECK(mkdir("b/hidden", 0700) == 0 && mkdir("b/file", 0700) == 0);
  write_file("b/merged/below", "x", 0600);
  write_file("b/merged/both", "below", 0600);
  write_file("b/hidden/below", "x", 0600);
  write_file("b/file/below", "x", 0600);
  write_file("b/folder", "x", 0600);
  write_file("b/gone", "x", 0600);
  CHECK(mknod("b/back", S_IFCHR, makedev(0, 0)) == 0);
  CHECK(mkdir("a/merged", 0750) == 0 && mkdir("a/hidden", 0700) == 0);
  CHECK(mkdir("a/folder", 0700) == 0 && mkdir("a/back", 0700) == 0);
  write_file("a/merged/both", "above", 0640);
  write_file("a/merged/above", "x", 0600);
  CHECK(link("a/merged/above", "a/merged/link") == 0);
  write_file("a/file", "x", 0600);
  CHECK(mknod("a/gone", S_IFCHR, makedev(0, 0)) == 0);
  CHECK(chmod("a", 0711) == 0);
  if (setxattr("a/hidden", "user.overlay.opaque", "y", 1, 0)) {
    CHECK(errno == ENOTSUP); /* and there are no overlays */
    end();
    return;
  }
  CHECK(setxattr("b/merged", "user.overlay.opaque", "y", 1, 0) == 0);
  CHECK(setxattr("b/merged", "user.below", "x", 1, 0) == 0);
  CHECK(setxattr("a/merged", "user.above", "x", 1, 0) == 0);
  CHECK(chmod("b/merged", 0500) == 0 && chmod("b", 0500) == 0);
  CHECK(copy_over("a", "b", &stop, &bytes) == 0 && bytes > 0);
  CHECK(look("b").st_mode == (S_IFDIR | 0711));
  CHECK(look("b/merged").st_mode == (S_IFDIR | 0750));
  CHECK(holds("b/merged/below", "x") && holds("b/merged/both", "above"));
  CHECK(look("b/merged/both").st_mode == (S_IFREG | 0640));
  CHECK(look("b/merged/above").st_ino == look("b/merged/link").st_ino);
  /* It goes on hiding what both lie over, as does what hides something now. */
  CHECK(getxattr("b/merged", "user.overlay.opaque", value, 8) == 1);
  CHECK(getxattr("b/merged", "user.below", value, 8) == -1);
  CHECK(getxattr("b/merged", "user.above", value, 8) == 1);
  CHECK(access("b/hidden/below", F_OK) != 0);
  CHECK(getxattr("b/hidden", "user.overlay.opaque", value, 8) == 1);
  CHECK(getxattr("b/folder", "user.overlay.opaque", value, 8) == 1);
  CHECK(getxattr("b/back", "user.overlay.opaque", value, 8) == 1);
  CHECK(holds("b/file", "x") && S_ISCHR(look("b/gone").st_mode));
  CHECK(copy_over("a", "none", &stop, &bytes) == -1 && errno == ENOENT);
  end();
}

static void deep(void) {
  char here[PATH_MAX];
  begin();
  CHECK(getcwd(here, sizeof(here)) && chdir("a") == 0);
  for (int i = 0; i < 400; i++)
    CHECK(mkdir("x", 0700) == 0 && chdir("x") == 0);
  CHECK(chdir(here) == 0);
  CHECK(copy(NULL) >= 0);
  CHECK(tree_remove("b") == 0 && chdir("a") == 0);
  for (int i = 0; i < 400; i++)
    CHECK(chdir("x") == 0);
  for (int i = 0; i < 200; i++)
    CHECK(mkdir("x", 0700) == 0 && chdir("x") == 0);
  CHECK(chdir(here) == 0);
  CHECK(copy(NULL) == -1 && errno == ENAMETOOLONG);
  end();
}

static void failures(void) {
  int64_t bytes = 0;
  begin();
  write_file("a/f", "x", 0600);
  CHECK(mkdir("b", 0700) == 0);
  CHECK(copy(NULL) == -1 && errno == EEXIST);
  CHECK(rmdir("b") == 0);
  CHECK(copy_tree("nix", "b", NULL, &stop, &bytes) == -1 && errno == ENOENT);
  CHECK(rmdir("b") == 0 && symlink("a", "l") == 0);
  CHECK(copy_tree("l", "b", NULL, &stop, &bytes) == -1);
  CHECK(rmdir("b") == 0);
  atomic_store(&stop, true);
  CHECK(copy(NULL) == -1 && errno == ECANCELED);
  end();
}

CHECK_MAIN({"files and folders", files},
           {"files that their owner has locked", locked},
           {"links are not followed", links}, {"holes stay holes", holes},
           {"fifos and sockets", others}, {"owners and devices", rooted},
           {"what is left out", skipped}, {"extended attributes", attributes},
           {"what an overlay has removed", removed},
           {"a layer over another", over}, {"depth", deep},
           {"failures", failures})
