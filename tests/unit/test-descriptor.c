// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "malformed.h"
#include "ramap.h"
#include "sample.h"
#include "test.h"

static void assert_same_region(const struct fr_region *a, const struct fr_region *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->path, b->path);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->page_shift, b->page_shift);
	assert_int_equal(a->size_bytes, b->size_bytes);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->seals, b->seals);
	assert_int_equal(a->digest_alg, b->digest_alg);
	assert_memory_equal(a->digest, b->digest, FR_DIGEST_BYTES);
	assert_true(fr_extents_equal(&a->extents, &b->extents));
}

static void assert_same(const struct fr_descriptor *a, const struct fr_descriptor *b)
{
	assert_int_equal(a->hop, b->hop);
	assert_int_equal(a->hidden_bytes, b->hidden_bytes);
	assert_int_equal(a->tsc_khz, b->tsc_khz);
	assert_int_equal(a->lpj, b->lpj);
	assert_int_equal(a->lpj_hz, b->lpj_hz);
	assert_memory_equal(a->boot_id, b->boot_id, sizeof(a->boot_id));
	assert_memory_equal(a->stamp, b->stamp, sizeof(a->stamp));
	assert_int_equal(a->ram.nr, b->ram.nr);
	assert_memory_equal(a->ram.v, b->ram.v, a->ram.nr * sizeof(*a->ram.v));
	assert_int_equal(a->nr_regions, b->nr_regions);
	for (size_t i = 0; i < a->nr_regions; i++)
		assert_same_region(&a->regions[i], &b->regions[i]);
	assert_int_equal(a->nr_poison, b->nr_poison);
	for (size_t i = 0; i < a->nr_poison; i++)
		assert_int_equal(a->poison_pfn[i], b->poison_pfn[i]);
	assert_int_equal(a->nr_blobs, b->nr_blobs);
	for (size_t i = 0; i < a->nr_blobs; i++) {
		assert_string_equal(a->blobs[i].name, b->blobs[i].name);
		assert_int_equal(a->blobs[i].bytes, b->blobs[i].bytes);
		assert_memory_equal(a->blobs[i].data, b->blobs[i].data, a->blobs[i].bytes);
	}
}

static void round_trip(const struct fr_descriptor *d)
{
	struct fr_descriptor *back = NULL;
	struct fr_error e = {0};
	size_t bytes, bytes_again;
	uint8_t *p = sample_encode(d, &bytes), *again;

	if (fr_descriptor_decode(p, bytes, &back, &e))
		fail_msg("%s", e.text);
	assert_same(d, back);
	again = sample_encode(back, &bytes_again);
	assert_int_equal(bytes, bytes_again);
	assert_memory_equal(p, again, bytes);
	free(again);
	free(p);
	fr_descriptor_free(back);
}

static void test_round_trip(void **state)
{
	struct fr_descriptor *d = sample_descriptor();

	(void)state;
	round_trip(d);
	fr_descriptor_free(d);
}

static void test_round_trip_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct fr_descriptor *d = sample_random(seed, seed * 3);

		round_trip(d);
		fr_descriptor_free(d);
	}
}

static void test_round_trip_million(void **state)
{
	struct fr_descriptor *d = sample_random(42, 1u << 20);

	(void)state;
	round_trip(d);
	fr_descriptor_free(d);
}

static void test_area_larger(void **state)
{
	struct fr_descriptor *d = sample_descriptor(), *back = NULL;
	size_t bytes = fr_descriptor_bytes(d);
	uint8_t *p = calloc(1, bytes + 100);

	(void)state;
	assert_int_equal(fr_descriptor_encode(d, p, bytes + 100, NULL), 0);
	assert_int_equal(fr_descriptor_decode(p, bytes + 100, &back, NULL), 0);
	/* stamps are not covered: the kernel sets them in place */
	p[offsetof(struct fr_wire_header, stamp)] ^= 1;
	fr_descriptor_free(back);
	assert_int_equal(fr_descriptor_decode(p, bytes + 100, &back, NULL), 0);
	fr_descriptor_free(back);
	fr_descriptor_free(d);
	free(p);
}

static void test_no_room(void **state)
{
	struct fr_descriptor *d = sample_descriptor();
	size_t bytes = fr_descriptor_bytes(d);
	uint8_t *p = malloc(bytes);
	struct fr_error e = {0};

	(void)state;
	assert_int_equal(fr_descriptor_encode(d, p, bytes - 1, &e), -ENOSPC);
	assert_int_equal(e.err, ENOSPC);
	fr_descriptor_free(d);
	free(p);
}

