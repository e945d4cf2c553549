// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * load, exec, restore and what goes with them, with every allocation, every system call
 * and every operation of the kernel boundary failing once (inject.h): each failure is
 * reported as such or made good, and leaves the host as it was and the guests running.
 *
 * One host serves all: it has hopped, and kept the VM "old" and the region "raw"; the VM
 * "web" runs on it, with its RAM in a tmpfs file whose pages hold their frame's number.  So do
 * those of what is kept besides: a memfd that is sealed against writing, a file that is named
 * by the descriptor of a process, and one with a huge page and a hole.
 *
 * What the host of the test lacks is played where system calls are made, in functions that stand
 * in for libc's: fstatfs() of hugetlbfs; mkdir(), rmdir(), write() and poll() of cgroups; what
 * fake-mount.h lists of files that had no name.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "bootparams.h"
#include "bytes.h"
#include "fake-mount.h"
#include "fake-qemu.h"
#include "fake-root.h"
#include "fake-vmm.h"
#include "host.h"
#include "inject.h"
#include "kernel.h"
#include "make-image.h"
#include "offline.h"
#include "ramap.h"
#include "stage.h"
#include "test.h"

#define CLEAN_HUGE (GIB >> 21)	   /* first huge page that the kernel gives */
#define FILE_PFN   (7 * GIB >> 12) /* first frame of the running VM's RAM */
#define KEPT_PFN   (6 * GIB >> 12) /* first frame of the kept VM's RAM */
#define RAW_PFN	   (5 * GIB >> 12)
#define SEALED_PFN (FILE_PFN + (GIB >> 13))
#define NAMED_PFN  (SEALED_PFN + 1024)
#define HUGE_PFN   (SEALED_PFN + 8192)
#define HUGE_BYTES (2l << 20)
#define FILE_PAGES 16
#define HOLE	   5 /* page of each file that is none */
#define SEALS	   (F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_SHRINK)
#define UNNAMED	   "/run/kexec-fastrestart/unnamed"
#define CMDLINE	   "nokaslr console=ttyS0"
#define HSTATE	   "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define REGIONS	   "/sys/kernel/fastrestart/regions/"
#define BLOCK	   "/sys/devices/system/memory/memory56/" /* at 7 GiB */
#define MOVED_PFN  (KEPT_PFN + 256)			  /* what is in it goes here */
#define JOURNAL	   "/run/kexec-fastrestart/offline"
#define STARTED	   "/run/kexec-fastrestart/vm/old.started"
#define CGROUP	   "/sys/fs/cgroup"
#define INFLIGHT   "/sys/block/sda/inflight"
#define READS	   "       2        0\n" /* under way */

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define CHECK(condition, what)       \
	do {                         \
		if (!(condition))    \
			return what; \
	} while (0)

static struct fake_root root;
static char dir[64], ram[80], kept_ram[80], kernel[96], initrd[96];
static int kept[4]; /* what is kept: the RAM of "web", and what belongs to no VM */
static struct fr_source others[3];
static size_t nr_others; /* of those, that load is told of: it makes scenarios longer */
static bool has_owners;	 /* processes that have what is kept, and are frozen */
static struct fake_qemu qemu;
static pid_t listener; /* on its socket */

/* What the kernel and the guest would hold; shared with children. */
static struct world {
	int pins;
	int loads;
	bool loaded, guest_stopped;
	bool ran_on;	   /* an owner, when reboot() was called */
	bool froze_itself; /* the cgroup that init is in */
	uint64_t nr_given;
	uint64_t sealed; /* digest of the descriptor at reboot() */
	const uint8_t *page[512];
	size_t nr_pages;
	uint64_t before;   /* digest of the root */
	uint64_t expected; /* digest of what load stages, or exec seals */
	uint64_t planned;  /* digest of the plan */
	bool replanned;	   /* another one was made */
	bool grows;	   /* the RAM, as soon as the guest stands still */
	bool remounted;	   /* over what is mounted already */
} * world;

/* --------------------------------------------------------------------------- the kernel */

static bool is_mapped(int pagemap, const void *addr)
{
	uint64_t entry = 0;

	return pread(pagemap, &entry, 8, (off_t)((uintptr_t)addr / 4096 * 8)) == 8 && entry >> 63;
}

static int give_frames(const void *addr, size_t page_bytes, size_t nr, uint64_t *pfns)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < nr; i++) {
		uint8_t *page = (uint8_t *)(uintptr_t)addr + i * page_bytes;

		if (page_bytes == FR_PAGE_BYTES || !is_mapped(pagemap, page)) {
			pfns[i] = is_mapped(pagemap, page) ? fr_get_le64(page) : FR_PFN_NONE;
			continue;
		}
		if (!fr_get_le64(page + page_bytes - 8))
			fr_put_le64(page + page_bytes - 8, CLEAN_HUGE + world->nr_given++);
		pfns[i] = fr_get_le64(page + page_bytes - 8) << 9;
		if (pfns[i] < HUGE_PFN)
			world->page[world->nr_pages++ % 512] = page;
	}
	close(pagemap);
	return 0;
}

static int fake_frames(void *data, const void *addr, size_t page_bytes, size_t nr, uint64_t *pfns)
{
	int r = inject_operation("frames");

	(void)data;
	inject_pause();
	if (!r)
		r = give_frames(addr, page_bytes, nr, pfns);
	inject_resume();
	return r;
}

static int fake_huge_memfd(void *data)
{
	int r = inject_operation("huge_memfd");

	(void)data;
	inject_pause();
	if (!r)
		r = memfd_create("fake", MFD_CLOEXEC);
	inject_resume();
	return r;
}

static int pin_by(const char *operation, unsigned int nr, void **ret_pin)
{
	int r = inject_operation(operation);

	if (r || !nr)
		return r;
	world->pins++;
	*ret_pin = &world->pins;
	return 0;
}

static int fake_pin(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin)
{
	(void)data;
	(void)iov;
	return pin_by("pin", nr, ret_pin);
}

static int fake_pin_read_only(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin)
{
	(void)data;
	(void)iov;
	return pin_by("pin_read_only", nr, ret_pin);
}

static void fake_unpin(void *data, void *pin)
{
	(void)data;
	--*(int *)pin;
}

static int fake_kexec_load(void *data, uint64_t entry, unsigned long nr,
			   const struct fr_kexec_segment *segments, unsigned long flags)
{
	int r = inject_operation(nr ? "kexec_load" : "unload");

	(void)data;
	(void)entry;
	(void)segments;
	(void)flags;
	if (r)
		return r;
	inject_pause();
	world->loaded = nr > 0;
	world->loads += nr > 0;
	fake_root_text(&root, "/sys/kernel/kexec_loaded", nr ? "1\n" : "0\n");
	inject_resume();
	return 0;
}

static uint64_t region_digest(const struct fr_region *g, uint64_t seed)
{
	uint64_t digest = XXH64(g->name, strlen(g->name), seed);

	digest = XXH64(g->path, strlen(g->path), digest);
	digest = XXH64(g->digest, sizeof(g->digest), digest ^ g->flags ^ (uint64_t)g->seals << 32);
	return XXH64(g->extents.v, g->extents.nr * sizeof(struct fr_extent), digest ^ g->mode);
}

