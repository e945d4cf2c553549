/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON for QMP, specs of VMs and what load stages: json-c's objects, but text is read and
 * written here.  Out of memory json-c's own reader (0.16) crashes or leaves members
 * out, and its writer cuts the text short; neither says so.
 */
#ifndef FR_JSON_H
#define FR_JSON_H

#include <json-c/json.h>
#include <stdbool.h>

#define FR_JSON_DEPTH 32 /* of nested objects and arrays */

/*
 * One JSON value (RFC 8259) and nothing after it; null is a NULL pointer.  -EBADMSG: it is
 * something else, is nested too deep, or has a string with a NUL; -ENOMEM.
 */
int fr_json_parse(const char *text, struct json_object **ret);
/* Compact text, malloc'ed; NULL when out of memory. */
char *fr_json_text(struct json_object *value);

/*
 * Both take over @value, also when they fail.  -ENOMEM, also for a NULL @value or @o: an
 * object can be made of others without looking at each.  @key has to outlive @o.
 */
int fr_json_add(struct json_object *o, const char *key, struct json_object *value);
int fr_json_append(struct json_object *list, struct json_object *value);
/* An object of pairs of key and value, ended by NULL; NULL when out of memory. */
struct json_object *fr_json_object(const char *key, ...) __attribute__((sentinel));

/* Member @key of @object if it has type @type, else NULL; borrowed. */
struct json_object *fr_json_get(struct json_object *object, const char *key, enum json_type type);
/* String member @key; "" when there is none. */
const char *fr_json_string(struct json_object *object, const char *key);
bool fr_json_bool(struct json_object *object, const char *key);

#endif /* FR_JSON_H */
