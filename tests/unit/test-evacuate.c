// SPDX-License-Identifier: GPL-2.0-or-later
/* Which memory blocks are taken offline, in which order, and that each comes back as it was. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evacuate.h"
#include "fake-root.h"
#include "kernel.h"
#include "offline.h"
#include "ramap.h"
#include "test.h"

#define BLOCK	    FR_SECTION_BYTES
#define BLOCK_PAGES (BLOCK >> FR_PAGE_SHIFT)
#define POOL	    "/sys/kernel/mm/hugepages/hugepages-2048kB/"

/* include/uapi/linux/kernel-page-flags.h */
#define LRU    (1ull << 5)
#define SLAB   (1ull << 7)
#define FREE   (1ull << 10)
#define TAIL   (1ull << 16)
#define HUGE   (1ull << 17)
#define POISON (1ull << 19)

static struct fake_root root;

/* What the kernel makes of each block, and what it was told to do. */
static struct world {
	char said[512]; /* "8- 9- 8+kernel " */
	int refuses[64];
	unsigned int dissolves[64]; /* free huge pages in it */
	bool pool_is_stuck;	    /* there are no others to be had for them */
	bool unwritten;		    /* a block was told to go that no journal has */
} world;

static unsigned int pool_size(void)
{
	return (unsigned int)atoi(fake_root_line(&root, POOL "nr_hugepages"));
}

static void set_pool(unsigned int nr)
{
	char text[16];

	snprintf(text, sizeof(text), "%u\n", nr);
	fake_root_text(&root, POOL "nr_hugepages", text);
}

static bool journal_has(unsigned int block)
{
	char path[128], line[64], wanted[32];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/run/kexec-fastrestart/offline", root.path);
	snprintf(wanted, sizeof(wanted), "block %u ", block);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		found |= !strncmp(line, wanted, strlen(wanted));
	if (f)
		fclose(f);
	return found;
}

static int fake_set_block(void *data, const char *path, const char *state, unsigned int timeout_ms,
			  int cancel_fd)
{
	bool offline = !strcmp(state, "offline");
	unsigned int block;
	size_t len = strlen(world.said);

	(void)data;
	(void)cancel_fd;
	assert_int_equal(sscanf(strstr(path, "/memory/memory"), "/memory/memory%u/state", &block),
			 1);
	assert_int_equal(offline, timeout_ms > 0);
	snprintf(world.said + len, sizeof(world.said) - len, "%u%s%s ", block, offline ? "-" : "+",
		 offline ? "" : state + strlen("online_"));
	world.unwritten |= offline && !journal_has(block);
	if (offline && world.refuses[block])
		return world.refuses[block];
	fake_root_text(&root, path + strlen(root.path), offline ? "offline\n" : "online\n");
	if (world.dissolves[block] && world.pool_is_stuck)
		fake_root_text(&root, POOL "surplus_hugepages", offline ? "3\n" : "0\n");
	else if (world.dissolves[block] && offline)
		set_pool(pool_size() - world.dissolves[block]);
	return 0;
}

static const struct fr_kernel_ops ops = {.set_block = fake_set_block};
static struct fr_ctx ctx = {.root = root.path, .ops = &ops};

/* ----------------------------------------------------------------------- the machine */

static void put_pages(unsigned int block, uint64_t first, uint64_t nr, uint64_t flags)
{
	uint64_t *v = calloc(nr, sizeof(*v));
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/proc/kpageflags", root.path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (uint64_t i = 0; i < nr; i++)
		v[i] = flags;
	if (pwrite(fd, v, nr * 8, (off_t)((block * BLOCK_PAGES + first) * 8)) != (ssize_t)nr * 8)
		abort();
	close(fd);
	free(v);
}

static void put_block(unsigned int number, const char *zone)
{
	char file[96];

	snprintf(file, sizeof(file), "/sys/devices/system/memory/memory%u/state", number);
	fake_root_text(&root, file, "online\n");
	snprintf(file, sizeof(file), "/sys/devices/system/memory/memory%u/valid_zones", number);
	fake_root_text(&root, file, zone);
	put_pages(number, 0, BLOCK_PAGES, FREE);
}

/* 8 to 11 at 1 GiB, 32 to 35 at 4 GiB; a GiB is free. */
static int make(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	fake_root_make(&root);
	fake_root_text(&root, "/proc/kpageflags", "");
	fake_root_text(&root, "/sys/devices/system/memory/block_size_bytes", "8000000\n");
	for (unsigned int i = 0; i < 4; i++) {
		put_block(8 + i, "DMA32\n");
		put_block(32 + i, i < 3 ? "Normal\n" : "Movable\n");
	}
	fake_root_text(&root, "/proc/meminfo",
		       "MemFree: 1048576 kB\nActive(file): 0 kB\nInactive(file): 0 kB\n");
	fake_root_text(&root, POOL "surplus_hugepages", "0\n");
	set_pool(10);
	fake_root_text(&root, "/run/x", "");
	fake_root_text(&root, "/run/kexec-fastrestart/x", "");
	return 0;
}

