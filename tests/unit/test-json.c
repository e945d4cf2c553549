// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON text to objects and back: what is taken, what is not, and that nothing is lost. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "test.h"

static void reads_and_writes(void **state)
{
	static const char *const texts[][2] = {
		{"null", "null"},
		{" [ ] ", "[]"},
		{"{\t}\r\n", "{}"},
		{"[true,false,null,\"\"]", NULL},
		{"{\"a\" : {\"b\":[1, -2 ,{}]},\"c\":\"d\"}",
		 "{\"a\":{\"b\":[1,-2,{}]},\"c\":\"d\"}"},
		{"[0,-1,9223372036854775807,18446744073709551615,-9223372036854775808]", NULL},
		{"[0.5,-1e3,1E+2,25e-2]", "[0.5,-1000,100,0.25]"},
		{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		 "\"\\\"\\\\/\\u0008\\u000c\\u000a\\u000d\\u0009\""},
		{"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"",
		 "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"{\"k\":1,\"k\":2}", "{\"k\":2}"}, /* as json-c: the last one counts */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct json_object *o = NULL;
		char *text;

		if (fr_json_parse(texts[i][0], &o))
			fail_msg("%s is refused", texts[i][0]);
		text = fr_json_text(o);
		assert_string_equal(text, texts[i][1] ? texts[i][1] : texts[i][0]);
		free(text);
		json_object_put(o);
	}
}

static void refuses(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"nul",
		"nullx",
		"tru",
		"[",
		"]",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[1 2]",
		"{",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":1",
		"{\"a\":1,",
		"{\"a\":1,}",
		"{a:1}",
		"{1:1}",
		"{'a':1}",
		"\"",
		"\"a",
		"'a'",
		"\"\\x\"",
		"\"\\\"",
		"\"\n\"",
		"\"\x1f\"",
		"\"\\u12\"",
		"\"\\u00zz\"",
		"\"\\u0000\"",
		"\"\\ud800\"",
		"\"\\ud800\\u0041\"",
		"\"\\udc00\"",
		"-",
		"01",
		"-01",
		"1.",
		".5",
		"1e",
		"1e+",
		"+1",
		"0x10",
		"NaN",
		"Infinity",
		"1e999",
		"18446744073709551616",
		"-9223372036854775809",
		"[] []",
		"{}x",
		"/**/1",
		"1//",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct json_object *o = NULL;

		if (fr_json_parse(texts[i], &o) != -EBADMSG)
			fail_msg("%s is taken", texts[i]);
		assert_null(o);
	}
}

static void is_bounded(void **state)
{
	char text[2 * FR_JSON_DEPTH + 3];
	struct json_object *o = NULL;

	(void)state;
	for (int depth = FR_JSON_DEPTH; depth <= FR_JSON_DEPTH + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = '\0';
		assert_int_equal(fr_json_parse(text, &o), depth > FR_JSON_DEPTH ? -EBADMSG : 0);
		json_object_put(o);
		o = NULL;
	}
}

/* Objects of what could not be made are none. */
static void makes_all_or_nothing(void **state)
{
	struct json_object *o =
		fr_json_object("a", json_object_new_int(1), "b", json_object_new_string("c"), NULL);
	char *text = fr_json_text(o);

	(void)state;
	assert_string_equal(text, "{\"a\":1,\"b\":\"c\"}");
	free(text);
	json_object_put(o);
	assert_null(fr_json_object("a", NULL, "b", json_object_new_int(1), NULL));
	assert_int_equal(fr_json_add(NULL, "a", json_object_new_int(1)), -ENOMEM);
	assert_int_equal(fr_json_append(NULL, json_object_new_int(1)), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(refuses),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(makes_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
