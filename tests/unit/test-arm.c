// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Arming against a scripted kernel: huge pages are pages of an ordinary memfd whose
 * frames the script chooses; kexec_load only takes notes.  Whatever fails, everything
 * has been given back afterwards.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "arm.h"
#include "bootparams.h"
#include "bytes.h"
#include "fake-root.h"
#include "hugepages.h"
#include "kernel.h"
#include "make-image.h"
#include "ramap.h"
#include "undo.h"

#define CLEAN_START  (1ull << 30)
#define CLEAN_END    (3ull << 30)
#define HIGH	     (8ull << 30) /* where frames are that are not clean */
#define MAX_SEGMENTS 8
#define MAX_KNOWN    4096
#define LATE_BYTES   (3ull << 20)
#define POOL	     "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define OVERCOMMIT   POOL "nr_overcommit_hugepages"

/* The n-th huge page that is ever looked at gets frame(n), in units of 2 MiB */
struct script {
	uint64_t (*frame)(uint64_t n);
	int memfd_error, pin_error, frames_error, load_error;

	const struct fake_root *root;
	char limit[16]; /* of surplus pages, while pages are taken */
	bool pool_only; /* it stays 0 until all pages are given back */
	uint64_t nr_given;
	struct {
		uint64_t frame;
		const uint8_t *addr;
	} known[MAX_KNOWN];
	size_t nr_known;
	int pins, loads, unloads;
	bool loaded;
	bool unloaded_after_unpin;
	uint64_t entry;
	struct fr_kexec_segment segment[MAX_SEGMENTS];
	unsigned long nr_segments;
};

struct fixture {
	struct fake_root root;
	struct script script;
	struct fr_kernel_ops ops;
	struct fr_ctx ctx;
	struct fr_image *image;
	struct fr_ram_map e820;
	struct fr_ranges clean;
	struct fr_arm_request request;
	uint8_t initrd[5000];
	int fds;
};

static uint64_t ascending(uint64_t n)
{
	return (CLEAN_START >> 21) + n;
}

static uint64_t descending(uint64_t n)
{
	return (CLEAN_END >> 21) - 1 - n;
}

static uint64_t every_second(uint64_t n)
{
	return (CLEAN_START >> 21) + 2 * n;
}

static uint64_t outside(uint64_t n)
{
	return (HIGH >> 21) + n;
}

/* Good ones come late, after pages that have to be set aside. */
static uint64_t late_bloomer(uint64_t n)
{
	return n < 40 ? (HIGH >> 21) + n : (CLEAN_START >> 21) + n;
}

static int fake_huge_memfd(void *data)
{
	struct script *s = data;

	return s->memfd_error ? s->memfd_error : memfd_create("fake", MFD_CLOEXEC);
}

/* The page remembers its frame in its last bytes; mappings of it agree. */
static int fake_frames(void *data, const void *addr, size_t page_bytes, size_t nr, uint64_t *pfns)
{
	struct script *s = data;
	size_t i;

	assert_int_equal(page_bytes, FR_HUGE_BYTES);
	if (s->frames_error)
		return s->frames_error;
	if (!s->nr_given)
		snprintf(s->limit, sizeof(s->limit), "%s", fake_root_line(s->root, OVERCOMMIT));
	for (i = 0; i < nr; i++) {
		uint8_t *page = (uint8_t *)(uintptr_t)addr + i * page_bytes;
		uint8_t *tag = page + page_bytes - 8;

		if (!fr_get_le64(tag))
			fr_put_le64(tag, s->frame(s->nr_given++));
		pfns[i] = fr_get_le64(tag) << 9;
		assert_true(s->nr_known < MAX_KNOWN);
		s->known[s->nr_known].frame = fr_get_le64(tag);
		s->known[s->nr_known++].addr = page;
	}
	return 0;
}

static int fake_pin(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin)
{
	struct script *s = data;

	(void)iov;
	assert_true(nr > 0);
	if (s->pin_error)
		return s->pin_error;
	s->pins++;
	*ret_pin = malloc(1);
	return *ret_pin ? 0 : -ENOMEM;
}

static void fake_unpin(void *data, void *pin)
{
	struct script *s = data;

	if (s->pool_only)
		assert_string_equal(fake_root_line(s->root, OVERCOMMIT), "0");
	s->pins--;
	free(pin);
}

