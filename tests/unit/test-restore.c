// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Restore and release against a scripted /dev/fastrestart: the "kernel" sets the file's
 * size, and the state of the region in sysfs.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "fake-mount.h"
#include "fake-root.h"
#include "fake-vmm.h"
#include "hugepages.h"
#include "kernel.h"
#include "ramap.h"
#include "test.h"
#include "util.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

#define SIZE	      10000
#define UNFINISHED    S_ISVTX
#define NOT_AS_IT_WAS (S_ISVTX | S_IRUSR)

/* what is special about the descriptor */
#define BAD_DIGEST 1u
#define UNNAMED	   2u
#define GUEST	   4u /* "web", whose RAM is "shm" */
#define TWO	   8u /* "other" is like "shm" */

struct script {
	int error;
	_Atomic int restores, releases, stamps; /* regions are restored by threads */
	_Atomic int warnings;
	mode_t mode_then;
	uid_t uid_then;
	bool seals; /* it lets files be sealed */
};

static struct fake_root root;
static struct script script;
static char dir[64], path[80];

static void set_state(const char *name, const char *text)
{
	char file[256];

	snprintf(file, sizeof(file), "/sys/kernel/fastrestart/regions/%s/state", name);
	fake_root_text(&root, file, text);
}

static int fake_ioctl(void *data, int dev_fd, unsigned long request, struct fr_ioc_region *arg)
{
	struct script *s = data;
	struct stat st;

	assert_true(dev_fd >= 0);
	assert_int_equal(arg->size, sizeof(*arg));
	assert_int_equal(arg->flags | arg->reserved, 0);
	if (request == FR_IOC_STAMP) {
		s->stamps++;
		return 0;
	}
	if (s->error)
		return s->error;
	if (request == FR_IOC_RELEASE) {
		s->releases++;
		set_state((char *)arg->name, "released\n");
		return 0;
	}
	assert_int_equal(request, FR_IOC_RESTORE);
	s->restores++;
	if (arg->fd >= 0) {
		assert_int_equal(fstat(arg->fd, &st), 0);
		assert_int_equal(st.st_size, 0);
		s->mode_then = st.st_mode & 07777;
		s->uid_then = st.st_uid;
		assert_int_equal(ftruncate(arg->fd, SIZE), 0);
		if (s->seals)
			fake_mount_make_sealable(arg->fd);
	}
	set_state((char *)arg->name, "restored\n");
	return 0;
}

static const struct fr_kernel_ops ops = {.fastrestart_ioctl = fake_ioctl};
static struct fr_ctx ctx = {.root = root.path, .ops = &ops, .ops_data = &script};

static void fill_region(struct fr_region *g, const char *name, enum fr_kind kind, uint64_t pfn)
{
	static char zeros[SIZE];
	XXH128_canonical_t digest;

	XXH128_canonicalFromHash(&digest, XXH3_128bits(zeros, SIZE));
	strcpy(g->name, name);
	g->kind = kind;
	g->page_shift = kind == FR_KIND_HUGETLB ? 21 : 12;
	g->size_bytes = kind == FR_KIND_SHMEM ? SIZE : 2 * MIB;
	g->path = strdup(kind == FR_KIND_RAW ? "" : kind == FR_KIND_SHMEM ? path : "/dev/shm/huge");
	if (kind != FR_KIND_RAW) {
		g->mode = S_IFREG | 0640;
		g->uid = geteuid() ? getuid() : 65534;
		g->gid = getgid();
	}
	if (kind == FR_KIND_SHMEM) {
		g->digest_alg = FR_DIGEST_XXH3_128;
		memcpy(g->digest, digest.digest, sizeof(g->digest));
	}
	assert_int_equal(fr_extents_append(&g->extents, pfn, kind == FR_KIND_SHMEM ? 3 : 512, 0),
			 0);
}

static void add_guest(struct fr_descriptor *d)
{
	d->nr_blobs = 2;
	d->blobs = calloc(2, sizeof(*d->blobs));
	d->blobs[0] = (struct fr_blob){.name = "vm/web/spec",
				       .data = fake_vmm_spec(&root, "web", "shm", path)};
	d->blobs[0].bytes = strlen(d->blobs[0].data);
	d->blobs[1] = (struct fr_blob){.name = "vm/web/state", .data = strdup("state"), .bytes = 5};
}

