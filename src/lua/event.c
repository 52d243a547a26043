/* Events as Lua values. The table of a frame is the one that the user
 * receives. */
#include "module.h"

static void set_string(lua_State *L, const char *name, const char *text,
                       size_t len) {
  lua_pushlstring(L, text, len);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_true(lua_State *L, const char *name) {
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, name);
}

static bool carries_data(const wrenn_frame *frame) {
  switch (frame->kind) {
  case WRENN_FRAME_STDOUT:
  case WRENN_FRAME_STDERR:
  case WRENN_FRAME_OUTPUT:
  case WRENN_FRAME_ERROR:
    return true;
  default:
    return frame->data_len > 0;
  }
}

static void push_frame(lua_State *L, const wrenn_event *event) {
  const wrenn_frame *frame = &event->frame;
  lua_createtable(L, 0, 2);
  if (!frame->type) { /* codec RAW: the unchanged message */
    set_string(L, "data", event->data, event->data_len);
    if (frame->binary)
      set_true(L, "binary");
    return;
  }
  set_string(L, "type", frame->type, frame->type_len);
  if (carries_data(frame))
    set_string(L, "data", frame->data, frame->data_len);
  if (frame->pid)
    set_integer(L, "pid", (lua_Integer)frame->pid);
  if (frame->kind == WRENN_FRAME_EXIT)
    set_integer(L, "exit_code", frame->exit_code);
  if (frame->tag)
    set_string(L, "tag", frame->tag, frame->tag_len);
  if (frame->fatal)
    set_true(L, "fatal");
  if (frame->binary)
    set_true(L, "binary");
}

/* Whether a frame is the output of its codec and has nothing but its data. */
static bool is_plain(const wrenn_frame *frame) {
  return (frame->kind == WRENN_FRAME_STDOUT ||
          frame->kind == WRENN_FRAME_OUTPUT) &&
         !frame->pid && !frame->tag && !frame->fatal && !frame->binary;
}

/* The size of a group of frames. The longer a string waits to be used, the more
 * it costs Lua's collector: with those of half a megabyte at once, a fifth of
 * all the time. And a group is below what makes an inbox pause its operation.
 */
#define GROUP 256
#define GROUP_BYTES ((size_t)128 * 1024)

/* loop:frames(id, list, last): appends the next frames in the queue, a group at
 * most and as far as they belong to one operation, to a list with `last`
 * entries. Output is the string alone: most frames are output, and a table for
 * each that waits costs more than all else that is done with it. Returns the
 * number of frames, the size of their messages, whether it is a whole group,
 * and how many come before the first that is a table. */
static int loop_frames(lua_State *L) {
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  wrenn_id id = (wrenn_id)luaL_checknumber(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  int last = (int)luaL_checkinteger(L, 4);
  int count = 0, strings = 0;
  size_t bytes = 0;
  wrenn_event event;
  while (count < GROUP && bytes < GROUP_BYTES &&
         wrenn_loop_next_frame(loop, id, &event)) {
    if (is_plain(&event.frame)) {
      lua_pushlstring(L, event.frame.data, event.frame.data_len);
      strings += strings == count;
    } else {
      push_frame(L, &event);
    }
    count++;
    bytes += event.data_len;
    lua_rawseti(L, 3, last + count);
  }
  lua_pushinteger(L, count);
  lua_pushinteger(L, (lua_Integer)bytes);
  lua_pushboolean(L, count == GROUP || bytes >= GROUP_BYTES);
  lua_pushinteger(L, strings);
  return 4;
}

static int push_data(lua_State *L, const wrenn_event *event) {
  lua_pushlstring(L, event->data, event->data_len);
  return 1;
}

/* The files that loop:next is given. */
#define SINKS 2

static int push_chunk(lua_State *L, const wrenn_event *event) {
  if (lua_istable(L, SINKS)) {
    lua_pushinteger(L, (lua_Integer)event->id);
    lua_rawget(L, SINKS);
    int file = lua_gettop(L);
    int pushed = lua_isnil(L, file)
                     ? 0
                     : binding_pour(L, file, event->data, event->data_len);
    lua_remove(L, file);
    if (pushed)
      return pushed;
  }
  return push_data(L, event);
}

static int push_answer(lua_State *L, const wrenn_event *event) {
  lua_pushinteger(L, event->status);
  lua_pushlstring(L, event->headers, event->headers_len);
  return 2;
}

static int push_failed(lua_State *L, const wrenn_event *event) {
  binding_push_code(L, event->error);
  if (event->error != WRENN_E_REFUSED) {
    push_data(L, event);
    lua_pushboolean(L, event->sent);
    if (event->error != WRENN_E_FILE)
      return 3;
    lua_pushinteger(L, event->code);
    return 4;
  }
  lua_pushstring(L, wrenn_strerror(event->error));
  return 2 + push_answer(L, event) + push_data(L, event);
}

static int push_event(lua_State *L, const wrenn_event *event) {
  lua_pushinteger(L, (lua_Integer)event->id);
  switch (event->type) {
  case WRENN_EV_HEADERS:
    lua_pushliteral(L, "headers");
    return 2 + push_answer(L, event);
  case WRENN_EV_CHUNK:
    lua_pushliteral(L, "chunk");
    return 2 + push_chunk(L, event);
  case WRENN_EV_WRITABLE:
    lua_pushliteral(L, "writable");
    return 2;
  case WRENN_EV_DONE:
    lua_pushliteral(L, "done");
    return 2 + push_answer(L, event) + push_data(L, event);
  case WRENN_EV_OPENED:
    lua_pushliteral(L, "opened");
    return 2;
  case WRENN_EV_FRAME:
    lua_pushliteral(L, "frame");
    push_frame(L, event);
    lua_pushinteger(L, (lua_Integer)event->data_len);
    return 4;
  case WRENN_EV_CLOSED:
    lua_pushliteral(L, "closed");
    lua_pushinteger(L, event->code);
    return 3 + push_data(L, event);
  case WRENN_EV_FIRED:
    lua_pushliteral(L, "fired");
    return 2;
  case WRENN_EV_FAILED:
    lua_pushliteral(L, "failed");
    return 2 + push_failed(L, event);
  case WRENN_EV_READY:
    lua_pushliteral(L, "ready");
    return 2;
  case WRENN_EV_SIGNAL:
    lua_pushliteral(L, "signal");
    return 2;
  }
  return luaL_error(L, "unknown event");
}

/* loop:next(sinks): nothing, or the id, the type and the values of that type.
 * `sinks`, which may be nil, are files of a tree by id: what such an operation
 * receives is written there instead of becoming strings. */
static int loop_next(lua_State *L) {
  wrenn_event event;
  lua_settop(L, SINKS);
  if (!wrenn_loop_next(binding_check_loop(L, 1, NULL), &event))
    return 0;
  return push_event(L, &event);
}

void binding_add_events(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"next", loop_next}, {"frames", loop_frames}, {NULL, NULL}};
  luaL_setfuncs(L, methods, 0);
}
