// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * exec against a scripted kernel whose reboot(2) fails: whatever goes wrong, and
 * wherever, pins, pages and the loaded image are given back.
 *
 * One tmpfs file is kept.  Its pages are in frames above 4 GiB; huge pages for the image
 * are in clean memory, and remember their frame in their last bytes.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bootparams.h"
#include "bytes.h"
#include "fake-qemu.h"
#include "fake-root.h"
#include "host.h"
#include "journal.h"
#include "kernel.h"
#include "make-image.h"
#include "ramap.h"
#include "stage.h"
#include "test.h"
#include "util.h"

#define BOOT_ID	   "01234567-89ab-cdef-0011-223344556677\n"
#define CLEAN_HUGE (GIB >> 21) /* first huge page that the script gives */
#define FILE_PFN   (5 * GIB >> 12)
#define OWNER_PID  4194305 /* of the first */
#define JOURNAL	   "/run/kexec-fastrestart/journal"
#define OVERCOMMIT "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages"

enum change { GROWN, PUNCHED, OTHER_HOLE, CUT, LONGER, MOVED, NR_CHANGES };

struct script {
	int pin_error_at, nr_pins, frames_error, load_error, reboot_error;
	int pins, loads, unloads, reboots, busy;
	uint64_t nr_given;
	pid_t stuck;	    /* the process that cannot unload */
	int guardian_stuck; /* how often the guardian cannot, either */
	bool loaded, pinned_at_reboot, held_at_unload;
	bool pool_only;	  /* the limit of surplus pages is to be 0 until all pages are free */
	bool freed_early; /* it was not */
	ino_t memfd_ino;
	const uint8_t *page[512];
	size_t nr_pages;
	char stages[16][16];
	int nr_stages;
	const char *signal_at, *change_at, *kill_guardian_at;
	enum change change;
	const char *journal; /* found by whoever thaws after the signal */
	bool guest_stopped, guest_was_stopped, kill_at_huge, both, left_at_jump;
	int signal;
	uint64_t hop, poison_pfn, file_pfn, decoded_pfn, decoded_bytes;
	size_t decoded_pages, nr_poison;
	int nr_owners, max_owners; /* processes that have the file: who is frozen starts one */
};

static struct fake_root root;
static struct fr_ctx ctx; /* below, with what it calls */
static struct script *script; /* shared with the guardian */
static char path[64];
static int fd;

static int fake_huge_memfd(void *data)
{
	int memfd = memfd_create("fake", MFD_CLOEXEC);
	struct stat st;

	assert_int_equal(fstat(memfd, &st), 0);
	((struct script *)data)->memfd_ino = st.st_ino;
	return memfd;
}

/* Does this process keep the pages of the image? */
static bool holds_memfd(const struct script *s)
{
	struct stat st;

	for (int i = 3; i < 256; i++)
		if (!fstat(i, &st) && st.st_ino == s->memfd_ino)
			return true;
	return false;
}

static bool is_mapped(const void *addr)
{
	uint64_t entry = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_true(pagemap >= 0);
	assert_int_equal(pread(pagemap, &entry, 8, (off_t)((uintptr_t)addr / 4096 * 8)), 8);
	close(pagemap);
	return entry >> 63;
}

/* The guardian of this process, if there is one, is dead after this. */
static void kill_guardian(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	siginfo_t info;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		char name[300], text[128] = "", comm[32];
		pid_t pid, parent;
		ssize_t n;
		int stat;

		snprintf(name, sizeof(name), "/proc/%s/stat", d->d_name);
		stat = open(name, O_RDONLY | O_CLOEXEC);
		if (stat < 0)
			continue;
		n = read(stat, text, sizeof(text) - 1);
		close(stat);
		if (n <= 0 || sscanf(text, "%d (%31[^)]) %*c %d", &pid, comm, &parent) != 3 ||
		    parent != getpid() || strcmp(comm, "fr-guardian") != 0)
			continue;
		kill(pid, SIGKILL);
		waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	}
	closedir(dir);
}

static int fake_frames(void *data, const void *addr, size_t page_bytes, size_t nr, uint64_t *pfns)
{
	struct script *s = data;

	if (s->frames_error)
		return s->frames_error;
	for (size_t i = 0; i < nr; i++) {
		uint8_t *page = (uint8_t *)(uintptr_t)addr + i * page_bytes;
		uint8_t *tag = page + page_bytes - 8;

		if (page_bytes == FR_PAGE_BYTES) {
			pfns[i] = is_mapped(page) ? s->file_pfn + i : FR_PFN_NONE;
			continue;
		}
		if (s->kill_at_huge && s->both)
			kill_guardian();
		if (s->kill_at_huge)
			raise(SIGKILL);
		if (!fr_get_le64(tag))
			fr_put_le64(tag, CLEAN_HUGE + s->nr_given++);
		pfns[i] = fr_get_le64(tag) << 9;
		assert_true(s->nr_pages < 512);
		s->page[s->nr_pages++] = page;
	}
	return 0;
}

static int fake_pin(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin)
{
	struct script *s = data;

	(void)iov;
	assert_true(nr > 0);
	if (++s->nr_pins == s->pin_error_at)
		return -ENOMEM;
	s->pins++;
	*ret_pin = malloc(1);
	return 0;
}

static void note_freed(struct script *s)
{
	s->freed_early |= s->pool_only && strcmp(fake_root_line(&root, OVERCOMMIT), "0") != 0;
}

static void fake_unpin(void *data, void *pin)
{
	struct script *s = data;

	s->pins--;
	note_freed(s);
	free(pin);
}