static void make_descriptor(unsigned int special)
{
	struct fr_descriptor *d = calloc(1, sizeof(*d));
	struct fr_error e;
	size_t bytes;
	void *p;

	d->hop = 1;
	assert_int_equal(fr_ram_map_add(&d->ram, 0x100000, 4 * GIB, FR_E820_RAM, 0), 0);
	d->nr_regions = 3;
	d->regions = calloc(3, sizeof(*d->regions));
	fill_region(&d->regions[0], "shm", FR_KIND_SHMEM, 0x10000);
	if (special & TWO)
		fill_region(&d->regions[1], "other", FR_KIND_SHMEM, 0x20000);
	else
		fill_region(&d->regions[1], "huge", FR_KIND_HUGETLB, 0x20000);
	fill_region(&d->regions[2], "raw", FR_KIND_RAW, 0x200000);
	d->regions[0].digest[0] ^= special & BAD_DIGEST;
	if (special & GUEST)
		add_guest(d);
	for (size_t i = 0; special & UNNAMED && i < (special & TWO ? 2 : 1); i++) {
		d->regions[i].path[0] = '\0';
		d->regions[i].flags = FR_REGION_UNLINKED;
		d->regions[i].seals = F_SEAL_SHRINK | F_SEAL_EXEC;
		d->regions[i].mode = S_IFREG | 0750;
	}
	bytes = fr_descriptor_bytes(d);
	p = calloc(1, bytes);
	assert_int_equal(fr_descriptor_encode(d, p, bytes, &e), 0);
	fake_root_write(&root, "/sys/kernel/fastrestart/descriptor", p, bytes);
	free(p);
	fr_descriptor_free(d);
}

static int make(void **state)
{
	struct statfs fs;

	(void)state;
	memset(&script, 0, sizeof(script));
	strcpy(dir, "/dev/shm/fr-test-XXXXXX");
	if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/sub/file", dir);
	fake_root_make(&root);
	fake_root_text(&root, "/sys/kernel/fastrestart/versions", "1 1\n");
	fake_root_text(&root, "/sys/kernel/fastrestart/status", "accepted\n");
	fake_root_text(&root, "/dev/fastrestart", "");
	mkdir(root.path, 0700);
	fake_root_text(&root, "/run/x", "");
	make_descriptor(0);
	set_state("shm", "kept\n");
	set_state("huge", "kept\n");
	set_state("raw", "kept\n");
	return 0;
}

static int drop(void **state)
{
	struct fake_root d;

	(void)state;
	snprintf(d.path, sizeof(d.path), "%s", dir);
	fake_root_remove(&d);
	fake_root_remove(&root);
	return 0;
}

static int restore(const char *name, struct fr_error *e)
{
	char *names[] = {MUTABLE(name)};
	struct fr_restore_options o = {.names = names, .nr_names = 1, .verify = true};

	return fr_restore(&ctx, &o, e);
}

static mode_t mode_of(const char *file)
{
	struct stat st;

	return lstat(file, &st) ? 0 : st.st_mode & 07777;
}

