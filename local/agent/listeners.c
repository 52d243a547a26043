/*
 * Whose port it is. With the host's network, what listens on a port may belong
 * to the host or to another capsule. A connection is only made to a socket that
 * a process of this capsule holds.
 */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/family.h"

#define LISTENS 0x0a    /* TCP_LISTEN in the kernel's tables */
#define SOCKETS_MAX 256 /* more than this on one port: not one is trusted */
#define ADDRESS_SIZE 33 /* as text in these tables */

typedef struct sockets {
  unsigned long inode[SOCKETS_MAX];
  bool own[SOCKETS_MAX];
  size_t count;
} sockets;

/* The text of an address in the tables: words in the host's byte order. */
static void put_address(char text[ADDRESS_SIZE], const void *address,
                        size_t size) {
  uint32_t word;
  for (size_t i = 0; i < size; i += sizeof(word)) {
    memcpy(&word, (const char *)address + i, sizeof(word));
    snprintf(text + 2 * i, ADDRESS_SIZE - 2 * i, "%08X", word);
  }
}

/* Finds what listens on exactly this address and port. The tables begin with
 * the sockets that listen. */
static void find_sockets(const char *table, const char *address, uint16_t port,
                         sockets *found) {
  char line[512], where[ADDRESS_SIZE];
  unsigned number, state;
  unsigned long inode;
  FILE *file = fopen(table, "re");
  if (!file || !fgets(line, sizeof(line), file)) /* the heading */
    goto out;
  while (fgets(line, sizeof(line), file)) {
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
    if (sscanf(line,
               " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu",
               where, &number, &state, &inode) != 4 ||
        state != LISTENS)
      break;
    if (number != port || strcmp(where, address) != 0)
      continue;
    if (found->count < SOCKETS_MAX)
      found->inode[found->count] = inode;
    found->count++;
  }

out:
  if (file)
    fclose(file);
}

/* Marks those of the sockets that a process holds. */
static void mark_held(pid_t pid, sockets *found) {
  char folder[64], target[64];
  unsigned long inode;
  snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
  DIR *dir = opendir(folder);
  struct dirent *item;
  while (dir && (item = readdir(dir))) {
    ssize_t len =
        readlinkat(dirfd(dir), item->d_name, target, sizeof(target) - 1);
    target[len > 0 ? len : 0] = '\0';
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
    if (sscanf(target, "socket:[%lu]", &inode) != 1)
      continue;
    for (size_t i = 0; i < found->count; i++)
      found->own[i] |= found->inode[i] == inode;
  }
  if (dir)
    closedir(dir);
}

/* Several sockets may share a port, and the kernel chooses one: all of them
 * have to be the capsule's. */
static bool all_own(sockets *found) {
  size_t own = 0;
  if (found->count == 0 || found->count > SOCKETS_MAX)
    return false;
  family all = family_read(getpid());
  for (size_t i = 0; i < all.count; i++)
    mark_held(all.list[i].pid, found);
  free(all.list);
  for (size_t i = 0; i < found->count; i++)
    own += found->own[i];
  return own == found->count;
}

bool agent_owns_port(int family, uint16_t port) {
  static const struct in_addr any_four = {0};
  struct in_addr loop = {.s_addr = htonl(INADDR_LOOPBACK)};
  struct in6_addr mapped = IN6ADDR_ANY_INIT;
  char text[ADDRESS_SIZE];
  sockets found = {0};
  mapped.s6_addr[10] = mapped.s6_addr[11] = 0xff;
  memcpy(&mapped.s6_addr[12], &loop, sizeof(loop));
  /* In the order in which the kernel looks: the address itself comes before
   * all addresses. */
  const struct {
    int family;
    const char *table;
    const void *address;
    size_t size;
  } places[] = {
      {AF_INET, "/proc/net/tcp", &loop, sizeof(loop)},
      {AF_INET, "/proc/net/tcp6", &mapped, sizeof(mapped)},
      {AF_INET, "/proc/net/tcp", &any_four, sizeof(any_four)},
      {AF_INET6, "/proc/net/tcp6", &in6addr_loopback, sizeof(in6addr_loopback)},
      {0, "/proc/net/tcp6", &in6addr_any, sizeof(in6addr_any)}};
  for (size_t i = 0; found.count == 0 && i < sizeof(places) / sizeof(places[0]);
       i++) {
    if (places[i].family != 0 && places[i].family != family)
      continue;
    put_address(text, places[i].address, places[i].size);
    find_sockets(places[i].table, text, port, &found);
  }
  return all_own(&found);
}
