/* Operations as userdata: started from an options table, cancelled by
 * collection at the latest. */
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "module.h"

#define MAX_HEADERS 64

typedef struct binding_op {
  binding_loop *box; /* NULL while being made */
  wrenn_id id;
} binding_op;

/* Makes the operation of a loop, which is at index 1. The userdata is created
 * first: if memory is out, no operation is left without an owner. */
static binding_op *new_op(lua_State *L, binding_loop *box) {
  binding_op *op = lua_newuserdata(L, sizeof(*op));
  *op = (binding_op){0};
  luaL_getmetatable(L, "wrenn.op");
  lua_setmetatable(L, -2);
  if (box->ops == 0) {
    lua_pushvalue(L, 1);
    box->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  box->ops++;
  op->box = box;
  return op;
}

static binding_op *check_op(lua_State *L) {
  return luaL_checkudata(L, 1, "wrenn.op");
}

static wrenn_loop *loop_of(const binding_op *op) {
  return op->box ? op->box->loop : NULL;
}

/* ---- options (a table at index 2; what is read stays on the stack) ------- */

static const char *string_field(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  if (lua_isnil(L, -1))
    return NULL;
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  if (!text || strlen(text) != len)
    luaL_error(L, "option '%s' must be a string without NUL bytes", name);
  return text;
}

static bool bool_field(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static uint32_t ms_field(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  uint32_t ms = (uint32_t)binding_to_ms(L, -1, 0);
  lua_pop(L, 1);
  return ms;
}

static int64_t size_field(lua_State *L, const char *name, int64_t none) {
  lua_getfield(L, 2, name);
  int64_t size = none;
  if (!lua_isnil(L, -1))
    size = (int64_t)luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return size;
}

static size_t headers_field(lua_State *L, const char *lines[MAX_HEADERS]) {
  lua_getfield(L, 2, "headers");
  if (lua_isnil(L, -1))
    return 0;
  luaL_checktype(L, -1, LUA_TTABLE);
  size_t count = lua_rawlen(L, -1);
  if (count > MAX_HEADERS)
    luaL_error(L, "too many headers");
  luaL_checkstack(L, (int)count + LUA_MINSTACK, "headers");
  int table = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    size_t len;
    lua_rawgeti(L, table, (int)i + 1);
    lines[i] = lua_tolstring(L, -1, &len);
    if (!lines[i] || strlen(lines[i]) != len)
      luaL_error(L, "header %d must be a string without NUL bytes", (int)i + 1);
  }
  return count;
}

static wrenn_net net_fields(lua_State *L) {
  wrenn_net net = {0};
  net.ca_file = string_field(L, "ca_file");
  net.proxy = string_field(L, "proxy");
  net.insecure = bool_field(L, "insecure");
  net.owner = (uint32_t)size_field(L, "owner", 0);
  return net;
}

static wrenn_deadlines deadline_fields(lua_State *L) {
  wrenn_deadlines limits = {0};
  limits.connect_ms = ms_field(L, "connect");
  limits.head_ms = ms_field(L, "head");
  limits.answer_ms = ms_field(L, "answer");
  limits.idle_ms = ms_field(L, "idle");
  limits.total_ms = ms_field(L, "total");
  return limits;
}

static wrenn_codec codec_field(lua_State *L) {
  const char *name = string_field(L, "codec");
  if (!name || !strcmp(name, "raw"))
    return WRENN_CODEC_RAW;
  if (!strcmp(name, "stream"))
    return WRENN_CODEC_STREAM;
  if (!strcmp(name, "pty"))
    return WRENN_CODEC_PTY;
  luaL_error(L, "option 'codec': unknown name '%s'", name);
  return WRENN_CODEC_RAW;
}

/* The total length of a body given as an array of strings on top of the
 * stack. */
static int64_t parts_size(lua_State *L, size_t count) {
  int64_t size = 0;
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, (int)i);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "option 'body': part %d is not a string", (int)i);
    size += (int64_t)lua_rawlen(L, -1);
    lua_pop(L, 1);
  }
  return size;
}

static wrenn_status send_parts(lua_State *L, int table, size_t count,
                               wrenn_loop *loop, wrenn_id id) {
  wrenn_status status = WRENN_OK;
  for (size_t i = 1; i <= count && !status; i++) {
    size_t len;
    lua_rawgeti(L, table, (int)i);
    const char *part = lua_tolstring(L, -1, &len);
    status = wrenn_http_send(loop, id, part, len, i == count, NULL);
    lua_pop(L, 1);
  }
  return status;
}