static int fake_kexec_load(void *data, uint64_t entry, unsigned long nr,
			   const struct fr_kexec_segment *segments, unsigned long flags)
{
	struct script *s = data;

	(void)entry;
	(void)segments;
	(void)flags;
	if (!nr) {
		if (s->busy-- > 0)
			return -EBUSY;
		if (s->stuck == getpid() || (s->stuck && s->guardian_stuck-- > 0))
			return -EPERM;
		note_freed(s);
		s->unloads++;
		s->held_at_unload = holds_memfd(s);
		s->loaded = false;
		fake_root_text(&root, "/sys/kernel/kexec_loaded", "0\n");
		return 0;
	}
	if (s->load_error)
		return s->load_error;
	s->loads++;
	s->loaded = true;
	fake_root_text(&root, "/sys/kernel/kexec_loaded", "1\n");
	return 0;
}

/* The descriptor must be complete in memory that exec still owns. */
static int fake_reboot(void *data)
{
	struct script *s = data;
	struct fr_descriptor *d;
	struct fr_error e;
	uint64_t bytes;

	s->reboots++;
	s->pinned_at_reboot = s->pins > 0 && s->loaded;
	for (size_t i = s->nr_pages; i-- && !s->hop;) {
		if (memcmp(s->page[i], FR_MAGIC, 8))
			continue;
		bytes = fr_get_le64(s->page[i] + offsetof(struct fr_wire_header, total_bytes));
		if (fr_descriptor_decode(s->page[i], bytes, &d, &e))
			continue;
		s->hop = d->hop;
		assert_int_equal(d->nr_regions, 1);
		s->nr_poison = d->nr_poison;
		s->poison_pfn = d->nr_poison ? d->poison_pfn[0] : 0;
		s->decoded_pages = fr_extents_pages(&d->regions[0].extents);
		s->decoded_pfn = d->regions[0].extents.v[0].start_pfn;
		s->decoded_bytes = d->regions[0].size_bytes;
		assert_true(d->stamp[FR_STAMP_FREEZE] && d->stamp[FR_STAMP_STATE_SAVED]);
		assert_true(d->stamp[FR_STAMP_SEALED] <= d->stamp[FR_STAMP_JUMP]);
		assert_true(d->stamp[FR_STAMP_SEALED] >= d->stamp[FR_STAMP_FREEZE]);
		fr_descriptor_free(d);
	}
	return s->reboot_error;
}

static bool left_behind(void)
{
	struct fr_status *s;
	struct fr_error e;
	bool left;

	if (fr_status_read(&ctx, &s, &e))
		fail_msg("%s", e.text);
	left = s->left_behind;
	fr_status_free(s);
	return left;
}

