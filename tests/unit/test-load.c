// SPDX-License-Identifier: GPL-2.0-or-later
/* load, as a dry run, on a machine that has hopped: what it hands on and refuses. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake-root.h"
#include "make-image.h"
#include "ramap.h"
#include "sample.h"
#include "test.h"

#define SPEC                                                                                 \
	"{\"version\": 1, \"name\": \"web\", \"regions\": [{\"name\": \"web.0\", \"path\": " \
	"\"/dev/shm/a\"}, {\"name\": \"web.1\", \"path\": \"/dev/shm/b\"}]}"

static struct fake_root root;
static char warnings[4096];

static void log_warning(void *data, enum fr_log_level level, const char *text)
{
	(void)data;
	if (level == FR_LOG_WARN)
		strncat(warnings, text, sizeof(warnings) - strlen(warnings) - 1);
}

static struct fr_ctx ctx = {.root = root.path, .log = log_warning};

/* Two regions of a VM from 4 GiB on, of a 6 GiB machine. */
static struct fr_descriptor *make_descriptor(void)
{
	struct fr_descriptor *d = calloc(1, sizeof(*d));

	d->hop = 1;
	assert_int_equal(fr_ram_map_add(&d->ram, 0x100000, 3 * GIB, FR_E820_RAM, 0), 0);
	assert_int_equal(fr_ram_map_add(&d->ram, 4 * GIB, 7 * GIB, FR_E820_RAM, 0), 0);
	d->nr_regions = 2;
	d->regions = calloc(2, sizeof(*d->regions));
	for (size_t i = 0; i < 2; i++) {
		struct fr_region *g = &d->regions[i];

		snprintf(g->name, sizeof(g->name), "web.%zu", i);
		g->kind = FR_KIND_SHMEM;
		g->page_shift = 12;
		g->size_bytes = MIB;
		g->mode = 0100600;
		g->path = strdup(i ? "/dev/shm/b" : "/dev/shm/a");
		assert_int_equal(fr_extents_append(&g->extents, (4 * GIB + i * GIB) >> 12, 256, 0),
				 0);
	}
	d->nr_blobs = 2;
	d->blobs = calloc(2, sizeof(*d->blobs));
	strcpy(d->blobs[0].name, "vm/web/spec");
	d->blobs[0].data = strdup(SPEC);
	d->blobs[0].bytes = strlen(SPEC);
	strcpy(d->blobs[1].name, "vm/web/state");
	d->blobs[1].data = strdup("state");
	d->blobs[1].bytes = 5;
	return d;
}

static void put_descriptor(const char *name)
{
	struct fr_descriptor *d = make_descriptor();
	size_t bytes;
	uint8_t *p = sample_encode(d, &bytes);

	fake_root_write(&root, name, p, bytes);
	free(p);
	fr_descriptor_free(d);
}

static void put_kernel(void)
{
	struct bytes elf = make_elf(), bz;

	make_relocations(&elf, 1);
	bz = make_bzimage(&elf, MAKE_GZIP);
	fake_root_write(&root, "/vmlinuz", bz.v, bz.n);
	free(elf.v);
	free(bz.v);
}

static void set_state(const char *name, const char *text)
{
	char file[96];

	snprintf(file, sizeof(file), "/sys/kernel/fastrestart/regions/%s/state", name);
	fake_root_text(&root, file, text);
}

static void put_firmware(int nr, const char *start, const char *end, const char *type)
{
	char file[64];

	snprintf(file, sizeof(file), "/sys/firmware/memmap/%d/start", nr);
	fake_root_text(&root, file, start);
	snprintf(file, sizeof(file), "/sys/firmware/memmap/%d/end", nr);
	fake_root_text(&root, file, end);
	snprintf(file, sizeof(file), "/sys/firmware/memmap/%d/type", nr);
	fake_root_text(&root, file, type);
}