/* ---- requests ------------------------------------------------------------ */

#define REQUEST "wrenn.request"

typedef struct binding_request {
  binding_owned owned;
  wrenn_request *request; /* NULL: none, or dropped */
} binding_request;

static void drop_request(binding_owned *owned) {
  binding_request *self = (binding_request *)owned;
  wrenn_request_free(self->request);
  self->request = NULL;
}

/* Replaces the options at index 2 by a request that is prepared with them. */
static wrenn_status prepare(lua_State *L) {
  const char *lines[MAX_HEADERS];
  int top = lua_gettop(L);
  binding_request *self = lua_newuserdata(L, sizeof(*self));
  *self = (binding_request){.request = NULL};
  luaL_getmetatable(L, REQUEST);
  lua_setmetatable(L, -2);
  wrenn_http_options options = {.size = sizeof(options), .headers = lines};
  options.method = string_field(L, "method");
  options.url = string_field(L, "url");
  options.header_count = headers_field(L, lines);
  options.net = net_fields(L);
  options.deadlines = deadline_fields(L);
  options.stream = bool_field(L, "stream");
  options.max_body = (size_t)size_field(L, "max_body", 0);
  wrenn_status status = binding_own(L, &self->owned, drop_request)
                            ? wrenn_request_new(&options, &self->request)
                            : WRENN_E_CLOSED;
  lua_settop(L, top + 1);
  lua_replace(L, 2);
  return status;
}

static int request_gc(lua_State *L) {
  binding_request *self = luaL_checkudata(L, 1, REQUEST);
  binding_drop(&self->owned);
  return 0;
}

/* wrenn.core.request(options): prepares requests for loop:http. */
static int core_request(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  wrenn_status status = prepare(L);
  if (status)
    return binding_push_failure(L, status);
  lua_settop(L, 2);
  return 1;
}

/* The arguments of loop:http. */
enum { PATH = 3, BODY, TOTAL, IDLE, ANSWER, UPLOAD };

/* Takes everything from a table of options at index 2. */
static wrenn_status take_options(lua_State *L) {
  lua_getfield(L, 2, "body");
  lua_replace(L, BODY);
  if (bool_field(L, "upload")) {
    lua_pushnumber(L, (lua_Number)size_field(L, "upload_size", -1));
    lua_replace(L, UPLOAD);
  }
  return prepare(L);
}

static const char *path_argument(lua_State *L) {
  size_t len;
  const char *path = luaL_optlstring(L, PATH, NULL, &len);
  luaL_argcheck(L, !path || strlen(path) == len, PATH, "it holds a NUL byte");
  return path;
}

/* loop:http(request, path, body, total, idle, answer, upload), where request is
 * a prepared one or a table of options, with which everything else is nil.
 * `upload`: the number of bytes to come, -1 for unknown. Returns the operation
 * and its id. */
static int loop_http(lua_State *L) {
  binding_loop *box;
  wrenn_loop *loop = binding_check_loop(L, 1, &box);
  size_t parts = 0;
  wrenn_status status = WRENN_OK;
  lua_settop(L, UPLOAD);
  if (lua_istable(L, 2))
    status = take_options(L);
  if (status)
    return binding_push_failure(L, status);
  const binding_request *prepared = luaL_checkudata(L, 2, REQUEST);
  if (!prepared->request)
    return binding_push_failure(L, WRENN_E_CLOSED);
  wrenn_request_options options = {.size = sizeof(options)};
  options.path = path_argument(L);
  options.deadlines.total_ms = (uint32_t)binding_to_ms(L, TOTAL, 0);
  options.deadlines.idle_ms = (uint32_t)binding_to_ms(L, IDLE, 0);
  options.deadlines.head_ms = options.deadlines.idle_ms;
  options.deadlines.answer_ms = (uint32_t)binding_to_ms(L, ANSWER, 0);
  options.upload = !lua_isnil(L, UPLOAD);
  if (options.upload)
    options.upload_size = (int64_t)luaL_checknumber(L, UPLOAD);
  if (lua_istable(L, BODY)) {
    parts = lua_rawlen(L, BODY);
    lua_pushvalue(L, BODY);
    options.upload = parts > 0;
    options.upload_size = parts_size(L, parts);
  } else if (!lua_isnil(L, BODY)) {
    options.body = luaL_checklstring(L, BODY, &options.body_len);
  }
  binding_op *op = new_op(L, box);
  status = wrenn_request_start(loop, prepared->request, &options, &op->id);
  if (!status && parts)
    status = send_parts(L, BODY, parts, loop, op->id);
  if (status)
    return binding_push_failure(L, status);
  lua_pushinteger(L, (lua_Integer)op->id);
  return 2;
}