static void change_file(struct script *s)
{
	switch (s->change) {
	case GROWN:
		assert_int_equal(pwrite(fd, "x", 1, 10 * 4096), 1);
		break;
	case PUNCHED:
		assert_int_equal(
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
		break;
	case OTHER_HOLE: /* as many blocks as before */
		assert_int_equal(
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
		assert_int_equal(pwrite(fd, "x", 1, 10 * 4096), 1);
		break;
	case CUT:
		assert_int_equal(ftruncate(fd, 2 * 4096), 0);
		break;
	case LONGER: /* by a hole */
		assert_int_equal(ftruncate(fd, 32 * 4096), 0);
		break;
	case MOVED:
		s->file_pfn += 100;
		break;
	case NR_CHANGES:
		break;
	}
}

static void on_stage(void *data, const char *name)
{
	struct script *s = data;

	snprintf(s->stages[s->nr_stages++], sizeof(s->stages[0]), "%s", name);
	s->guest_was_stopped |= s->guest_stopped;
	if (!strcmp(name, "jump"))
		s->left_at_jump = left_behind();
	if (s->kill_guardian_at && !strcmp(s->kill_guardian_at, name))
		kill_guardian();
	if (s->signal_at && !strcmp(s->signal_at, name)) {
		if (s->journal)
			fake_root_write(&root, JOURNAL, s->journal, strlen(s->journal) + 1);
		raise(s->signal);
	}
	if (s->change_at && !strcmp(s->change_at, name))
		change_file(s);
}

static void add_owner(struct script *s);

/* The kernel freezes what it is told to; and whoever was frozen last had forked just before. */
static void on_log(void *data, enum fr_log_level level, const char *text)
{
	struct script *s = data;
	char file[64];
	int pid, cgroup;

	(void)level;
	if (sscanf(text, "process %d (server): frozen", &pid) != 1)
		return;
	cgroup = pid - OWNER_PID;
	snprintf(file, sizeof(file), "/sys/fs/cgroup/own%d/cgroup.events", cgroup);
	fake_root_text(&root, file, "frozen 1\n");
	if (cgroup == s->nr_owners - 1 && s->nr_owners < s->max_owners)
		add_owner(s);
}

static const struct fr_kernel_ops ops = {
	.kexec_load = fake_kexec_load,
	.reboot_kexec = fake_reboot,
	.frames = fake_frames,
	.huge_memfd = fake_huge_memfd,
	.pin = fake_pin,
	.unpin = fake_unpin,
};
static struct fr_ctx ctx = {.root = root.path, .ops = &ops, .stage = on_stage, .log = on_log};

static void stage(void)
{
	static const uint8_t boot_id[16] =
		"\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\x66\x77";
	struct bytes elf = make_elf(), bz;
	struct fr_source source = {.spec = path, .name = MUTABLE("shm"), .path = path};
	struct fr_region region = {.name = "shm",
				   .kind = FR_KIND_SHMEM,
				   .page_shift = 12,
				   .size_bytes = 16 * 4096,
				   .mode = S_IFREG | 0600,
				   .path = path};
	struct fr_descriptor d = {.hop = 7, .regions = &region, .nr_regions = 1};
	struct fr_stage s = {.cmdline = MUTABLE("console=ttyS0"), .surveyed = &d};
	struct fr_error e;

	make_relocations(&elf, 1);
	bz = make_bzimage(&elf, MAKE_GZIP);
	assert_int_equal(fr_image_parse(bz.v, bz.n, 1234567, &s.image, &e), 0);
	s.options = (struct fr_load_options){.kernel = "/boot/vmlinuz",
					     .append = "console=ttyS0",
					     .allow_unpatched = true,
					     .sources = &source,
					     .nr_sources = 1};
	assert_int_equal(fr_ram_map_add(&d.ram, 0x1000, 0x9fc00, FR_E820_RAM, 0), 0);
	assert_int_equal(fr_ram_map_add(&d.ram, 0x100000, 3 * GIB, FR_E820_RAM, 0), 0);
	assert_int_equal(fr_ram_map_add(&d.ram, 4 * GIB, 8 * GIB, FR_E820_RAM, 0), 0);
	assert_int_equal(fr_extents_append(&region.extents, FILE_PFN, 4, 0), 0);
	memcpy(s.boot_id, boot_id, 16);
	if (fr_stage_write(&ctx, &s, &e))
		fail_msg("%s", e.text);
	fr_image_free(s.image);
	fr_ram_map_clear(&d.ram);
	fr_extents_clear(&region.extents);
	free(elf.v);
	free(bz.v);
}

static int make(void **state)
{
	struct boot_params bp = {.acpi_rsdp_addr = 0xf5aa0};
	struct statfs fs;

	(void)state;
	script = mmap(NULL, sizeof(*script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(script != MAP_FAILED);
	ctx.ops_data = ctx.data = script;
	script->reboot_error = -EINVAL;
	script->file_pfn = FILE_PFN;
	strcpy(path, "/dev/shm/fr-test-XXXXXX");
	if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC || (fd = mkstemp(path)) < 0)
		return -1;
	assert_int_equal(ftruncate(fd, 16 * 4096), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pwrite(fd, "x", 1, i * 4096), 1);
	fake_root_make(&root);
	fake_root_write(&root, "/sys/kernel/boot_params/data", &bp, sizeof(bp));
	fake_root_text(&root, "/sys/kernel/kexec_loaded", "0\n");
	fake_root_text(&root, "/proc/cpuinfo", "flags\t: fpu\n");
	fake_root_text(&root, "/proc/cmdline", "quiet\n");
	fake_root_text(&root, "/proc/meminfo", "MemTotal: 7340032 kB\nMemAvailable: 6291456 kB\n");
	fake_root_text(&root, "/proc/iomem",
		       "00001000-0009fbff : System RAM\n"
		       "00100000-bfffffff : System RAM\n"
		       "100000000-1ffffffff : System RAM\n");
	fake_root_text(&root, "/proc/sys/kernel/random/boot_id", BOOT_ID);
	fake_root_text(&root, OVERCOMMIT, "7\n");
	fake_root_text(&root, "/sys/kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages", "0\n");
	fake_root_text(&root, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0\n");
	fake_root_text(&root, "/run/x", "");
	stage();
	return 0;
}

static int drop(void **state)
{
	(void)state;
	close(fd);
	unlink(path);
	fake_root_remove(&root);
	munmap(script, sizeof(*script));
	return 0;
}

static bool exists(const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), "%s%s", root.path, name);
	return !access(file, F_OK);
}

static int run(struct fr_error *e)
{
	struct fr_exec_options o = {.no_sync = true};
	int fds = test_count_fds(), r = fr_exec(&ctx, &o, e);
	sigset_t mask;

	assert_int_equal(script->pins, 0);
	assert_false(script->loaded);
	assert_int_equal(script->loads, script->unloads);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
	assert_int_equal(test_count_fds(), fds);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
	return r;
}

static void all_the_way(void **state)
{
	static const char *const stages[] = {"start",  "opened",  "pinned", "armed",  "guardian",
					     "freeze", "stopped", "saved",  "sealed", "jump"};
	struct fr_error e;

	(void)state;
	if (run(&e) != -EINVAL)
		fail_msg("%s", e.text);
	assert_int_equal(script->reboots, 1);
	assert_true(script->pinned_at_reboot);
	assert_false(script->left_at_jump); /* it is still being used */
	assert_int_equal(script->hop, 7);
	assert_int_equal(script->decoded_pages, 4);
	assert_int_equal(script->nr_stages, sizeof(stages) / sizeof(*stages));
	for (int i = 0; i < script->nr_stages; i++)
		assert_string_equal(script->stages[i], stages[i]);
	/* and once more: nothing was left */
	script->hop = 0;
	script->nr_stages = 0;
	assert_int_equal(run(&e), -EINVAL);
}

static void signals(void **state)
{
	static const char *const stages[] = {"start",  "opened",  "pinned", "armed",  "guardian",
					     "freeze", "stopped", "saved",  "sealed", "jump"};
	struct fr_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		script->signal_at = stages[i];
		script->signal = i % 2 ? SIGTSTP : SIGTERM; /* Ctrl-Z must not stop it */
		script->nr_stages = 0;
		assert_int_equal(run(&e), -EINTR);
		assert_int_equal(e.fault, FR_FAULT_INTERRUPTED);
		assert_int_equal(script->nr_stages, i + 1);
		assert_int_equal(script->reboots, 0);
	}
}

/* The file is kept as it is when it is sealed, whatever it was when it was pinned. */
static void changes_after_the_pin(void **state, enum change change, const char *stage)
{
	static const struct {
		size_t pages;
		uint64_t bytes, pfn;
	} want[NR_CHANGES] = {
		[GROWN] = {5, 16 * 4096, FILE_PFN},	 [PUNCHED] = {3, 16 * 4096, FILE_PFN},
		[OTHER_HOLE] = {4, 16 * 4096, FILE_PFN}, [CUT] = {2, 2 * 4096, FILE_PFN},
		[LONGER] = {4, 32 * 4096, FILE_PFN},	 [MOVED] = {4, 16 * 4096, FILE_PFN + 100},
	};
	struct fr_error e;

	make(state);
	script->change = change;
	script->change_at = stage;
	if (run(&e) != -EINVAL)
		fail_msg("change %d at %s: %s", change, stage, e.text);
	assert_int_equal(script->reboots, 1);
	assert_true(script->pinned_at_reboot);
	assert_int_equal(script->loads, 2);
	assert_int_equal(script->decoded_pages, want[change].pages);
	assert_int_equal(script->decoded_bytes, want[change].bytes);
	assert_int_equal(script->decoded_pfn, want[change].pfn);
	assert_int_equal(script->nr_stages, 10);
	drop(state);
}

static void changes_before_the_seal(void **state)
{
	for (enum change change = 0; change < NR_CHANGES; change++) {
		changes_after_the_pin(state, change, "guardian");
		changes_after_the_pin(state, change, "stopped");
	}
}

/* DIMMs that were taken out after load. */
static void memory_taken_out(void **state)
{
	struct fr_error e;

	(void)state;
	fake_root_text(&root, "/proc/iomem",
		       "00001000-0009fbff : System RAM\n"
		       "00100000-bfffffff : System RAM\n"
		       "100000000-1bfffffff : System RAM\n");
	assert_int_equal(run(&e), -ESTALE);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, "RAM at 0x1c0000000"));
	assert_int_equal(script->loads, 0);
	assert_int_equal(script->reboots, 0);
}

