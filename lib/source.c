// SPDX-License-Identifier: GPL-2.0-or-later
/* What the operator writes after --preserve and --vm. */
#include "config.h"

#include <limits.h>
#include <sys/un.h>

#include "util.h"

/* "vm/NAME/state" has to fit a blob's name */
#define FR_VM_NAME_MAX (FR_NAME_BYTES - sizeof("vm//state"))

bool fr_name_valid(const char *name)
{
	size_t n =
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n && n < FR_NAME_BYTES && !name[n] && name[0] != '.' && name[0] != '-';
}

static char *name_from_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = strdup(slash ? slash + 1 : path);

	for (char *p = name; p && *p; p++) {
		char one[2] = {*p, '\0'};

		/* dot and dash are fine, but not in front */
		if (!fr_name_valid(one) && (p == name || (*p != '.' && *p != '-')))
			*p = '_';
	}
	return name;
}

static int parse_phys(const char *text, struct fr_source *src, struct fr_error *e)
{
	uint64_t end;
	const char *p;

	if (fr_parse_bytes(text, &src->phys_start, &p) || *p != '+' ||
	    fr_parse_bytes(p + 1, &src->phys_bytes, &p) || *p)
		return fr_fail(e, FR_FAULT_USAGE, EINVAL,
			       "%s: not START+SIZE, as in phys:0x140000000+1G", src->spec);
	if ((src->phys_start | src->phys_bytes) % FR_PAGE_BYTES || !src->phys_bytes)
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"%s: start and size have to be multiples of 4 KiB, and size not zero",
			src->spec);
	if (__builtin_add_overflow(src->phys_start, src->phys_bytes, &end) || end > FR_PHYS_LIMIT)
		return fr_fail(e, FR_FAULT_USAGE, ERANGE,
			       "%s: ends beyond the %d bits that a physical address can have",
			       src->spec, FR_MAX_PHYS_BITS);
	src->is_phys = true;
	if (!src->name &&
	    asprintf(&src->name, "phys-0x%llx", (unsigned long long)src->phys_start) < 0)
		src->name = NULL;
	return 0;
}

/* A number without sign, below 2^31. */
static bool parse_id(const char **text, int *ret)
{
	unsigned long value;
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	value = strtoul(*text, &end, 10);
	if (errno || value > INT_MAX)
		return false;
	*text = end;
	*ret = (int)value;
	return true;
}

static int parse_fd(const char *text, struct fr_source *src, struct fr_error *e)
{
	const char *p = text;
	int pid, fd;

	if (!parse_id(&p, &pid) || !pid || strncmp(p, "/fd:", 4))
		return fr_fail(e, FR_FAULT_USAGE, EINVAL,
			       "%s: not PID/fd:NUMBER, as in pid:4711/fd:9", src->spec);
	p += 4;
	if (!parse_id(&p, &fd) || *p)
		return fr_fail(e, FR_FAULT_USAGE, EINVAL,
			       "%s: not PID/fd:NUMBER, as in pid:4711/fd:9", src->spec);
	src->is_fd = true;
	if (asprintf(&src->path, "/proc/%d/fd/%d", pid, fd) < 0)
		src->path = NULL;
	if (!src->name && asprintf(&src->name, "pid-%d-fd-%d", pid, fd) < 0)
		src->name = NULL;
	return src->path ? 0 : -ENOMEM;
}

static int parse_path(char *path, struct fr_source *src, struct fr_error *e)
{
	if (path[0] != '/')
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"%s: neither an absolute path nor pid:PID/fd:NUMBER nor phys:START+SIZE",
			src->spec);
	if (strlen(path) >= FR_PATH_BYTES)
		return fr_fail(e, FR_FAULT_USAGE, ENAMETOOLONG,
			       "%.64s...: path longer than %u bytes", src->spec, FR_PATH_BYTES - 1);
	src->path = strdup(path);
	if (!src->name)
		src->name = name_from_path(path);
	return src->path ? 0 : -ENOMEM;
}

static void source_clear(struct fr_source *src)
{
	free(src->spec);
	free(src->name);
	free(src->path);
	*src = (struct fr_source){0};
}

int fr_source_parse(const char *spec, struct fr_source *ret_source, struct fr_error *e)
{
	_cleanup_(source_clear) struct fr_source src = {.spec = strdup(spec)};
	_cleanup_free_ char *what = strdup(spec);
	char *option = NULL;
	int err;

	if (!what || !src.spec)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "%s: out of memory", spec);
	/* a path may have commas: the last ",name=" counts */
	for (char *p = strstr(what, ",name="); p; p = strstr(p + 1, ",name="))
		option = p;
	if (option) {
		*option = '\0';
		src.name = strdup(option + strlen(",name="));
	}
	if (!strncmp(what, "phys:", 5))
		err = parse_phys(what + 5, &src, e);
	else if (!strncmp(what, "pid:", 4))
		err = parse_fd(what + 4, &src, e);
	else
		err = parse_path(what + (strncmp(what, "file:", 5) ? 0 : 5), &src, e);
	if (err == -ENOMEM || (!err && !src.name))
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "%s: out of memory", spec);
	if (err)
		return err;
	if (!fr_name_valid(src.name))
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"%s: \"%s\" cannot name a region: add ,name=NAME with 1 to %u of A-Z "
			"a-z 0-9 . _ -, not starting with . or -",
			spec, src.name, FR_NAME_BYTES - 1);
	*ret_source = src;
	src = (struct fr_source){0};
	return 0;
}

int fr_vm_arg_parse(const char *spec, struct fr_vm_arg *ret_vm, struct fr_error *e)
{
	const char *equals = strchr(spec, '=');
	_cleanup_free_ char *name = NULL;
	char *path;

	if (!equals || equals[1] != '/')
		return fr_fail(e, FR_FAULT_USAGE, EINVAL,
			       "%s: not NAME=QMP-SOCKET with the socket's absolute path", spec);
	if (strlen(equals + 1) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return fr_fail(e, FR_FAULT_USAGE, ENAMETOOLONG,
			       "%s: a socket's path has at most %zu bytes", spec,
			       sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	name = strndup(spec, (size_t)(equals - spec));
	if (!name)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "%s: out of memory", spec);
	if (!fr_name_valid(name) || strlen(name) > FR_VM_NAME_MAX)
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"%s: \"%s\" cannot name a VM: use 1 to %zu of A-Z a-z 0-9 . _ -, not "
			"starting with . or -",
			spec, name, FR_VM_NAME_MAX);
	path = strdup(equals + 1);
	if (!path)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "%s: out of memory", spec);
	*ret_vm = (struct fr_vm_arg){.name = name, .qmp_path = path};
	name = NULL;
	return 0;
}

void fr_load_options_clear(struct fr_load_options *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->nr_sources; i++)
		source_clear(&o->sources[i]);
	for (size_t i = 0; i < o->nr_vms; i++) {
		free(o->vms[i].name);
		free(o->vms[i].qmp_path);
	}
	free(o->sources);
	free(o->vms);
	*o = (struct fr_load_options){0};
}
