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
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "image.h"
#include "util.h"

#define ALIAS_BYTES 4096

/*
 * Loaded when it is needed: it brings libcrypto along, and relocating that would be part of
 * each blackout, when restore starts.
 */
struct libkmod {
	typeof(&kmod_new) new;
	typeof(&kmod_unref) unref;
	typeof(&kmod_load_resources) load_resources;
	typeof(&kmod_module_new_from_lookup) lookup;
	typeof(&kmod_module_unref_list) unref_list;
};

struct driver {
	char *name; /* of the module, or of the driver when built in */
	bool is_module;
};

struct check {
	const struct fr_ctx *ctx;
	struct libkmod lib;
	struct kmod_ctx *next, *running;
	const char *release;
	struct driver *seen;
	size_t nr_seen;
	char **warnings;
	size_t nr_warnings;
};

/* False: see dlerror(). */
static bool load_libkmod(struct libkmod *lib)
{
	struct {
		void *to;
		const char *name;
	} symbols[] = {
		{&lib->new, "kmod_new"},
		{&lib->unref, "kmod_unref"},
		{&lib->load_resources, "kmod_load_resources"},
		{&lib->lookup, "kmod_module_new_from_lookup"},
		{&lib->unref_list, "kmod_module_unref_list"},
	};
	void *handle = dlopen("libkmod.so.2", RTLD_NOW), *symbol;

	if (!handle)
		return false;
	for (size_t i = 0; i < FR_ARRAY_SIZE(symbols); i++) {
		symbol = dlsym(handle, symbols[i].name);
		if (!symbol)
			return false;
		memcpy(symbols[i].to, &symbol, sizeof(symbol));
	}
	return true;
}

static struct kmod_ctx *open_tables(const struct check *c, const char *release)
{
	static const char *const no_config;
	/* what an image calls itself is not to lead anywhere else */
	bool is_name = *release != '.' && !strchr(release, '/');
	char *dir = is_name ? fr_path(c->ctx, "/lib/modules/%s", release) : NULL;
	struct kmod_ctx *kmod = NULL;

	if (dir && !access(dir, F_OK))
		kmod = c->lib.new(dir, &no_config);
	free(dir);
	if (kmod && c->lib.load_resources(kmod) < 0) {
		c->lib.unref(kmod);
		return NULL;
	}
	return kmod;
}

/* Is there a module or something built in for @name, which may be an alias? */
static bool known(const struct check *c, struct kmod_ctx *kmod, const char *name)
{
	struct kmod_list *list = NULL;
	bool found;

	if (!kmod || !*name)
		return false;
	found = c->lib.lookup(kmod, name, &list) >= 0 && list;
	c->lib.unref_list(list);
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
	if (known(c, c->next, d->name) || known(c, c->next, alias))
		return false;
	return d->is_module || known(c, c->running, d->name) || known(c, c->running, alias);
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

static int not_checked(struct check *c, const char *why)
{
	c->warnings = calloc(1, sizeof(*c->warnings));
	if (!c->warnings ||
	    asprintf(&c->warnings[0],
		     "%s: whether kernel %s has this host's drivers was not checked", why,
		     c->release) < 0)
		return -ENOMEM;
	c->nr_warnings = 1;
	return 0;
}

static int check(struct check *c)
{
	struct utsname host;

	if (!load_libkmod(&c->lib))
		return not_checked(c, dlerror());
	c->next = open_tables(c, c->release);
	if (!uname(&host))
		c->running = open_tables(c, host.release);
	return c->next ? check_all(c) : not_checked(c, "no modules of it in /lib/modules");
}

int fr_modules_check(const struct fr_ctx *ctx, const char *release, char ***ret_warnings,
		     size_t *ret_nr, struct fr_error *e)
{
	struct check c = {.ctx = ctx, .release = release};
	int r = check(&c);
	size_t i;

	for (i = 0; i < c.nr_seen; i++)
		free(c.seen[i].name);
	free(c.seen);
	if (c.lib.unref) {
		c.lib.unref(c.next);
		c.lib.unref(c.running);
	}
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