static void gives_back_a_file(void **state)
{
	struct fr_error e;
	struct stat st;

	(void)state;
	assert_int_equal(restore("shm", &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_uid, geteuid() ? getuid() : 65534);
	assert_int_equal(script.mode_then, S_ISVTX);
	assert_int_equal(script.uid_then, geteuid());
	assert_true(script.stamps > 0);
	assert_int_equal(restore("shm", &e), -ESTALE);
	assert_int_equal(restore("raw", &e), 0);
	assert_int_equal(script.restores, 2);
}

static void path_exists(void **state)
{
	struct fr_error e;

	(void)state;
	*strrchr(path, '/') = '\0';
	assert_int_equal(mkdir(path, 0755), 0);
	path[strlen(path)] = '/';
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(restore("shm", &e), -EEXIST);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(restore("shm", &e), -EEXIST);
	assert_int_equal(script.restores, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(restore("shm", &e), 0);
}

static void failure_leaves_nothing(void **state)
{
	static const int errors[] = {ENOSPC, ENOMEM,	  EINTR,     EBUSY, ENOENT,
				     ESTALE, EMEDIUMTYPE, EHWPOISON, EIO};
	struct fr_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		script.error = -errors[i];
		assert_int_equal(restore("shm", &e), -errors[i]);
		assert_non_null(strstr(e.text, "shm"));
		assert_int_equal(access(path, F_OK), -1);
	}
	script.error = 0;
	assert_int_equal(restore("shm", &e), 0);
}

/* Somebody else may write to the folder: what is put there does not lead the file elsewhere. */
static void links_are_not_followed(void **state)
{
	struct fr_error e;
	char other[80];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", dir);
	*strrchr(path, '/') = '\0';
	assert_int_equal(mkdir(path, 0755), 0);
	path[strlen(path)] = '/';
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(restore("shm", &e), -EEXIST);
	assert_int_equal(access(other, F_OK), -1);
	/* not to what looks like one that was left by a restore that was killed, either */
	close(open(other, O_CREAT | O_WRONLY | O_CLOEXEC, S_ISVTX));
	assert_int_equal(restore("shm", &e), -EEXIST);
	assert_int_equal(script.restores, 0);
	assert_int_equal(mode_of(other), S_ISVTX);
}

/* As a restore that was killed leaves it. */
static void put_leftover(off_t bytes, mode_t mode)
{
	int fd;

	*strrchr(path, '/') = '\0';
	mkdir(path, 0755);
	path[strlen(path)] = '/';
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

/* kill -9 before the kernel gave the memory, and after: the last mode is that of one to execute */
static void killed_ones_are_taken_over(void **state)
{
	static const mode_t modes[] = {UNFINISHED, NOT_AS_IT_WAS, UNFINISHED | S_IXUSR | S_IXGRP};
	struct fr_error e;

	(void)state;
	if (geteuid())
		skip(); /* only root opens a file of this mode again */
	put_leftover(0, UNFINISHED);
	assert_int_equal(restore("shm", &e), 0);
	assert_int_equal(script.restores, 1);
	assert_int_equal(mode_of(path), 0640);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < FR_ARRAY_SIZE(modes); i++) {
		put_leftover(SIZE, modes[i]);
		assert_int_equal(restore("shm", &e), 0);
		assert_int_equal(script.restores, 1);
		assert_int_equal(mode_of(path), 0640);
		assert_int_equal(unlink(path), 0);
	}
}

/* Another one has got the memory since this one looked, and is about to finish its file. */
static void running_ones_are_left_alone(void **state)
{
	struct fr_error e;
	int fd;

	(void)state;
	if (geteuid())
		skip();
	put_leftover(SIZE, UNFINISHED | S_IXUSR);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(restore("shm", &e), -EBUSY);
	set_state("shm", "restored\n");
	assert_int_equal(restore("shm", &e), -EBUSY);
	assert_int_equal(script.restores, 0);
	assert_int_equal(mode_of(path), UNFINISHED | S_IXUSR);
	close(fd);
	assert_int_equal(restore("shm", &e), 0);
}

/* Whoever made a file has it open, and goes on reading and writing it whatever its mode is. */
static void other_users_files(void **state)
{
	static const struct {
		mode_t mode;
		uid_t uid;
	} kept[] = {{UNFINISHED, 65533}, {UNFINISHED, 65534}, {NOT_AS_IT_WAS, 65533}};
	struct fr_error e;

	(void)state;
	if (geteuid())
		skip(); /* only root gives files away */
	for (size_t i = 0; i < FR_ARRAY_SIZE(kept); i++) {
		put_leftover(0, kept[i].mode);
		assert_int_equal(chown(path, kept[i].uid, 0), 0);
		assert_int_equal(restore("shm", &e), -EEXIST);
		assert_int_equal(script.restores, 0);
		assert_int_equal(unlink(path), 0);
	}
	set_state("shm", "restored\n");
	put_leftover(SIZE, UNFINISHED);
	assert_int_equal(chown(path, 65533, 0), 0);
	assert_int_equal(restore("shm", &e), -EEXIST);
	assert_non_null(strstr(e.text, "another user's"));
	assert_int_equal(mode_of(path), UNFINISHED);
	/* killed when it had its owner and not yet its mode */
	assert_int_equal(chown(path, 65534, getgid()), 0);
	assert_int_equal(restore("shm", &e), 0);
	assert_int_equal(mode_of(path), 0640);
}

static void wrong_file_system(void **state)
{
	struct fr_restore_options o = {.all = true, .directory = "/proc/self", .verify = true};
	struct fr_error e;

	(void)state;
	assert_int_equal(restore("huge", &e), -EMEDIUMTYPE);
	assert_non_null(strstr(e.text, "pagesize=2048K"));
	assert_int_equal(fr_restore(&ctx, &o, &e), -EMEDIUMTYPE);
	assert_int_equal(script.restores, 1); /* the raw one */
}

static void others_go_on(void **state)
{
	struct fr_restore_options o = {.all = true, .verify = true};
	struct fr_error e;

	(void)state;
	assert_int_equal(fr_restore(&ctx, &o, &e), -EMEDIUMTYPE);
	assert_non_null(strstr(e.text, "huge"));
	assert_int_equal(script.restores, 2);
	assert_int_equal(mode_of(path), 0640);
}

static void to_another_directory(void **state)
{
	char *names[] = {MUTABLE("shm")};
	struct fr_restore_options o = {.names = names, .nr_names = 1, .directory = dir};
	char there[128];

	(void)state;
	assert_int_equal(fr_restore(&ctx, &o, NULL), 0);
	snprintf(there, sizeof(there), "%s/file", dir);
	assert_int_equal(mode_of(there), 0640);
}

static void count_warnings(void *data, enum fr_log_level level, const char *text)
{
	(void)data;
	if (level == FR_LOG_WARN && strstr(text, "not as it was"))
		script.warnings++;
}

/* Under its region's name; a kernel that cannot let it be sealed does not give what was. */
static void without_a_name(void **state)
{
	struct fr_ctx logging = ctx;
	char *names[] = {MUTABLE("shm")};
	struct fr_restore_options o = {.names = names, .nr_names = 1, .directory = dir};
	struct fr_error e;
	char there[128];

	(void)state;
	make_descriptor(UNNAMED);
	logging.log = count_warnings;
	assert_int_equal(fr_restore(&logging, &o, &e), -EPERM);
	assert_int_equal(e.fault, FR_FAULT_MISMATCH);
	snprintf(there, sizeof(there), "%s/shm", dir);
	assert_int_equal(mode_of(there), NOT_AS_IT_WAS);
	assert_int_equal(script.warnings, 0);
	assert_int_equal(fr_restore(&logging, &o, &e), 0);
	assert_int_equal(mode_of(there), 0750);
	assert_int_equal(script.warnings, 1);
	set_state("shm", "kept\n");
	o.directory = "relative";
	assert_int_equal(fr_restore(&ctx, &o, &e), -EINVAL);
	assert_int_equal(e.fault, FR_FAULT_USAGE);
}

static const char *unnamed(const char *name)
{
	static char there[128];

	snprintf(there, sizeof(there), "%s/run/kexec-fastrestart/unnamed/4K%s", root.path, name);
	return there;
}

static void sealed_as_it_was(void **state)
{
	struct fr_error e;

	(void)state;
	make_descriptor(UNNAMED);
	script.seals = true;
	assert_int_equal(restore("shm", &e), 0);
	assert_true(fake_mount_is(unnamed("")));
	assert_int_equal(mode_of(unnamed("/shm")), 0750);
	assert_int_equal(fake_mount_seals(unnamed("/shm")), F_SEAL_SHRINK | F_SEAL_EXEC);
}

/* The other one of two restores at once: what it does is told by this pipe. */
static int to_first[2] = {-1, -1}, nr_mounts;
static pid_t second;

int flock(int fd, int operation)
{
	if (operation == LOCK_EX && !second && to_first[1] >= 0)
		(void)!write(to_first[1], "w", 1);
	return (int)syscall(SYS_flock, fd, operation);
}

static int on_mount_of_second(const char *mounted)
{
	(void)mounted;
	nr_mounts++;
	return (int)write(to_first[1], "m", 1) - 1;
}

/* Somebody else comes between the look at the folder and mount(). */
static int on_mount_of_first(const char *mounted)
{
	char byte;

	(void)mounted;
	nr_mounts++;
	assert_int_equal(pipe(to_first), 0);
	second = fork();
	if (!second) {
		for (int fd = 3; fd < 64; fd++) /* the first one's locks among them */
			if (fd != to_first[1])
				close(fd);
		nr_mounts = 0;
		fake_mount_hook = on_mount_of_second;
		_exit(restore("other", NULL) ? 99 : nr_mounts);
	}
	close(to_first[1]);
	to_first[1] = -1;
	assert_int_equal(read(to_first[0], &byte, 1), 1);
	return 0;
}

/* A second file system on top would hide the first one's file. */
static void two_mount_once(void **state)
{
	struct fr_error e;
	int status;

	(void)state;
	make_descriptor(UNNAMED | TWO);
	set_state("other", "kept\n");
	script.seals = true;
	nr_mounts = 0;
	fake_mount_hook = on_mount_of_first;
	assert_int_equal(restore("shm", &e), 0);
	fake_mount_hook = NULL;
	close(to_first[0]);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(status, 0);
	assert_int_equal(nr_mounts, 1);
	assert_int_equal(mode_of(unnamed("/shm")), 0750);
	assert_int_equal(mode_of(unnamed("/other")), 0750);
}

static int restore_all_but_verify(struct fr_error *e)
{
	struct fr_restore_options o = {.all = true};

	return fr_restore(&ctx, &o, e);
}

static int restore_all(struct fr_error *e)
{
	struct fr_restore_options o = {.all = true, .verify = true};

	return fr_restore(&ctx, &o, e);
}

static void assert_refused(int r, const struct fr_error *e)
{
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(e->fault, FR_FAULT_MISMATCH);
	assert_int_equal(mode_of(path), NOT_AS_IT_WAS); /* the memory is there all the same */
	assert_false(fake_vmm_end(&root));
}

/* However often everything is asked for: a guest starts on it only when it is asked for itself. */
static void mismatch(void **state)
{
	struct fr_error e;

	(void)state;
	if (geteuid())
		skip(); /* only root opens a file of these modes again */
	make_descriptor(BAD_DIGEST | GUEST);
	set_state("huge", "released\n");
	for (int i = 0; i < 3; i++)
		assert_refused(restore_all(&e), &e);
	assert_refused(restore_all_but_verify(&e), &e);
	assert_int_equal(script.restores, 2); /* the raw one, too */
	assert_int_equal(restore("web", &e), 0);
	assert_int_equal(mode_of(path), 0640);
	assert_true(fake_vmm_end(&root));
	assert_int_equal(restore_all(&e), 0);
}

/* What is not finished stays so, whatever else was done to it. */
static void changed_leftovers(void **state)
{
	struct fr_error e;
	char other[80];

	(void)state;
	if (geteuid())
		skip();
	make_descriptor(BAD_DIGEST | GUEST);
	set_state("huge", "released\n");
	snprintf(other, sizeof(other), "%s/other", dir);
	assert_refused(restore_all(&e), &e);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(restore_all(&e), -EEXIST);
	assert_non_null(strstr(e.text, "hard links"));
	assert_int_equal(restore("shm", &e), -EEXIST);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(restore_all(&e), -EEXIST);
	assert_non_null(strstr(e.text, "its size"));
	assert_int_equal(restore("web", &e), -EEXIST);
	assert_false(fake_vmm_end(&root));
	assert_int_equal(truncate(path, SIZE), 0);
	assert_refused(restore_all(&e), &e);
	assert_int_equal(restore("web", &e), 0);
	assert_true(fake_vmm_end(&root));
}

static void put_other(off_t bytes, uid_t uid)
{
	int other = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);

	assert_true(other >= 0);
	assert_int_equal(ftruncate(other, bytes), 0);
	assert_int_equal(fchown(other, uid, getgid()), 0);
	close(other);
}