/* The descriptor of this moment, less its stamps and boot-time places. */
static uint64_t sealed_digest(void)
{
	struct fr_descriptor *d;
	uint64_t digest = 0;

	for (size_t i = world->nr_pages; i-- && !digest;) {
		const uint8_t *p = world->page[i];

		if (memcmp(p, FR_MAGIC, 8) ||
		    fr_descriptor_decode(
			    p, fr_get_le64(p + offsetof(struct fr_wire_header, total_bytes)), &d,
			    NULL))
			continue;
		digest = d->hop;
		for (size_t k = 0; k < d->nr_regions; k++)
			digest = region_digest(&d->regions[k], digest);
		for (size_t k = 0; k < d->nr_blobs; k++)
			digest = XXH64(d->blobs[k].data, d->blobs[k].bytes,
				       XXH64(d->blobs[k].name, strlen(d->blobs[k].name), digest));
		fr_descriptor_free(d);
	}
	return digest;
}

static bool all_stand_still(void);

static int fake_reboot(void *data)
{
	int r = inject_operation("reboot");

	(void)data;
	inject_pause();
	world->sealed = world->loaded && world->guest_stopped ? sealed_digest() : 0;
	world->ran_on = has_owners && !all_stand_still();
	inject_resume();
	return r ? r : -EINVAL;
}

static void set_state(const char *name, const char *text)
{
	char file[128];

	snprintf(file, sizeof(file), REGIONS "%s/state", name);
	fake_root_text(&root, file, text);
}

static void remove_region(const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), "%s" REGIONS "%s/state", root.path, name);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

static int fake_ioctl(void *data, int dev_fd, unsigned long request, struct fr_ioc_region *arg)
{
	int r = inject_operation(request == FR_IOC_STAMP   ? "stamp" :
				 request == FR_IOC_RELEASE ? "release" :
							     "restore");

	(void)data;
	(void)dev_fd;
	if (r || request == FR_IOC_STAMP)
		return r;
	inject_pause();
	if (arg->fd >= 0 && request == FR_IOC_RESTORE) {
		if (strcmp((char *)arg->name, "huge") ?
			    fallocate(arg->fd, 0, 0, FILE_PAGES * 4096) :
			    ftruncate(arg->fd, HUGE_BYTES))
			abort();
		fake_mount_make_sealable(arg->fd);
	}
	set_state((char *)arg->name, request == FR_IOC_RESTORE ? "restored\n" : "released\n");
	inject_resume();
	return 0;
}

static void put_page(int fd, uint64_t page, uint64_t pfn);
static void put_ram(uint64_t first_pfn);

/* The kernel moves the running VM's RAM, and takes a free huge page from its pool. */
static int fake_set_block(void *data, const char *path, const char *state, unsigned int timeout_ms,
			  int cancel_fd)
{
	bool offline = !strcmp(state, "offline");
	int r = inject_operation(state);

	(void)data;
	(void)path;
	(void)timeout_ms;
	(void)cancel_fd;
	if (r)
		return r;
	inject_pause();
	fake_root_text(&root, BLOCK "state", offline ? "offline\n" : "online\n");
	if (offline) {
		put_ram(MOVED_PFN);
		fake_root_text(&root, HSTATE "nr_hugepages", "3\n");
	}
	inject_resume();
	return 0;
}

static const struct fr_kernel_ops ops = {
	.kexec_load = fake_kexec_load,
	.reboot_kexec = fake_reboot,
	.fastrestart_ioctl = fake_ioctl,
	.frames = fake_frames,
	.huge_memfd = fake_huge_memfd,
	.pin = fake_pin,
	.pin_read_only = fake_pin_read_only,
	.unpin = fake_unpin,
	.set_block = fake_set_block,
};

/* A last write of the guest's, which is seen only when the files are compared. */
static void on_stage(void *data, const char *name)
{
	(void)data;
	if (!world->grows || strcmp(name, "stopped"))
		return;
	inject_pause();
	put_page(kept[0], HOLE, FILE_PFN + HOLE);
	inject_resume();
}

/* threads would make the order of calls another one each time */
static struct fr_ctx ctx = {.root = root.path, .ops = &ops, .nr_threads = 1, .stage = on_stage};

/* ----------------------------------------------------------------------------- the host */

static uint64_t tree_digest;

static int add_to_digest(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char contents[1 << 16] = "";
	ssize_t n = 0;
	int fd = type == FTW_F && S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	(void)ftw;
	if (fd >= 0 && strstr(path, "/dev/kmsg")) {
		close(fd);
		return 0; /* the guardian says there what it does */
	}
	if (fd >= 0) {
		n = read(fd, contents, sizeof(contents));
		close(fd);
	}
	/* in any order */
	tree_digest +=
		XXH64(path, strlen(path),
		      XXH64(contents, n > 0 ? (size_t)n : 0,
			    (uint64_t)st->st_mode ^ (type == FTW_F ? (uint64_t)st->st_size : 0)));
	return 0;
}

/* Of all names, modes and (beginnings of) contents below @name of the root. */
static uint64_t digest_tree(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", root.path, name);
	tree_digest = 0;
	nftw(path, add_to_digest, 16, FTW_PHYS);
	return tree_digest;
}

/* As the descriptor of a memfd, and beside it one of huge pages. */
static void take_names(struct fr_descriptor *d)
{
	d->regions[0].path[0] = '\0';
	d->regions[2] = (struct fr_region){.name = "huge",
					   .kind = FR_KIND_HUGETLB,
					   .page_shift = 21,
					   .size_bytes = HUGE_BYTES,
					   .mode = S_IFREG | 0600,
					   .uid = geteuid(),
					   .gid = getegid(),
					   .path = strdup("")};
	if (fr_extents_append(&d->regions[2].extents, KEPT_PFN + 512, 512, 0))
		abort();
	d->nr_regions = 3;
	for (size_t i = 0; i < 3; i += 2) {
		d->regions[i].flags = FR_REGION_UNLINKED;
		d->regions[i].seals = SEALS;
	}
}