static int fake_kexec_load(void *data, uint64_t entry, unsigned long nr,
			   const struct fr_kexec_segment *segments, unsigned long flags)
{
	struct script *s = data;

	assert_int_equal(flags, 0);
	if (!nr) {
		s->unloads++;
		s->loaded = false;
		s->unloaded_after_unpin = !s->pins;
		return 0;
	}
	if (s->load_error)
		return s->load_error;
	assert_true(nr <= MAX_SEGMENTS);
	s->loads++;
	s->loaded = true;
	s->entry = entry;
	s->nr_segments = nr;
	memcpy(s->segment, segments, nr * sizeof(*segments));
	return 0;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void make_root(struct fixture *f)
{
	struct boot_params bp = {.acpi_rsdp_addr = 0xf5aa0};

	fake_root_make(&f->root);
	fake_root_write(&f->root, "/sys/kernel/boot_params/data", &bp, sizeof(bp));
	fake_root_text(&f->root, "/sys/kernel/kexec_loaded", "0\n");
	fake_root_text(&f->root, "/proc/cpuinfo", "flags\t: fpu\n");
	fake_root_text(&f->root, "/proc/cmdline", "quiet\n");
	fake_root_text(&f->root, "/proc/meminfo",
		       "MemTotal: 4194304 kB\nMemAvailable: 1048576 kB\n");
	fake_root_text(&f->root, "/proc/iomem",
		       "00001000-0009ffff : System RAM\n"
		       "40000000-bfffffff : System RAM\n"
		       "  44000000-b7ffffff : Kernel code\n"
		       "  b8000000-bfbfffff : Kernel bss\n");
	fake_root_text(&f->root, OVERCOMMIT, "7\n");
	fake_root_text(&f->root, "/run/kexec-fastrestart/lock", "");
	fake_root_text(&f->root, POOL "surplus_hugepages", "2\n");
	fake_root_text(&f->root, POOL "free_hugepages", "0\n");
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct bytes elf = make_elf(), bz;
	struct fr_error e;

	assert_non_null(f);
	make_relocations(&elf, 1);
	bz = make_bzimage(&elf, MAKE_GZIP);
	assert_int_equal(fr_image_parse(bz.v, bz.n, 1234567, &f->image, &e), 0);
	free(elf.v);
	free(bz.v);
	make_root(f);
	f->ops = (struct fr_kernel_ops){
		.kexec_load = fake_kexec_load,
		.frames = fake_frames,
		.huge_memfd = fake_huge_memfd,
		.pin = fake_pin,
		.unpin = fake_unpin,
	};
	f->script.frame = ascending;
	f->script.root = &f->root;
	f->ctx = (struct fr_ctx){.root = f->root.path, .ops = &f->ops, .ops_data = &f->script};
	memset(f->initrd, 0xab, sizeof(f->initrd));
	assert_int_equal(fr_ranges_add(&f->clean, CLEAN_START, CLEAN_END), 0);
	assert_int_equal(fr_ram_map_add(&f->e820, CLEAN_START, CLEAN_END, FR_E820_RAM, 0), 0);
	f->request = (struct fr_arm_request){
		.image = f->image,
		.initrd = f->initrd,
		.initrd_bytes = sizeof(f->initrd),
		.cmdline = "console=ttyS0",
		.e820 = &f->e820,
		.clean = &f->clean,
		.late_bytes = LATE_BYTES,
	};
	f->fds = count_fds();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fr_image_free(f->image);
	fr_ranges_clear(&f->clean);
	fr_ram_map_clear(&f->e820);
	fake_root_remove(&f->root);
	free(f);
	return 0;
}

static void check_given_back(struct fixture *f)
{
	assert_int_equal(f->script.pins, 0);
	assert_false(f->script.loaded);
	assert_int_equal(f->script.loads, f->script.unloads);
	if (f->script.pool_only)
		assert_int_equal(fr_undo_limit(&f->ctx), 0);
	assert_string_equal(fake_root_line(&f->root, OVERCOMMIT), "7");
	assert_int_equal(count_fds(), f->fds);
}

static struct fr_armed *must_arm(struct fixture *f)
{
	struct fr_armed *a = NULL;
	struct fr_error e = {};

	if (fr_arm(&f->ctx, &f->request, &a, &e))
		fail_msg("%s", e.text);
	assert_true(f->script.loaded);
	return a;
}

static void must_fail(struct fixture *f, int err, enum fr_fault fault, const char *says)
{
	struct fr_armed *a = NULL;
	struct fr_error e = {};
	int r = fr_arm(&f->ctx, &f->request, &a, &e);

	if (r != -err || e.fault != fault || !strstr(e.text, says))
		fail_msg("%d, fault %d, \"%s\"", r, e.fault, e.text);
	assert_null(a);
	check_given_back(f);
}

static const struct fr_place *place(const struct fr_armed *a, const char *what)
{
	size_t nr, i;
	const struct fr_place *v = fr_armed_places(a, &nr);

	for (i = 0; i < nr; i++)
		if (!strcmp(v[i].what, what))
			return &v[i];
	fail_msg("no place for %s", what);
	return NULL;
}

/* What lies at a physical address, by the last mapping of the page that was looked at */
static const uint8_t *memory(const struct fixture *f, uint64_t phys)
{
	size_t i = f->script.nr_known;

	while (i--)
		if (f->script.known[i].frame == phys >> 21)
			return f->script.known[i].addr + phys % FR_HUGE_BYTES;
	fail_msg("nothing at %#llx", (unsigned long long)phys);
	return NULL;
}

static void check_disjoint_and_clean(const struct fixture *f, const struct fr_armed *a)
{
	size_t nr, i, k;
	const struct fr_place *v = fr_armed_places(a, &nr);

	for (i = 0; i < nr; i++) {
		assert_true(fr_ranges_contain(&f->clean, v[i].start, v[i].end));
		for (k = 0; k < i; k++)
			assert_true(v[i].end <= v[k].start || v[k].end <= v[i].start);
	}
	assert_int_equal(place(a, "kernel")->start % FR_HUGE_BYTES, 0);
}

static uint64_t imm64(const uint8_t *code, size_t at)
{
	return fr_get_le64(code + at);
}

/* cli cld rdtsc shl or; movabs rdx; mov; movabs rsi; movabs rax; jmp */
static void check_trampoline(const struct fixture *f, const struct fr_armed *a)
{
	const struct fr_kexec_segment *s = &f->script.segment[0];
	const uint8_t *code = s->buf;

	assert_int_equal(s->mem, f->script.entry);
	assert_int_equal(s->mem, place(a, "trampoline")->start);
	assert_int_equal(s->memsz, FR_PAGE_BYTES);
	assert_memory_equal(code, "\xfa\xfc\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\x48\xba", 13);
	assert_int_equal(imm64(code, 13),
			 place(a, "late data")->start +
				 offsetof(struct fr_wire_header, stamp[FR_STAMP_TRAMPOLINE]));
	assert_memory_equal(code + 21, "\x48\x89\x02\x48\xbe", 5);
	assert_int_equal(imm64(code, 26), place(a, "boot_params")->start);
	assert_memory_equal(code + 34, "\x48\xb8", 2);
	assert_int_equal(imm64(code, 36), place(a, "kernel")->start + MAKE_ENTRY);
	assert_memory_equal(code + 44, "\xff\xe0", 2);
}

static void check_in_place(struct fixture *f)
{
	struct fr_armed *a = must_arm(f);
	const struct boot_params *bp;
	uint64_t kernel = place(a, "kernel")->start;

	assert_true(fr_armed_in_place(a));
	check_disjoint_and_clean(f, a);
	assert_int_equal(f->script.nr_segments, 1);
	check_trampoline(f, a);
	/* each page of the kernel is where its neighbours expect it */
	assert_memory_equal(memory(f, kernel), f->image->data, 4096);
	assert_memory_equal(memory(f, kernel + MAKE_PERCPU), f->image->data + MAKE_PERCPU, 0x100);
	assert_memory_equal(memory(f, place(a, "initrd")->start), f->initrd, sizeof(f->initrd));
	assert_ptr_equal(memory(f, place(a, "late data")->start), fr_armed_late(a));
	assert_ptr_equal(memory(f, place(a, "late data")->start + FR_HUGE_BYTES),
			 (uint8_t *)fr_armed_late(a) + FR_HUGE_BYTES);
	bp = (const struct boot_params *)memory(f, place(a, "boot_params")->start);
	assert_int_equal(bp->hdr.header, 0x53726448);
	assert_int_equal(bp->hdr.ramdisk_image, place(a, "initrd")->start);
	assert_int_equal(f->script.pins, 1);
	fr_disarm(&f->ctx, a);
	assert_false(f->script.unloaded_after_unpin);
	check_given_back(f);
}

static void test_in_place(void **state)
{
	check_in_place(*state);
}

static void test_frames_backwards(void **state)
{
	struct fixture *f = *state;

	f->script.frame = descending;
	check_in_place(f);
}

static void test_some_frames_outside(void **state)
{
	struct fixture *f = *state;

	f->script.frame = late_bloomer;
	check_in_place(f);
}

/* Placement is random, so try it often. */
static void test_random_places(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0;
	int i, moved = 0;

	for (i = 0; i < 20; i++) {
		struct fr_armed *a = must_arm(f);

		if (!i)
			first = place(a, "kernel")->start;
		else
			moved += place(a, "kernel")->start != first;
		check_disjoint_and_clean(f, a);
		fr_disarm(&f->ctx, a);
		f->script.nr_given = 0;
		f->script.nr_known = 0;
	}
	assert_true(moved > 0);
	check_given_back(f);
}

static void check_copied(struct fixture *f)
{
	struct fr_armed *a = must_arm(f);
	const struct fr_kexec_segment *s = f->script.segment;
	struct fr_ranges kernel_frames = {};

	assert_false(fr_armed_in_place(a));
	check_disjoint_and_clean(f, a);
	assert_int_equal(f->script.nr_segments, 4);
	check_trampoline(f, a);
	assert_int_equal(s[1].mem, place(a, "kernel")->start);
	assert_memory_equal(s[1].buf, f->image->data, f->image->bytes);
	assert_int_equal(s[1].bufsz, f->image->bytes);
	assert_int_equal(s[1].memsz, f->image->memory_bytes);
	assert_int_equal(s[2].mem, place(a, "boot_params")->start);
	assert_int_equal(s[3].mem, place(a, "initrd")->start);
	assert_int_equal(s[3].memsz, 8192);
	/* away from the running kernel's frames */
	assert_int_equal(fr_ranges_add(&kernel_frames, 0x44000000, 0xbfc00000), 0);
	assert_false(fr_ranges_touch(&kernel_frames, s[1].mem, s[1].mem + s[1].memsz));
	assert_false(fr_ranges_touch(&kernel_frames, s[3].mem, s[3].mem + s[3].memsz));
	fr_ranges_clear(&kernel_frames);
	fr_disarm(&f->ctx, a);
	check_given_back(f);
}

/* No two neighbours: late data of one page fits, the kernel does not. */
static void test_fallback(void **state)
{
	struct fixture *f = *state;

	f->script.frame = every_second;
	f->request.late_bytes = 65536;
	check_copied(f);
}

static void test_no_in_place(void **state)
{
	struct fixture *f = *state;

	f->request.no_in_place = true;
	check_copied(f);
}

/*
 * A kernel that may damage what it undoes the optimised vmemmap of: no page goes back to the page
 * allocator, as none is taken from there, and none is surplus.
 */
static void test_optimised(void **state)
{
	struct fixture *f = *state;
	struct fr_armed *a;

	f->script.pool_only = true;
	fake_root_text(&f->root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "1\n");
	fake_root_text(&f->root, POOL "resv_hugepages", "3\n");
	must_fail(f, ENOSPC, FR_FAULT_REFUSED, "of the pool are free");
	fake_root_text(&f->root, POOL "free_hugepages", "23\n");
	must_fail(f, EBUSY, FR_FAULT_REFUSED, "2 huge pages of 2 MiB are surplus");
	fake_root_text(&f->root, POOL "surplus_hugepages", "0\n");
	assert_int_equal(f->script.nr_given, 0);
	a = must_arm(f);
	assert_true(fr_armed_in_place(a));
	assert_string_equal(f->script.limit, "0");
	fr_disarm(&f->ctx, a);
	check_given_back(f);

	/* a pool that has enough, but not where they are of use */
	f->script.nr_given = f->script.nr_known = 0;
	f->script.frame = outside;
	must_fail(f, ENOSPC, FR_FAULT_REFUSED, "raise vm.nr_hugepages");
	assert_int_equal(f->script.nr_given, 2 * 20); /* in place, and for a copy */
}

/* It undoes nothing wrong that is not optimised, or on a kernel with the patches. */
static void test_not_broken(void **state)
{
	struct fixture *f = *state;

	fake_root_text(&f->root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "0\n");
	check_in_place(f);
	f->script.nr_given = f->script.nr_known = 0;
	fake_root_text(&f->root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "1\n");
	fake_root_text(&f->root, "/sys/kernel/fastrestart/versions", "1 1\n");
	check_in_place(f);
	assert_string_not_equal(f->script.limit, "0");
}

static void test_no_initrd(void **state)
{
	struct fixture *f = *state;
	struct fr_armed *a;

	f->request.initrd = NULL;
	f->request.initrd_bytes = 0;
	a = must_arm(f);
	assert_true(fr_armed_in_place(a));
	fr_disarm(&f->ctx, a);
	f->request.no_in_place = true;
	a = must_arm(f);
	assert_int_equal(f->script.nr_segments, 3);
	fr_disarm(&f->ctx, a);
	check_given_back(f);
}

static void test_load_not_allowed(void **state)
{
	struct fixture *f = *state;

	f->script.load_error = -EPERM;
	must_fail(f, EPERM, FR_FAULT_PERMISSION, "lockdown");
	f->request.no_in_place = true;
	must_fail(f, EPERM, FR_FAULT_PERMISSION, "lockdown");
}

static void test_load_fails(void **state)
{
	struct fixture *f = *state;

	f->script.load_error = -EBUSY;
	must_fail(f, EBUSY, FR_FAULT_SYSTEM, "kexec_load");
	f->script.load_error = -ENOMEM;
	must_fail(f, ENOMEM, FR_FAULT_SYSTEM, "kexec_load");
	f->script.load_error = -EADDRNOTAVAIL;
	must_fail(f, EADDRNOTAVAIL, FR_FAULT_SYSTEM, "kexec_load");
}

static void test_already_loaded(void **state)
{
	struct fixture *f = *state;

	fake_root_text(&f->root, "/sys/kernel/kexec_loaded", "1\n");
	must_fail(f, EBUSY, FR_FAULT_REFUSED, "kexec -u");
}

static void test_no_io_uring(void **state)
{
	struct fixture *f = *state;

	f->script.pin_error = -EPERM;
	must_fail(f, EPERM, FR_FAULT_PERMISSION, "kernel.io_uring_disabled");
}

static void test_no_frames(void **state)
{
	struct fixture *f = *state;

	f->script.frames_error = -EPERM;
	must_fail(f, EPERM, FR_FAULT_PERMISSION, "/proc/self/pagemap");
}

static void test_no_hugetlbfs(void **state)
{
	struct fixture *f = *state;

	f->script.memfd_error = -ENOSYS;
	must_fail(f, ENOSYS, FR_FAULT_SYSTEM, "CONFIG_HUGETLBFS");
}

static void test_nothing_clean(void **state)
{
	struct fixture *f = *state;

	f->script.frame = outside;
	must_fail(f, ENOSPC, FR_FAULT_REFUSED, "no contiguous places");
}

static void test_little_memory(void **state)
{
	struct fixture *f = *state;

	fake_root_text(&f->root, "/proc/meminfo", "MemAvailable: 4000 kB\n");
	must_fail(f, ENOSPC, FR_FAULT_REFUSED, "huge pages");
}

static void test_no_place_for_copy(void **state)
{
	struct fixture *f = *state;

	f->request.no_in_place = true;
	fake_root_text(&f->root, "/proc/iomem", "  40000000-bfffffff : Kernel code\n");
	must_fail(f, ENOSPC, FR_FAULT_REFUSED, "no place for the kernel");
}

static void test_five_levels(void **state)
{
	struct fixture *f = *state;

	fake_root_text(&f->root, "/proc/cpuinfo", "flags\t: fpu la57\n");
	fr_disarm(&f->ctx, must_arm(f));
	f->image->xloadflags &= ~(uint32_t)XLF_5LEVEL_ENABLED;
	must_fail(f, EOPNOTSUPP, FR_FAULT_REFUSED, "no5lvl");
}

static void test_encrypted(void **state)
{
	struct fixture *f = *state;

	fake_root_text(&f->root, "/proc/cpuinfo", "flags\t: sme\n");
	fake_root_text(&f->root, "/proc/cmdline", "mem_encrypt=on\n");
	must_fail(f, EOPNOTSUPP, FR_FAULT_REFUSED, "mem_encrypt");
}

static void test_long_cmdline(void **state)
{
	struct fixture *f = *state;
	char cmdline[3000];

	memset(cmdline, 'x', sizeof(cmdline) - 1);
	cmdline[sizeof(cmdline) - 1] = 0;
	f->request.cmdline = cmdline;
	must_fail(f, E2BIG, FR_FAULT_REFUSED, "command line");
}

static void test_disarm_nothing(void **state)
{
	struct fixture *f = *state;

	fr_disarm(&f->ctx, NULL);
	fr_hugepages_put(&f->ctx, NULL);
	check_given_back(f);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_in_place),	   T(test_frames_backwards), T(test_some_frames_outside),
		T(test_random_places),	   T(test_fallback),	     T(test_no_in_place),
		T(test_no_initrd),	   T(test_load_not_allowed), T(test_load_fails),
		T(test_already_loaded),	   T(test_no_io_uring),	     T(test_no_frames),
		T(test_no_hugetlbfs),	   T(test_nothing_clean),    T(test_little_memory),
		T(test_no_place_for_copy), T(test_five_levels),	     T(test_encrypted),
		T(test_long_cmdline),	   T(test_disarm_nothing),   T(test_optimised),
		T(test_not_broken),
	};

	return cmocka_run_group_tests_name("arm", tests, NULL, NULL);
}