/* The guest does not start on what somebody else has put there, either. */
static void memory_replaced(void **state)
{
	struct fr_error e;
	char there[128];
	struct stat st;

	(void)state;
	if (geteuid())
		skip(); /* only root gives files away */
	make_descriptor(GUEST);
	set_state("huge", "released\n");
	snprintf(there, sizeof(there), "%s/elsewhere", dir);
	assert_int_equal(restore("shm", &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(rename(path, there), 0);
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			put_other(0, st.st_uid);
		else if (i == 1)
			put_other(SIZE, 65533);
		else
			assert_int_equal(symlink(there, path), 0);
		assert_int_equal(restore_all(&e), -ESTALE);
		assert_false(fake_vmm_end(&root));
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(e.fault, FR_FAULT_VM);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(rename(there, path), 0);
	assert_int_equal(restore_all(&e), 0);
	assert_true(fake_vmm_end(&root));
}

/* Moved by somebody: the guest does not start on nothing. */
static void memory_elsewhere(void **state)
{
	struct fr_error e;
	char there[128];

	(void)state;
	make_descriptor(GUEST);
	set_state("huge", "released\n");
	snprintf(there, sizeof(there), "%s/elsewhere", dir);
	assert_int_equal(restore("shm", &e), 0);
	assert_int_equal(rename(path, there), 0);
	assert_int_equal(restore_all(&e), -ENOENT);
	assert_int_equal(e.fault, FR_FAULT_VM);
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, "move it back"));
	assert_false(fake_vmm_end(&root));
	assert_int_equal(rename(there, path), 0);
	assert_int_equal(restore_all(&e), 0);
	assert_true(fake_vmm_end(&root));
}