/* ---- other operations ---------------------------------------------------- */

static int loop_ws(lua_State *L) {
  binding_loop *box;
  wrenn_loop *loop = binding_check_loop(L, 1, &box);
  const char *lines[MAX_HEADERS];
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  binding_op *op = new_op(L, box);
  wrenn_ws_options options = {.size = sizeof(options), .headers = lines};
  options.url = string_field(L, "url");
  options.header_count = headers_field(L, lines);
  options.net = net_fields(L);
  options.deadlines = deadline_fields(L);
  options.codec = codec_field(L);
  options.max_message = (size_t)size_field(L, "max_message", 0);
  options.ping_ms = ms_field(L, "ping");
  wrenn_status status = wrenn_ws_open(loop, &options, &op->id);
  if (status)
    return binding_push_failure(L, status);
  lua_pushvalue(L, 3);
  lua_pushinteger(L, (lua_Integer)op->id);
  return 2;
}

static int loop_tunnel(lua_State *L) {
  binding_loop *box;
  wrenn_loop *loop = binding_check_loop(L, 1, &box);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  binding_op *op = new_op(L, box);
  wrenn_tunnel_options options = {.size = sizeof(options)};
  options.url = string_field(L, "url");
  options.net = net_fields(L);
  options.deadlines = deadline_fields(L);
  wrenn_status status = wrenn_tunnel_open(loop, &options, &op->id);
  if (status)
    return binding_push_failure(L, status);
  lua_pushvalue(L, 3);
  lua_pushinteger(L, (lua_Integer)op->id);
  return 2;
}

static int loop_timer(lua_State *L) {
  binding_loop *box;
  wrenn_loop *loop = binding_check_loop(L, 1, &box);
  uint32_t ms = (uint32_t)binding_to_ms(L, 2, 0);
  binding_op *op = new_op(L, box);
  wrenn_status status = wrenn_timer_start(loop, ms, NULL, &op->id);
  if (status)
    return binding_push_failure(L, status);
  lua_pushinteger(L, (lua_Integer)op->id);
  return 2;
}

/* loop:ready(fd, how): "r", "w" or "rw". */
static int loop_ready(lua_State *L) {
  binding_loop *box;
  wrenn_loop *loop = binding_check_loop(L, 1, &box);
  static const char *const names[] = {"r", "w", "rw", NULL};
  static const int values[] = {WRENN_READABLE, WRENN_WRITABLE,
                               WRENN_READABLE | WRENN_WRITABLE};
  int fd = (int)luaL_checkinteger(L, 2);
  int how = values[luaL_checkoption(L, 3, "r", names)];
  binding_op *op = new_op(L, box);
  wrenn_status status = wrenn_ready_start(loop, fd, how, NULL, &op->id);
  if (status)
    return binding_push_failure(L, status);
  lua_pushinteger(L, (lua_Integer)op->id);
  return 2;
}

/* loop:signal(name): without its SIG. */
static int loop_signal(lua_State *L) {
  binding_loop *box;
  wrenn_loop *loop = binding_check_loop(L, 1, &box);
  static const char *const names[] = {"HUP", "INT", "TERM", "WINCH", NULL};
  static const int values[] = {SIGHUP, SIGINT, SIGTERM, SIGWINCH};
  int number = values[luaL_checkoption(L, 2, NULL, names)];
  binding_op *op = new_op(L, box);
  wrenn_status status = wrenn_signal_start(loop, number, NULL, &op->id);
  if (status)
    return binding_push_failure(L, status);
  lua_pushinteger(L, (lua_Integer)op->id);
  return 2;
}

/* ---- methods ------------------------------------------------------------- */

static int op_id(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_op(L)->id);
  return 1;
}