static void put_descriptor(bool unnamed)
{
	struct fr_descriptor *d = calloc(1, sizeof(*d));
	static char zeros[FILE_PAGES * 4096];
	XXH128_canonical_t digest;
	size_t bytes;
	void *p;

	d->hop = 3;
	d->nr_regions = 2;
	d->regions = calloc(3, sizeof(*d->regions));
	d->nr_blobs = 2;
	d->blobs = calloc(2, sizeof(*d->blobs));
	XXH128_canonicalFromHash(&digest, XXH3_128bits(zeros, sizeof(zeros)));
	d->regions[0] = (struct fr_region){.name = "old",
					   .kind = FR_KIND_SHMEM,
					   .page_shift = 12,
					   .size_bytes = FILE_PAGES * 4096,
					   .mode = S_IFREG | 0600,
					   .uid = geteuid(),
					   .gid = getegid(),
					   .digest_alg = FR_DIGEST_XXH3_128,
					   .path = strdup(kept_ram)};
	memcpy(d->regions[0].digest, digest.digest, FR_DIGEST_BYTES);
	d->regions[1] = (struct fr_region){.name = "raw",
					   .kind = FR_KIND_RAW,
					   .page_shift = 12,
					   .size_bytes = FILE_PAGES * 4096,
					   .path = strdup("")};
	d->blobs[0] = (struct fr_blob){.name = "vm/old/spec",
				       .data = fake_vmm_spec(&root, "old", "old",
							     unnamed ? "" : kept_ram)};
	d->blobs[0].bytes = strlen(d->blobs[0].data);
	d->blobs[1] = (struct fr_blob){.name = "vm/old/state", .data = strdup("state"), .bytes = 5};
	if (fr_ram_map_add(&d->ram, 0x100000, 3 * GIB, FR_E820_RAM, 0) ||
	    fr_ram_map_add(&d->ram, 4 * GIB, 8 * GIB, FR_E820_RAM, 0) ||
	    fr_extents_append(&d->regions[0].extents, KEPT_PFN, FILE_PAGES, 0) ||
	    fr_extents_append(&d->regions[1].extents, RAW_PFN, FILE_PAGES, 0))
		abort();
	if (unnamed)
		take_names(d);
	bytes = fr_descriptor_bytes(d);
	p = calloc(1, bytes);
	if (fr_descriptor_encode(d, p, bytes, NULL))
		abort();
	fake_root_write(&root, "/sys/kernel/fastrestart/descriptor", p, bytes);
	free(p);
	fr_descriptor_free(d);
}

static void put_kernel(void)
{
	struct bytes elf = make_elf(), bz;

	make_relocations(&elf, 1);
	bz = make_bzimage(&elf, MAKE_GZIP);
	fake_root_write(&root, "/vmlinuz", bz.v, bz.n);
	fake_root_text(&root, "/initrd", "an initrd");
	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", root.path);
	snprintf(initrd, sizeof(initrd), "%s/initrd", root.path);
	free(elf.v);
	free(bz.v);
}

static void put_kernel_files(void)
{
	static const char *const files[][2] = {
		{"/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n"},
		{"/proc/self/oom_score_adj", "-1000"},
		{"/proc/sys/kernel/kexec_load_disabled", "0\n"},
		{"/proc/sys/kernel/kexec_load_limit_reboot", "-1\n"},
		{"/proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0011-223344556677\n"},
		{"/proc/cmdline", "quiet\n"},
		{"/proc/cpuinfo", "flags\t: fpu\ncpu MHz\t\t: 2500.000\n\n"},
		{"/proc/meminfo",
		 "MemTotal: 7340032 kB\nMemAvailable: 22528 kB\n" /* for 8 huge pages */

		 "MemFree: 1048576 kB\nActive(file): 0 kB\nInactive(file): 0 kB\n"
		 "SwapTotal: 1048576 kB\nSwapFree: 524288 kB\n" /* something may be there */
		 "HardwareCorrupted: 0 kB\n"},
		{"/proc/iomem", "00100000-bfffffff : System RAM\n"
				"  01000000-01ffffff : Kernel code\n"
				"100000000-13fffffff : System RAM\n"
				"140000000-147ffffff : Unusable memory\n"
				"148000000-17fffffff : System RAM\n"
				"180000000-187ffffff : Unusable memory\n"
				"188000000-1ffffffff : System RAM\n"},
		{"/sys/kernel/kexec_loaded", "0\n"},
		{"/sys/kernel/security/lockdown", "[none] integrity confidentiality\n"},
		{"/sys/kernel/fastrestart/versions", "1 1\n"},
		{"/sys/kernel/fastrestart/status", "accepted\n"},
		{"/sys/firmware/memmap/0/start", "0x100000\n"},
		{"/sys/firmware/memmap/0/end", "0xbfffffff\n"},
		{"/sys/firmware/memmap/0/type", "System RAM\n"},
		{"/sys/firmware/memmap/1/start", "0x100000000\n"},
		{"/sys/firmware/memmap/1/end", "0x1ffffffff\n"},
		{"/sys/firmware/memmap/1/type", "System RAM\n"},
		{"/sys/devices/system/cpu/possible", "0-3\n"},
		{"/sys/devices/system/node/node0/memory32/state", "online\n"},
		{"/sys/devices/system/node/node1/memory56/state", "online\n"},
		{"/sys/fs/cgroup/cgroup.controllers", "\n"},
		{"/sys/fs/cgroup/cgroup.procs", "0\n"},
		{"/sys/fs/cgroup/own/cgroup.freeze", "0"},
		{"/dev/fastrestart", ""},
		{"/dev/kmsg", "Calibrating delay loop (skipped), 5000.00 BogoMIPS (lpj=10000000)"},
		{HSTATE "nr_overcommit_hugepages", "7\n"},
		{HSTATE "surplus_hugepages", "0\n"},
		{HSTATE "nr_hugepages", "4\n"},
		{BLOCK "state", "online\n"},
		{BLOCK "valid_zones", "Normal\n"},
		{"/sys/devices/system/memory/block_size_bytes", "8000000\n"},
		{HSTATE "free_hugepages", "0\n"},
		{HSTATE "resv_hugepages", "0\n"},
		{"/run/x", ""},
	};
	struct boot_params bp = {.acpi_rsdp_addr = 0xf5aa0};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		fake_root_text(&root, files[i][0], files[i][1]);
	fake_root_write(&root, "/sys/kernel/boot_params/data", &bp, sizeof(bp));
	set_state("old", "kept\n");
	set_state("raw", "kept\n");
}

/* Nobody knows what the pages are. */
static void put_kpageflags(void)
{
	char path[96];

	fake_root_text(&root, "/proc/kpageflags", "");
	snprintf(path, sizeof(path), "%s/proc/kpageflags", root.path);
	if (truncate(path, (off_t)(8 * GIB >> 12) * 8))
		abort();
}

static void put_page(int fd, uint64_t page, uint64_t pfn)
{
	uint8_t text[4096] = {0};

	fr_put_le64(text, pfn);
	if (pwrite(fd, text, sizeof(text), (off_t)(page * sizeof(text))) != sizeof(text))
		abort();
}

/* With a hole. */
static void put_pages(int fd, uint64_t first_pfn)
{
	for (uint64_t i = 0; i < FILE_PAGES; i++)
		if (i != HOLE)
			put_page(fd, i, first_pfn + i);
}

static void put_ram(uint64_t first_pfn)
{
	put_pages(kept[0], first_pfn);
}

static int64_t blocks[sizeof(kept) / sizeof(*kept)];

static int64_t count_blocks(size_t i)
{
	struct stat st;

	return fstat(kept[i], &st) ? -1 : st.st_blocks;
}

static int make_file(const char *name)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? (abort(), -1) : fd;
}

/* Named by the descriptor that this process has of it. */
static void add_other(struct fr_source *src, int fd, const char *name)
{
	char spec[64];

	snprintf(spec, sizeof(spec), "pid:%d/fd:%d,name=%s", (int)getpid(), fd, name);
	if (fr_source_parse(spec, src, NULL))
		abort();
}