/* Its RAM alone is named first. */
static void mismatch_by_region(void **state)
{
	struct fr_error e;

	(void)state;
	if (geteuid())
		skip();
	make_descriptor(BAD_DIGEST | GUEST);
	set_state("huge", "released\n");
	assert_refused(restore("shm", &e), &e);
	assert_refused(restore_all(&e), &e);
	assert_int_equal(restore("shm", &e), 0);
	assert_int_equal(mode_of(path), 0640);
	assert_int_equal(restore("shm", &e), -ESTALE);
	assert_false(fake_vmm_end(&root));
	assert_int_equal(restore_all(&e), 0);
	assert_true(fake_vmm_end(&root));
}

/* kill -9 after the kernel gave the memory and before it was compared: nobody was told yet. */
static void mismatch_of_a_killed_one(void **state)
{
	struct fr_error e;

	(void)state;
	if (geteuid())
		skip();
	make_descriptor(BAD_DIGEST | GUEST);
	put_leftover(SIZE, UNFINISHED);
	set_state("shm", "restored\n");
	set_state("huge", "released\n");
	assert_refused(restore("web", &e), &e);
	assert_refused(restore_all(&e), &e);
	assert_int_equal(restore("web", &e), 0);
	assert_int_equal(mode_of(path), 0640);
	assert_true(fake_vmm_end(&root));
}