static int op_send(lua_State *L) {
  binding_op *op = check_op(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  wrenn_loop *loop = loop_of(op);
  if (!loop)
    return binding_push_failure(L, WRENN_E_CLOSED);
  return binding_push_outcome(
      L, wrenn_ws_send(loop, op->id, data, len, lua_toboolean(L, 3)));
}

static int op_send_input(lua_State *L) {
  binding_op *op = check_op(L);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  wrenn_loop *loop = loop_of(op);
  if (!loop)
    return binding_push_failure(L, WRENN_E_CLOSED);
  return binding_push_outcome(L, wrenn_ws_send_input(loop, op->id, data, len));
}

static int op_send_body(lua_State *L) {
  binding_op *op = check_op(L);
  size_t len;
  bool room = true;
  const char *data = luaL_optlstring(L, 2, "", &len);
  wrenn_loop *loop = loop_of(op);
  if (!loop)
    return binding_push_failure(L, WRENN_E_CLOSED);
  wrenn_status status =
      wrenn_http_send(loop, op->id, data, len, lua_toboolean(L, 3), &room);
  if (status)
    return binding_push_failure(L, status);
  lua_pushboolean(L, 1);
  lua_pushboolean(L, room);
  return 2;
}

/* The descriptor of a file of Lua's own library at `index`. */
static int check_file(lua_State *L, int index) {
#if LUA_VERSION_NUM < 502
  FILE *file = *(FILE **)luaL_checkudata(L, index, LUA_FILEHANDLE);
#else
  const luaL_Stream *stream = luaL_checkudata(L, index, LUA_FILEHANDLE);
  FILE *file = stream->closef ? stream->f : NULL;
#endif
  luaL_argcheck(L, file, index, "it is closed");
  return fileno(file);
}

/* op:send_file(file, size): the first bytes of a file. */
static int op_send_file(lua_State *L) {
  binding_op *op = check_op(L);
  int fd = check_file(L, 2);
  lua_Number size = luaL_checknumber(L, 3);
  luaL_argcheck(L, size >= 0 && size < 9e15, 3, "not a size");
  wrenn_loop *loop = loop_of(op);
  if (!loop)
    return binding_push_failure(L, WRENN_E_CLOSED);
  return binding_push_outcome(
      L, wrenn_http_send_file(loop, op->id, fd, 0, (uint64_t)size));
}

static int op_send_bytes(lua_State *L) {
  binding_op *op = check_op(L);
  size_t len;
  bool room = true;
  const char *data = luaL_checklstring(L, 2, &len);
  wrenn_loop *loop = loop_of(op);
  if (!loop)
    return binding_push_failure(L, WRENN_E_CLOSED);
  wrenn_status status = wrenn_tunnel_send(loop, op->id, data, len, &room);
  if (status)
    return binding_push_failure(L, status);
  lua_pushboolean(L, 1);
  lua_pushboolean(L, room);
  return 2;
}

static int op_unsent(lua_State *L) {
  binding_op *op = check_op(L);
  wrenn_loop *loop = loop_of(op);
  lua_pushinteger(L, loop ? (lua_Integer)wrenn_ws_unsent(loop, op->id) : 0);
  return 1;
}

static int op_close(lua_State *L) {
  binding_op *op = check_op(L);
  if (loop_of(op))
    wrenn_ws_close(loop_of(op), op->id);
  return 0;
}

static int op_cancel(lua_State *L) {
  binding_op *op = check_op(L);
  if (loop_of(op))
    wrenn_cancel(loop_of(op), op->id);
  return 0;
}

static int op_gc(lua_State *L) {
  binding_op *op = check_op(L);
  op_cancel(L);
  if (op->box && --op->box->ops == 0)
    luaL_unref(L, LUA_REGISTRYINDEX, op->box->anchor);
  op->box = NULL;
  return 0;
}

void binding_add_ops(lua_State *L) {
  static const luaL_Reg starters[] = {
      {"http", loop_http},   {"ws", loop_ws},       {"tunnel", loop_tunnel},
      {"timer", loop_timer}, {"ready", loop_ready}, {"signal", loop_signal},
      {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg methods[] = {{"id", op_id},
                                     {"send", op_send},
                                     {"send_input", op_send_input},
                                     {"send_body", op_send_body},
                                     {"send_file", op_send_file},
                                     {"send_bytes", op_send_bytes},
                                     {"unsent", op_unsent},
                                     {"close", op_close},
                                     {"cancel", op_cancel},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", op_gc}, {"__close", op_cancel}, {NULL, NULL}};
  static const luaL_Reg of_requests[] = {{"__gc", request_gc}, {NULL, NULL}};
  luaL_setfuncs(L, starters, 0);
  binding_new_class(L, "wrenn.op", methods, meta);
  binding_new_class(L, REQUEST, none, of_requests);
}

void binding_add_requests(lua_State *L) {
  static const luaL_Reg functions[] = {{"request", core_request}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
