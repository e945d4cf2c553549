// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The next kernel's command line: what would contradict the RAM map that the command
 * hands over is dropped (--reuse-cmdline) or refused (--append); what takes memory is
 * counted.  Words are split as the kernel's next_arg() does: at blanks outside of
 * double quotes, up to "--", after which they belong to init.
 */
#include "config.h"

#include <inttypes.h>

#include "plan.h"
#include "util.h"

/*
 * Low memory that the kernel adds to a crash kernel placed high
 * (arch/x86/include/asm/crash_reserve.h, crash_low_size_default()).
 */
#define CRASH_LOW_BYTES (256ull << 20)

enum policy {
	POLICY_CONTRADICTS,  /* dropped, or refused */
	POLICY_TAKES_MEMORY, /* dropped, or counted */
	POLICY_STALE,	     /* dropped, or taken as it is */
};

static const struct rule {
	const char *key;
	enum policy policy;
	const char *why;
} rules[] = {
	{"mem", POLICY_CONTRADICTS, "would cut the RAM map that comes with kept memory"},
	{"memmap", POLICY_CONTRADICTS,
	 "would change the RAM map that comes with kept memory, which has carve-outs that are kept"},
	{"elfcorehdr", POLICY_CONTRADICTS, "is for a crash dump's kernel"},
	{"kexec_jump_back_entry", POLICY_CONTRADICTS, "is for a kernel that is jumped back to"},
	{"hugepages", POLICY_TAKES_MEMORY,
	 "would take clean memory: kept huge pages come back with their files, grow the pool later"},
	{"hugepagesz", POLICY_TAKES_MEMORY, NULL}, /* goes with hugepages= */
	{"hugetlb_cma", POLICY_TAKES_MEMORY, "would take clean memory"},
	{"lpj", POLICY_STALE, "is measured by each kernel, or handed over by the running one"},
};

/* The next word from *p on; its length, and *p behind it. 0 at the end. */
static size_t next_word(const char **p, const char **ret_word)
{
	const char *word = *p + strspn(*p, " \t\n"), *end = word;
	bool quoted = false;

	while (*end && (quoted || !strchr(" \t\n", *end))) {
		if (*end == '"')
			quoted = !quoted;
		end++;
	}
	*ret_word = word;
	*p = end;
	return (size_t)(end - word);
}

/* The value of @word if its name is @key, else NULL.  Quotes may surround word or value. */
static const char *value_of(const char *word, size_t bytes, const char *key)
{
	size_t n = strlen(key);

	if (bytes && *word == '"') {
		word++;
		bytes--;
	}
	if (bytes <= n || strncmp(word, key, n) || word[n] != '=')
		return NULL;
	return word[n + 1] == '"' ? word + n + 2 : word + n + 1;
}

static const struct rule *rule_of(const char *word, size_t bytes)
{
	for (size_t i = 0; i < FR_ARRAY_SIZE(rules); i++)
		if (value_of(word, bytes, rules[i].key))
			return &rules[i];
	return NULL;
}

int fr_cmdline_policy(const char *cmdline, bool rewrite, char **ret_cmdline,
		      struct fr_plan *warn_into, struct fr_error *e)
{
	_cleanup_free_ char *out = calloc(strlen(cmdline) + 1, 1);
	const char *p = cmdline, *word;
	bool for_init = false;
	size_t bytes, at = 0;

	if (!out)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "command line: out of memory");
	while ((bytes = next_word(&p, &word))) {
		const struct rule *rule;

		for_init |= bytes == 2 && !memcmp(word, "--", 2);
		rule = for_init ? NULL : rule_of(word, bytes);
		if (rule && !rewrite && rule->policy == POLICY_CONTRADICTS)
			return fr_fail(e, FR_FAULT_REFUSED, EINVAL,
				       "command line: %.*s %s: leave it out", (int)bytes, word,
				       rule->why);
		if (rule && rewrite) {
			if (rule->why &&
			    fr_plan_warn(warn_into, "command line: dropped %.*s, which %s",
					 (int)bytes, word, rule->why))
				return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM,
					       "command line: out of memory");
			continue;
		}
		if (at)
			out[at++] = ' ';
		memcpy(out + at, word, bytes);
		at += bytes;
	}
	*ret_cmdline = out;
	out = NULL;
	return 0;
}

