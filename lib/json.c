// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "util.h"

/* ---------------------------------------------------------------------- text, growing */

struct text {
	char *v;
	size_t nr, cap;
	bool failed;
};

static void put(struct text *t, const char *bytes, size_t nr)
{
	char *v = t->failed ? NULL : fr_array_reserve(t->v, &t->cap, t->nr + nr + 1, 1);

	if (!v) {
		t->failed = true;
		return;
	}
	t->v = v;
	memcpy(v + t->nr, bytes, nr);
	t->nr += nr;
	v[t->nr] = '\0';
}

static void put_text(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

/* ---------------------------------------------------------------------------- reading */

struct parser {
	const char *p;
	unsigned int depth;
};

static int parse_value(struct parser *s, struct json_object **ret);

static void skip_blanks(struct parser *s)
{
	s->p += strspn(s->p, " \t\r\n");
}

static bool take(struct parser *s, const char *word)
{
	if (strncmp(s->p, word, strlen(word)) != 0)
		return false;
	s->p += strlen(word);
	return true;
}

static int parse_hex(struct parser *s, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++, s->p++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *digit = *s->p ? strchr(digits, *s->p) : NULL;

		if (!digit)
			return -EBADMSG;
		v = v << 4 | (uint32_t)((digit - digits) & 15);
	}
	*ret = v;
	return 0;
}

