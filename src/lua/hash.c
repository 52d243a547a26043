/* wrenn.core.sha256: an incremental hash. */
#include <openssl/evp.h>

#include "module.h"

#define CLASS "wrenn.sha256"

static EVP_MD_CTX *check_hash(lua_State *L) {
  EVP_MD_CTX **box = luaL_checkudata(L, 1, CLASS);
  luaL_argcheck(L, *box, 1, "the hash has been taken");
  return *box;
}

static int core_sha256(lua_State *L) {
  EVP_MD_CTX **box = lua_newuserdata(L, sizeof(EVP_MD_CTX *));
  *box = NULL;
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  *box = EVP_MD_CTX_new();
  if (!*box || !EVP_DigestInit_ex(*box, EVP_sha256(), NULL))
    return luaL_error(L, "SHA-256 is not to be had");
  return 1;
}

static int hash_gc(lua_State *L) {
  EVP_MD_CTX **box = luaL_checkudata(L, 1, CLASS);
  EVP_MD_CTX_free(*box);
  *box = NULL;
  return 0;
}

static int hash_update(lua_State *L) {
  EVP_MD_CTX *hash = check_hash(L);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  if (!EVP_DigestUpdate(hash, bytes, len))
    return luaL_error(L, "SHA-256 failed");
  return 0;
}

/* Ends the hash and returns it as 64 hexadecimal digits. */
static int hash_hex(lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  EVP_MD_CTX *hash = check_hash(L);
  unsigned char sum[EVP_MAX_MD_SIZE];
  char text[2 * EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (!EVP_DigestFinal_ex(hash, sum, &len))
    return luaL_error(L, "SHA-256 failed");
  for (size_t i = 0; i < len; i++) {
    text[2 * i] = digits[sum[i] >> 4];
    text[2 * i + 1] = digits[sum[i] & 15];
  }
  hash_gc(L);
  lua_pushlstring(L, text, (size_t)2 * len);
  return 1;
}

void binding_add_hash(lua_State *L) {
  static const luaL_Reg functions[] = {{"sha256", core_sha256}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"update", hash_update}, {"hex", hash_hex}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", hash_gc}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  binding_new_class(L, CLASS, methods, meta);
}
