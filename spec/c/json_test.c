/*
 * The JSON reader and the string writer: a message is strictly JSON and valid
 * UTF-8 or it is refused, and text arrives as it was before it was escaped.
 */
#include "json.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define PADS 34 /* offsets that cover two of the reader's 16-byte steps */

/* Parses from memory that ends with the text, so that a sanitizer sees a
 * read beyond it. The text of the last call stays until the next one. */
static bool parse(const char *text, size_t len, wrenn_json *value) {
  static char *held;
  const char *why = NULL;
  free(held);
  held = malloc(len ? len : 1);
  memcpy(held, text, len);
  bool ok = wrenn_json_parse(held, len, value, &why);
  CHECK_ROW(text, ok || why != NULL);
  return ok;
}

static void valid_text(void) {
  static const struct {
    const char *text;
    wrenn_json_type type;
  } rows[] = {
      {"null", WRENN_JSON_NULL},
      {"true", WRENN_JSON_BOOL},
      {" false\r\n\t ", WRENN_JSON_BOOL},
      {"0", WRENN_JSON_NUMBER},
      {"-0", WRENN_JSON_NUMBER},
      {"-12.50e+07", WRENN_JSON_NUMBER},
      {"1E-2", WRENN_JSON_NUMBER},
      {"123456789012345678901234567890", WRENN_JSON_NUMBER},
      {"\"\"", WRENN_JSON_STRING},
      {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u00E9\"", WRENN_JSON_STRING},
      {"\"\x7f\"", WRENN_JSON_STRING},
      {"[]", WRENN_JSON_ARRAY},
      {"[ ]", WRENN_JSON_ARRAY},
      {"[1,\t\"a\" ,[{}],null]", WRENN_JSON_ARRAY},
      {"{}", WRENN_JSON_OBJECT},
      {"{ \"a\" : { \"\" : [ ] } , \"b\" : 1 }", WRENN_JSON_OBJECT},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    wrenn_json value;
    bool ok = parse(rows[i].text, strlen(rows[i].text), &value);
    CHECK_ROW(rows[i].text, ok && value.type == rows[i].type);
  }
}

static void invalid_text(void) {
  /* One on each line; an empty one is among them. */
  static const char rows[] =
      "\n \nnul\nnulll\nTrue\nNaN\nInfinity\n-\n+1\n01\n-01\n00\n1.\n.5\n"
      "1.e1\n1e\n1e+\n0x10\n1 2\n1,\n--1\n\"\n\"a\n\"a\\\n\"\\\"\n'a'\n"
      "\"\\x41\"\n\"\\a\"\n\"\\U0041\"\n\"\\u\"\n\"\\u004\"\n\"\\u004g\"\n"
      "\"\\u 041\"\n\"\\u-041\"\n\"a\" \"b\"\n\"a\"x\n[\n]\n[1\n[1,\n[1,]\n"
      "[,1]\n[,]\n[1 2]\n[1,,2]\n[1}\n[]]\n[1:2]\n{\n}\n{,}\n{1:2}\n{a:1}\n"
      "{\"a\"}\n{\"a\":}\n{\"a\" 1}\n{\"a\":1,}\n{\"a\":1 \"b\":2}\n"
      "{\"a\":1]\n{,\"a\":1}\n{\"a\"::1}\n{}{}\n{} x\n{\"a\":1}}\n[] //\n"
      "/**/1\n\xef\xbb\xbf{}\n\v1\n\f1\n{null:1}\n{[]:1}\n[\"a]\n"
      "truefalse\n\xc2\xa0 1\n";
  for (const char *row = rows, *end; *row; row = end + 1) {
    char text[32];
    wrenn_json value;
    end = strchr(row, '\n');
    snprintf(text, sizeof(text), "%.*s", (int)(end - row), row);
    CHECK_ROW(text, !parse(text, (size_t)(end - row), &value));
  }
  wrenn_json value;
  CHECK(!parse("1\0", 2, &value));
  CHECK(!parse("\0", 1, &value));
  CHECK(!parse("\"\\\0\"", 4, &value));
  CHECK(!parse("\"\\u00\0\"", 7, &value));
}