/* After "\u": UTF-8 of the character, which may take two of them. */
static int parse_unicode(struct parser *s, struct text *t)
{
	uint32_t c, low;
	char utf8[4];
	int nr = 0;

	if (parse_hex(s, &c))
		return -EBADMSG;
	if (c >= 0xd800 && c < 0xdc00) {
		if (!take(s, "\\u") || parse_hex(s, &low) || low < 0xdc00 || low >= 0xe000)
			return -EBADMSG;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (!c || (c >= 0xdc00 && c < 0xe000)) {
		return -EBADMSG;
	}
	if (c < 0x80) {
		utf8[nr++] = (char)c;
	} else if (c < 0x800) {
		utf8[nr++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		utf8[nr++] = (char)(0xe0 | c >> 12);
		utf8[nr++] = (char)(0x80 | (c >> 6 & 63));
	} else {
		utf8[nr++] = (char)(0xf0 | c >> 18);
		utf8[nr++] = (char)(0x80 | (c >> 12 & 63));
		utf8[nr++] = (char)(0x80 | (c >> 6 & 63));
	}
	if (c >= 0x80)
		utf8[nr++] = (char)(0x80 | (c & 63));
	put(t, utf8, (size_t)nr);
	return 0;
}

static int parse_escape(struct parser *s, struct text *t)
{
	static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *name = *s->p ? strchr(names, *s->p) : NULL;

	if (take(s, "u"))
		return parse_unicode(s, t);
	if (!name)
		return -EBADMSG;
	s->p++;
	put(t, &meanings[name - names], 1);
	return 0;
}

/* After its quotation mark, with the one that ends it. */
static int parse_characters(struct parser *s, struct text *t)
{
	int r = 0;

	put(t, "", 0);
	while (!r) {
		size_t plain = 0;

		while ((unsigned char)s->p[plain] >= ' ' && !strchr("\"\\", s->p[plain]))
			plain++;
		put(t, s->p, plain);
		s->p += plain;
		if (take(s, "\""))
			return t->failed ? -ENOMEM : 0;
		r = take(s, "\\") ? parse_escape(s, t) : -EBADMSG;
	}
	return r;
}

static int parse_string(struct parser *s, struct json_object **ret)
{
	struct text t = {0};
	int r = parse_characters(s, &t);

	if (!r) {
		*ret = json_object_new_string_len(t.v, (int)t.nr);
		r = *ret ? 0 : -ENOMEM;
	}
	free(t.v);
	return r;
}

/* Of the digits that @s is at: how many; at least one, and no needless zero before others. */
static size_t count_digits(const char *p)
{
	return strspn(p, "0123456789");
}

static int parse_number(struct parser *s, struct json_object **ret)
{
	const char *start = s->p, *p = start + (*start == '-');
	size_t digits = count_digits(p);
	bool whole = true;
	char *end;

	if (!digits || (digits > 1 && *p == '0'))
		return -EBADMSG;
	p += digits;
	if (*p == '.') {
		whole = false;
		digits = count_digits(++p);
		p += digits;
	}
	if (digits && (*p == 'e' || *p == 'E')) {
		whole = false;
		p += 1 + (p[1] == '+' || p[1] == '-');
		digits = count_digits(p);
		p += digits;
	}
	if (!digits)
		return -EBADMSG;
	s->p = p;
	errno = 0;
	if (!whole)
		*ret = json_object_new_double(strtod(start, &end));
	else if (*start == '-')
		*ret = json_object_new_int64(strtoll(start, &end, 10));
	else
		*ret = json_object_new_uint64(strtoull(start, &end, 10));
	if (*ret && !errno)
		return 0;
	json_object_put(*ret);
	return *ret ? -EBADMSG : -ENOMEM; /* out of range, or of memory */
}

static int parse_member(struct parser *s, struct json_object *o)
{
	struct json_object *value = NULL;
	struct text key = {0};
	int r = take(s, "\"") ? parse_characters(s, &key) : -EBADMSG;

	if (!r) {
		skip_blanks(s);
		r = take(s, ":") ? parse_value(s, &value) : -EBADMSG;
	}
	if (!r && json_object_object_add(o, key.v, value)) {
		json_object_put(value);
		r = -ENOMEM;
	}
	free(key.v);
	return r;
}

static int parse_element(struct parser *s, struct json_object *list)
{
	struct json_object *value = NULL;
	int r = parse_value(s, &value);

	if (!r && json_object_array_add(list, value)) {
		json_object_put(value);
		r = -ENOMEM;
	}
	return r;
}

/* After the opening bracket, up to and with @close. */
static int parse_parts(struct parser *s, struct json_object *whole, const char *close,
		       int (*part)(struct parser *s, struct json_object *whole))
{
	int r = ++s->depth > FR_JSON_DEPTH ? -EBADMSG : 0;

	skip_blanks(s);
	if (!r && take(s, close)) {
		s->depth--;
		return 0;
	}
	while (!r) {
		skip_blanks(s);
		r = part(s, whole);
		skip_blanks(s);
		if (!r && take(s, close)) {
			s->depth--;
			return 0;
		}
		if (!r && !take(s, ","))
			r = -EBADMSG;
	}
	return r;
}

static int parse_structure(struct parser *s, bool is_object, struct json_object **ret)
{
	struct json_object *o = is_object ? json_object_new_object() : json_object_new_array();
	int r = !o	  ? -ENOMEM :
		is_object ? parse_parts(s, o, "}", parse_member) :
			    parse_parts(s, o, "]", parse_element);

	if (r)
		json_object_put(o);
	else
		*ret = o;
	return r;
}

static int parse_boolean(bool value, struct json_object **ret)
{
	*ret = json_object_new_boolean(value);
	return *ret ? 0 : -ENOMEM;
}

static int parse_value(struct parser *s, struct json_object **ret)
{
	skip_blanks(s);
	if (take(s, "{"))
		return parse_structure(s, true, ret);
	if (take(s, "["))
		return parse_structure(s, false, ret);
	if (take(s, "\""))
		return parse_string(s, ret);
	if (take(s, "true"))
		return parse_boolean(true, ret);
	if (take(s, "false"))
		return parse_boolean(false, ret);
	if (!take(s, "null"))
		return parse_number(s, ret);
	*ret = NULL;
	return 0;
}

int fr_json_parse(const char *text, struct json_object **ret)
{
	struct parser s = {.p = text};
	struct json_object *value = NULL;
	int r = parse_value(&s, &value);

	if (r)
		return r;
	skip_blanks(&s);
	if (*s.p) {
		json_object_put(value);
		return -EBADMSG;
	}
	*ret = value;
	return 0;
}

/* ---------------------------------------------------------------------------- writing */

static void write_value(struct text *t, struct json_object *value);

static void write_string(struct text *t, const char *s, size_t nr)
{
	char escape[8];

	put_text(t, "\"");
	for (const char *end = s + nr; s < end; s++) {
		size_t plain = 0;

		while (s + plain < end && (unsigned char)s[plain] >= ' ' &&
		       !strchr("\"\\", s[plain]))
			plain++;
		put(t, s, plain);
		s += plain;
		if (s == end)
			break;
		snprintf(escape, sizeof(escape), (unsigned char)*s < ' ' ? "\\u%04x" : "\\%c",
			 (unsigned int)(unsigned char)*s);
		put_text(t, escape);
	}
	put_text(t, "\"");
}

static void write_object(struct text *t, struct json_object *o)
{
	const char *comma = "";

	put_text(t, "{");
	json_object_object_foreach(o, key, value)
	{
		put_text(t, comma);
		write_string(t, key, strlen(key));
		put_text(t, ":");
		write_value(t, value);
		comma = ",";
	}
	put_text(t, "}");
}

static void write_array(struct text *t, struct json_object *list)
{
	put_text(t, "[");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		put_text(t, i ? "," : "");
		write_value(t, json_object_array_get_idx(list, i));
	}
	put_text(t, "]");
}

static void write_number(struct text *t, struct json_object *value)
{
	int64_t v = json_object_get_int64(value);
	char number[32];

	if (json_object_is_type(value, json_type_double))
		snprintf(number, sizeof(number), "%.17g", json_object_get_double(value));
	else if (v < 0)
		snprintf(number, sizeof(number), "%" PRId64, v);
	else
		snprintf(number, sizeof(number), "%" PRIu64, json_object_get_uint64(value));
	put_text(t, number);
}

static void write_value(struct text *t, struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_object:
		write_object(t, value);
		break;
	case json_type_array:
		write_array(t, value);
		break;
	case json_type_string:
		write_string(t, json_object_get_string(value),
			     (size_t)json_object_get_string_len(value));
		break;
	case json_type_boolean:
		put_text(t, json_object_get_boolean(value) ? "true" : "false");
		break;
	case json_type_null:
		put_text(t, "null");
		break;
	case json_type_int:
	case json_type_double:
		write_number(t, value);
		break;
	}
}

