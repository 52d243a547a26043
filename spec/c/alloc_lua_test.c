/*
 * A Lua script in which the n-th allocation of Lua fails, and the one after it,
 * which Lua tries once it has collected what it can: the script ends with an
 * error, or with what it should have had, and nothing is left. One n in STEP
 * in each run, others in the next; every one with WRENN_ALLOC=all.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <time.h>

#include "alloc_peer.h"
#include "check.h"

#define STEP 40

/* Loads what there is to load; returns what is done with it, which checks what
 * it gets. */
static const char SCRIPT[] =
    "local wrenn = require('wrenn')\n"
    "local client = assert(wrenn.Client({ api_key = 'wrn_1', retries = 0,\n"
    "  base_url = ..., timeout = 20 }))\n"
    "local function work()\n"
    "  local capsule = wrenn.check(wrenn.Capsule.connect('cl-1',\n"
    "    { client = client }))\n"
    "  assert(capsule.info.metadata.a == '\\195\\169', 'wrong metadata')\n"
    "  local result = wrenn.check(capsule.commands:run('x'))\n"
    "  assert(result.stdout == 'out' and result.exit_code == 0, 'wrong')\n"
    "  local stream = wrenn.check(capsule.commands:stream('x'))\n"
    "  local result = wrenn.check(stream:wait())\n"
    "  assert(result.stdout == 'some \"text\"', 'wrong output')\n"
    "  local list = wrenn.check(wrenn.task.map({ 1, 2 }, function()\n"
    "    return capsule:get_info()\n"
    "  end))\n"
    "  assert(list[2].id == 'cl-1', 'wrong list')\n"
    "end\n"
    "work()\n" /* what is made by the first use */
    "return work\n";

typedef struct heap {
  size_t count, fail_at; /* 0: none fails */
  long alive;
} heap;

static void *allocate(void *arg, void *old, size_t old_size, size_t size) {
  heap *h = arg;
  (void)old_size;
  if (size == 0) {
    h->alive -= old != NULL;
    free(old);
    return NULL;
  }
  if (!old || size > old_size) {
    h->count++;
    if (h->fail_at && (h->count == h->fail_at || h->count == h->fail_at + 1))
      return NULL;
  }
  void *new = realloc(old, size);
  h->alive += !old && new;
  return new;
}

/* Runs it with the n-th allocation failing; returns how many there were. */
static size_t run(const char *url, size_t n) {
  heap h = {0};
  char row[64];
  snprintf(row, sizeof(row), "allocation %zu", n);
  lua_State *L = lua_newstate(allocate, &h);
  luaL_openlibs(L);
  lua_pushstring(L, url);
  bool ready = luaL_loadstring(L, SCRIPT) == LUA_OK;
  if (ready) {
    lua_insert(L, -2);
    ready = lua_pcall(L, 1, 1, 0) == LUA_OK;
  }
  CHECK_ROW(ready ? "" : lua_tostring(L, -1), ready);
  h.count = 0;
  h.fail_at = n;
  time_t begin = time(NULL);
  int status = lua_pcall(L, 0, 0, 0);
  h.fail_at = 0;
  size_t count = h.count;
  CHECK_ROW(row, time(NULL) - begin < 15);
  if (status != LUA_OK) {
    const char *why = luaL_tolstring(L, -1, NULL);
    CHECK_ROW(why, n > 0 && !strstr(why, "wrong"));
  }
  lua_close(L);
  CHECK_ROW(row, h.alive == 0);
  return count;
}

static void every_allocation_may_fail(void) {
  char url[64];
  const char *all = getenv("WRENN_ALLOC");
  size_t step = all && strcmp(all, "all") == 0 ? 1 : STEP;
  snprintf(url, sizeof(url), "http://127.0.0.1:%u", alloc_peer_start());
  size_t count = run(url, 0), tried = 0;
  size_t n = 1 + (size_t)time(NULL) % step;
  for (; n <= count && !check_failures; n += step, tried++)
    run(url, n);
  printf("  %zu of %zu allocations\n", tried, count);
  CHECK(count > 100);
}

CHECK_MAIN({"every allocation may fail", every_allocation_may_fail})