/* Memory that broke after load; it was kept over a hop, and is not shown as System RAM. */
static void poison_since_load(void **state)
{
	const uint64_t pfn = (GIB >> 12) + 77, flags = 1 << 19; /* KPF_HWPOISON */
	char name[128];
	struct fr_error e;
	int kpageflags;

	(void)state;
	fake_root_text(&root, "/proc/meminfo",
		       "MemTotal: 7340032 kB\nMemAvailable: 6291456 kB\nHardwareCorrupted: 4 kB\n");
	fake_root_text(&root, "/proc/kpageflags", "");
	snprintf(name, sizeof(name), "%s/proc/kpageflags", root.path);
	kpageflags = open(name, O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(kpageflags, (8 * GIB >> 12) * 8), 0);
	assert_int_equal(pwrite(kpageflags, &flags, 8, (off_t)pfn * 8), 8);
	close(kpageflags);
	fake_root_text(&root, "/proc/iomem",
		       "00001000-0009fbff : System RAM\n"
		       "00100000-3fffffff : System RAM\n"
		       "40000000-47ffffff : Unusable memory\n"
		       "  41000000-47ffffff : System RAM (fastrestart)\n"
		       "48000000-bfffffff : System RAM\n"
		       "100000000-1ffffffff : System RAM\n");
	if (run(&e) != -EINVAL)
		fail_msg("%s", e.text);
	assert_int_equal(script->nr_poison, 1);
	assert_int_equal(script->poison_pfn, pfn);
}

static void set_pool(const char *name, const char *text)
{
	char file[96];

	snprintf(file, sizeof(file), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", name);
	fake_root_text(&root, file, text);
}

/* A kernel on which exec uses free pages of the pool, and allows no other ones meanwhile */
static void use_the_pool_only(void)
{
	fake_root_text(&root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "1\n");
	set_pool("free_hugepages", "100\n");
	set_pool("resv_hugepages", "0\n");
	script->pool_only = true;
}

/* What a pin would move, and the kernel would damage: nothing is pinned. */
static void optimised_vmemmap(void **state)
{
	static const char memory[] =
		"MemTotal: 7340032 kB\nMemAvailable: 6291456 kB\nCmaTotal: %d kB\n";
	char text[128];
	struct fr_error e;

	(void)state;
	use_the_pool_only();
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), memory, i == 1 ? 65536 : 0);
		fake_root_text(&root, "/proc/meminfo", text);
		fake_root_text(&root, "/proc/buddyinfo",
			       i == 0 ? "Node 0, zone   Normal  1 2\nNode 0, zone  Movable  3 4\n" :
					"Node 0, zone   Normal  1 2\n");
		script->nr_pins = script->nr_stages = 0;
		if (i == 2) {
			assert_int_equal(run(&e), -EINVAL);
			assert_int_equal(script->reboots, 1);
			continue;
		}
		assert_int_equal(run(&e), -ENOTSUP);
		assert_int_equal(e.fault, FR_FAULT_REFUSED);
		assert_int_equal(script->nr_pins, 0);
	}
	assert_false(script->freed_early);
}

/* A second preparation finds a limit that is 0 already. */
static void optimised_and_prepared_twice(void **state)
{
	struct fr_error e;

	(void)state;
	use_the_pool_only();
	script->change_at = "guardian";
	assert_int_equal(run(&e), -EINVAL);
	assert_int_equal(script->loads, 2);
	assert_int_equal(script->reboots, 1);
	assert_false(script->freed_early);
}

static void failing_calls(void **state)
{
	struct fr_error e;

	(void)state;
	for (int i = 1; i <= 2; i++) {
		script->pin_error_at = i;
		script->nr_pins = script->nr_stages = 0;
		assert_int_equal(run(&e), -ENOMEM);
	}
	script->pin_error_at = 0;
	script->nr_stages = 0;
	script->frames_error = -EPERM;
	assert_int_equal(run(&e), -EPERM);
	assert_int_equal(e.fault, FR_FAULT_PERMISSION);
	script->frames_error = 0;
	script->nr_stages = 0;
	script->load_error = -EBUSY;
	assert_int_equal(run(&e), -EBUSY);
	assert_int_equal(script->reboots, 0);
}

/* Another kexec call is under way when exec unloads. */
static void busy_unload(void **state)
{
	struct fr_error e;

	(void)state;
	script->busy = 3;
	assert_int_equal(run(&e), -EINVAL);
	assert_int_equal(script->unloads, 1);
}

/* Neither exec nor its guardian touches an image that somebody else has loaded. */
static void loaded_by_another(void **state)
{
	struct fr_error e;

	(void)state;
	fake_root_text(&root, "/sys/kernel/kexec_loaded", "1\n");
	assert_int_equal(run(&e), -EBUSY);
	assert_int_equal(script->nr_stages, 1);
	assert_int_equal(script->loads + script->unloads, 0);
}

