#include "api/labels.h"

#include <string.h>

#include "util/json_out.h"

#define LABELS_MAX 20
#define NAME_MAX_LEN 64
#define VALUE_MAX 64
/* The maximum length of a name when all of it is escaped. */
#define ESCAPED_MAX ((size_t)NAME_MAX_LEN * 6)

bool label_name_ok(const char *name, size_t len) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  for (size_t i = 0; i < len; i++)
    if (name[i] == '\0' ||
        (!strchr(letters, name[i]) && (i == 0 || !strchr("._-", name[i]))))
      return false;
  return len > 0 && len <= NAME_MAX_LEN;
}

/* The agent's own. */
static bool is_reserved(const char *name, size_t len) {
  static const char *const names[] = {"kernel_version", "vmm_version",
                                      "agent_version", "envd_version"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
      return true;
  return false;
}

/* Counts the characters of a JSON string, in which an escape is one character.
 */
static size_t characters(const wrenn_json *value) {
  size_t count = 0, at = 0;
  while (at < value->len) {
    bool escape = value->text[at] == '\\';
    bool low = escape && value->len - at > 3 && value->text[at + 1] == 'u' &&
               (value->text[at + 2] | 0x20) == 'd' &&
               strchr("cdefCDEF", value->text[at + 3]);
    count += !low && ((unsigned char)value->text[at] & 0xc0) != 0x80;
    at += !escape ? 1 : value->text[at + 1] == 'u' ? 6 : 2;
  }
  return count;
}

static const char *read_one(const wrenn_json *name, const wrenn_json *value,
                            wrenn_buf *out) {
  char text[ESCAPED_MAX + 1];
  if (name->len > ESCAPED_MAX)
    return "a key is too long";
  size_t len = wrenn_json_decode(name, text);
  if (!label_name_ok(text, len))
    return "a key is malformed";
  if (is_reserved(text, len))
    return "a key is reserved";
  if (value->type != WRENN_JSON_STRING)
    return "a value is not a string";
  if (characters(value) > VALUE_MAX)
    return "a value is too long";
  text[len] = '\0';
  json_value(out, text, value);
  return NULL;
}

const char *labels_read(const wrenn_json *object, wrenn_buf *out) {
  wrenn_json_iter it;
  wrenn_json name, value;
  size_t count = 0;
  const char *wrong = NULL;
  if (object->type != WRENN_JSON_OBJECT)
    return "it is not an object";
  wrenn_json_walk(&it, object);
  while (!wrong && wrenn_json_next(&it, &name, &value) > 0)
    wrong = ++count > LABELS_MAX ? "there are more than 20 keys"
                                 : read_one(&name, &value, out);
  return wrong;
}