int fstatfs(int fd, struct statfs *fs)
{
	int r = (int)syscall(SYS_fstatfs, fd, fs);
	struct stat st, huge;

	if (r || fs->f_type != TMPFS_MAGIC)
		return r;
	inject_pause();
	if (!fstat(fd, &st) && !fstat(kept[3], &huge) && st.st_ino == huge.st_ino) {
		fs->f_type = HUGETLBFS_MAGIC;
		fs->f_bsize = HUGE_BYTES;
	}
	inject_resume();
	return 0;
}

/* With a hole, if the kernel has what shows it. */
static void put_huge_pages(int fd)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	uint8_t *page = calloc(1, HUGE_BYTES);

	for (int i = 0; i < (uffd >= 0 ? 1 : 2); i++) {
		fr_put_le64(page + HUGE_BYTES - 8, (HUGE_PFN >> 9) + (uint64_t)i);
		if (pwrite(fd, page, HUGE_BYTES, i * HUGE_BYTES) != HUGE_BYTES)
			abort();
	}
	if (ftruncate(fd, 2 * HUGE_BYTES))
		abort();
	free(page);
	close(uffd);
}

static void put_files(void)
{
	char spec[96];

	kept[0] = make_file("ram");
	kept[1] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	kept[2] = make_file("named");
	kept[3] = make_file("huge");
	put_ram(FILE_PFN);
	put_pages(kept[1], SEALED_PFN);
	put_pages(kept[2], NAMED_PFN);
	if (fcntl(kept[1], F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK))
		abort();
	add_other(&others[0], kept[1], "sealed");
	add_other(&others[1], kept[2], "named");
	put_huge_pages(kept[3]);
	snprintf(spec, sizeof(spec), "%s/huge", dir);
	if (fr_source_parse(spec, &others[2], NULL))
		abort();
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		blocks[i] = count_blocks(i);
}

static const struct fake_answer answers[] = {
	{"\"query-migrate\"", "\"return\": {\"status\": \"completed\"}"},
	{"query-migrate-parameters", "\"return\": {\"max-bandwidth\": 1000}"},
	{NULL, NULL},
};

static void make(void)
{
	static const char argv[] = "-m\0001G\0-object\0memory-backend-file,id=m,share=on";

	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	strcpy(dir, "/dev/shm/fr-test-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	snprintf(ram, sizeof(ram), "%s/ram", dir);
	snprintf(kept_ram, sizeof(kept_ram), "%s/sub/ram", dir);
	fake_root_make(&root);
	put_files();
	put_kpageflags();
	put_kernel();
	put_kernel_files();
	put_descriptor(false);
	qemu = (struct fake_qemu){.ram_path = ram,
				  .answers = answers,
				  .saves = true,
				  .stopped = &world->guest_stopped};
	fake_qemu_start(&qemu, &root, argv, sizeof(argv));
	listener = getpid();
}

static void drop(void)
{
	struct fake_root shm;

	fake_qemu_stop(&qemu);
	snprintf(shm.path, sizeof(shm.path), "%s", dir);
	fake_root_remove(&shm);
	fake_root_remove(&root);
}

/* ----------------------------------------------------------------------------- owners */

/*
 * Processes that have the kept files: one whose threads have a cgroup of their own, one beside
 * init, which has to be moved to be frozen, and one that somebody else has frozen.
 */
static const struct {
	int pid;
	const char *cgroup;
} owners[] = {{4194305, "/own/thread"}, {4194306, "/shared"}, {4194307, "/theirs"}};

#define CHILD "/shared/kexec-fastrestart-frozen"

static void set_frozen(const char *cgroup, bool frozen)
{
	char file[192];

	snprintf(file, sizeof(file), CGROUP "%s/cgroup.events", cgroup);
	fake_root_text(&root, file, frozen ? "populated 1\nfrozen 1\n" : "populated 1\nfrozen 0\n");
}

static void make_cgroup(const char *name, const char *type)
{
	static const char *const v[][2] = {{"freeze", "0"}, {"procs", ""}};
	char file[192];

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		snprintf(file, sizeof(file), CGROUP "%s/cgroup.%s", name, v[i][0]);
		fake_root_text(&root, file, v[i][1]);
	}
	snprintf(file, sizeof(file), CGROUP "%s/cgroup.type", name);
	fake_root_text(&root, file, type);
	set_frozen(name, false);
}

static void put_process(int pid, const char *cgroup)
{
	char file[64], text[192];

	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	snprintf(text, sizeof(text), "1:cpu:/x\n0::%s\n", cgroup);
	fake_root_text(&root, file, text);
	snprintf(file, sizeof(file), "/proc/%d/comm", pid);
	fake_root_text(&root, file, "server\n");
}

static void put_inflight(const char *text)
{
	fake_root_text(&root, INFLIGHT, text);
}

/* By a mapping, or by a descriptor beside which it has an io_uring. */
static void put_kept(int pid, bool maps)
{
	char file[64], text[192];
	struct stat st;

	if (fstat(kept[0], &st))
		abort();
	snprintf(text, sizeof(text),
		 "7f00-7f01 rw-p 00000000 00:00 0 \n7f01-7f02 rw-s 00000000 %02x:%02x %llu /x\n",
		 major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	snprintf(file, sizeof(file), "/proc/%d/maps", pid);
	fake_root_text(&root, file, maps ? text : "7f00-7f01 rw-p 00000000 00:00 0 \n");
	if (maps)
		return;
	snprintf(file, sizeof(file), "/proc/%d/fd/3", pid);
	fake_root_link(&root, file, ram);
	snprintf(file, sizeof(file), "/proc/%d/fd/4", pid);
	fake_root_link(&root, file, "anon_inode:[io_uring]");
	snprintf(file, sizeof(file), "/proc/%d/fdinfo/4", pid);
	fake_root_text(&root, file, "pos:\t0\nUserBufs:\t1\n    0: 0x8000/4096\n");
}

static int remove_child(void)
{
	static const char *const v[] = {"/cgroup.freeze", "/cgroup.procs", "/cgroup.type",
					"/cgroup.events", ""};
	char path[192];
	int r = 0;

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		snprintf(path, sizeof(path), "%s" CGROUP CHILD "%s", root.path, v[i]);
		r = remove(path);
	}
	return r;
}

/* As they are before anybody is frozen. */
static void reset_owners(void)
{
	remove_child();
	make_cgroup("/own", "domain threaded\n");
	make_cgroup("/own/thread", "threaded\n");
	make_cgroup("/shared", "domain\n");
	make_cgroup("/theirs", "domain\n");
	fake_root_text(&root, CGROUP "/theirs/cgroup.freeze", "1");
	set_frozen("/theirs", true);
	put_process(1, "/shared");
	for (size_t i = 0; i < sizeof(owners) / sizeof(*owners); i++)
		put_process(owners[i].pid, owners[i].cgroup);
	put_inflight(READS);
}