static void another_boot(void **state)
{
	struct fr_error e;

	(void)state;
	fake_root_text(&root, "/proc/sys/kernel/random/boot_id",
		       "11111111-89ab-cdef-0011-223344556677\n");
	assert_int_equal(run(&e), -ESTALE);
	assert_non_null(strstr(e.text, "another boot"));
	assert_int_equal(fr_stage_remove(&ctx, &e), 0);
	assert_int_equal(run(&e), -ENOENT);
	assert_non_null(strstr(e.text, "run load first"));
}

/* Whatever is staged and unstaged meanwhile: load and unload wait for exec, and its guardian. */
static void locked_out(void **state)
{
	struct fr_error e;
	int lock = fr_lock(&ctx, true, &e);

	(void)state;
	assert_true(lock >= 0);
	assert_int_equal(run(&e), -EBUSY);
	assert_int_equal(fr_unload(&ctx, &e), -EBUSY);
	close(lock);
	assert_int_equal(run(&e), -EINVAL);
	assert_int_equal(fr_unload(&ctx, &e), 0);
}

/* It holds exec's lock until it is done. */
static void wait_for_guardian(void)
{
	struct fr_error e;
	int lock;

	while ((lock = fr_lock(&ctx, true, &e)) < 0)
		usleep(1000);
	close(lock);
}

/* exec in a process that may be killed, and all that its guardian does: the wait status. */
static int exec_in_child(const struct fr_exec_options *o)
{
	struct fr_error e;
	pid_t child = fork();
	int status;

	if (!child)
		_exit(fr_exec(&ctx, o, &e) ? 1 : 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	wait_for_guardian();
	return status;
}

/*
 * Killed, and stopped: the guardian unloads, and until then keeps the pages that the
 * loaded image jumps to.
 */
static void killed_and_stopped(void **state)
{
	static const char *const stages[] = {"start", "pinned", "armed", "guardian", "sealed"};
	struct fr_exec_options o = {.no_sync = true, .patience_ms = 300};
	int status;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(stages) / sizeof(*stages); i++) {
		script->signal_at = stages[i / 2];
		script->signal = i % 2 ? SIGSTOP : SIGKILL;
		script->nr_stages = script->loads = script->unloads = 0;
		script->nr_pages = 0;
		script->held_at_unload = false;
		if (i % 2 && i / 2 < 3)
			continue; /* before "guardian" no guest waits for it */
		status = exec_in_child(&o);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(script->loads, i / 2 < 2 ? 0 : 1);
		assert_int_equal(script->unloads, script->loads);
		assert_int_equal(script->held_at_unload, script->loads);
		assert_int_equal(script->reboots, 0);
		assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
		assert_false(exists(JOURNAL));
	}
}