static int drop(void **state)
{
	(void)state;
	fake_root_remove(&root);
	return 0;
}

/* A plan that lacks memory as all blocks have @kept[i] kept pages. */
static struct fr_region region = {.name = "x"};
static struct fr_plan plan;
static struct fr_ranges fixed;

static void keep(unsigned int block, uint64_t pages)
{
	assert_int_equal(fr_extents_append(&region.extents, block * BLOCK_PAGES, pages,
					   fr_extents_pages(&region.extents)),
			 0);
	assert_int_equal(fr_ranges_add(&plan.hidden, block * BLOCK, (block + 1) * BLOCK), 0);
	put_pages(block, 0, pages, LRU);
}

static int make_full(void **state)
{
	static const uint64_t kept[] = {4, 3, 2, 1, 30, 10, 20, 40};

	make(state);
	for (unsigned int i = 0; i < 8; i++)
		keep(i < 4 ? 8 + i : 28 + i, kept[i]);
	plan.regions = &region;
	plan.nr_regions = 1;
	return 0;
}

static int drop_full(void **state)
{
	fr_extents_clear(&region.extents);
	fr_ranges_clear(&plan.hidden);
	fr_ranges_clear(&plan.clean);
	fr_ranges_clear(&fixed);
	plan = (struct fr_plan){0};
	return drop(state);
}

static struct fr_evacuation *begin(void)
{
	struct fr_evacuation *ev;
	struct fr_error e;

	if (fr_evacuation_new(&ctx, -1, &ev, &e))
		fail_msg("%s", e.text);
	return ev;
}

static size_t evacuate_of(struct fr_evacuation *ev, uint64_t reserve, bool dry_run)
{
	struct fr_evacuate_request r = {
		.plan = &plan, .fixed = &fixed, .reserve_bytes = reserve, .dry_run = dry_run};
	struct fr_error e;
	size_t nr = 99;

	if (fr_evacuate(ev, &r, &nr, &e))
		fail_msg("%s", e.text);
	assert_false(world.unwritten);
	return nr;
}

static size_t evacuate(struct fr_evacuation *ev)
{
	return evacuate_of(ev, 0, false);
}

/* All is as before; @said: what was done for it */
static void must_come_back(struct fr_evacuation *ev, const char *said)
{
	struct stat st;
	char path[128];

	world.said[0] = '\0';
	assert_int_equal(fr_evacuation_undo(ev, NULL), 0);
	assert_string_equal(world.said, said);
	assert_int_equal(pool_size(), 10);
	snprintf(path, sizeof(path), "%s/run/kexec-fastrestart/offline", root.path);
	assert_int_equal(stat(path, &st), -1);
	fr_evacuation_free(ev);
}

/* ---------------------------------------------------------------------------- tests */

static void fewest_pages_first(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	plan.lack_bytes = 2 * BLOCK + 1;
	assert_int_equal(evacuate(ev), 3);
	/* not 8 and 11, without which the zone would end elsewhere */
	assert_string_equal(world.said, "10- 9- 33- ");
	must_come_back(ev, "10+kernel 9+kernel 33+kernel ");
}

static void zones_are_restored(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate(ev), 6);
	must_come_back(ev, "10+kernel 9+kernel 33+kernel 34+kernel 32+kernel 35+movable ");
}

static void low_memory(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	plan.lack_low_bytes = 1;
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate(ev), 1);
	plan.lack_low_bytes = 8 * BLOCK;
	assert_int_equal(evacuate(ev), 1);
	assert_string_equal(world.said, "10- 9- ");
	must_come_back(ev, "10+kernel 9+kernel ");
}

/* One that lies beside what is clean */
static void pieces(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	assert_int_equal(fr_ranges_add(&plan.clean, 36 * BLOCK, 37 * BLOCK), 0);
	plan.lack_piece_bytes = 1;
	assert_int_equal(evacuate(ev), 1);
	must_come_back(ev, "35+movable ");
}

/* Others do, and they are not tried again. */
static void those_that_cannot(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	world.refuses[10] = -EBUSY;
	world.refuses[9] = -ETIMEDOUT;
	plan.lack_bytes = BLOCK;
	assert_int_equal(evacuate(ev), 1);
	assert_int_equal(evacuate(ev), 1);
	assert_string_equal(world.said, "10- 9- 33- 34- ");
	must_come_back(ev, "33+kernel 34+kernel ");
}