static void put_owners(void)
{
	has_owners = true;
	reset_owners();
	for (size_t i = 0; i < sizeof(owners) / sizeof(*owners); i++)
		put_kept(owners[i].pid, i != 1);
}

/* They go on without what is kept. */
static void remove_owners(void)
{
	char path[96];

	has_owners = false;
	for (size_t i = 0; i < sizeof(owners) / sizeof(*owners); i++) {
		snprintf(path, sizeof(path), "%s/proc/%d/maps", root.path, owners[i].pid);
		remove(path);
		for (int fd = 3; fd <= 4; fd++) {
			snprintf(path, sizeof(path), "%s/proc/%d/fd/%d", root.path, owners[i].pid,
				 fd);
			remove(path);
		}
	}
}

static bool is_frozen(const char *cgroup)
{
	char file[192], text[64] = "";
	int fd;

	snprintf(file, sizeof(file), "%s" CGROUP "%s/cgroup.events", root.path, cgroup);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		abort();
	close(fd);
	return strstr(text, "frozen 1");
}

static bool all_stand_still(void)
{
	return is_frozen("/own") && is_frozen(CHILD) && is_frozen("/theirs") &&
	       atoi(fake_root_line(&root, INFLIGHT)) == 0;
}

static bool has_contents(const char *name)
{
	char path[320];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", root.path, name);
	return !stat(path, &st) && st.st_size > 0;
}

/* Into @cgroup, out of the other one of the two. */
static void move_process(const char *cgroup, int pid)
{
	bool into_child = !strcmp(cgroup, CHILD);

	if (pid != owners[1].pid)
		return; /* the guardian */
	put_process(pid, cgroup);
	fake_root_text(&root, CGROUP "/shared/cgroup.procs", "");
	fake_root_text(&root, CGROUP CHILD "/cgroup.procs", into_child ? "4194306\n" : "");
}

static void freeze_those_told(void)
{
	static const char *const cgroups[] = {"/own", CHILD};
	char file[192];

	for (size_t i = 0; i < sizeof(cgroups) / sizeof(*cgroups); i++) {
		snprintf(file, sizeof(file), CGROUP "%s/cgroup.freeze", cgroups[i]);
		if (has_contents(file) && *fake_root_line(&root, file) == '1')
			set_frozen(cgroups[i], true);
	}
}

/* What comes of a write to a cgroup's file. */
static void on_write(int fd, const char *text)
{
	char name[32], path[256], *file, *cgroup = path + strlen(root.path) + strlen(CGROUP);
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	file = strstr(path, "/cgroup.");
	if (!file || strncmp(path, root.path, strlen(root.path)))
		return;
	*file++ = '\0';
	if (!strcmp(file, "cgroup.procs"))
		move_process(cgroup, atoi(text));
	if (strcmp(file, "cgroup.freeze"))
		return;
	set_frozen(cgroup, false);
	world->froze_itself |= *text == '1' && !strcmp(cgroup, "/shared");
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	ssize_t n = syscall(SYS_write, fd, data, bytes);

	if (n <= 0 || !has_owners)
		return n;
	inject_pause();
	on_write(fd, data);
	inject_resume();
	return n;
}

/* Of a cgroup, with what is in it. */
int mkdir(const char *path, mode_t mode)
{
	int r = (int)syscall(SYS_mkdir, path, mode);

	if (r || !has_owners || !strstr(path, CGROUP CHILD))
		return r;
	inject_pause();
	make_cgroup(CHILD, "domain\n");
	inject_resume();
	return 0;
}

int rmdir(const char *path)
{
	int r = (int)syscall(SYS_rmdir, path);

	if (!r || errno != ENOTEMPTY || !has_owners || !strstr(path, CGROUP CHILD))
		return r;
	inject_pause();
	if (has_contents(CGROUP CHILD "/cgroup.procs"))
		errno = EBUSY;
	else
		r = remove_child();
	inject_resume();
	return r;
}

/*
 * What is waited for has come about after that.  (Declared as poll(), @fds would be for writing
 * alone.)
 */
int fake_poll(struct pollfd *fds, nfds_t nr, int timeout_ms) __asm__("poll");
int fake_poll(struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	bool freezes = nr == 1 && fds->events == POLLPRI;
	int r = (int)syscall(SYS_poll, fds, nr, freezes ? 0 : timeout_ms);

	if (r < 0 || !has_owners)
		return r;
	inject_pause();
	if (freezes)
		freeze_those_told();
	if (!nr)
		put_inflight("       0        0\n");
	inject_resume();
	return freezes ? 1 : r;
}

/* ------------------------------------------------------------------- what is always true */

/* Until the guardian, too, is done. */
static const char *wait_for_all(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
	return NULL;
}

static int count_public(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	(void)type;
	return (st->st_mode & 077) != 0;
}

/* What is in /run is for root alone, whatever the umask. */
static bool is_private(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/run/kexec-fastrestart", root.path);
	return !nftw(path, count_public, 16, FTW_PHYS);
}

static const char *check_host(int r, const struct fr_error *e)
{
	(void)r;
	(void)e;
	wait_for_all();
	CHECK(!world->replanned, "it makes another plan");
	CHECK(is_private(), "others can look into /run/kexec-fastrestart");
	CHECK(!world->pins, "pages stay pinned");
	CHECK(!world->loaded, "an image stays loaded");
	CHECK(!world->guest_stopped, "the guest does not run on");
	CHECK(!world->froze_itself, "it freezes itself, and init");
	return NULL;
}

/* Neither filled nor punched. */
static bool have_their_holes(void)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (count_blocks(i) != blocks[i])
			return false;
	return true;
}

static const char *settle_host(int r)
{
	(void)r;
	world->pins = world->loads = 0;
	world->loaded = world->guest_stopped = world->replanned = false;
	world->ran_on = world->froze_itself = false;
	world->nr_pages = world->nr_given = 0;
	if (!have_their_holes())
		return "a hole is filled";
	if (has_owners)
		put_inflight(READS);
	if (digest_tree("") == world->before)
		return NULL;
	put_kernel_files();
	return digest_tree("") == world->before ? "it leaves the kernel in another state" :
						  "it leaves something on the host";
}

/* --------------------------------------------------------------------------------- load */

/*
 * On a kernel that was handed nothing: where the descriptor was saved, if load is told of that (as
 * after a plain kexec; else it is a first hop), and what is carved out.
 */
static char saved[96];
static bool has_saved;
static struct fr_source carved;

static void set_plain(bool yes)
{
	char shown[128];

	snprintf(shown, sizeof(shown), "%s/sys/kernel/fastrestart/descriptor", root.path);
	if (yes)
		snprintf(saved, sizeof(saved), "%s/saved", root.path);
	if (rename(yes ? shown : saved, yes ? saved : shown) ||
	    (yes && fr_source_parse("phys:0x144000000+64K,name=carved", &carved, NULL)))
		abort();
	if (!yes)
		*saved = '\0';
}