/* exec cannot unload, to prepare again or at its end: the guardian can, and has the pages. */
static void cannot_unload(void **state)
{
	struct fr_exec_options o = {.no_sync = true};
	struct fr_error e;

	(void)state;
	use_the_pool_only();
	script->stuck = getpid();
	for (int again = 0; again < 2; again++) {
		script->guardian_stuck = again;
		script->change_at = again ? "guardian" : NULL;
		script->loads = script->unloads = script->nr_stages = script->reboots = 0;
		script->nr_pages = 0;
		assert_int_equal(fr_exec(&ctx, &o, &e), again ? -EBUSY : -EINVAL);
		assert_int_equal(script->reboots, !again);
		wait_for_guardian();
		assert_int_equal(script->loads, 1);
		assert_int_equal(script->unloads, 1);
		assert_true(script->held_at_unload);
		assert_false(script->freed_early);
		assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* A name that it did not choose: consoles show the kernel's log as it is. */
static void the_guardian_says_what_is_printable(void **state)
{
	struct fr_exec_options o = {.no_sync = true};
	static const char name[] = "/sys/fs/cgroup/a\033[2J\n<0>b";
	char text[256], *said = NULL;

	(void)state;
	snprintf(text, sizeof(text), "%s/cgroup.freeze/x", name);
	fake_root_text(&root, text, ""); /* it is a folder: nothing can be written to it */
	fake_root_text(&root, "/dev/kmsg", "");
	/* exec itself has thawed what it found before that */
	snprintf(text, sizeof(text), "%c%s%s", FR_JOURNAL_CGROUP, root.path, name);
	script->journal = text;
	script->signal_at = "armed";
	script->signal = SIGKILL;
	exec_in_child(&o);
	snprintf(text, sizeof(text), "%s/dev/kmsg", root.path);
	assert_int_equal(fr_read_file(text, 4096, &said, NULL), 0);
	assert_non_null(strstr(said, "/sys/fs/cgroup/a?[2J?<0>b/cgroup.freeze"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	free(said);
}

/* While exec may have more surplus pages than the administrator allows, or nobody any. */
static void killed_with_a_changed_limit(void **state)
{
	struct fr_exec_options o = {.no_sync = true};

	(void)state;
	script->kill_at_huge = true;
	for (int i = 0; i < 2; i++) {
		exec_in_child(&o);
		assert_int_equal(script->loads, 0);
		assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
		use_the_pool_only();
		script->nr_stages = 0;
	}
}

/* What a QEMU says that saves its state. */
static const struct fake_answer saves[] = {
	{"\"query-migrate\"", "\"return\": {\"status\": \"completed\"}"},
	{NULL, NULL},
};
static const struct fake_answer saves_paused[] = {
	{"\"query-migrate\"", "\"return\": {\"status\": \"completed\"}"},
	{"query-status", "\"return\": {\"status\": \"paused\"}"},
	{NULL, NULL},
};

/* As if load had been given --vm, too. */
static void stage_vm(const char *name, const char *socket)
{
	struct fr_vm_arg vm = {.name = MUTABLE(name), .qmp_path = MUTABLE(socket)};
	struct fr_error e;
	struct fr_stage *s;
	struct fr_vm_arg *vms;
	size_t nr;

	assert_int_equal(fr_stage_read(&ctx, &s, &e), 0);
	vms = s->options.vms;
	nr = s->options.nr_vms;
	s->options.vms = &vm;
	s->options.nr_vms = 1;
	s->options.force = true;
	if (fr_stage_write(&ctx, s, &e))
		fail_msg("%s", e.text);
	s->options.vms = vms;
	s->options.nr_vms = nr;
	fr_stage_free(s);
}

/* Whoever can write there is root; but it may be another release's, or damaged. */
static void hostile_stage(void **state)
{
	static const char file[] = "/run/kexec-fastrestart/staged/load.json";
	static const char *const bad[] = {"",	  ".",	   "..",  "../x", "a/b", "/x", "a\\nb",
					  "a b", "-x",	   ".x",  "\\u0001",	 "\\u00e9",
					  "0123456789012345678901234567890123456789012345678901234567890123"};
	char name[128], text[32768], changed[33000], *at;
	struct fr_error e;
	ssize_t n;
	int json;

	(void)state;
	snprintf(name, sizeof(name), "%s%s", root.path, file);
	json = open(name, O_RDONLY | O_CLOEXEC);
	n = read(json, text, sizeof(text) - 1);
	close(json);
	assert_true(n > 0);
	text[n] = '\0';
	at = strstr(text, "\"name\":\"shm\"");
	assert_non_null(at);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(changed, sizeof(changed), "%.*s\"name\":\"%s\"%s", (int)(at - text), text,
			 bad[i], at + strlen("\"name\":\"shm\""));
		fake_root_text(&root, file, changed);
		assert_int_equal(run(&e), -EBADMSG);
		assert_non_null(strstr(e.text, "load.json"));
		assert_int_equal(script->nr_stages, 0);
	}
}

static void vm_is_gone(void **state)
{
	struct fr_error e;

	(void)state;
	stage_vm("web", "/nonexistent/qmp");
	assert_int_equal(run(&e), -ENOENT);
	assert_non_null(strstr(e.text, "web"));
	assert_int_equal(script->nr_stages, 1);
}

/* RAM that load did not survey would be lost. */
static void vm_has_other_ram(void **state)
{
	static const char argv[] = "-m\0001G";
	struct fake_qemu q = {.ram_path = path};
	struct fr_error e;

	(void)state;
	fake_qemu_start(&q, &root, argv, sizeof(argv));
	stage_vm("web", q.socket); /* the file was surveyed, but as no VM's */
	if (run(&e) != -ESTALE)
		fail_msg("%s", e.text);
	assert_non_null(strstr(e.text, "run load again"));
	assert_int_equal(script->nr_stages, 1);
	script->nr_stages = 0;
	stage_vm("shm", q.socket);
	run(&e);
	assert_true(script->nr_stages > 6);
	fake_qemu_stop(&q);
}

/* By exec itself when it fails or is told to end, by the guardian when it is killed. */
static void guests_run_on(void **state)
{
	static const int signals[] = {0, SIGTERM, SIGKILL}; /* without one, saving fails */
	static const char argv[] = "-m\0001G";
	struct fake_qemu q = {.ram_path = path, .stopped = &script->guest_stopped};
	struct fr_exec_options o = {.no_sync = true};

	(void)state;
	fake_qemu_start(&q, &root, argv, sizeof(argv));
	stage_vm("shm", q.socket);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		script->signal_at = signals[i] ? "stopped" : NULL;
		script->signal = signals[i];
		script->nr_stages = 0;
		script->nr_pages = 0;
		script->guest_was_stopped = false;
		exec_in_child(&o);
		assert_true(script->guest_was_stopped);
		assert_false(script->guest_stopped);
		assert_int_equal(script->reboots, 0);
	}
	fake_qemu_stop(&q);
}

/* A process that has the file. */
static void put_owner(int pid, const char *cgroup)
{
	char file[64], text[256];
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	snprintf(text, sizeof(text), "7f00-7f01 rw-s 00000000 %x:%x %llu /x\n", major(st.st_dev),
		 minor(st.st_dev), (unsigned long long)st.st_ino);
	snprintf(file, sizeof(file), "/proc/%d/maps", pid);
	fake_root_text(&root, file, text);
	snprintf(file, sizeof(file), "/proc/%d/comm", pid);
	fake_root_text(&root, file, "server\n");
	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	snprintf(text, sizeof(text), "0::%s\n", cgroup);
	fake_root_text(&root, file, text);
}

/* A process besides the guests that has the file: before anything is stopped it is clear what to do. */
static void owners(void **state)
{
	struct fr_exec_options o = {.no_sync = true, .no_freeze = true};
	struct fr_error e;
	char left[128];

	(void)state;
	put_owner(4194304, "/own");
	assert_int_equal(run(&e), -ENOTSUP); /* no cgroup v2 */
	assert_non_null(strstr(e.text, "server"));
	assert_string_equal(script->stages[script->nr_stages - 1], "pinned");
	script->nr_stages = 0;
	assert_int_equal(fr_exec(&ctx, &o, &e), -EINVAL);
	assert_int_equal(script->reboots, 1);

	/* what an exec before has left frozen is thawed, what somebody else has frozen stays */
	fake_root_text(&root, "/sys/fs/cgroup/cgroup.controllers", "");
	fake_root_text(&root, "/sys/fs/cgroup/own/cgroup.events", "frozen 1\n");
	fake_root_text(&root, "/sys/fs/cgroup/own/cgroup.freeze", "1");
	fake_root_text(&root, "/sys/fs/cgroup/left/cgroup.freeze", "1");
	snprintf(left, sizeof(left), "c%s/sys/fs/cgroup/left", root.path);
	fake_root_write(&root, JOURNAL, left, strlen(left) + 1);
	script->nr_stages = 0;
	script->nr_pages = 0;
	assert_int_equal(run(&e), -EINVAL);
	assert_int_equal(script->reboots, 2);
	assert_string_equal(fake_root_line(&root, "/sys/fs/cgroup/own/cgroup.freeze"), "1");
	assert_string_equal(fake_root_line(&root, "/sys/fs/cgroup/left/cgroup.freeze"), "0");
}

/* In a cgroup of its own. */
static void add_owner(struct script *s)
{
	char cgroup[16], file[64];

	snprintf(cgroup, sizeof(cgroup), "/own%d", s->nr_owners);
	snprintf(file, sizeof(file), "/sys/fs/cgroup%s/cgroup.freeze", cgroup);
	fake_root_text(&root, file, "0");
	put_owner(OWNER_PID + s->nr_owners++, cgroup);
}

static void none_is_frozen(void)
{
	char file[64];

	for (int i = 0; i < script->nr_owners; i++) {
		snprintf(file, sizeof(file), "/sys/fs/cgroup/own%d/cgroup.freeze", i);
		assert_string_equal(fake_root_line(&root, file), "0");
	}
	assert_false(exists(JOURNAL));
}

/* They are looked for until there is nobody new; but not for ever, because guests wait. */
static void owners_that_start_more(void **state)
{
	struct fr_error e;

	(void)state;
	fake_root_text(&root, "/sys/fs/cgroup/cgroup.controllers", "");
	script->max_owners = 5;
	add_owner(script);
	if (run(&e) != -EINVAL)
		fail_msg("%s", e.text);
	assert_int_equal(script->nr_owners, 5);
	assert_int_equal(script->reboots, 1);
	none_is_frozen();

	script->max_owners = 100;
	script->nr_stages = 0;
	script->nr_pages = 0;
	add_owner(script);
	assert_int_equal(run(&e), -EBUSY);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, "start faster than they are frozen"));
	assert_string_equal(script->stages[script->nr_stages - 1], "saved");
	assert_true(script->nr_owners > 10 && script->nr_owners < 100);
	assert_int_equal(script->reboots, 1);
	none_is_frozen();
}

