/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables and JSON from one definition.  A document consists of parts, each a table
 * (JSON: an array of objects) or a record (JSON: an object).  For people, parts
 * are printed one after the other, tables by libsmartcols; for programs, the
 * document is one JSON object with a member for each part, in base units.
 */
#ifndef FR_OUTPUT_H
#define FR_OUTPUT_H

#include "fastrestart.h"

enum fr_column_type {
	FR_COL_TEXT,
	FR_COL_COUNT,
	FR_COL_BYTES, /* people: with a unit */
	FR_COL_HEX,   /* an address; JSON: a number */
	FR_COL_BOOL,  /* people: yes, no */
	FR_COL_US,    /* microseconds; people: milliseconds */
};

struct fr_column {
	const char *key;     /* JSON member */
	const char *heading; /* table heading; NULL: in JSON only */
	enum fr_column_type type;
};

/* One cell; the column says what it means. */
struct fr_value {
	const char *text;
	uint64_t number; /* or bool */
	bool absent;	 /* people: "-"; JSON: null */
};

#define FR_ABSENT ((struct fr_value){.absent = true})

static inline struct fr_value fr_text(const char *text)
{
	return (struct fr_value){.text = text, .absent = !text};
}

static inline struct fr_value fr_num(uint64_t number)
{
	return (struct fr_value){.number = number};
}

#define FR_NR(array) (sizeof(array) / sizeof((array)[0]))

struct fr_output; /* NULL is a document that failed for want of memory */

struct fr_output *fr_output_new(bool json);
/* Begin a part.  @title: over the table, NULL for none.  @columns must outlive the document. */
void fr_output_table(struct fr_output *o, const char *key, const char *title,
		     const struct fr_column *columns, size_t nr);
void fr_output_record(struct fr_output *o, const char *key, const char *title,
		      const struct fr_column *columns, size_t nr);
/* A row of the table, or the record's values: one for each column. */
void fr_output_row(struct fr_output *o, const struct fr_value *values);
#define fr_output_values(o, ...) fr_output_row(o, (const struct fr_value[]){__VA_ARGS__})
/* Print everything on stdout, free @o.  -ENOMEM if anything before failed. */
int fr_output_end(struct fr_output *o, struct fr_error *e);
void fr_output_free(struct fr_output *o);

/* 1.5 GiB, as the tables show it. */
const char *fr_bytes_text(uint64_t bytes, char *buf, size_t size);

#endif
