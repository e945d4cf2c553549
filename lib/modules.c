// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does the next kernel have the drivers that this host uses?  A driver is known there
 * if its module's name, or the alias of the device it is bound to, leads to a module
 * or to something built in.  Drivers that are built into the running kernel may have no
 * name that the tables know (pcieport, say): they count only if the running kernel's
 * own tables know them.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "image.h"

#define ALIAS_BYTES 4096

struct driver {
	char *name; /* of the module, or of the driver when built in */
	bool is_module;
};

struct check {
	const struct fr_ctx *ctx;
	struct kmod_ctx *next, *running;
	const char *release;
	struct driver *seen;
	size_t nr_seen;
	char **warnings;
	size_t nr_warnings;
};

static struct kmod_ctx *open_tables(const struct fr_ctx *ctx, const char *release)
{
	static const char *const no_config;
	char *dir = fr_path(ctx, "/lib/modules/%s", release);
	struct kmod_ctx *kmod = NULL;

	if (dir && !access(dir, F_OK))
		kmod = kmod_new(dir, &no_config);
	free(dir);
	if (kmod && kmod_load_resources(kmod) < 0) {
		kmod_unref(kmod);
		return NULL;
	}
	return kmod;
}

/* Is there a module or something built in for @name, which may be an alias? */
static bool known(struct kmod_ctx *kmod, const char *name)
{
	struct kmod_list *list = NULL;
	bool found;

	if (!kmod || !*name)
		return false;
	found = kmod_module_new_from_lookup(kmod, name, &list) >= 0 && list;
	kmod_module_unref_list(list);
	return found;
}

/* Last component of what the link @dir/@name points to, malloc'ed; NULL if there is none. */
static char *link_name(int dir, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
	const char *slash;

	if (n <= 0)
		return NULL;
	target[n] = 0;
	slash = strrchr(target, '/');
	return strdup(slash ? slash + 1 : target);
}

static void read_alias(int dir, char alias[ALIAS_BYTES])
{
	int fd = openat(dir, "modalias", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, alias, ALIAS_BYTES - 1);

	if (fd >= 0)
		close(fd);
	alias[n > 0 ? n : 0] = 0;
	alias[strcspn(alias, "\n")] = 0;
}

static bool already_seen(const struct check *c, const struct driver *d)
{
	for (size_t i = 0; i < c->nr_seen; i++)
		if (c->seen[i].is_module == d->is_module && !strcmp(c->seen[i].name, d->name))
			return true;
	return false;
}

static int warn(struct check *c, const struct driver *d, const char *bus, const char *device)
{
	char **v = reallocarray(c->warnings, c->nr_warnings + 1, sizeof(*v)), *text;

	if (!v)
		return -ENOMEM;
	c->warnings = v;
	if (asprintf(
		    &text,
		    "driver %s, bound to %s device %s, is neither in kernel %s nor one of its modules",
		    d->name, bus, device, c->release) < 0)
		return -ENOMEM;
	v[c->nr_warnings++] = text;
	return 0;
}

static bool missing(const struct check *c, const struct driver *d, const char *alias)
{
	if (known(c->next, d->name) || known(c->next, alias))
		return false;
	return d->is_module || known(c->running, d->name) || known(c->running, alias);
}

/* Takes over @d->name. */
static int check_driver(struct check *c, const struct driver *d, int dir, const char *bus,
			const char *device)
{
	char alias[ALIAS_BYTES];
	struct driver *v;

	if (already_seen(c, d)) {
		free(d->name);
		return 0;
	}
	v = reallocarray(c->seen, c->nr_seen + 1, sizeof(*v));
	if (!v) {
		free(d->name);
		return -ENOMEM;
	}
	c->seen = v;
	v[c->nr_seen++] = *d;
	read_alias(dir, alias);
	return missing(c, d, alias) ? warn(c, d, bus, device) : 0;
}

static int check_device(struct check *c, int bus_fd, const char *bus, const char *device)
{
	int dir = openat(bus_fd, device, O_DIRECTORY | O_RDONLY | O_CLOEXEC), r = 0;
	struct driver d = {};

	if (dir < 0) /* gone meanwhile */
		return 0;
	d.name = link_name(dir, "driver/module");
	d.is_module = d.name;
	if (!d.name)
		d.name = link_name(dir, "driver");
	if (d.name && d.is_module) {
		/* Something built in may have a /sys/module entry too, but no initstate */
		char *path = fr_path(c->ctx, "/sys/module/%s/initstate", d.name);

		d.is_module = path && !access(path, F_OK);
		free(path);
	}
	if (d.name)
		r = check_driver(c, &d, dir, bus, device);
	close(dir);
	return r;
}

static int check_bus(struct check *c, const char *bus)
{
	char *path = fr_path(c->ctx, "/sys/bus/%s/devices", bus);
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (!path)
		return -ENOMEM;
	dir = opendir(path);
	free(path);
	if (!dir)
		return 0;
	while (!r && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = check_device(c, dirfd(dir), bus, entry->d_name);
	closedir(dir);
	return r;
}

static int check_all(struct check *c)
{
	char *path = fr_path(c->ctx, "/sys/bus");
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (!path)
		return -ENOMEM;
	dir = opendir(path);
	free(path);
	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = check_bus(c, entry->d_name);
	closedir(dir);
	return r;
}

static int no_tables(struct check *c)
{
	c->warnings = calloc(1, sizeof(*c->warnings));
	if (!c->warnings ||
	    asprintf(&c->warnings[0],
		     "no modules of kernel %s in /lib/modules: whether it has this host's drivers "
		     "was not checked",
		     c->release) < 0)
		return -ENOMEM;
	c->nr_warnings = 1;
	return 0;
}

int fr_modules_check(const struct fr_ctx *ctx, const char *release, char ***ret_warnings,
		     size_t *ret_nr, struct fr_error *e)
{
	struct check c = {.ctx = ctx, .release = release};
	struct utsname host;
	size_t i;
	int r;

	c.next = open_tables(ctx, release);
	if (!uname(&host))
		c.running = open_tables(ctx, host.release);
	r = c.next ? check_all(&c) : no_tables(&c);
	for (i = 0; i < c.nr_seen; i++)
		free(c.seen[i].name);
	free(c.seen);
	kmod_unref(c.next);
	kmod_unref(c.running);
	if (r < 0) {
		for (i = 0; i < c.nr_warnings; i++)
			free(c.warnings[i]);
		free(c.warnings);
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "drivers in /sys/bus: %s", strerror(-r));
	}
	*ret_warnings = c.warnings;
	*ret_nr = c.nr_warnings;
	return 0;
}