static const char *const all_stages[] = {"start",  "opened",  "pinned", "armed",  "guardian",
					 "freeze", "stopped", "saved",	"sealed", "jump"};

/* "shm" is the RAM of a VM. */
static void start_vm(struct fake_qemu *q, const struct fake_answer *answers)
{
	static const char argv[] = "-m\0001G";

	*q = (struct fake_qemu){.ram_path = path,
				.saves = true,
				.answers = answers,
				.stopped = &script->guest_stopped};
	fake_qemu_start(q, &root, argv, sizeof(argv));
	stage_vm("shm", q->socket);
}

/* Without a guardian exec goes no further: nobody would be left to resume the guests. */
static void guardian_killed(void **state)
{
	struct fake_qemu q;
	struct fr_error e;

	(void)state;
	fake_root_text(&root, "/sys/fs/cgroup/cgroup.controllers", "");
	start_vm(&q, saves);
	for (size_t i = 1; i < sizeof(all_stages) / sizeof(*all_stages); i++) {
		script->kill_guardian_at = all_stages[i];
		script->nr_stages = 0;
		script->nr_pages = 0;
		script->guest_was_stopped = false;
		if (run(&e) != -ECHILD)
			fail_msg("%s: %s", all_stages[i], e.text);
		assert_int_equal(script->nr_stages, i + 1);
		assert_int_equal(script->guest_was_stopped, i >= 6);
		assert_false(script->guest_stopped);
		assert_int_equal(script->reboots, 0);
		assert_false(exists(JOURNAL));
		assert_false(exists("/sys/fs/cgroup/kexec-fastrestart-guardian"));
	}
	/* and with one it would have jumped */
	script->kill_guardian_at = NULL;
	script->nr_stages = 0;
	script->nr_pages = 0;
	assert_int_equal(run(&e), -EINVAL);
	assert_int_equal(script->reboots, 1);
	fake_qemu_stop(&q);
}

/* Both killed at stage @i: how the host is then. */
static void kill_both(size_t i, bool was_running)
{
	struct fr_exec_options o = {.no_sync = true};
	int status;

	script->kill_guardian_at = script->signal_at = all_stages[i];
	script->signal = SIGKILL;
	script->nr_stages = script->loads = script->unloads = 0;
	script->nr_pages = 0;
	script->guest_stopped = !was_running;
	status = exec_in_child(&o);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(script->reboots, 0);
	assert_int_equal(script->guest_stopped, !was_running || i >= 6);
	assert_int_equal(script->loaded, i >= 3);
	assert_int_equal(left_behind(), i >= 3);
	script->kill_guardian_at = script->signal_at = NULL;
	script->pins = 0; /* the kernel's part of dying */
}

static void nothing_is_left(bool was_running)
{
	assert_int_equal(script->guest_stopped, !was_running);
	assert_false(script->loaded);
	assert_int_equal(script->unloads, script->loads);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
	assert_false(exists(JOURNAL));
	assert_false(exists("/sys/fs/cgroup/kexec-fastrestart-guardian"));
	assert_false(left_behind());
}

/* Nobody is left who knows what to undo: the journal does, for whoever comes next. */
static void both_killed(void **state)
{
	struct fake_qemu q;
	struct fr_error e;

	(void)state;
	fake_root_text(&root, "/sys/fs/cgroup/cgroup.controllers", "");
	start_vm(&q, saves);
	for (size_t i = 0; i < sizeof(all_stages) / sizeof(*all_stages); i++) {
		kill_both(i, true);
		/* exec itself, as far as its next stage */
		script->signal_at = "opened";
		script->signal = SIGTERM;
		script->nr_stages = 0;
		if (run(&e) != -EINTR)
			fail_msg("%s: %s", all_stages[i], e.text);
		nothing_is_left(true);

		kill_both(i, true);
		if (fr_unload(&ctx, &e))
			fail_msg("%s: %s", all_stages[i], e.text);
		nothing_is_left(true);
		/* what is staged goes, too; and without that there is nothing to do */
		assert_int_equal(fr_unload(&ctx, &e), -ENOENT);
		stage();
		stage_vm("shm", q.socket);
	}
	/* while the limit is changed under which pages are allocated: raised, or 0 */
	script->kill_at_huge = script->both = true;
	for (int i = 0; i < 2; i++) {
		script->nr_stages = 0;
		exec_in_child(&(struct fr_exec_options){.no_sync = true});
		assert_string_not_equal(fake_root_line(&root, OVERCOMMIT), "7");
		assert_int_equal(!strcmp(fake_root_line(&root, OVERCOMMIT), "0"), i);
		assert_true(left_behind());
		script->loads = script->unloads = 0;
		assert_int_equal(fr_unload(&ctx, &e), 0);
		nothing_is_left(true);
		stage();
		stage_vm("shm", q.socket);
		use_the_pool_only();
	}
	fake_qemu_stop(&q);
}