static int make(void **state)
{
	(void)state;
	warnings[0] = '\0';
	fake_root_make(&root);
	put_kernel();
	fake_root_write(&root, "/sys/kernel/boot_params/data", (char[4096]){0}, 4096);
	fake_root_text(&root, "/proc/cpuinfo", "flags\t: fpu\n");
	fake_root_text(&root, "/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
	fake_root_text(&root, "/proc/sys/kernel/kexec_load_disabled", "0\n");
	fake_root_text(&root, "/proc/sys/kernel/kexec_load_limit_reboot", "-1\n");
	fake_root_text(&root, "/proc/sys/kernel/random/boot_id",
		       "01234567-89ab-cdef-0011-223344556677\n");
	fake_root_text(&root, "/proc/cmdline", "quiet\n");
	fake_root_text(&root, "/proc/meminfo", "MemTotal: 1 kB\nHardwareCorrupted: 0 kB\n");
	fake_root_text(&root, "/proc/iomem",
		       "00100000-bfffffff : System RAM\n"
		       "100000000-107ffffff : Unusable memory\n"
		       "108000000-13fffffff : System RAM\n"
		       "140000000-147ffffff : Unusable memory\n"
		       "148000000-1bfffffff : System RAM\n");
	put_firmware(0, "0x100000\n", "0xbfffffff\n", "System RAM\n");
	put_firmware(1, "0x100000000\n", "0x147ffffff\n", "Unusable memory\n");
	put_firmware(2, "0x148000000\n", "0x1bfffffff\n", "System RAM\n");
	return 0;
}

static int make_hopped(void **state)
{
	make(state);
	fake_root_text(&root, "/sys/kernel/fastrestart/versions", "1 1\n");
	fake_root_text(&root, "/sys/kernel/fastrestart/status", "accepted\n");
	put_descriptor("/sys/kernel/fastrestart/descriptor");
	return 0;
}

static int drop(void **state)
{
	(void)state;
	fake_root_remove(&root);
	return 0;
}

/* @descriptor: below the root, or NULL */
static int load(bool force, const char *descriptor, size_t *ret_regions, struct fr_error *e)
{
	char kernel[96], file[96];
	struct fr_load_options o = {.kernel = kernel, .append = MUTABLE("quiet"), .force = force};
	struct fr_plan *plan;
	int r;

	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", root.path);
	snprintf(file, sizeof(file), "%s%s", root.path, descriptor ? descriptor : "");
	o.descriptor_file = descriptor ? file : NULL;
	r = fr_load(&ctx, &o, true, &plan, e);
	if (r)
		return r;
	*ret_regions = plan->nr_regions;
	for (size_t i = 0; i < plan->nr_warnings; i++)
		log_warning(NULL, FR_LOG_WARN, plan->warnings[i].text);
	fr_plan_free(plan);
	return 0;
}

static void loads(bool force, const char *descriptor, size_t regions)
{
	struct fr_error e = {0};
	size_t nr = 99;

	if (load(force, descriptor, &nr, &e))
		fail_msg("%s", e.text);
	assert_int_equal(nr, regions);
}

/* A VM's own id of its memory is part of it. */
static void long_names_are_refused(void **state)
{
	char kernel[96], name[FR_NAME_BYTES + 1];
	struct fr_source source = {
		.spec = MUTABLE("/a"), .name = name, .path = MUTABLE("/proc/self/exe")};
	struct fr_load_options o = {.kernel = kernel,
				    .append = MUTABLE("quiet"),
				    .sources = &source,
				    .nr_sources = 1};
	struct fr_plan *plan;
	struct fr_error e;

	(void)state;
	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", root.path);
	memset(name, 'x', FR_NAME_BYTES);
	name[FR_NAME_BYTES] = '\0';
	assert_int_equal(fr_load(&ctx, &o, true, &plan, &e), -ENAMETOOLONG);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	name[FR_NAME_BYTES - 1] = '\0';
	assert_int_equal(fr_load(&ctx, &o, true, &plan, &e), -EMEDIUMTYPE);
}

static void a_vm_that_waits_is_handed_on(void **state)
{
	(void)state;
	set_state("web.0", "kept\n");
	set_state("web.1", "kept\n");
	loads(false, NULL, 2);
	set_state("web.1", "restored\n");
	loads(false, NULL, 1);
}

/* restore --no-vms, or a QEMU that would not start: its state must not go unnoticed */
static void a_vm_that_was_not_started_is_not_forgotten(void **state)
{
	struct fr_error e = {0};
	size_t nr;

	(void)state;
	set_state("web.0", "restored\n");
	set_state("web.1", "released\n");
	assert_int_equal(load(false, NULL, &nr, &e), -EBUSY);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, "VM web"));
	fake_root_text(&root, "/run/kexec-fastrestart/vm/web.started", "");
	assert_int_equal(load(false, NULL, &nr, &e), -EBUSY);
	loads(true, NULL, 0);
	fake_root_text(&root, "/run/kexec-fastrestart/vm/web.started", "started\n");
	loads(false, NULL, 0);
}