/* What the kernel has there, or what would be lost, is not even tried. */
static void those_that_must_not(void **state)
{
	struct fr_evacuation *ev;

	(void)state;
	fake_root_text(&root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "1\n");
	put_pages(9, 100, 1, SLAB);
	put_pages(10, 100, 1, POISON);
	put_pages(32, 512, 512, HUGE | TAIL); /* of 1 GiB */
	put_pages(33, 512, 1, HUGE);
	put_pages(33, 513, 511, HUGE | TAIL);
	assert_int_equal(fr_ranges_add(&fixed, 34 * BLOCK, 34 * BLOCK + 4096), 0);
	ev = begin();
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate(ev), 1);
	assert_string_equal(world.said, "35- ");
	must_come_back(ev, "35+movable ");
}

/* A patched kernel gives optimised pages back as good as any. */
static void optimised_ones_of_a_patched_kernel(void **state)
{
	struct fr_evacuation *ev;

	(void)state;
	fake_root_text(&root, "/proc/sys/vm/hugetlb_optimize_vmemmap", "1\n");
	fake_root_text(&root, "/sys/kernel/fastrestart/versions", "1 1\n");
	put_pages(9, 512, 1, HUGE);
	put_pages(9, 513, 511, HUGE | TAIL);
	ev = begin();
	plan.lack_bytes = 2 * BLOCK;
	assert_int_equal(evacuate(ev), 2);
	assert_string_equal(world.said, "10- 9- ");
	must_come_back(ev, "10+kernel 9+kernel ");
}

/* Huge pages of 2 MiB move, those of 1 GiB do not. */
static void pages_of_two_sizes(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	put_pages(32, 0, BLOCK_PAGES, HUGE | TAIL);
	put_pages(33, 512, 1, HUGE);
	put_pages(33, 513, 511, HUGE | TAIL);
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate(ev), 5);
	assert_string_equal(world.said, "10- 9- 33- 34- 35- ");
	must_come_back(ev, "10+kernel 9+kernel 33+kernel 34+kernel 35+movable ");
}

/* Pages of which nobody knows come last. */
static void those_that_may(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	put_pages(10, 100, 1, 0);
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate(ev), 6);
	assert_string_equal(world.said, "9- 33- 34- 32- 35- 10- ");
	must_come_back(ev, "9+kernel 33+kernel 34+kernel 32+kernel 35+movable 10+kernel ");
}

/* The pages of a block, its own free ones and the reserve: 128 MiB and 64 MiB */
static void room(void **state)
{
	struct fr_evacuation *ev = begin();
	struct fr_error e = {.text = "no"};

	(void)state;
	plan.lack_bytes = 60 * BLOCK;
	fake_root_text(&root, "/proc/meminfo",
		       "MemFree: 100000 kB\nActive(file): 50000 kB\nInactive(file): 46600 kB\n");
	assert_int_equal(evacuate_of(ev, 64 * MIB, false), 0);
	assert_string_equal(world.said, "");
	fr_evacuation_explain(ev, &e);
	assert_non_null(strstr(e.text, "0 memory blocks of 128 MiB"));
	assert_non_null(strstr(e.text, "for 6 there is no room"));
	fake_root_text(&root, "/proc/meminfo",
		       "MemFree: 100000 kB\nActive(file): 50000 kB\nInactive(file): 46608 kB\n");
	assert_int_equal(evacuate_of(ev, 64 * MIB, false), 6);
	must_come_back(ev, "10+kernel 9+kernel 33+kernel 34+kernel 32+kernel 35+movable ");
}

/* The kernel moves pages to other nodes. */
static void room_of_nodes(void **state)
{
	struct fr_evacuation *ev;

	(void)state;
	for (unsigned int i = 32; i < 36; i++) {
		char file[96];

		snprintf(file, sizeof(file), "/sys/devices/system/memory/memory%u/node%d", i,
			 i == 35);
		fake_root_text(&root, file, "");
	}
	fake_root_text(&root, "/sys/devices/system/node/node0/meminfo",
		       "Node 0 MemFree: 1000000 kB\n");
	fake_root_text(&root, "/sys/devices/system/node/node1/meminfo", "Node 1 MemFree: 50 kB\n");
	ev = begin();
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate(ev), 4);
	assert_string_equal(world.said, "10- 9- 33- 35- ");
	must_come_back(ev, "10+kernel 9+kernel 33+kernel 35+movable ");
}

static void huge_pages(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	plan.lack_bytes = BLOCK;
	world.dissolves[10] = 3;
	assert_int_equal(evacuate(ev), 1);
	assert_int_equal(pool_size(), 10);
	must_come_back(ev, "10+kernel ");
}