/* A guest that had been paused stays so. */
static void both_killed_paused(void **state)
{
	struct fake_qemu q;
	struct fr_error e;

	(void)state;
	start_vm(&q, saves_paused);
	kill_both(8, false);
	assert_int_equal(fr_unload(&ctx, &e), 0);
	nothing_is_left(false);
	fake_qemu_stop(&q);
}

static void put_journal(const char *text, size_t bytes)
{
	fake_root_write(&root, JOURNAL, text, bytes);
}

/* What is in the journal is looked at closely; what cannot be undone keeps nothing else from it. */
static void journal(void **state)
{
	static const char damaged[] = "v{\"name\": \"x\"}\0l7 9";
	struct fake_qemu q;
	char text[512];
	struct fr_error e;
	size_t n;

	(void)state;
	start_vm(&q, NULL);
	/* without its end it was not done */
	put_journal("l7 9", 4);
	fake_root_text(&root, OVERCOMMIT, "9\n");
	assert_int_equal(fr_unload(&ctx, &e), 0);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "9");
	/* a limit that somebody else has set since */
	put_journal("l7 9", 5);
	fake_root_text(&root, OVERCOMMIT, "8\n");
	assert_int_equal(fr_unload(&ctx, &e), 0);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "8");
	put_journal("l7 9", 5);
	fake_root_text(&root, OVERCOMMIT, "9\n");
	assert_int_equal(fr_unload(&ctx, &e), 0);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
	/* where there are no huge pages, nothing is to be set back */
	snprintf(text, sizeof(text), "%s" OVERCOMMIT, root.path);
	assert_int_equal(unlink(text), 0);
	put_journal("i", 2);
	assert_int_equal(fr_unload(&ctx, &e), 0);
	assert_false(exists(JOURNAL));
	/* damaged: it stays until somebody has seen to it */
	put_journal(damaged, sizeof(damaged));
	fake_root_text(&root, OVERCOMMIT, "9\n");
	assert_int_equal(fr_unload(&ctx, &e), -EBADMSG);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "7");
	stage();
	assert_int_equal(run(&e), -EBADMSG);
	assert_int_equal(script->nr_stages, 1);
	assert_true(exists(JOURNAL));
	/* it is set back once: the same value is the administrator's then */
	fake_root_text(&root, OVERCOMMIT, "9\n");
	assert_int_equal(fr_unload(&ctx, &e), -EBADMSG);
	assert_string_equal(fake_root_line(&root, OVERCOMMIT), "9");
	/* a VMM that ended, another one that has its socket, and it */
	for (int i = 0; i < 3; i++) {
		n = (size_t)snprintf(text, sizeof(text),
				     "v{\"name\": \"x\", \"qmp\": \"%s%s\", \"pid\": %d, "
				     "\"running\": true, \"capabilities\": {}, \"parameters\": {}}",
				     q.socket, i == 0 ? ".gone" : "", (int)getpid() + (i == 1));
		put_journal(text, n + 1);
		script->guest_stopped = true;
		if (fr_unload(&ctx, &e) && e.err != ENOENT)
			fail_msg("%s", e.text);
		assert_int_equal(script->guest_stopped, i < 2);
		assert_false(exists(JOURNAL));
	}
	fake_qemu_stop(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_the_way, make, drop),
		cmocka_unit_test_setup_teardown(signals, make, drop),
		cmocka_unit_test(changes_before_the_seal),
		cmocka_unit_test_setup_teardown(memory_taken_out, make, drop),
		cmocka_unit_test_setup_teardown(poison_since_load, make, drop),
		cmocka_unit_test_setup_teardown(optimised_vmemmap, make, drop),
		cmocka_unit_test_setup_teardown(optimised_and_prepared_twice, make, drop),
		cmocka_unit_test_setup_teardown(failing_calls, make, drop),
		cmocka_unit_test_setup_teardown(busy_unload, make, drop),
		cmocka_unit_test_setup_teardown(loaded_by_another, make, drop),
		cmocka_unit_test_setup_teardown(another_boot, make, drop),
		cmocka_unit_test_setup_teardown(locked_out, make, drop),
		cmocka_unit_test_setup_teardown(killed_and_stopped, make, drop),
		cmocka_unit_test_setup_teardown(cannot_unload, make, drop),
		cmocka_unit_test_setup_teardown(the_guardian_says_what_is_printable, make, drop),
		cmocka_unit_test_setup_teardown(killed_with_a_changed_limit, make, drop),
		cmocka_unit_test_setup_teardown(hostile_stage, make, drop),
		cmocka_unit_test_setup_teardown(vm_is_gone, make, drop),
		cmocka_unit_test_setup_teardown(vm_has_other_ram, make, drop),
		cmocka_unit_test_setup_teardown(guests_run_on, make, drop),
		cmocka_unit_test_setup_teardown(owners, make, drop),
		cmocka_unit_test_setup_teardown(owners_that_start_more, make, drop),
		cmocka_unit_test_setup_teardown(guardian_killed, make, drop),
		cmocka_unit_test_setup_teardown(both_killed, make, drop),
		cmocka_unit_test_setup_teardown(both_killed_paused, make, drop),
		cmocka_unit_test_setup_teardown(journal, make, drop),
	};

	alarm(300); /* a guardian that does nothing fails a test, and does not hang it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