static int load_for(bool force, const char *append, bool evacuate, struct fr_error *e)
{
	struct fr_vm_arg vm = {.name = MUTABLE("web"), .qmp_path = qemu.socket};
	struct fr_load_options o = {.kernel = kernel,
				    .initrd = initrd,
				    .append = append,
				    .force = force,
				    .evacuate = evacuate,
				    .digest = true,
				    .descriptor_file = has_saved ? saved : NULL,
				    .sources = *saved ? &carved : others,
				    .nr_sources = *saved ? 1 : nr_others,
				    .vms = &vm,
				    .nr_vms = 1};
	struct fr_plan *plan;
	int r = fr_load(&ctx, &o, false, &plan, e);

	if (!r) {
		uint64_t planned = plan->needed_bytes;

		for (size_t i = 0; i < plan->nr_warnings; i++)
			planned = XXH64(plan->warnings[i].text, strlen(plan->warnings[i].text),
					planned);
		if (!world->planned)
			world->planned = planned;
		fr_plan_free(plan);
		world->replanned |= planned != world->planned;
	}
	return r;
}

static int load(bool force, const char *append, struct fr_error *e)
{
	return load_for(force, append, false, e);
}

static int run_load(struct fr_error *e)
{
	return load(false, CMDLINE, e);
}

static int run_load_first(struct fr_error *e)
{
	return load(false, CMDLINE, e);
}

static int run_load_saved(struct fr_error *e)
{
	has_saved = true;
	return load(false, CMDLINE, e);
}

/* So many huge pages that they fit if the running VM has no section of its own. */
static char needy[96];

static void choose_needy(void)
{
	struct fr_vm_arg vm = {.name = MUTABLE("web"), .qmp_path = qemu.socket};
	struct fr_load_options o = {
		.kernel = kernel, .initrd = initrd, .append = CMDLINE, .vms = &vm, .nr_vms = 1};
	struct fr_plan *plan;

	if (fr_load(&ctx, &o, true, &plan, NULL))
		abort();
	snprintf(needy, sizeof(needy), CMDLINE " hugepages=%" PRIu64,
		 ((plan->clean_bytes - plan->needed_bytes) >> 21) + 32);
	fr_plan_free(plan);
}

static int run_load_evacuate(struct fr_error *e)
{
	return load_for(false, needy, true, e);
}

static bool is_offline(void)
{
	return !strcmp(fake_root_line(&root, BLOCK "state"), "offline");
}

/* A block that is offline is written down, and the pool of huge pages is what it was. */
static const char *check_block(int r, const struct fr_error *e)
{
	char path[128];

	snprintf(path, sizeof(path), "%s" JOURNAL, root.path);
	CHECK(is_offline() == !access(path, F_OK),
	      is_offline() ? "a block is lost" : "a journal is left");
	CHECK(!strcmp(fake_root_line(&root, HSTATE "nr_hugepages"), "4"), "huge pages are lost");
	return check_host(r, e);
}

static const char *check_load_evacuate(int r, const struct fr_error *e)
{
	CHECK(is_offline() == !r, r ? "a block stays offline" : "no block is offline");
	return check_block(r, e);
}

static const char *check_unload_offline(int r, const struct fr_error *e)
{
	CHECK(r || !is_offline(), "a block stays offline");
	return check_block(r, e);
}

/* As load --evacuate leaves it */
static void put_offline(void)
{
	const struct fr_block b = {.number = 56, .zone = "Normal"};
	struct fr_offline o = {0};

	if (fr_offline_take(&ctx, &o, &b, 1000, -1, NULL))
		abort();
	fr_offline_clear(&o);
}

static void put_online(void)
{
	if (fr_offline_put_all(&ctx, NULL, NULL))
		abort();
	put_ram(FILE_PFN);
}

/* On top of what is staged; from here on something is. */
static int run_load_again(struct fr_error *e)
{
	return load(false, CMDLINE, e);
}

static int run_load_force(struct fr_error *e)
{
	return load(true, "nokaslr console=ttyS1", e);
}

/* What was staged is all of it, or nothing. */
static const char *settle_load(int r)
{
	uint64_t staged = digest_tree("/run/kexec-fastrestart/staged");

	if (!r && !world->expected)
		world->expected = staged;
	CHECK(fr_stage_remove(&ctx, NULL) == (r ? -ENOENT : 0), "it stages in spite of an error");
	CHECK(r || staged == world->expected, "it stages something else");
	return settle_host(r);
}

static const char *settle_load_evacuate(int r)
{
	put_online();
	return settle_load(r);
}

static const char *settle_load_force(int r)
{
	uint64_t staged = digest_tree("/run/kexec-fastrestart/staged");
	const char *wrong = NULL;

	if (!r && !world->expected)
		world->expected = staged;
	if (!r && staged != world->expected)
		wrong = "it stages something else";
	if (!r && load(true, CMDLINE, NULL))
		abort();
	return wrong ? wrong : settle_host(r);
}

static int run_unload(struct fr_error *e)
{
	return fr_unload(&ctx, e);
}

static const char *settle_unload(int r)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/run/kexec-fastrestart/staged", root.path);
	CHECK(r || access(path, F_OK), "what was staged is still there");
	if (load(true, CMDLINE, NULL))
		abort();
	return settle_host(r);
}

/* ------------------------------------------------ what exec and its guardian have left */

static void leave_behind(void)
{
	char journal[1024], dir_of_guardian[128];
	size_t n;

	n = (size_t)snprintf(journal, sizeof(journal), "l7 9%ci%cc%s/sys/fs/cgroup/own%c", 0, 0,
			     root.path, 0);
	n += (size_t)snprintf(journal + n, sizeof(journal) - n,
			      "v{\"name\":\"web\",\"qmp\":\"%s\",\"pid\":%d,\"running\":true,"
			      "\"capabilities\":{},\"parameters\":{}}",
			      qemu.socket, (int)listener) +
	     1;
	fake_root_write(&root, "/run/kexec-fastrestart/journal", journal, n);
	fake_root_text(&root, HSTATE "nr_overcommit_hugepages", "9\n");
	fake_root_text(&root, "/sys/fs/cgroup/own/cgroup.freeze", "1");
	snprintf(dir_of_guardian, sizeof(dir_of_guardian),
		 "%s/sys/fs/cgroup/kexec-fastrestart-guardian", root.path);
	mkdir(dir_of_guardian, 0755);
	fake_root_text(&root, "/sys/kernel/kexec_loaded", "1\n");
	world->loaded = world->guest_stopped = true;
}

static int run_unload_left(struct fr_error *e)
{
	inject_pause();
	leave_behind();
	inject_resume();
	return fr_unload(&ctx, e);
}

static const char *check_unload_left(int r, const struct fr_error *e)
{
	return r ? NULL : check_host(r, e);
}

/* What was not undone at the first time is at the second one. */
static const char *settle_unload_left(int r)
{
	int again = r ? fr_unload(&ctx, NULL) : 0;

	CHECK(!again || again == -ENOENT, "it cannot be done any more");
	CHECK(!world->loaded && !world->guest_stopped, "something is not undone");
	return settle_unload(0);
}