static void control_characters_are_refused(void) {
  for (size_t pad = 0; pad < PADS; pad++)
    for (unsigned c = 0; c < 0x20; c++) {
      char text[2 * PADS + 3];
      wrenn_json value;
      memset(text, 'x', sizeof(text));
      text[0] = text[sizeof(text) - 1] = '"';
      CHECK(parse(text, sizeof(text), &value));
      text[1 + pad] = (char)c;
      CHECK(!parse(text, sizeof(text), &value));
    }
}

static const char *const valid_utf8[] = {"\x7f",
                                         "\xc2\x80",
                                         "\xdf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xe1\x80\xbf",
                                         "\xed\x9f\xbf",
                                         "\xee\x80\x80",
                                         "\xef\xbf\xbf",
                                         "\xef\xbf\xbd",
                                         "\xe2\x82\xac",
                                         "\xf0\x90\x80\x80",
                                         "\xf1\x80\x80\x80",
                                         "\xf4\x8f\xbf\xbf"};

static const char *const invalid_utf8[] = {
    /* a continuation alone, bytes that never occur */
    "\x80", "\xbf", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff",
    /* overlong */
    "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80",
    "\xf0\x8f\xbf\xbf",
    /* surrogates, beyond U+10FFFF */
    "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb8\x80",
    "\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf",
    /* cut short */
    "\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x9f", "\xf0\x9f\x98",
    /* something else where a continuation belongs */
    "\xc3\x28", "\xc3\xc3", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x28\x8c\xbc",
    "\xf0\x90\x28\xbc", "\xf0\x90\x8c\x28", "\xf0\x90\x8c\xff"};

/* Whether bytes behind `pad` plain ones pass; the two readers must agree. */
static bool utf8_passes(const char *bytes, size_t pad, bool tail) {
  char text[64];
  wrenn_json value;
  int len = snprintf(text, sizeof(text), "\"%*s%s%s\"", (int)pad, "", bytes,
                     tail ? "z" : "");
  bool plain = wrenn_json_utf8(text + 1, (size_t)len - 2);
  CHECK_ROW(text, parse(text, (size_t)len, &value) == plain);
  char key[80];
  int key_len = snprintf(key, sizeof(key), "{%s:1}", text);
  CHECK_ROW(text, parse(key, (size_t)key_len, &value) == plain);
  return plain;
}

static void utf8_is_checked(void) {
  for (size_t pad = 0; pad < PADS; pad++) {
    for (size_t i = 0; i < COUNT(valid_utf8); i++) {
      CHECK(utf8_passes(valid_utf8[i], pad, false));
      CHECK(utf8_passes(valid_utf8[i], pad, true));
    }
    for (size_t i = 0; i < COUNT(invalid_utf8); i++) {
      CHECK(!utf8_passes(invalid_utf8[i], pad, false));
      CHECK(!utf8_passes(invalid_utf8[i], pad, true));
    }
  }
  CHECK(wrenn_json_utf8("", 0));
  CHECK(wrenn_json_utf8("a\0\x1f\"\\b", 6)); /* no JSON, but UTF-8 */
}

static void depth_is_limited(void) {
  static const char *const opens[] = {"[", "{\"a\":"};
  static const char *const closes[] = {"]", "}"};
  for (unsigned kind = 0; kind < 2; kind++)
    for (unsigned depth = 1; depth <= 200; depth++) {
      wrenn_buf b = {0};
      wrenn_json value;
      for (unsigned i = 0; i < depth; i++)
        wrenn_buf_puts(&b, opens[kind]);
      wrenn_buf_puts(&b, "1");
      for (unsigned i = 0; i < depth; i++)
        wrenn_buf_puts(&b, closes[kind]);
      CHECK(parse(b.data, b.len, &value) == (depth <= WRENN_JSON_DEPTH));
      if (kind == 1) { /* the one-pass walk has the same limit */
        wrenn_json_iter it;
        wrenn_json key;
        CHECK(wrenn_json_open(&it, b.data, b.len));
        CHECK(wrenn_json_next(&it, &key, &value) ==
              (depth <= WRENN_JSON_DEPTH ? 1 : -1));
      }
      wrenn_buf_free(&b);
    }
}

