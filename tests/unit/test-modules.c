// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake-root.h"
#include "image.h"

#define NEXT "9.9.9-next"

/* A device of @bus bound to @driver, which is module @module unless that is NULL */
static void add_device(const struct fake_root *root, const char *bus, const char *device,
		       const char *driver, const char *module, const char *alias)
{
	char name[128], target[128];

	snprintf(name, sizeof(name), "/sys/bus/%s/devices/%s/modalias", bus, device);
	fake_root_text(root, name, alias);
	snprintf(name, sizeof(name), "/sys/bus/%s/devices/%s/driver", bus, device);
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	fake_root_link(root, name, target);
	snprintf(name, sizeof(name), "/sys/bus/%s/drivers/%s/uevent", bus, driver);
	fake_root_text(root, name, "");
	if (!module)
		return;
	snprintf(name, sizeof(name), "/sys/module/%s/initstate", module);
	fake_root_text(root, name, "live\n");
	snprintf(name, sizeof(name), "%s/sys/bus/%s/drivers/%s/module", root->path, bus, driver);
	remove(name);
	snprintf(target, sizeof(target), "../../../../module/%s", module);
	fake_root_link(root, name + strlen(root->path), target);
}

/* What depmod makes of a kernel that has virtio_net built in */
static int add_tables(const struct fake_root *root)
{
	char command[256];

	fake_root_text(root, "/lib/modules/" NEXT "/modules.builtin",
		       "kernel/drivers/net/virtio_net.ko\n");
	fake_root_text(root, "/lib/modules/" NEXT "/modules.order", "");
	fake_root_write(root, "/lib/modules/" NEXT "/modules.builtin.modinfo",
			"virtio_net.alias=virtio:d00000001v*", 36);
	snprintf(command, sizeof(command),
		 "PATH=/sbin:/usr/sbin:$PATH depmod -b %s " NEXT " 2>/dev/null", root->path);
	return system(command);
}

static void check_release(const struct fake_root *root, const char *release, size_t expected,
			  const char *says)
{
	struct fr_ctx ctx = {.root = root->path};
	struct fr_error e = {};
	char **v = NULL;
	size_t nr = 0, i;

	assert_int_equal(fr_modules_check(&ctx, release, &v, &nr, &e), 0);
	assert_int_equal(nr, expected);
	for (i = 0; i < nr; i++)
		assert_non_null(strstr(v[i], says));
	for (i = 0; i < nr; i++)
		free(v[i]);
	free(v);
}

static void check(const struct fake_root *root, size_t expected, const char *says)
{
	check_release(root, NEXT, expected, says);
}

static void test_drivers(void **state)
{
	struct fake_root root;

	(void)state;
	fake_root_make(&root);
	if (add_tables(&root)) {
		fake_root_remove(&root);
		skip();
	}
	/* known by name, known by alias, built in without a name that anybody knows */
	add_device(&root, "virtio", "virtio0", "virtio_net", "virtio_net", "x\n");
	add_device(&root, "virtio", "virtio1", "odd", "odd", "virtio:d00000001v00001AF4\n");
	add_device(&root, "pci_express", "0000:00:01.0:pcie001", "pcieport", NULL, "");
	check(&root, 0, "");
	/* a module that is not there: said once */
	add_device(&root, "pci", "0000:00:02.0", "nvme", "nvme", "pci:v00001B36d00000010\n");
	check(&root, 1, "driver nvme, bound to pci device 0000:00:02.0");
	add_device(&root, "pci", "0000:00:03.0", "nvme", "nvme", "pci:v00001B36d00000010\n");
	check(&root, 1, "driver nvme, bound to pci device 0000:00:0");
	/* the same tables, for an image that calls itself so */
	check_release(&root, "../modules/" NEXT, 1, "no modules of it");
	fake_root_remove(&root);
}

static void test_no_tables(void **state)
{
	struct fake_root root;

	(void)state;
	fake_root_make(&root);
	add_device(&root, "pci", "0000:00:02.0", "nvme", "nvme", "pci:v00001B36d00000010\n");
	check(&root, 1, "no modules of it in /lib/modules: whether kernel " NEXT);
	fake_root_remove(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drivers),
		cmocka_unit_test(test_no_tables),
	};

	return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
