#include "ws_frame.h"

#include <string.h>

#include "json.h"

/* The memory for a message grows to the size that its frames announce, but at
 * most this far ahead of the received data: a head is only the server's
 * claim. */
#define MAX_AHEAD ((size_t)1024 * 1024)

static wrenn_ws_result bad(wrenn_ws_reader *r, const char *why) {
  r->why = why;
  return WRENN_WS_BAD;
}

static bool is_control(wrenn_ws_opcode opcode) {
  return opcode >= WRENN_WS_CLOSE;
}

/* ---- frame heads --------------------------------------------------------- */

static size_t head_size(unsigned char second) {
  switch (second & 127) {
  case 126:
    return 4;
  case 127:
    return 10;
  default:
    return 2;
  }
}

static uint64_t big_endian(const unsigned char *at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++)
    value = value << 8 | at[i];
  return value;
}

static wrenn_ws_result check_order(wrenn_ws_reader *r) {
  switch (r->opcode) {
  case WRENN_WS_CONTINUED:
    return r->in_message ? WRENN_WS_MORE
                         : bad(r, "a frame continues no message");
  case WRENN_WS_TEXT:
  case WRENN_WS_BINARY:
    return r->in_message ? bad(r, "a message begins inside another")
                         : WRENN_WS_MORE;
  case WRENN_WS_CLOSE:
  case WRENN_WS_PING:
  case WRENN_WS_PONG:
    if (!r->last)
      return bad(r, "a control frame is in pieces");
    return r->left > WRENN_WS_CONTROL
               ? bad(r, "a control frame is over 125 bytes")
               : WRENN_WS_MORE;
  }
  return bad(r, "a frame has an unknown opcode");
}

/* Checks a complete head; MORE: it is valid. */
static wrenn_ws_result begin_frame(wrenn_ws_reader *r,
                                   const unsigned char *head, size_t size) {
  r->last = head[0] & 0x80;
  r->opcode = head[0] & 15;
  r->left = size == 2 ? head[1] & 127 : big_endian(head + 2, size - 2);
  if (head[0] & 0x70)
    return bad(r, "a frame has reserved bits set");
  if (head[1] & 0x80)
    return bad(r, "a server's frame is masked");
  if (size > 2 && r->left < (size == 4 ? 126 : 65536))
    return bad(r, "a frame's length is not in its shortest form");
  if (r->left >> 63)
    return bad(r, "a frame's length is negative");
  wrenn_ws_result result = check_order(r);
  if (result)
    return result;
  r->in_frame = true;
  r->control_len = 0;
  if (is_control(r->opcode))
    return WRENN_WS_MORE;
  if (r->opcode) {
    r->kind = r->opcode;
    r->in_message = true;
    wrenn_buf_clear(&r->message);
  }
  return r->left > r->max_message - r->message.len ? WRENN_WS_TOO_LARGE
                                                   : WRENN_WS_MORE;
}

/* Reads a head, or a part of it; in_frame says which. */
static wrenn_ws_result read_head(wrenn_ws_reader *r, const char **at,
                                 size_t *len) {
  const unsigned char *head = (const unsigned char *)*at;
  if (r->head_len == 0 && *len >= 2 && *len >= head_size(head[1])) {
    size_t size = head_size(head[1]);
    *at += size;
    *len -= size;
    return begin_frame(r, head, size);
  }
  while (*len) {
    r->head[r->head_len++] = (unsigned char)**at;
    ++*at;
    --*len;
    if (r->head_len >= 2 && r->head_len == head_size(r->head[1])) {
      size_t size = r->head_len;
      r->head_len = 0;
      return begin_frame(r, r->head, size);
    }
  }
  return WRENN_WS_MORE;
}

/* ---- payloads ------------------------------------------------------------ */

