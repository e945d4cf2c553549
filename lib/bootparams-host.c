// SPDX-License-Identifier: GPL-2.0-or-later
/* What the running kernel knows of the machine: /sys/kernel/boot_params, /sys/firmware/efi. */
#include "config.h"

#include "bootparams.h"
#include "bytes.h"
#include "util.h"

#define FILE_MAX       (16u << 20) /* /proc/cpuinfo of a large host */
#define EFI_MAP_MAX    1024u	   /* descriptors */
#define EFI_DESC_BYTES 40u	   /* EFI_MEMORY_DESCRIPTOR, version 1 */
#define EFI_DESC_MAX   256u

/* A whole file below ctx->root, ended by a NUL; malloc'ed. */
static int read_file(const struct fr_ctx *ctx, const char *name, char **ret_data, size_t *ret_bytes)
{
	_cleanup_free_ char *path = fr_path(ctx, "%s", name);

	return path ? fr_read_file(path, FILE_MAX, ret_data, ret_bytes) : -ENOMEM;
}

/* A file of one number, decimal or 0x. */
static int read_number(const struct fr_ctx *ctx, const char *name, uint64_t *ret_v)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes;
	char *end;
	uint64_t v;
	int r;

	r = read_file(ctx, name, &text, &bytes);
	if (r < 0)
		return r;
	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || end == text || (*end && *end != '\n'))
		return -EBADMSG;
	*ret_v = v;
	return 0;
}

/* "NAME=0x..." in /sys/firmware/efi/systab; 0 if it is not there. */
static uint64_t systab_value(const char *systab, const char *name)
{
	size_t n = strlen(name);
	const char *p;

	for (p = systab; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (!strncmp(p, name, n) && p[n] == '=')
			return strtoull(p + n + 1, NULL, 0);
	return 0;
}

/* One entry of the runtime map, as an EFI_MEMORY_DESCRIPTOR at @d. */
static int read_descriptor(const struct fr_ctx *ctx, unsigned int i, uint8_t *d)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {{"type", 0},
		      {"phys_addr", 8},
		      {"virt_addr", 16},
		      {"num_pages", 24},
		      {"attribute", 32}};
	char name[128];
	uint64_t v;
	size_t f;
	int r;

	for (f = 0; f < FR_ARRAY_SIZE(fields); f++) {
		snprintf(name, sizeof(name), "/sys/firmware/efi/runtime-map/%u/%s", i,
			 fields[f].name);
		r = read_number(ctx, name, &v);
		if (r < 0)
			return r;
		fr_put_le64(d + fields[f].offset, v);
	}
	return 0;
}

static int read_runtime_map(const struct fr_ctx *ctx, struct fr_efi *efi, struct fr_error *e)
{
	unsigned int i;
	int r = 0;

	efi->map = calloc(EFI_MAP_MAX, efi->desc_bytes);
	if (!efi->map)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory for the EFI runtime map");
	for (i = 0; i < EFI_MAP_MAX; i++) {
		r = read_descriptor(ctx, i, efi->map + (size_t)i * efi->desc_bytes);
		if (r < 0)
			break;
	}
	if (r != -ENOENT || !i)
		return fr_fail(e, FR_FAULT_REFUSED, r ? -r : E2BIG,
			       "/sys/firmware/efi/runtime-map: entry %u: %s; the next kernel "
			       "cannot use UEFI runtime services without it, boot with noefi",
			       i, strerror(r ? -r : E2BIG));
	efi->map_bytes = (size_t)i * efi->desc_bytes;
	return 0;
}

static int read_efi(const struct fr_ctx *ctx, struct fr_host_params *host, struct fr_error *e)
{
	struct fr_efi *efi = &host->efi;
	_cleanup_free_ char *systab = NULL;
	size_t bytes;
	int r;

	/* Not a UEFI host, or one whose kernel runs without runtime services */
	if (!host->running.efi_info.efi_memmap_size ||
	    read_number(ctx, "/sys/firmware/efi/fw_vendor", &efi->fw_vendor) < 0)
		return 0;
	r = read_number(ctx, "/sys/firmware/efi/config_table", &efi->tables);
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/sys/firmware/efi/config_table: %s",
			       strerror(-r));
	if (!read_file(ctx, "/sys/firmware/efi/systab", &systab, &bytes)) {
		efi->smbios = systab_value(systab, "SMBIOS");
		if (!host->running.acpi_rsdp_addr)
			host->running.acpi_rsdp_addr = systab_value(systab, "ACPI20");
		if (!host->running.acpi_rsdp_addr)
			host->running.acpi_rsdp_addr = systab_value(systab, "ACPI");
	}
	efi->desc_bytes = host->running.efi_info.efi_memdesc_size;
	if (efi->desc_bytes < EFI_DESC_BYTES || efi->desc_bytes > EFI_DESC_MAX)
		efi->desc_bytes = EFI_DESC_BYTES;
	r = read_runtime_map(ctx, efi, e);
	if (r < 0)
		return r;
	efi->present = true;
	return 0;
}

/* Is the word @word in @text, between blanks? */
static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	const char *p = text;

	while ((p = strstr(p, word))) {
		if ((p == text || strchr(" \t\n", p[-1])) && (!p[n] || strchr(" \t\n", p[n])))
			return true;
		p += n;
	}
	return false;
}

static int read_cpu(const struct fr_ctx *ctx, struct fr_host_params *host, struct fr_error *e)
{
	_cleanup_free_ char *cpuinfo = NULL, *cmdline = NULL;
	size_t bytes;
	char *end;
	int r;

	r = read_file(ctx, "/proc/cpuinfo", &cpuinfo, &bytes);
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/proc/cpuinfo: %s", strerror(-r));
	end = strstr(cpuinfo, "\n\n"); /* the first CPU says it for all */
	if (end)
		*end = 0;
	/* The kernel clears the flag when it runs with four levels. */
	host->la57 = has_word(cpuinfo, "la57");
	/* The flag says that the firmware allows it, the option that it is used. */
	if (has_word(cpuinfo, "sme") && !read_file(ctx, "/proc/cmdline", &cmdline, &bytes))
		host->memory_encrypted = has_word(cmdline, "mem_encrypt=on");
	return 0;
}

static int read_boot_params(const struct fr_ctx *ctx, struct boot_params *ret_bp,
			    struct fr_error *e)
{
	_cleanup_free_ char *data = NULL;
	size_t bytes;
	int r;

	r = read_file(ctx, "/sys/kernel/boot_params/data", &data, &bytes);
	if (!r && bytes != sizeof(*ret_bp))
		r = -EBADMSG;
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/sys/kernel/boot_params/data: %s",
			       strerror(-r));
	memcpy(ret_bp, data, sizeof(*ret_bp));
	return 0;
}

int fr_host_params_read(const struct fr_ctx *ctx, struct fr_host_params *ret_host,
			struct fr_error *e)
{
	struct fr_host_params host = {};
	int r;

	r = read_boot_params(ctx, &host.running, e);
	if (!r)
		r = read_cpu(ctx, &host, e);
	if (!r)
		r = read_efi(ctx, &host, e);
	if (r < 0) {
		fr_host_params_clear(&host);
		return r;
	}
	*ret_host = host;
	return 0;
}

void fr_host_params_clear(struct fr_host_params *host)
{
	free(host->efi.map);
	*host = (struct fr_host_params){};
}
