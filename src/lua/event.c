/* Events as Lua values. Frames become the very table the user receives. */
#include "binding.h"

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
  if (!frame->type) { /* codec RAW: the message as it is */
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

static int push_data(lua_State *L, const wrenn_event *event) {
  lua_pushlstring(L, event->data, event->data_len);
  return 1;
}

static int push_answer(lua_State *L, const wrenn_event *event) {
  lua_pushinteger(L, event->status);
  lua_pushlstring(L, event->headers, event->headers_len);
  return 2;
}

static int push_failed(lua_State *L, const wrenn_event *event) {
  binding_push_code(L, event->error);
  if (event->error != WRENN_E_REFUSED)
    return 1 + push_data(L, event);
  lua_pushstring(L, wrenn_strerror(event->error));
  return 2 + push_answer(L, event) + push_data(L, event);
}

int binding_push_event(lua_State *L, const wrenn_event *event) {
  lua_pushinteger(L, (lua_Integer)event->id);
  switch (event->type) {
  case WRENN_EV_HEADERS:
    lua_pushliteral(L, "headers");
    return 2 + push_answer(L, event);
  case WRENN_EV_CHUNK:
    lua_pushliteral(L, "chunk");
    return 2 + push_data(L, event);
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
  }
  return luaL_error(L, "unknown event");
}