static bool code_allowed(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

static wrenn_ws_result close_item(wrenn_ws_reader *r, wrenn_ws_item *item) {
  const unsigned char *data = (const unsigned char *)item->data;
  item->code = 1005;
  if (item->len == 0)
    return WRENN_WS_ITEM;
  if (item->len == 1)
    return bad(r, "a close frame holds one byte");
  item->code = data[0] << 8 | data[1];
  item->data += 2;
  item->len -= 2;
  if (!code_allowed(item->code))
    return bad(r, "a close frame holds a code that is not allowed");
  if (!wrenn_json_utf8(item->data, item->len))
    return bad(r, "a close frame's reason is not UTF-8");
  return WRENN_WS_ITEM;
}

static wrenn_ws_result end_control(wrenn_ws_reader *r, wrenn_ws_item *item,
                                   const char *data, size_t len) {
  *item = (wrenn_ws_item){.opcode = r->opcode, .data = data, .len = len};
  r->in_frame = false;
  return r->opcode == WRENN_WS_CLOSE ? close_item(r, item) : WRENN_WS_ITEM;
}

static wrenn_ws_result end_message(wrenn_ws_reader *r, wrenn_ws_item *item,
                                   const char *data, size_t len) {
  *item =
      (wrenn_ws_item){.opcode = r->kind, .data = data ? data : "", .len = len};
  r->in_message = false;
  return WRENN_WS_ITEM;
}

static wrenn_ws_result read_control(wrenn_ws_reader *r, const char *data,
                                    size_t part, wrenn_ws_item *item) {
  bool whole = r->left == 0;
  if (whole && r->control_len == 0)
    return end_control(r, item, data, part);
  memcpy(r->control + r->control_len, data, part);
  r->control_len += part;
  return whole ? end_control(r, item, r->control, r->control_len)
               : WRENN_WS_MORE;
}

static bool reserve(wrenn_ws_reader *r, size_t part) {
  uint64_t ahead = r->left < MAX_AHEAD ? r->left : MAX_AHEAD;
  return r->message.cap - r->message.len >= part ||
         wrenn_buf_reserve(&r->message, part + (size_t)ahead);
}

static wrenn_ws_result read_data(wrenn_ws_reader *r, const char *data,
                                 size_t part, wrenn_ws_item *item) {
  bool whole = r->left == 0;
  if (whole)
    r->in_frame = false;
  if (whole && r->last && r->message.len == 0)
    return end_message(r, item, data, part); /* no copy */
  if (part && !reserve(r, part))
    return WRENN_WS_NO_MEMORY;
  wrenn_buf_append(&r->message, data, part);
  return whole && r->last
             ? end_message(r, item, r->message.data, r->message.len)
             : WRENN_WS_MORE;
}

wrenn_ws_result wrenn_ws_read(wrenn_ws_reader *r, const char **at, size_t *len,
                              wrenn_ws_item *item) {
  wrenn_ws_result result = WRENN_WS_MORE;
  do {
    if (!r->in_frame) {
      result = read_head(r, at, len);
      if (result || !r->in_frame)
        return result;
    }
    if (*len == 0 && r->left)
      return WRENN_WS_MORE;
    const char *data = *at;
    size_t part = r->left < *len ? (size_t)r->left : *len;
    *at += part;
    *len -= part;
    r->left -= part;
    result = is_control(r->opcode) ? read_control(r, data, part, item)
                                   : read_data(r, data, part, item);
  } while (!result && *len);
  return result;
}

char *wrenn_ws_reader_take(wrenn_ws_reader *r, const wrenn_ws_item *item) {
  char *data = r->message.data;
  if (!data || item->data != data)
    return NULL;
  r->message = (wrenn_buf){0};
  return data;
}

void wrenn_ws_reader_free(wrenn_ws_reader *r) { wrenn_buf_free(&r->message); }

/* ---- writing ------------------------------------------------------------- */

static void put_masked(char *out, const char *data, size_t len,
                       const unsigned char mask[4]) {
  uint64_t wide, word;
  size_t at = 0;
  memcpy(&wide, mask, 4);
  memcpy((char *)&wide + 4, mask, 4);
  for (; at + sizeof(word) <= len; at += sizeof(word)) {
    memcpy(&word, data + at, sizeof(word));
    word ^= wide;
    memcpy(out + at, &word, sizeof(word));
  }
  for (; at < len; at++)
    out[at] = (char)(data[at] ^ mask[at % 4]);
}

size_t wrenn_ws_put_frame(char *out, wrenn_ws_opcode opcode, const void *data,
                          size_t len, const unsigned char mask[4]) {
  size_t size = 2;
  size_t count = len < 126 ? 0 : len < 65536 ? 2 : 8;
  out[0] = (char)(0x80 | opcode);
  out[1] = (char)(0x80 | (count == 0 ? len : count == 2 ? 126 : 127));
  for (size_t i = count; i-- > 0;)
    out[size++] = (char)((uint64_t)len >> (8 * i));
  memcpy(out + size, mask, 4);
  put_masked(out + size + 4, data, len, mask);
  return size + 4 + len;
}