static void every_truncation_fails(void) {
  static const char text[] =
      "{\"a\":[1,-2.5e+3,true,false,null,{\"b\":[]},\"x\\n\\u00e9\\ud83d"
      "\\ude00\xc3\xa9\xf0\x9f\x98\x80\"], \"long plain member name\" : {} }";
  wrenn_json value;
  CHECK(parse(text, sizeof(text) - 1, &value));
  for (size_t len = 0; len < sizeof(text) - 1; len++)
    CHECK(!parse(text, len, &value));
}

static void strings_are_decoded(void) {
  static const struct {
    const char *text, *bytes;
  } rows[] = {
      {"\"\"", ""},
      {"\"plain\"", "plain"},
      {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
      {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
      {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
       "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
      {"\"a\\ud83d\\ude00b\"", "a\xf0\x9f\x98\x80"
                               "b"},
      {"\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
      {"\"\\ud83d\"", "\xef\xbf\xbd"},
      {"\"\\ude00\"", "\xef\xbf\xbd"},
      {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
      {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
      {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                             "A"},
      {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
      {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"\"\\ud83d\\\\ude00\"", "\xef\xbf\xbd\\ude00"},
      {"\"\xc3\xa9\\n\xf0\x9f\x98\x80\"", "\xc3\xa9\n\xf0\x9f\x98\x80"},
      {"\"\\\\u0041\"", "\\u0041"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    wrenn_json value;
    size_t want = strlen(rows[i].bytes);
    bool ok = parse(rows[i].text, strlen(rows[i].text), &value);
    CHECK_ROW(rows[i].text, ok && value.type == WRENN_JSON_STRING);
    if (!ok)
      continue;
    CHECK_ROW(rows[i].text, value.escaped == !!strchr(rows[i].text, '\\'));
    char *dst = malloc(value.len ? value.len : 1);
    CHECK_ROW(rows[i].text, wrenn_json_decode(&value, dst) == want);
    CHECK_ROW(rows[i].text, memcmp(dst, rows[i].bytes, want) == 0);
    memcpy(dst, value.text, value.len); /* and in place */
    value.text = dst;
    CHECK_ROW(rows[i].text, wrenn_json_decode(&value, dst) == want);
    CHECK_ROW(rows[i].text, memcmp(dst, rows[i].bytes, want) == 0);
    free(dst);
  }
  wrenn_json value;
  char dst[8];
  CHECK(parse("\"a\\u0000b\"", 10, &value));
  CHECK(wrenn_json_decode(&value, dst) == 3 && memcmp(dst, "a\0b", 3) == 0);
}

static void whole_numbers(void) {
  static const struct {
    const char *text;
    bool whole;
    int64_t number;
  } rows[] = {
      {"0", true, 0},
      {"-0", true, 0},
      {"42", true, 42},
      {"-1", true, -1},
      {"9223372036854775807", true, INT64_MAX},
      {"-9223372036854775808", true, INT64_MIN},
      {"3.0", true, 3},
      {"-3.000", true, -3},
      {"3e2", true, 300},
      {"3E+2", true, 300},
      {"1.5e1", true, 15},
      {"300e-2", true, 3},
      {"12.50e1", true, 125},
      {"0.003e3", true, 3},
      {"0e999999999999", true, 0},
      {"-0.000", true, 0},
      {"9007199254740993.0", true, 9007199254740993},
      {"9223372036854775.807e3", true, INT64_MAX},
      {"-9.223372036854775808e18", true, INT64_MIN},
      {"0.00000000000000000000000000000000000000000000000003e50", true, 3},
      {"10000000000000000000000000000000000000000000000000e-49", true, 1},
      {"9223372036854775808", false, 0},
      {"-9223372036854775809", false, 0},
      {"99999999999999999999999999999999999999999999", false, 0},
      {"1.5", false, 0},
      {"1e-1", false, 0},
      {"1e19", false, 0},
      {"-1e19", false, 0},
      {"1e400", false, 0},
      {"1e99999999999999999999", false, 0},
      {"1e-99999999999999999999", false, 0},
      {"9.223372036854775808e18", false, 0},
      {"3.00000000000000000000000000000000000000000000001", false, 0},
      {"\"1\"", false, 0},
      {"true", false, 0},
      {"null", false, 0},
      {"[]", false, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    wrenn_json value;
    int64_t number = 0;
    CHECK_ROW(rows[i].text, parse(rows[i].text, strlen(rows[i].text), &value));
    bool whole = wrenn_json_int(&value, &number);
    CHECK_ROW(rows[i].text, whole == rows[i].whole);
    CHECK_ROW(rows[i].text, !whole || number == rows[i].number);
  }
}

/* No number here depends on what the locale takes for the point. */
static void numbers_in_a_locale(void) {
  wrenn_json value;
  int64_t number = 0;
  if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
    printf("# this machine has no locale to test with\n");
    return;
  }
  CHECK(strcmp(localeconv()->decimal_point, ",") == 0);
  CHECK(parse("1.5e1", 5, &value));
  CHECK(wrenn_json_int(&value, &number) && number == 15);
  setlocale(LC_NUMERIC, "C");
}

static void words_and_booleans(void) {
  wrenn_json value;
  CHECK(parse("true", 4, &value) && wrenn_json_true(&value));
  CHECK(parse("false", 5, &value) && !wrenn_json_true(&value));
  CHECK(parse("\"true\"", 6, &value) && !wrenn_json_true(&value));
  CHECK(wrenn_json_is(&value, "true") && !wrenn_json_is(&value, "tru") &&
        !wrenn_json_is(&value, "true ") && !wrenn_json_is(&value, ""));
  CHECK(parse("null", 4, &value) && !wrenn_json_is(&value, "null"));
}

static void walks(void) {
  static const char text[] = " {\"a\": [1, \"two\", [3]], \"b\": {}} ";
  wrenn_json root, key, value, element;
  wrenn_json_iter it, inner;
  CHECK(parse(text, sizeof(text) - 1, &root));
  wrenn_json_walk(&it, &root);
  CHECK(wrenn_json_next(&it, &key, &value) == 1 && wrenn_json_is(&key, "a"));
  wrenn_json_walk(&inner, &value);
  CHECK(wrenn_json_next(&inner, NULL, &element) == 1);
  CHECK(element.type == WRENN_JSON_NUMBER && element.len == 1);
  CHECK(wrenn_json_next(&inner, NULL, &element) == 1);
  CHECK(wrenn_json_is(&element, "two"));
  CHECK(wrenn_json_next(&inner, NULL, &element) == 1);
  CHECK(element.type == WRENN_JSON_ARRAY && element.len == 3);
  CHECK(wrenn_json_next(&inner, NULL, &element) == 0);
  CHECK(wrenn_json_next(&inner, NULL, &element) == 0);
  CHECK(wrenn_json_next(&it, &key, &value) == 1 && wrenn_json_is(&key, "b"));
  wrenn_json_walk(&inner, &value);
  CHECK(wrenn_json_next(&inner, &key, &element) == 0);
  CHECK(wrenn_json_next(&it, &key, &value) == 0);
  CHECK(parse("\"[1]\"", 5, &root));
  wrenn_json_walk(&it, &root);
  CHECK(wrenn_json_next(&it, &key, &value) == 0);
}

static void opens_for_one_pass(void) {
  static const char *const refused[] = {"", " ", "[]", "1", "\"{}\"", "x{}"};
  static const char *const broken[] = {"{", "{\"a\":1", "{\"a\":1}}", "{} x"};
  wrenn_json_iter it;
  wrenn_json key, value;
  for (size_t i = 0; i < COUNT(refused); i++)
    CHECK_ROW(refused[i],
              !wrenn_json_open(&it, refused[i], strlen(refused[i])) && it.why);
  for (size_t i = 0; i < COUNT(broken); i++) {
    int found;
    CHECK_ROW(broken[i], wrenn_json_open(&it, broken[i], strlen(broken[i])));
    while ((found = wrenn_json_next(&it, &key, &value)) > 0)
      ;
    CHECK_ROW(broken[i], found == -1 && it.why);
  }
}

static void gets_members(void) {
  static const char text[] = "{\"a\":1,\"b\":{\"a\":2},\"a\":3,\"ab\":4}";
  wrenn_json root, value;
  int64_t number = 0;
  CHECK(parse(text, sizeof(text) - 1, &root));
  CHECK(wrenn_json_get(&root, "a", &value));
  CHECK(wrenn_json_int(&value, &number) && number == 3); /* the last wins */
  CHECK(wrenn_json_get(&root, "b", &value) && value.type == WRENN_JSON_OBJECT);
  CHECK(!wrenn_json_get(&root, "c", &value));
  CHECK(!wrenn_json_get(&root, "", &value));
  CHECK(parse("[\"a\",1]", 7, &root) && !wrenn_json_get(&root, "a", &value));
}

static bool puts_as(const char *bytes, size_t len, const char *want) {
  wrenn_buf b = {0};
  wrenn_json_put_string(&b, bytes, len);
  bool same = b.len == strlen(want) && memcmp(b.data, want, b.len) == 0;
  wrenn_buf_free(&b);
  return same;
}

static void puts_strings(void) {
#define FFFD "\xef\xbf\xbd"
  CHECK(puts_as("", 0, "\"\""));
  CHECK(puts_as("a\"\\/\n\r\t", 7, "\"a\\\"\\\\/\\n\\r\\t\""));
  CHECK(puts_as("<a>&", 4, "\"\\u003ca\\u003e\\u0026\""));
  CHECK(puts_as("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\""));
  CHECK(puts_as("\xe2\x82\xac\xf0\x9f\x98\x80", 7,
                "\"\xe2\x82\xac\xf0\x9f\x98\x80\""));
  CHECK(puts_as("a\xff", 2, "\"a" FFFD "\""));
  CHECK(puts_as("\xe2\x82", 2, "\"" FFFD FFFD "\""));
  CHECK(puts_as("\xc3(", 2, "\"" FFFD "(\""));
  CHECK(puts_as("\xed\xa0\x80z", 4, "\"" FFFD FFFD FFFD "z\""));
}

/* Every byte that is ASCII, and every valid sequence, at every offset. */
static void strings_round_trip(void) {
  for (size_t pad = 0; pad < PADS; pad++)
    for (unsigned i = 0; i < 0x80 + COUNT(valid_utf8); i++) {
      char bytes[64];
      size_t len = pad;
      memset(bytes, 'a', sizeof(bytes));
      wrenn_buf b = {0};
      wrenn_json value;
      if (i < 0x80)
        bytes[len++] = (char)i;
      else
        len += (size_t)snprintf(bytes + pad, sizeof(bytes) - pad, "%s",
                                valid_utf8[i - 0x80]);
      bytes[len++] = '!';
      wrenn_json_put_string(&b, bytes, len);
      CHECK(parse(b.data, b.len, &value));
      CHECK(wrenn_json_decode(&value, b.data) == len);
      CHECK(memcmp(b.data, bytes, len) == 0);
      wrenn_buf_free(&b);
    }
}

CHECK_MAIN({"valid text", valid_text}, {"invalid text", invalid_text},
           {"control characters are refused", control_characters_are_refused},
           {"UTF-8 is checked", utf8_is_checked},
           {"depth is limited", depth_is_limited},
           {"every truncation fails", every_truncation_fails},
           {"strings are decoded", strings_are_decoded},
           {"whole numbers", whole_numbers},
           {"numbers in a locale", numbers_in_a_locale},
           {"words and booleans", words_and_booleans}, {"walks", walks},
           {"opens for one pass", opens_for_one_pass},
           {"gets members", gets_members}, {"puts strings", puts_strings},
           {"strings round trip", strings_round_trip})