/* What somebody else has put there is not taken for what was restored and found wrong. */
static void mode_of_a_mismatch(void **state)
{
	struct fr_error e;

	(void)state;
	if (geteuid())
		skip();
	make_descriptor(BAD_DIGEST | GUEST);
	put_leftover(0, NOT_AS_IT_WAS);
	assert_int_equal(restore("web", &e), -EEXIST);
	assert_int_equal(script.restores, 0);
}

static void unknown_names(void **state)
{
	struct fr_error e;

	(void)state;
	assert_int_equal(restore("nothing", &e), -ENOENT);
	assert_int_equal(e.fault, FR_FAULT_NOT_FOUND);
	assert_int_equal(restore("../../etc", &e), -ENOENT);
	set_state("shm", "releasing\n");
	assert_int_equal(restore("shm", &e), -EBUSY);
	assert_int_equal(script.restores, 0);
}

/* Pages that new mappings can have: free and not reserved, or surplus within the limit. */
static void room_for_holes(void **state)
{
	static const struct {
		const char *text[4]; /* free, reserved, limit of surplus, surplus */
		uint64_t pages;
	} cases[] = {
		{{"10", "3", "0", "0"}, 7}, {{"10", "3", "0", "8"}, 7}, {{"3", "10", "0", "0"}, 0},
		{{"0", "0", "9", "4"}, 5},  {{"10", "3", "9", "4"}, 12}};
	static const char *const counters[] = {"free", "resv", "nr_overcommit", "surplus"};
	uint64_t pages;

	(void)state;
	assert_int_equal(fr_hugepages_available(&ctx, 30, &pages), -ENOENT);
	for (size_t i = 0; i < FR_ARRAY_SIZE(cases); i++) {
		for (size_t k = 0; k < FR_ARRAY_SIZE(counters); k++) {
			char file[128];

			snprintf(file, sizeof(file),
				 "/sys/kernel/mm/hugepages/hugepages-1048576kB/%s_hugepages",
				 counters[k]);
			fake_root_text(&root, file, cases[i].text[k]);
		}
		assert_int_equal(fr_hugepages_available(&ctx, 30, &pages), 0);
		assert_int_equal(pages, cases[i].pages);
	}
}

