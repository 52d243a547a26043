/* Ctrl-C for a scheduler. What lua and luajit install for SIGINT raises an
 * error between any two instructions of Lua, which no scheduler survives whole.
 * So it takes SIGINT for itself meanwhile, looks before each wait whether there
 * was one, and passes it on. The first one is noted in the disposition itself;
 * a second one ends the program, as it does without this. */
#include <signal.h>

#include "module.h"

typedef struct holder {
  struct sigaction theirs;
  bool holds;
} holder;

static void end_program(int number) {
  struct sigaction none = {.sa_handler = SIG_DFL};
  sigaction(number, &none, NULL);
  raise(number);
}

static void note(int number) {
  struct sigaction noted = {.sa_handler = end_program};
  sigaction(number, &noted, NULL);
}

static bool is_ours(const struct sigaction *now) {
  return now->sa_handler == note || now->sa_handler == end_program;
}

/* hold(): takes SIGINT, unless nobody handles it or another one holds it. */
static int hold(lua_State *L) {
  holder *self = lua_touserdata(L, lua_upvalueindex(1));
  const struct sigaction ours = {.sa_handler = note, .sa_flags = SA_RESTART};
  if (self->holds || sigaction(SIGINT, &ours, &self->theirs) != 0)
    return 0;
  self->holds = self->theirs.sa_handler != SIG_DFL &&
                self->theirs.sa_handler != SIG_IGN && !is_ours(&self->theirs);
  if (!self->holds)
    sigaction(SIGINT, &self->theirs, NULL);
  return 0;
}

static bool was_pressed(const holder *self) {
  struct sigaction now;
  return self->holds && sigaction(SIGINT, NULL, &now) == 0 &&
         now.sa_handler == end_program;
}

/* pressed(): whether one came since hold(). */
static int pressed(lua_State *L) {
  lua_pushboolean(L, was_pressed(lua_touserdata(L, lua_upvalueindex(1))));
  return 1;
}

/* Gives SIGINT back, unless somebody has taken it meanwhile. Returns whether
 * one came before. */
static bool give_back(holder *self) {
  struct sigaction now;
  if (!self->holds || sigaction(SIGINT, NULL, &now) != 0)
    return false;
  self->holds = false;
  if (is_ours(&now))
    sigaction(SIGINT, &self->theirs, NULL);
  return now.sa_handler == end_program;
}

/* release(): the opposite of hold. What came meanwhile comes now. */
static int release(lua_State *L) {
  if (give_back(lua_touserdata(L, lua_upvalueindex(1))))
    raise(SIGINT);
  return 0;
}

static int holder_gc(lua_State *L) {
  give_back(lua_touserdata(L, 1));
  return 0;
}

void binding_add_interrupt(lua_State *L) {
  holder *self = lua_newuserdata(L, sizeof(*self));
  *self = (holder){.holds = false};
  lua_newtable(L);
  lua_pushcfunction(L, holder_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  static const luaL_Reg functions[] = {
      {"hold", hold}, {"pressed", pressed}, {"release", release}, {NULL, NULL}};
  for (const luaL_Reg *one = functions; one->name; one++) {
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, one->func, 1);
    lua_setfield(L, -3, one->name);
  }
  lua_pop(L, 1);
}
