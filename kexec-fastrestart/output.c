// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct fr_output {
	bool json;
	bool failed;			     /* out of memory somewhere: nothing more is added */
	struct json_object *document, *part; /* with json */
	struct libscols_table *table;	     /* without, for the part that is being filled */
	const char *title;
	bool record;
	bool printed; /* a part has been printed before */
	const struct fr_column *columns;
	size_t nr_columns;
};

const char *fr_bytes_text(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t unit = 0;
	char number[32];

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(number, sizeof(number), "%.1f", value);
	number[strcspn(number, ".") + (strstr(number, ".0") ? 0 : 2)] = '\0';
	snprintf(buf, size, "%s %s", number, units[unit]);
	return buf;
}

struct fr_output *fr_output_new(bool json)
{
	struct fr_output *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->json = json;
	if (json) {
		o->document = json_object_new_object();
		o->failed = !o->document;
	}
	return o;
}

/* The text of a cell for people; malloc'ed. */
static char *cell_text(const struct fr_column *c, const struct fr_value *v)
{
	char buf[32];

	if (v->absent)
		return strdup("-");
	switch (c->type) {
	case FR_COL_TEXT:
		return strdup(v->text); /* libsmartcols escapes it for the terminal */
	case FR_COL_COUNT:
		snprintf(buf, sizeof(buf), "%" PRIu64, v->number);
		break;
	case FR_COL_BYTES:
		fr_bytes_text(v->number, buf, sizeof(buf));
		break;
	case FR_COL_HEX:
		snprintf(buf, sizeof(buf), "%#" PRIx64, v->number);
		break;
	case FR_COL_BOOL:
		snprintf(buf, sizeof(buf), "%s", v->number ? "yes" : "no");
		break;
	case FR_COL_US:
		snprintf(buf, sizeof(buf), "%" PRIu64 ".%03u ms", v->number / 1000,
			 (unsigned int)(v->number % 1000));
		break;
	}
	return strdup(buf);
}

/* -ENOMEM, or 0 with *@ret_object, which is NULL for null. */
static int cell_json(const struct fr_column *c, const struct fr_value *v,
		     struct json_object **ret_object)
{
	struct json_object *object = NULL;
	char *text;

	if (!v->absent && c->type == FR_COL_TEXT) {
		/* json-c escapes control characters, but passes on what is not UTF-8 */
		text = fr_escape(v->text);
		object = text ? json_object_new_string(text) : NULL;
		free(text);
	} else if (!v->absent && c->type == FR_COL_BOOL) {
		object = json_object_new_boolean(v->number != 0);
	} else if (!v->absent) {
		object = json_object_new_uint64(v->number);
	}
	if (!object && !v->absent)
		return -ENOMEM;
	*ret_object = object;
	return 0;
}

static void print_title(struct fr_output *o)
{
	if (o->printed)
		putchar('\n');
	o->printed = true;
	if (o->title)
		printf("%s:\n", o->title);
}

/* A table is printed when the next part begins, or at the end. */
static void close_part(struct fr_output *o)
{
	if (!o->table)
		return;
	if (scols_table_get_nlines(o->table)) {
		print_title(o);
		if (scols_print_table(o->table))
			o->failed = true;
	}
	scols_unref_table(o->table);
	o->table = NULL;
}

static bool begin_part(struct fr_output *o, const char *key, const char *title,
		       const struct fr_column *columns, size_t nr, bool record)
{
	if (!o || o->failed)
		return false;
	close_part(o);
	o->title = title;
	o->columns = columns;
	o->nr_columns = nr;
	o->record = record;
	if (!o->json)
		return true;
	o->part = record ? json_object_new_object() : json_object_new_array();
	if (!o->part || json_object_object_add(o->document, key, o->part)) {
		json_object_put(o->part);
		o->failed = true;
	}
	return !o->failed;
}