static void unpatched_kernel(void **state)
{
	struct fr_error e;
	char file[256];

	(void)state;
	snprintf(file, sizeof(file), "%s/sys/kernel/fastrestart/versions", root.path);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(restore("shm", &e), -ENOSYS);
	assert_non_null(strstr(e.text, "stays kept"));
}

static void release(void **state)
{
	char *names[] = {MUTABLE("huge"), MUTABLE("shm")}, *bad[] = {MUTABLE("a/b")};
	struct fr_error e;

	(void)state;
	assert_int_equal(fr_release(&ctx, names, 2, &e), 0);
	assert_int_equal(script.releases, 2);
	assert_int_equal(fr_release(&ctx, bad, 1, &e), -EINVAL);
	script.error = -ESTALE;
	assert_int_equal(fr_release(&ctx, names, 1, &e), -ESTALE);
	assert_int_equal(restore("huge", &e), -ESTALE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(gives_back_a_file, make, drop),
		cmocka_unit_test_setup_teardown(path_exists, make, drop),
		cmocka_unit_test_setup_teardown(links_are_not_followed, make, drop),
		cmocka_unit_test_setup_teardown(failure_leaves_nothing, make, drop),
		cmocka_unit_test_setup_teardown(killed_ones_are_taken_over, make, drop),
		cmocka_unit_test_setup_teardown(running_ones_are_left_alone, make, drop),
		cmocka_unit_test_setup_teardown(other_users_files, make, drop),
		cmocka_unit_test_setup_teardown(wrong_file_system, make, drop),
		cmocka_unit_test_setup_teardown(others_go_on, make, drop),
		cmocka_unit_test_setup_teardown(to_another_directory, make, drop),
		cmocka_unit_test_setup_teardown(without_a_name, make, drop),
		cmocka_unit_test_setup_teardown(sealed_as_it_was, make, drop),
		cmocka_unit_test_setup_teardown(two_mount_once, make, drop),
		cmocka_unit_test_setup_teardown(mismatch, make, drop),
		cmocka_unit_test_setup_teardown(mismatch_by_region, make, drop),
		cmocka_unit_test_setup_teardown(changed_leftovers, make, drop),
		cmocka_unit_test_setup_teardown(memory_replaced, make, drop),
		cmocka_unit_test_setup_teardown(memory_elsewhere, make, drop),
		cmocka_unit_test_setup_teardown(mismatch_of_a_killed_one, make, drop),
		cmocka_unit_test_setup_teardown(mode_of_a_mismatch, make, drop),
		cmocka_unit_test_setup_teardown(unknown_names, make, drop),
		cmocka_unit_test_setup_teardown(room_for_holes, make, drop),
		cmocka_unit_test_setup_teardown(unpatched_kernel, make, drop),
		cmocka_unit_test_setup_teardown(release, make, drop),
	};

	if (argc > 1 && !strcmp(argv[1], "be-vmm"))
		return fake_vmm();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