static void a_vm_that_was_given_up_is(void **state)
{
	(void)state;
	set_state("web.0", "released\n");
	set_state("web.1", "released\n");
	loads(false, NULL, 0);
}

/* For a saved descriptor, memory that is RAM was given back: but say so. */
static void what_has_become_ram_is_named(void **state)
{
	(void)state;
	put_descriptor("/saved");
	fake_root_text(&root, "/proc/iomem",
		       "00100000-bfffffff : System RAM\n"
		       "100000000-107ffffff : Unusable memory\n"
		       "108000000-1bfffffff : System RAM\n");
	loads(false, "/saved", 1);
	assert_non_null(strstr(warnings, "region web.1"));
	assert_null(strstr(warnings, "region web.0"));
}

/* Its map would make the next kernel use what is no RAM here, or not use what is. */
static void another_machines_descriptor_is_refused(void **state)
{
	static const char *const iomem[] = {
		"00100000-bfffffff : System RAM\n148000000-1cfffffff : System RAM\n",
		"00100000-bfffffff : System RAM\n148000000-1afffffff : System RAM\n",
	};
	struct fr_error e = {0};
	size_t nr;

	(void)state;
	put_descriptor("/saved");
	for (size_t i = 0; i < 2; i++) {
		fake_root_text(&root, "/proc/iomem", iomem[i]);
		put_firmware(2, "0x148000000\n", i ? "0x1afffffff\n" : "0x1cfffffff\n",
			     "System RAM\n");
		assert_int_equal(load(false, "/saved", &nr, &e), -EXDEV);
		assert_int_equal(e.fault, FR_FAULT_DESCRIPTOR);
		assert_non_null(strstr(e.text, i ? "no RAM at 0x1b0000000" : "RAM at 0x1c0000000"));
	}
}

static void set_pool(const char *name, const char *text)
{
	char file[96];

	snprintf(file, sizeof(file), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", name);
	fake_root_text(&root, file, text);
}

/* A kernel that may damage huge pages: what exec will refuse is known before anything is stopped for it. */
static void what_exec_refuses_is_foreseen(void **state)
{
	struct fr_error e = {0};
	size_t nr;

	(void)state;
	fake_root_text(&root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "1\n");
	fake_root_text(&root, "/proc/buddyinfo", "Node 0, zone  Movable  3 4\n");
	assert_int_equal(load(false, NULL, &nr, &e), -ENOTSUP);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	fake_root_text(&root, "/proc/buddyinfo", "Node 0, zone   Normal  1 2\n");
	set_pool("free_hugepages", "3\n");
	set_pool("resv_hugepages", "3\n");
	set_pool("surplus_hugepages", "0\n");
	loads(false, NULL, 0);
	assert_non_null(strstr(warnings, "exec would refuse: 1 huge pages"));
	set_pool("free_hugepages", "4\n");
	set_pool("surplus_hugepages", "2\n");
	loads(false, NULL, 0);
	assert_non_null(strstr(warnings, "exec would refuse: 2 huge pages of 2 MiB are surplus"));
	set_pool("surplus_hugepages", "0\n");
	warnings[0] = '\0';
	loads(false, NULL, 0);
	assert_null(strstr(warnings, "exec would refuse"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(long_names_are_refused, make, drop),
		cmocka_unit_test_setup_teardown(a_vm_that_waits_is_handed_on, make_hopped, drop),
		cmocka_unit_test_setup_teardown(a_vm_that_was_not_started_is_not_forgotten,
						make_hopped, drop),
		cmocka_unit_test_setup_teardown(a_vm_that_was_given_up_is, make_hopped, drop),
		cmocka_unit_test_setup_teardown(what_has_become_ram_is_named, make, drop),
		cmocka_unit_test_setup_teardown(another_machines_descriptor_is_refused, make, drop),
		cmocka_unit_test_setup_teardown(what_exec_refuses_is_foreseen, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
