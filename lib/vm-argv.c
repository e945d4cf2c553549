// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's command line, rewritten so that it starts the same machine and waits for
 * its state.  Options are those of qemu(1), with one dash or two.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vm-private.h"

void fr_strv_free(char **v)
{
	for (char **p = v; p && *p; p++)
		free(*p);
	free(v);
}

const char *fr_vm_option(const char *arg)
{
	if (arg[0] != '-' || !arg[1])
		return NULL;
	return arg + 1 + (arg[1] == '-');
}

/* Until the comma that ends a part of a key=value list: one that is doubled does not. */
static size_t part_length(const char *p)
{
	size_t n = 0;

	while (p[n] && (p[n] != ',' || p[n + 1] == ','))
		n += p[n] == ',' ? 2 : 1;
	return n;
}

static int json_member(const char *value, const char *key, char **ret)
{
	struct json_object *o = NULL;
	int r = fr_json_parse(value, &o);
	const char *found = fr_json_string(o, key);

	if (!r && *found && !(*ret = strdup(found)))
		r = -ENOMEM;
	json_object_put(o);
	return r == -ENOMEM ? r : 0;
}

int fr_vm_member(const char *value, const char *key, char **ret)
{
	size_t len = strlen(key), n = 0;
	char *copy;

	*ret = NULL;
	if (*value == '{')
		return json_member(value, key, ret);
	for (const char *p = value; *p; p += part_length(p), p += *p == ',') {
		if (strncmp(p, key, len) || p[len] != '=')
			continue;
		copy = strndup(p + len + 1, part_length(p) - len - 1);
		if (!copy)
			return -ENOMEM;
		for (const char *from = copy; *from; from++) {
			copy[n++] = *from;
			from += *from == ',';
		}
		copy[n] = '\0';
		*ret = copy;
		return 0;
	}
	return 0;
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

/* Does "a,KEY=..." (key=value or JSON) hold one of the keys that name a descriptor? */
static bool names_fd(const char *value)
{
	static const char *const keys[] = {"fd=", "fds=", "vhostfd=", "vhostfds=", "sndbuf_fd="};
	const char *p = value;

	if (*value == '{')
		return strstr(value, "\"fd\":") || strstr(value, "\"fds\":") ||
		       strstr(value, "\"vhostfd\":") || strstr(value, "\"vhostfds\":");
	while (p) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			if (!strncmp(p, keys[i], strlen(keys[i])))
				return true;
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	return false;
}

/* "snapshot=on" or "snapshot" in a -drive: what the guest writes is gone with QEMU. */
static bool is_temporary(const char *drive)
{
	for (const char *p = drive; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, "snapshot", 8) &&
		    (strchr(",", p[8]) || !strncmp(p + 8, "=on", 3) || !strncmp(p + 8, "=y", 2) ||
		     !strncmp(p + 8, "=true", 5)))
			return true;
	}
	return false;
}

int fr_vm_argv_check(const char *name, char *const *argv, struct fr_error *e)
{
	static const char *const with_fd[] = {"netdev",	  "chardev", "nic",    "net",
					      "qmp",	  "mon",     "serial", "device",
					      "blockdev", "drive",   "object", NULL};

	for (size_t i = 1; argv[0] && argv[i]; i++) {
		const char *o = fr_vm_option(argv[i]);

		if (!o)
			continue;
		if (!strcmp(o, "drive") && argv[i + 1] && is_temporary(argv[i + 1]))
			return fr_fail(
				e, FR_FAULT_REFUSED, EOPNOTSUPP,
				"VM %s: -drive %.200s: its snapshot=on file is gone with QEMU: "
				"start it without that",
				name, argv[i + 1]);
		if (!strcmp(o, "add-fd") || !strcmp(o, "S") || !strcmp(o, "snapshot")) {
			if (!strcmp(o, "S"))
				continue;
			return fr_fail(
				e, FR_FAULT_REFUSED, EOPNOTSUPP,
				"VM %s: its %s cannot outlive the kernel: start it without it",
				name, argv[i]);
		}
		if (!strcmp(o, "runas") || !strcmp(o, "chroot") ||
		    (!strcmp(o, "run-with") && argv[i + 1] &&
		     (strstr(argv[i + 1], "user=") || strstr(argv[i + 1], "chroot="))))
			return fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
				       "VM %s: %s needs root, and it is started again as the user "
				       "that it is now: start it as that user, without the option",
				       name, argv[i]);
		if (argv[i + 1] && is_one_of(o, with_fd) && names_fd(argv[i + 1]))
			return fr_fail(
				e, FR_FAULT_REFUSED, EOPNOTSUPP,
				"VM %s: %s %.200s: a file descriptor that was passed to QEMU "
				"cannot be opened again: give a path or a name instead",
				name, argv[i], argv[i + 1]);
	}
	return 0;
}

static char *keep_contents_json(const char *value, const char *const *off, size_t nr)
{
	struct json_object *object = NULL;
	int r = fr_json_parse(value, &object);
	char *text = NULL;

	if (r == -ENOMEM)
		return NULL;
	if (r || !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return strdup(value);
	}
	for (size_t i = 0; !r && i < nr; i++)
		if (fr_json_bool(object, off[i]))
			r = fr_json_add(object, off[i], json_object_new_boolean(false));
	if (!r)
		text = fr_json_text(object);
	json_object_put(object);
	return text;
}

/*
 * Filling the file is the old kernel's work, and done; and QEMU must not empty it if it
 * ends before the guest goes on.
 */