static bool is_number(enum fr_column_type type)
{
	return type == FR_COL_COUNT || type == FR_COL_BYTES || type == FR_COL_HEX ||
	       type == FR_COL_US;
}

void fr_output_table(struct fr_output *o, const char *key, const char *title,
		     const struct fr_column *columns, size_t nr)
{
	if (!begin_part(o, key, title, columns, nr, false) || o->json)
		return;
	o->table = scols_new_table();
	o->failed = !o->table;
	for (size_t i = 0; i < nr && !o->failed; i++) {
		int flags = is_number(columns[i].type) ? SCOLS_FL_RIGHT : 0;

		if (columns[i].heading &&
		    !scols_table_new_column(o->table, columns[i].heading, 0, flags))
			o->failed = true;
	}
}

void fr_output_record(struct fr_output *o, const char *key, const char *title,
		      const struct fr_column *columns, size_t nr)
{
	if (!begin_part(o, key, title, columns, nr, true) || o->json)
		return;
	o->table = scols_new_table();
	if (!o->table || scols_table_enable_noheadings(o->table, 1) ||
	    !scols_table_new_column(o->table, "name", 0, 0) ||
	    !scols_table_new_column(o->table, "value", 0, 0))
		o->failed = true;
}

static int json_row(struct fr_output *o, const struct fr_value *values)
{
	struct json_object *row = o->record ? o->part : json_object_new_object();

	if (!row || (!o->record && json_object_array_add(o->part, row))) {
		json_object_put(row);
		return -ENOMEM;
	}
	for (size_t i = 0; i < o->nr_columns; i++) {
		struct json_object *cell;

		if (cell_json(&o->columns[i], &values[i], &cell))
			return -ENOMEM;
		if (json_object_object_add(row, o->columns[i].key, cell)) {
			json_object_put(cell);
			return -ENOMEM;
		}
	}
	return 0;
}

static int set_cell(struct libscols_line *line, size_t column, char *text)
{
	if (text && !scols_line_refer_data(line, column, text))
		return 0; /* the line owns it now */
	free(text);
	return -ENOMEM;
}

static int table_row(struct fr_output *o, const struct fr_value *values)
{
	struct libscols_line *line = scols_table_new_line(o->table, NULL);
	size_t shown = 0;

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < o->nr_columns; i++)
		if (o->columns[i].heading &&
		    set_cell(line, shown++, cell_text(&o->columns[i], &values[i])))
			return -ENOMEM;
	return 0;
}

static int record_rows(struct fr_output *o, const struct fr_value *values)
{
	for (size_t i = 0; i < o->nr_columns; i++) {
		struct libscols_line *line;
		char *name;

		if (!o->columns[i].heading)
			continue;
		line = scols_table_new_line(o->table, NULL);
		if (!line || asprintf(&name, "%s:", o->columns[i].heading) < 0)
			return -ENOMEM;
		if (set_cell(line, 0, name) ||
		    set_cell(line, 1, cell_text(&o->columns[i], &values[i])))
			return -ENOMEM;
	}
	return 0;
}

void fr_output_row(struct fr_output *o, const struct fr_value *values)
{
	int r;

	if (!o || o->failed)
		return;
	r = o->json   ? json_row(o, values) :
	    o->record ? record_rows(o, values) :
			table_row(o, values);
	if (r)
		o->failed = true;
}

void fr_output_free(struct fr_output *o)
{
	if (!o)
		return;
	json_object_put(o->document);
	scols_unref_table(o->table);
	free(o);
}

int fr_output_end(struct fr_output *o, struct fr_error *e)
{
	bool failed = !o || o->failed;

	if (!failed && o->json) {
		const char *text = json_object_to_json_string_ext(
			o->document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					     JSON_C_TO_STRING_NOSLASHESCAPE);

		failed = !text || puts(text) < 0;
	} else if (!failed) {
		close_part(o);
		failed = o->failed;
	}
	fr_output_free(o);
	return failed ? fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "output: out of memory") : 0;
}