char *fr_json_text(struct json_object *value)
{
	struct text t = {0};

	write_value(&t, value);
	if (!t.failed)
		return t.v;
	free(t.v);
	return NULL;
}

/* ------------------------------------------------------------------ making and looking */

int fr_json_add(struct json_object *o, const char *key, struct json_object *value)
{
	if (o && value && !json_object_object_add_ex(o, key, value, JSON_C_OBJECT_KEY_IS_CONSTANT))
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

int fr_json_append(struct json_object *list, struct json_object *value)
{
	if (list && value && !json_object_array_add(list, value))
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

struct json_object *fr_json_object(const char *key, ...)
{
	struct json_object *o = json_object_new_object();
	bool complete = o;
	va_list ap;

	va_start(ap, key);
	for (; key; key = va_arg(ap, const char *))
		complete &= !fr_json_add(o, key, va_arg(ap, struct json_object *));
	va_end(ap);
	if (complete)
		return o;
	json_object_put(o);
	return NULL;
}

struct json_object *fr_json_get(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

const char *fr_json_string(struct json_object *object, const char *key)
{
	struct json_object *value = fr_json_get(object, key, json_type_string);

	return value ? json_object_get_string(value) : "";
}

bool fr_json_bool(struct json_object *object, const char *key)
{
	struct json_object *value = fr_json_get(object, key, json_type_boolean);

	return value && json_object_get_boolean(value);
}