static void test_encode_refuses(void **state)
{
	struct fr_descriptor *d = sample_descriptor();
	uint8_t p[8192];
	struct fr_error e = {0};

	(void)state;
	d->regions[1].extents.v[1].start_pfn = d->regions[1].extents.v[0].start_pfn;
	assert_int_equal(fr_descriptor_encode(d, p, sizeof(p), &e), -EINVAL);
	assert_int_equal(e.err, EINVAL);
	assert_int_equal(e.fault, FR_FAULT_DESCRIPTOR);
	assert_non_null(strstr(e.text, "two extents"));
	fr_descriptor_free(d);
}

static void test_blob(void **state)
{
	struct fr_descriptor *d = sample_descriptor();
	char name[FR_NAME_BYTES] = "";

	(void)state;
	assert_int_equal(fr_descriptor_blob(d, "vm/guest0/state")->bytes, 12);
	assert_null(fr_descriptor_blob(d, "vm/guest0"));
	assert_true(fr_descriptor_vm(d, 0, name));
	assert_string_equal(name, "guest0");
	assert_false(fr_descriptor_vm(d, 1, name)); /* its state */
	strcpy(d->blobs[1].name, "v");
	assert_false(fr_descriptor_vm(d, 1, name));
	fr_descriptor_free(d);
	fr_descriptor_free(NULL);
}

static void test_malformed(void **state)
{
	struct fr_descriptor *d = sample_descriptor();

	(void)state;
	for (size_t i = 0; i < nr_malformed; i++) {
		const struct malformed *m = &malformed[i];
		struct fr_descriptor *untouched = d;
		struct fr_error e = {0};
		size_t bytes;
		uint8_t *p = sample_encode(d, &bytes), *exact;
		int r;

		m->apply(p, &bytes);
		if (!m->keep_csum)
			sample_repair(p, bytes);
		/* to the byte, for the address sanitizer */
		exact = malloc(bytes ? bytes : 1);
		memcpy(exact, p, bytes);
		r = fr_descriptor_decode(exact, bytes, &untouched, &e);
		if (r != -EBADMSG || e.fault != FR_FAULT_DESCRIPTOR || !strstr(e.text, m->says) ||
		    untouched != d)
			fail_msg("%s: %d, \"%s\", not \"%s\"", m->name, r, e.text, m->says);
		free(exact);
		free(p);
	}
	fr_descriptor_free(d);
}

/* Whatever is accepted obeys the rules: it can be encoded again. */
static void mutate(const uint8_t *valid, size_t bytes, uint64_t *seed, size_t *accepted)
{
	struct fr_descriptor *back = NULL;
	struct fr_error e = {0};
	uint8_t *p = malloc(bytes);

	memcpy(p, valid, bytes);
	for (uint64_t n = 1 + test_random_below(seed, 4); n; n--) {
		uint64_t at = test_random_below(seed, bytes);

		/* odd bytes, extreme ones, and those of other fields */
		switch (test_random_below(seed, 3)) {
		case 0:
			p[at] ^= (uint8_t)(1u << test_random_below(seed, 8));
			break;
		case 1:
			p[at] = (uint8_t)-test_random_below(seed, 2);
			break;
		default:
			p[at] = p[test_random_below(seed, bytes)];
		}
	}
	sample_repair(p, bytes);
	if (!fr_descriptor_decode(p, bytes, &back, &e)) {
		size_t again;

		free(sample_encode(back, &again));
		++*accepted;
	} else {
		assert_int_equal(e.fault, FR_FAULT_DESCRIPTOR);
		assert_true(e.text[0]);
	}
	fr_descriptor_free(back);
	free(p);
}

static void test_mutations(void **state)
{
	struct fr_descriptor *d = sample_descriptor();
	size_t bytes, accepted = 0;
	uint8_t *p = sample_encode(d, &bytes);
	uint64_t seed = 20261121;

	(void)state;
	for (unsigned int i = 0; i < 10000; i++)
		mutate(p, bytes, &seed, &accepted);
	/* uid, boot_id and the like take any value; structure does not */
	assert_in_range(accepted, 1, 9000);
	fr_descriptor_free(d);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_random),
		cmocka_unit_test(test_round_trip_million),
		cmocka_unit_test(test_area_larger),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_blob),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("descriptor", tests, NULL, NULL);
}