static const char *settle_unload_offline(int r)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/run/kexec-fastrestart/staged", root.path);
	CHECK(r || access(path, F_OK), "what was staged is still there");
	put_online();
	if (load(true, CMDLINE, NULL))
		abort();
	put_offline();
	return settle_host(r);
}

/* --------------------------------------------------------------------------------- exec */

static int run_exec(struct fr_error *e)
{
	struct fr_exec_options o = {.no_sync = true, .patience_ms = 3000, .vm_timeout_ms = 3000};

	return fr_exec(&ctx, &o, e);
}

static int run_exec_copy(struct fr_error *e)
{
	struct fr_exec_options o = {
		.no_sync = true, .patience_ms = 3000, .vm_timeout_ms = 3000, .no_in_place = true};

	return fr_exec(&ctx, &o, e);
}

static const char *check_exec(int r, const struct fr_error *e)
{
	const char *wrong = check_host(r, e);

	if (wrong)
		return wrong;
	if (r == -EINVAL && !world->expected)
		world->expected = world->sealed;
	CHECK(r != -EINVAL || (world->sealed && world->sealed == world->expected),
	      "it would have jumped with another descriptor");
	world->sealed = 0;
	return NULL;
}

static const char *check_exec_offline(int r, const struct fr_error *e)
{
	const char *wrong = check_block(r, e);

	CHECK(r != -EINVAL || !is_offline(), "a block stays offline");
	return wrong ? wrong : check_exec(r, e);
}

/* A file grows in the blackout, and others have it: the longest way. */
static const char *check_exec_owners(int r, const struct fr_error *e)
{
	const char *wrong = check_exec(r, e);

	CHECK(r != -EINVAL || world->loads == 2, "it does not prepare again");
	CHECK(!world->ran_on, "it would have jumped while others write");
	return wrong;
}

static const char *settle_exec_owners(int r)
{
	const char *wrong;

	if (fallocate(kept[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HOLE * 4096, 4096))
		abort();
	wrong = settle_host(r);
	reset_owners();
	return wrong;
}

static const char *settle_exec_offline(int r)
{
	put_online();
	put_offline();
	return settle_host(r);
}

/* ------------------------------------------------------------------------------ restore */

static int run_restore(struct fr_error *e)
{
	struct fr_restore_options o = {.all = true, .verify = true, .vm_timeout_ms = 20000};

	return fr_restore(&ctx, &o, e);
}

static const char *state_of(const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), REGIONS "%s/state", name);
	return fake_root_line(&root, file);
}

static const char *check_restore(int r, const struct fr_error *e)
{
	bool restored = !strcmp(state_of("old"), "restored"), lives = fake_vmm_end(&root);
	struct stat st;
	bool there = !lstat(kept_ram, &st);

	(void)e;
	wait_for_all();
	CHECK(restored == there, there ? "a file without memory is left" : "memory is lost");
	CHECK(!there || st.st_size == FILE_PAGES * 4096, "the file is not whole");
	CHECK(r || (restored && (st.st_mode & 07777) == 0600), "it is not restored");
	CHECK(!lives || (there && (st.st_mode & 07777) == 0600),
	      "a VM runs on what is not finished");
	CHECK(is_private(), "others can look into /run/kexec-fastrestart");
	CHECK(lives == has_contents(STARTED),
	      lives ? "a VM runs that is not marked" : "a VM is marked that does not run");
	return NULL;
}

static const char *check_restore_vm(int r, const struct fr_error *e)
{
	CHECK(r || has_contents(STARTED), "no VM runs");
	return check_restore(r, e);
}

static int run_restore_elsewhere(struct fr_error *e)
{
	char *names[] = {MUTABLE("old")}, sub[80];
	struct fr_restore_options o = {
		.names = names, .nr_names = 1, .directory = sub, .no_vms = true, .verify = true};

	snprintf(sub, sizeof(sub), "%s/sub", dir); /* where check_restore() looks */
	return fr_restore(&ctx, &o, e);
}

/* After one that was killed when it had the memory. */
static int run_restore_leftover(struct fr_error *e)
{
	char sub[80];
	int fd;

	inject_pause();
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	mkdir(sub, 0755);
	fd = open(kept_ram, O_RDWR | O_CREAT | O_CLOEXEC, S_ISVTX);
	if (fd < 0 || fallocate(fd, 0, 0, FILE_PAGES * 4096))
		abort();
	close(fd);
	set_state("old", "restored\n");
	inject_resume();
	return run_restore(e);
}

static const struct {
	const char *region, *file;
} unnamed[] = {{"old", UNNAMED "/4K/old"}, {"huge", UNNAMED "/2M/huge"}};

static int on_mount(const char *mounted)
{
	int r = inject_operation("mount");

	inject_pause();
	world->remounted |= fake_mount_is(mounted);
	inject_resume();
	return r;
}

/* What "old" and "huge" are from now on; the one's file system is mounted already. */
static void set_unnamed(bool yes)
{
	static const char *const made[] = {UNNAMED "/4K", UNNAMED};
	char path[128];

	put_descriptor(yes);
	fake_mount_hook = yes ? on_mount : NULL;
	if (yes)
		set_state("huge", "kept\n");
	else
		remove_region("huge");
	for (size_t i = yes ? 2 : 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s", root.path, made[i]);
		remove(path);
	}
	for (size_t i = yes ? 2 : 0; i--;) {
		snprintf(path, sizeof(path), "%s%s", root.path, made[i]);
		if (mkdir(path, 0700) || (!i && chmod(path, S_ISVTX | 0700)))
			abort();
	}
}

static const char *check_unnamed_file(size_t i, int r, bool lives)
{
	bool restored = !strcmp(state_of(unnamed[i].region), "restored"), there, finished;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", root.path, unnamed[i].file);
	there = !lstat(path, &st);
	finished = there && (st.st_mode & 07777) == 0600;
	CHECK(restored || !there, "a file without memory is left");
	CHECK(!restored || there || lives, "memory is lost");
	CHECK(r || finished || lives, "it is not restored");
	CHECK(!lives || !there || finished, "a VM runs on what is not finished");
	CHECK(!finished || fake_mount_seals(path) == SEALS, "it is not sealed as it was");
	return NULL;
}

static const char *check_restore_unnamed(int r, const struct fr_error *e)
{
	bool lives = fake_vmm_end(&root);
	const char *wrong = check_unnamed_file(0, r, lives);

	(void)e;
	wait_for_all();
	if (!wrong)
		wrong = check_unnamed_file(1, r, false);
	if (wrong)
		return wrong;
	CHECK(!world->remounted, "it mounts over what is mounted");
	CHECK(is_private(), "others can look into /run/kexec-fastrestart");
	CHECK(r || lives, "no VM runs");
	CHECK(lives == has_contents(STARTED),
	      lives ? "a VM runs that is not marked" : "a VM is marked that does not run");
	return NULL;
}

static const char *settle_restore(int r)
{
	static const char *const made[] = {STARTED, "/run/kexec-fastrestart/vm", "/vmm.qmp", "/pid",
					   "/run/kexec-fastrestart/old.log"};
	char path[128];

	unlink(kept_ram);
	*strrchr(kept_ram, '/') = '\0';
	rmdir(kept_ram);
	kept_ram[strlen(kept_ram)] = '/';
	set_state("old", "kept\n");
	set_state("raw", "kept\n");
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		snprintf(path, sizeof(path), "%s%s", root.path, made[i]);
		remove(path);
	}
	return settle_host(r);
}