static char *keep_contents(const char *value)
{
	static const char *const off[] = {"prealloc", "discard-data"};
	char *copy, *p, *end, *out;

	if (*value == '{')
		return keep_contents_json(value, off, FR_ARRAY_SIZE(off));
	copy = strdup(value);
	/* each part grows by "=off" at most */
	out = copy ? calloc(5, strlen(value) + 1) : NULL;
	for (p = copy; out && p; p = end) {
		size_t i;

		end = strchr(p, ',');
		if (end)
			*end++ = '\0';
		if (p != copy)
			strcat(out, ",");
		for (i = 0; i < FR_ARRAY_SIZE(off); i++)
			if (!strncmp(p, off[i], strlen(off[i])) && strchr("=", p[strlen(off[i])]))
				break;
		strcat(out, i < FR_ARRAY_SIZE(off) ? off[i] : p);
		if (i < FR_ARRAY_SIZE(off))
			strcat(out, "=off");
	}
	free(copy);
	return out;
}

/* "q35,x=y": an alias means another machine to another QEMU; say which one it was. */
static char *with_machine(const char *value, const char *machine)
{
	const char *rest = value + strcspn(value, ","), *type = value;
	char *out;

	if (*value == '{' || !*machine)
		return strdup(value);
	if (!strncmp(value, "type=", 5))
		type += 5;
	else if (memchr(value, '=', (size_t)(rest - value)))
		return strdup(value);
	return asprintf(&out, "%.*s%s%s", (int)(type - value), value, machine, rest) < 0 ? NULL :
											   out;
}

/* The same backend on the file of descriptor @fd, which QEMU inherits. */
static char *on_fd_json(const char *value, int fd)
{
	static const char *const gone[] = {"hugetlb", "hugetlbsize", "seal"};
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)], *text = NULL;
	struct json_object *object = NULL;
	int r = fr_json_parse(value, &object);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (size_t i = 0; !r && i < FR_ARRAY_SIZE(gone); i++)
		json_object_object_del(object, gone[i]);
	if (!r)
		r = fr_json_add(object, "qom-type", json_object_new_string("memory-backend-file"));
	if (!r)
		r = fr_json_add(object, "share", json_object_new_boolean(true));
	if (!r)
		r = fr_json_add(object, "mem-path", json_object_new_string(path));
	if (!r)
		text = fr_json_text(object);
	json_object_put(object);
	return text;
}

static char *on_fd(const char *value, int fd)
{
	static const char *const gone[] = {"qom-type", "hugetlb",  "hugetlbsize", "seal",
					   "share",    "mem-path", NULL};
	bool out_of_memory = false;
	char *text = NULL;
	size_t bytes;
	FILE *out;

	if (*value == '{')
		return on_fd_json(value, fd);
	out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	fprintf(out, "memory-backend-file,share=on,mem-path=/proc/self/fd/%d", fd);
	for (const char *p = value; *p; p += part_length(p), p += *p == ',') {
		_cleanup_free_ char *key = strndup(p, strcspn(p, "=,"));

		out_of_memory |= !key;
		/* the first part is the type, with or without its key */
		if (!key || p == value || is_one_of(key, gone))
			continue;
		fprintf(out, ",%.*s", (int)part_length(p), p);
	}
	if (!fclose(out) && !out_of_memory)
		return text;
	free(text);
	return NULL;
}

/* @ram: what has a descriptor to be handed over */
static char *rewrite_object(const char *value, const struct fr_vm_ram *ram, size_t nr_ram)
{
	_cleanup_free_ char *id = NULL, *moved = NULL;

	if (fr_vm_member(value, "id", &id))
		return NULL;
	for (size_t i = 0; id && i < nr_ram; i++)
		if (ram[i].fd >= 0 && !strcmp(ram[i].id, id))
			return (moved = on_fd(value, ram[i].fd)) ? keep_contents(moved) : NULL;
	return keep_contents(value);
}

static char *rewrite(const char *o, const char *value, const char *machine,
		     const struct fr_vm_ram *ram, size_t nr_ram)
{
	if (!strcmp(o, "object"))
		return rewrite_object(value, ram, nr_ram);
	if (!strcmp(o, "M") || !strcmp(o, "machine"))
		return with_machine(value, machine);
	return strdup(value);
}

char **fr_vm_argv_restart(char *const *argv, const char *machine, const struct fr_vm_ram *ram,
			  size_t nr_ram)
{
	static const char *const drop[] = {"S", "daemonize", "mem-prealloc", NULL};
	static const char *const drop_two[] = {"incoming", "loadvm", NULL};
	static const char *const rewritten[] = {"object", "M", "machine", NULL};
	size_t argc = 0, nr = 0;
	const char *o;
	char **v;

	while (argv[argc])
		argc++;
	v = calloc(argc + 3, sizeof(*v));
	if (!v)
		return NULL;
	for (size_t i = 0; i < argc; i++) {
		o = i ? fr_vm_option(argv[i]) : NULL;
		if (o && is_one_of(o, drop))
			continue;
		if (o && is_one_of(o, drop_two)) {
			i++;
			continue;
		}
		if (!(v[nr++] = strdup(argv[i])))
			goto fail;
		if (o && argv[i + 1] && is_one_of(o, rewritten) &&
		    !(v[nr++] = rewrite(o, argv[++i], machine, ram, nr_ram)))
			goto fail;
	}
	if (!(v[nr++] = strdup("-incoming")) || !(v[nr++] = strdup("defer")))
		goto fail;
	return v;
fail:
	fr_strv_free(v);
	return NULL;
}