/* With fewer of them somebody else would fail. */
static void huge_pages_that_are_missing(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	plan.lack_bytes = BLOCK;
	world.dissolves[10] = 3;
	world.pool_is_stuck = true;
	assert_int_equal(evacuate(ev), 1);
	assert_string_equal(world.said, "10- 10+kernel 9- ");
	must_come_back(ev, "9+kernel ");
}

static void dry_run(void **state)
{
	struct fr_evacuation *ev = begin();

	(void)state;
	plan.lack_bytes = 2 * BLOCK;
	assert_int_equal(evacuate_of(ev, 0, true), 2);
	fr_evacuation_free(ev);
	ev = begin();
	plan.lack_bytes = 60 * BLOCK;
	assert_int_equal(evacuate_of(ev, 0, true), 0);
	assert_string_equal(world.said, "");
	must_come_back(ev, "");
}

/* What a load that was killed leaves, before and after a block went */
static void left_over(void **state)
{
	struct fr_offline o;
	struct fr_error e;
	size_t nr;

	(void)state;
	fake_root_text(&root, "/run/kexec-fastrestart/offline",
		       "block 10 kernel\nblock 35 movable\nblock 77 kernel\npool 2048 10\n");
	fake_root_text(&root, "/sys/devices/system/memory/memory35/state", "offline\n");
	set_pool(7);
	assert_int_equal(fr_offline_put_all(&ctx, &nr, &e), 0);
	assert_int_equal(nr, 3);
	assert_string_equal(world.said, "35+movable ");
	assert_int_equal(pool_size(), 10);
	assert_int_equal(fr_offline_read(&ctx, &o, &e), 0);
	assert_int_equal(o.nr + o.nr_pools, 0);
}

static void a_damaged_journal(void **state)
{
	static const char *const texts[] = {"block x kernel\n", "block 3 elsewhere\n", "x\n",
					    "pool 2048\n"};
	struct fr_offline o;
	struct fr_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		fake_root_text(&root, "/run/kexec-fastrestart/offline", texts[i]);
		assert_int_equal(fr_offline_read(&ctx, &o, &e), -EBADMSG);
		assert_non_null(strstr(e.text, "damaged"));
	}
}

static void a_kernel_that_cannot(void **state)
{
	struct fr_evacuation *ev;
	struct fr_error e;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/sys/devices/system/memory/memory8/valid_zones", root.path);
	unlink(path);
	assert_int_equal(fr_evacuation_new(&ctx, -1, &ev, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "CONFIG_MEMORY_HOTREMOVE"));
}

/* As a FIFO without a reader, the kernel may never be done. */
static void a_kernel_that_takes_too_long(void **state)
{
	int (*set_block)(void *, const char *, const char *, unsigned int, int) =
		fr_kernel_ops_default.set_block;
	char fifo[128], file[128];
	int fd[2];

	(void)state;
	snprintf(fifo, sizeof(fifo), "%s/fifo", root.path);
	snprintf(file, sizeof(file), "%s/run/x", root.path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(set_block(NULL, fifo, "offline", 50, fd[0]), -ETIMEDOUT);
	assert_int_equal(set_block(NULL, fifo, "offline", 50, -1), -ETIMEDOUT);
	assert_int_equal(write(fd[1], "", 1), 1);
	assert_int_equal(set_block(NULL, fifo, "offline", 60000, fd[0]), -ECANCELED);
	assert_int_equal(set_block(NULL, "/nowhere/state", "offline", 60000, -1), -ENOENT);
	assert_int_equal(set_block(NULL, file, "offline", 60000, -1), 0);
	assert_string_equal(fake_root_line(&root, "/run/x"), "offline");
	close(fd[0]);
	close(fd[1]);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, make, drop)
#define TEST_FULL(name) cmocka_unit_test_setup_teardown(name, make_full, drop_full)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_FULL(fewest_pages_first),
		TEST_FULL(zones_are_restored),
		TEST_FULL(low_memory),
		TEST_FULL(pieces),
		TEST_FULL(those_that_cannot),
		TEST_FULL(those_that_must_not),
		TEST_FULL(optimised_ones_of_a_patched_kernel),
		TEST_FULL(pages_of_two_sizes),
		TEST_FULL(those_that_may),
		TEST_FULL(room),
		TEST_FULL(room_of_nodes),
		TEST_FULL(huge_pages),
		TEST_FULL(huge_pages_that_are_missing),
		TEST_FULL(dry_run),
		TEST(left_over),
		TEST(a_damaged_journal),
		TEST(a_kernel_that_cannot),
		TEST(a_kernel_that_takes_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