static const char *settle_restore_unnamed(int r)
{
	char path[128];

	for (size_t i = 0; i < sizeof(unnamed) / sizeof(*unnamed); i++) {
		snprintf(path, sizeof(path), "%s%s", root.path, unnamed[i].file);
		unlink(path);
	}
	*strrchr(path, '/') = '\0';
	rmdir(path);
	set_state("huge", "kept\n");
	world->remounted = false;
	return settle_restore(r);
}

static int run_release(struct fr_error *e)
{
	char *names[] = {MUTABLE("raw")};

	return fr_release(&ctx, names, 1, e);
}

static const char *check_release(int r, const struct fr_error *e)
{
	(void)e;
	CHECK(!r == !strcmp(state_of("raw"), "released"), "it says what is not so");
	return NULL;
}

/* ------------------------------------------------------------------------------- status */

static int run_status(struct fr_error *e)
{
	struct fr_status *s;
	void *data;
	size_t bytes;
	int r = fr_status_read(&ctx, &s, e);

	if (r)
		return r;
	r = s->handed && s->handed->nr_regions == 2 ? 0 : 1;
	fr_status_free(s);
	if (r)
		return r; /* it reports less than there is */
	r = fr_kept_read(&ctx, &data, &bytes, e);
	if (!r)
		free(data);
	return r;
}

/* --------------------------------------------------------------------------------- main */

/* A guardian that cannot do its part ends; pthread_create() has an error of its own. */
static bool guardian_dies(int r, const char *call, int err)
{
	(void)err;
	return r == -ECHILD || (r == -EAGAIN && !strncmp(call, "clone", 5));
}

/* What it has loaded stays until the guardian has unloaded it: nothing can be prepared again. */
static bool cannot_prepare_again(int r, const char *call, int err)
{
	return guardian_dies(r, call, err) || (r == -EBUSY && !strcmp(call, "unload"));
}

/* Another block could be taken: there is none here. */
static bool block_is_busy(int r, const char *call, int err)
{
	(void)err;
	return r == -ENOMEM && !strcmp(call, "offline");
}

static const struct inject_scenario scenarios[] = {
	{"load", run_load, 0, check_host, settle_load, NULL},
	{"load --descriptor", run_load_saved, 0, check_host, settle_load, NULL},
	{"load, first hop", run_load_first, 0, check_host, settle_load, NULL},
	{"load --evacuate", run_load_evacuate, 0, check_load_evacuate, settle_load_evacuate,
	 block_is_busy},
	{"load again", run_load_again, -EEXIST, check_host, settle_host, NULL},
	{"load --force", run_load_force, 0, check_host, settle_load_force, NULL},
	{"status", run_status, 0, check_host, settle_host, NULL},
	{"exec --no-in-place", run_exec_copy, -EINVAL, check_exec, settle_host, guardian_dies},
	{"exec, others have what grows", run_exec, -EINVAL, check_exec_owners, settle_exec_owners,
	 cannot_prepare_again},
	{"unload", run_unload, 0, check_host, settle_unload, NULL},
	{"unload of what is left", run_unload_left, 0, check_unload_left, settle_unload_left, NULL},
	{"unload, a block offline", run_unload, 0, check_unload_offline, settle_unload_offline,
	 NULL},
	{"exec, a block offline", run_exec, -EINVAL, check_exec_offline, settle_exec_offline,
	 guardian_dies},
	{"restore", run_restore, 0, check_restore_vm, settle_restore, NULL},
	{"restore of a leftover", run_restore_leftover, 0, check_restore_vm, settle_restore, NULL},
	{"restore --directory", run_restore_elsewhere, 0, check_restore, settle_restore, NULL},
	{"restore, unnamed, sealed, huge", run_restore, 0, check_restore_unnamed,
	 settle_restore_unnamed, NULL},
	{"release", run_release, 0, check_release, settle_restore, NULL},
};

#define NR_SCENARIOS (sizeof(scenarios) / sizeof(*scenarios))

static void *nothing(void *data)
{
	return data;
}

/* Files besides the VM's RAM, and processes that have what is kept. */
static void use_others(bool yes)
{
	nr_others = yes ? sizeof(others) / sizeof(*others) : 0;
	if (yes)
		put_owners();
	else if (has_owners)
		remove_owners();
}

/* What libraries keep for good after their first use. */
static void warm_up(void)
{
	pthread_t thread;
	struct fr_error e;

	use_others(true);
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		abort();
	if (run_load(&e)) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	fr_stage_remove(&ctx, &e);
	world->nr_pages = 0;
	use_others(false);
	choose_needy();
}

/* Every @step-th failure, on a host of its own. */
static void work(long first, long step, const char *only, atomic_bool *failed)
{
	umask(0);
	make();
	warm_up();
	for (size_t i = 0; i < NR_SCENARIOS; i++) {
		if (scenarios[i].run == run_load_again && load(false, CMDLINE, NULL))
			abort();
		if (scenarios[i].settle == settle_unload_offline)
			put_offline();
		if (scenarios[i].check == check_restore_vm)
			put_online();
		if (scenarios[i].check == check_restore_unnamed)
			set_unnamed(true);
		if (scenarios[i].run == run_load_saved || scenarios[i].run == run_load_first)
			set_plain(true);
		use_others(scenarios[i].run == run_load || scenarios[i].check == check_exec_owners);
		world->grows = scenarios[i].check == check_exec_owners;
		if (world->grows && load(true, CMDLINE, NULL))
			abort();
		world->before = digest_tree("");
		world->expected = world->planned = 0;
		world->replanned = false;
		if ((!only || !strcmp(only, scenarios[i].name)) &&
		    !inject_all(&scenarios[i], first, step))
			failed[i] = true;
		use_others(false);
		if (scenarios[i].check == check_restore_unnamed)
			set_unnamed(false);
		if (*saved)
			set_plain(false);
		if (world->grows && load(true, CMDLINE, NULL))
			abort();
	}
	drop();
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), workers = cpus < 1 ? 1 : cpus < 4 ? cpus : 4;
	atomic_bool *failed;
	bool any = false;
	int status;

	if (argc > 1 && !strcmp(argv[1], "be-vmm"))
		return fake_vmm();
	failed = mmap(NULL, sizeof(*failed) * NR_SCENARIOS, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("1..%zu\n", NR_SCENARIOS);
	fflush(stdout);
	for (long i = 0; i < workers; i++)
		if (!fork()) {
			work(i + 1, workers, argv[1], failed);
			exit(0);
		}
	while (wait(&status) > 0)
		any |= status != 0;
	for (size_t i = 0; i < NR_SCENARIOS; i++) {
		printf("%sok %zu - %s\n", failed[i] ? "not " : "", i + 1, scenarios[i].name);
		any |= failed[i];
	}
	return any;
}