/* hugepages=: "512", or "0:256,1:256"; saturates */
static uint64_t huge_page_count(const char *value)
{
	uint64_t sum = 0;

	for (;;) {
		char *end;
		uint64_t n = strtoull(value, &end, 10);

		if (*end == ':')
			n = strtoull(end + 1, &end, 10);
		if (__builtin_add_overflow(sum, n, &sum))
			return UINT64_MAX;
		if (*end != ',')
			return sum;
		value = end + 1;
	}
}

/*
 * crashkernel=: SIZE[@START], SIZE,high, SIZE,low, or RANGE:SIZE,...; of the latter
 * the largest, because which one applies is for the next kernel to say.
 */
static void count_crashkernel(const char *value, struct fr_cmdline_needs *n)
{
	const char *p;
	uint64_t bytes;

	if (fr_parse_bytes(value, &bytes, &p))
		return;
	if (!strncmp(p, ",low", 4)) {
		n->crash_low_bytes = bytes;
		return;
	}
	if (*p == '-') {
		for (bytes = 0; (p = strchr(p, ':'));) {
			uint64_t one;

			if (fr_parse_bytes(p + 1, &one, &p))
				break;
			bytes = fr_max_u64(bytes, one);
		}
	}
	n->crash_bytes = fr_max_u64(n->crash_bytes, bytes);
	if (!n->crash_low_bytes)
		n->crash_low_bytes = p && !strncmp(p, ",high", 5) ?
					     CRASH_LOW_BYTES :
					     fr_min_u64(bytes, CRASH_LOW_BYTES);
}

void fr_cmdline_needs(const char *cmdline, struct fr_cmdline_needs *ret)
{
	struct fr_cmdline_needs n = {0};
	uint64_t page_bytes = FR_HUGE_BYTES;
	const char *p = cmdline, *word, *value, *end;
	size_t bytes;

	while ((bytes = next_word(&p, &word)) && !(bytes == 2 && !memcmp(word, "--", 2))) {
		uint64_t more = 0;

		if ((value = value_of(word, bytes, "default_hugepagesz")) ||
		    (value = value_of(word, bytes, "hugepagesz"))) {
			if (fr_parse_bytes(value, &page_bytes, &end))
				page_bytes = FR_HUGE_BYTES;
		} else if ((value = value_of(word, bytes, "hugepages"))) {
			if (__builtin_mul_overflow(huge_page_count(value), page_bytes, &more))
				more = FR_PHYS_LIMIT;
		} else if ((value = value_of(word, bytes, "hugetlb_cma"))) {
			if (fr_parse_bytes(value, &more, &end))
				more = 0;
		} else if ((value = value_of(word, bytes, "crashkernel"))) {
			count_crashkernel(value, &n);
		}
		/* two of the largest still fit */
		n.huge_bytes =
			fr_min_u64(n.huge_bytes + fr_min_u64(more, FR_PHYS_LIMIT), FR_PHYS_LIMIT);
	}
	n.crash_bytes = fr_min_u64(n.crash_bytes, FR_PHYS_LIMIT);
	n.crash_low_bytes = fr_min_u64(n.crash_low_bytes, FR_PHYS_LIMIT);
	*ret = n;
}

/* "nn$ss", "nn!ss", "nn#ss", "nn%ss-...": all of a memmap= that takes RAM away */
static int add_carve_out(const char *value, struct fr_ranges *r)
{
	uint64_t bytes, start, end;
	const char *p;

	if (fr_parse_bytes(value, &bytes, &p) || !*p || !strchr("$!#%", *p))
		return 0;
	if (fr_parse_bytes(p + 1, &start, &p) || __builtin_add_overflow(start, bytes, &end))
		return 0;
	return fr_ranges_add(r, start, end);
}

int fr_cmdline_carve_outs(const char *cmdline, struct fr_ranges *ret)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges out = {0};
	const char *p = cmdline, *word, *value;
	size_t bytes;

	while ((bytes = next_word(&p, &word)) && !(bytes == 2 && !memcmp(word, "--", 2))) {
		value = value_of(word, bytes, "memmap");
		while (value) {
			int err = add_carve_out(value, &out);

			if (err)
				return err;
			value = memchr(value, ',', (size_t)(p - value));
			value = value ? value + 1 : NULL;
		}
	}
	fr_ranges_normalise(&out);
	*ret = out;
	out = (struct fr_ranges){0};
	return 0;
}
