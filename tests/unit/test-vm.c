// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's command line rewritten for a restart, the spec that carries it, and the restart
 * itself, for which this program is started once more as a scripted VMM.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "fake-qemu.h"
#include "fake-root.h"
#include "test.h"
#include "util.h"
#include "vm-private.h"

#define MACHINE "pc-q35-7.2"

/* RAM that is handed over as a descriptor */
static const struct fr_vm_ram on_fd[] = {{.id = MUTABLE("fd9"), .is_fd = true, .fd = 9},
					 {.id = MUTABLE("file"), .fd = -1}};

static void becomes(const char *const *argv, const char *const *want)
{
	char **got = fr_vm_argv_restart((char *const *)(uintptr_t)argv, MACHINE, on_fd, 2);
	size_t i;

	assert_non_null(got);
	for (i = 0; want[i]; i++) {
		assert_non_null(got[i]);
		assert_string_equal(got[i], want[i]);
	}
	assert_null(got[i]);
	fr_strv_free(got);
}

#define BECOMES(from, to) becomes((const char *const[])from, (const char *const[])to)
#define L(...)                    \
	{                         \
		__VA_ARGS__, NULL \
	}

static void rewrites(void **state)
{
	(void)state;
	BECOMES(L("qemu"), L("qemu", "-incoming", "defer"));
	BECOMES(L("qemu", "-S", "-daemonize", "-incoming", "tcp:0:1", "-loadvm", "x", "-m", "1G"),
		L("qemu", "-m", "1G", "-incoming", "defer"));
	BECOMES(L("qemu", "--incoming", "defer", "--S"), L("qemu", "-incoming", "defer"));
	/* a value that looks like an option stays, and so does one at the end */
	BECOMES(L("qemu", "-name", "x", "-append"),
		L("qemu", "-name", "x", "-append", "-incoming", "defer"));
	BECOMES(L("-S"), L("-S", "-incoming", "defer"));
	BECOMES(L("qemu", "-incoming"), L("qemu", "-incoming", "defer"));
}

static void rewrites_prealloc(void **state)
{
	(void)state;
	BECOMES(L("q", "-object", "memory-backend-file,id=m,prealloc=on,share=on", "-mem-prealloc"),
		L("q", "-object", "memory-backend-file,id=m,prealloc=off,share=on", "-incoming",
		  "defer"));
	BECOMES(L("q", "-object", "memory-backend-file,prealloc,x=y"),
		L("q", "-object", "memory-backend-file,prealloc=off,x=y", "-incoming", "defer"));
	BECOMES(L("q", "-object", "memory-backend-file,id=m,prealloc-threads=4"),
		L("q", "-object", "memory-backend-file,id=m,prealloc-threads=4", "-incoming",
		  "defer"));
	BECOMES(L("q", "-object",
		  "{\"qom-type\":\"memory-backend-file\",\"mem-path\":\"/a/b\",\"prealloc\":true}"),
		L("q", "-object",
		  "{\"qom-type\":\"memory-backend-file\",\"mem-path\":\"/a/b\",\"prealloc\":false}",
		  "-incoming", "defer"));
	/* nor may it empty the file when it fails before the guest goes on */
	BECOMES(L("q", "-object", "memory-backend-file,id=m,discard-data=on,prealloc=on"),
		L("q", "-object", "memory-backend-file,id=m,discard-data=off,prealloc=off",
		  "-incoming", "defer"));
	BECOMES(L("q", "-object", "{\"qom-type\":\"memory-backend-file\",\"discard-data\":true}"),
		L("q", "-object", "{\"qom-type\":\"memory-backend-file\",\"discard-data\":false}",
		  "-incoming", "defer"));
	BECOMES(L("q", "-object", "{broken"), L("q", "-object", "{broken", "-incoming", "defer"));
}

static void rewrites_memfd(void **state)
{
#define ON_FD "memory-backend-file,share=on,mem-path=/proc/self/fd/9"
	(void)state;
	BECOMES(L("q", "-object", "memory-backend-memfd,id=fd9,size=1G,seal=off,prealloc=on"),
		L("q", "-object", ON_FD ",id=fd9,size=1G,prealloc=off", "-incoming", "defer"));
	BECOMES(L("q", "-object",
		  "qom-type=memory-backend-memfd,hugetlb=on,hugetlbsize=2M,share=on,id=fd9"),
		L("q", "-object", ON_FD ",id=fd9", "-incoming", "defer"));
	/* from a restore before this one */
	BECOMES(L("q", "-object",
		  "memory-backend-file,share=on,mem-path=/proc/self/fd/123,id=fd9,size=1G"),
		L("q", "-object", ON_FD ",id=fd9,size=1G", "-incoming", "defer"));
	BECOMES(L("q", "-object",
		  "{\"qom-type\":\"memory-backend-memfd\",\"id\":\"fd9\",\"hugetlb\":true,"
		  "\"seal\":false}"),
		L("q", "-object",
		  "{\"qom-type\":\"memory-backend-file\",\"id\":\"fd9\",\"share\":true,"
		  "\"mem-path\":\"/proc/self/fd/9\"}",
		  "-incoming", "defer"));
	/* others stay */
	BECOMES(L("q", "-object", "memory-backend-file,id=file,mem-path=/f", "-object",
		  "memory-backend-memfd,id=fd99", "-object", "iothread"),
		L("q", "-object", "memory-backend-file,id=file,mem-path=/f", "-object",
		  "memory-backend-memfd,id=fd99", "-object", "iothread", "-incoming", "defer"));
}

static void rewrites_machine(void **state)
{
	(void)state;
	BECOMES(L("q", "-M", "q35,memory-backend=m"),
		L("q", "-M", MACHINE ",memory-backend=m", "-incoming", "defer"));
	BECOMES(L("q", "-machine", "type=q35,accel=kvm"),
		L("q", "-machine", "type=" MACHINE ",accel=kvm", "-incoming", "defer"));
	BECOMES(L("q", "-machine", "accel=kvm"),
		L("q", "-machine", "accel=kvm", "-incoming", "defer"));
}

static void refused(const char *const *argv, const char *named)
{
	struct fr_error e;
	int r = fr_vm_argv_check("v", (char *const *)(uintptr_t)argv, &e);

	assert_int_equal(r, named ? -EOPNOTSUPP : 0);
	if (named)
		assert_non_null(strstr(e.text, named));
}

#define REFUSED(argv, named) refused((const char *const[])argv, named)

static void refuses_fds(void **state)
{
	(void)state;
	REFUSED(L("q", "-netdev", "tap,id=n,fd=25"), "fd=25");
	REFUSED(L("q", "-netdev", "tap,vhostfds=3:4"), "vhostfds");
	REFUSED(L("q", "-chardev", "{\"fd\":\"3\"}"), "-chardev");
	REFUSED(L("q", "-add-fd", "fd=3,set=1"), "-add-fd");
	REFUSED(L("q", "-snapshot"), "-snapshot");
	REFUSED(L("q", "-drive", "file=a,snapshot=on"), "snapshot=on");
	REFUSED(L("q", "-drive", "snapshot,file=a"), "-drive");
	REFUSED(L("q", "-drive", "snapshot=off,file=a"), NULL);
	REFUSED(L("q", "-runas", "nobody"), "-runas");
	REFUSED(L("q", "-run-with", "user=nobody"), "-run-with");
	REFUSED(L("q", "-run-with", "async-teardown=on"), NULL);
	REFUSED(L("q", "-netdev", "user,id=fd", "-name", "fd=1", "-S"), NULL);
}

/* ------------------------------------------------------- changed since it was started */

#define DISK(file)                                                                             \
	{                                                                                      \
		"query-block",                                                                 \
			"\"return\": [{\"device\": \"cd\"}, {\"inserted\": {\"file\": \"" file \
			"\"}}]"                                                                \
	}
#define CHILD(name) "{\"name\": \"" name "\", \"type\": \"child<virtio-rng-pci>\"}"

static void changed(const char *const *argv, struct fake_answer answer, const char *named)
{
	const struct fake_answer answers[] = {answer, {NULL, NULL}};
	struct fake_qemu q = {.answers = answers, .ram_path = "/dev/null"};
	struct fr_vm vm = {.name = MUTABLE("web"), .argv = (char **)(uintptr_t)argv};
	struct fake_root root;
	struct fr_error e = {0};
	int r;

	fake_root_make(&root);
	fake_qemu_start(&q, &root, "", 0);
	if (fr_qmp_open(q.socket, 2000, &vm.qmp, &e))
		fail_msg("%s", e.text);
	r = fr_vm_check_changed(&vm, &e);
	if (r != (named ? -EOPNOTSUPP : 0))
		fail_msg("%d: %s", r, e.text);
	if (named)
		assert_non_null(strstr(e.text, named));
	fr_qmp_close(vm.qmp);
	fake_qemu_stop(&q);
	fake_root_remove(&root);
}

#define CHANGED(argv, named, ...) \
	changed((const char *const[])argv, (struct fake_answer)__VA_ARGS__, named)
#define NAMED(list)                                      \
	{                                                \
		"peripheral\"", "\"return\": [" list "]" \
	}
#define ANON(list)                                          \
	{                                                   \
		"peripheral-anon", "\"return\": [" list "]" \
	}

static void devices_since_start(void **state)
{
	(void)state;
	CHANGED(L("q", "-m", "1G"), NULL, NAMED(""));
	CHANGED(L("q", "-device", "virtio-rng-pci,id=r1,x=y"), NULL, NAMED(CHILD("r1")));
	CHANGED(L("q", "--device", "{\"driver\":\"x\",\"id\":\"r1\"}"), NULL, NAMED(CHILD("r1")));
	CHANGED(L("q", "-device", "x,id=r1"), "\"late\" was plugged in",
		NAMED(CHILD("r1") ", " CHILD("late")));
	/* an option of another kind, and a longer name */
	CHANGED(L("q", "-drive", "id=r1", "-device", "x"), "\"r1\" was plugged",
		NAMED(CHILD("r1")));
	CHANGED(L("q", "-device", "x,id=r12"), "\"r1\" was plugged", NAMED(CHILD("r1")));
	CHANGED(L("q", "-device", "x,id=r1"), "\"r1\" was unplugged", NAMED(""));
	CHANGED(L("q", "-device", "{\"id\":\"r1\"}"), "\"r1\" was unplugged", NAMED(""));
	CHANGED(L("q", "-device", "x,id=r,failover_pair_id=n"), NULL, NAMED(""));
	CHANGED(L("q", "-device", "x,serial=a,,id=b,id=r1"), NULL, NAMED(CHILD("r1")));
	CHANGED(L("q", "-debugcon", "file:a"), NULL, NAMED(CHILD("debugcon")));
	CHANGED(L("q", "-device", "x"), NULL, ANON(CHILD("device[0]")));
	CHANGED(L("q", "-drive", "if=none,id=d", "-device", "x"), "without an id",
		ANON(CHILD("device[0]") ", " CHILD("device[1]")));
	CHANGED(L("q", "-drive", "if=virtio,file=a"), NULL, ANON(CHILD("device[0]")));
	CHANGED(L("q", "-device", "x,id=y"), "unplugged", ANON(""));
	CHANGED(L("q", "-device", "x"), "without an id",
		ANON(CHILD("device[0]") ", " CHILD("device[1]")));
	CHANGED(L("q", "-readconfig", "f"), NULL, NAMED(CHILD("r1")));
}

static void disks_since_start(void **state)
{
	(void)state;
	CHANGED(L("q", "-drive", "if=none,file=/a/d.img,id=x"), NULL, DISK("/a/d.img"));
	CHANGED(L("q", "-drive", "file=file:/a/d.img"), NULL, DISK("/a/d.img"));
	CHANGED(L("q", "-hda", "d.img"), NULL, DISK("d.img"));
	CHANGED(L("q", "-blockdev", "{\"filename\":\"/a/d.img\"}"), NULL, DISK("/a/d.img"));
	CHANGED(L("q", "-drive", "file=/a/d,,1.img"), NULL, DISK("/a/d,1.img"));
	CHANGED(L("q", "-drive", "driver=nbd,host=h"), NULL, DISK("nbd://h:10809"));
	CHANGED(L("q", "-drive", "file=/a/d.img"), "\"/a/snap\" became", DISK("/a/snap"));
	/* what libvirt writes: both images are named, and what the device has counts */
#define BASE	"{\"node-name\":\"base\",\"driver\":\"file\",\"filename\":\"/a/b\\u00e4se,1\"}"
#define OVERLAY "{\"node-name\":\"top\",\"driver\":\"qcow2\",\"backing\":\"base\"}"
#define NODE(node, file) \
	{"query-block",  \
	 "\"return\": [{\"inserted\": {\"file\": \"" file "\", \"node-name\": \"" node "\"}}]"}
	CHANGED(L("q", "-blockdev", BASE, "-blockdev", OVERLAY, "-device",
		  "{\"driver\":\"virtio-blk-pci\",\"drive\":\"top\"}"),
		NULL, NODE("top", "/a/top"));
	CHANGED(L("q", "-blockdev", BASE, "-blockdev", OVERLAY, "-device",
		  "{\"driver\":\"virtio-blk-pci\",\"drive\":\"top\"}"),
		"became an image", NODE("base", "/a/base"));
	CHANGED(L("q", "-blockdev", BASE, "-machine", "q35,pflash0=base"), NULL,
		NODE("base", "/a/x"));
	CHANGED(L("q", "-drive", "file=/a/d.img"), "/a/snap",
		DISK("json:{\\\"file\\\": {\\\"filename\\\": \\\"/a/snap\\\"}}"));
	CHANGED(L("q", "-hda", "c,d.raw"), NULL, DISK("c,d.raw"));
	CHANGED(L("q", "-drive", "file=file:x:y.raw"), NULL, DISK("./x:y.raw"));
	/* a medium that was taken out */
#define EMPTY(name, qdev) \
	{"query-block", "\"return\": [{\"device\": \"" name "\", \"qdev\": \"" qdev "\"}]"}
	CHANGED(L("q", "-cdrom", "a.iso"), "\"ide1-cd0\" lost its medium", EMPTY("ide1-cd0", ""));
	CHANGED(L("q", "-drive", "id=c,file=a.iso"), "\"c\" lost its medium", EMPTY("c", ""));
	CHANGED(L("q", "-drive", "id=c,if=none"), NULL, EMPTY("c", ""));
	CHANGED(L("q", "-hda", "a"), NULL, EMPTY("ide1-cd0", ""));
	CHANGED(L("q", "-blockdev", BASE, "-device", "scsi-cd,id=s,drive=base"),
		"\"s\" was unplugged", EMPTY("", "s"));
	/* a part of a name is not the name */
	CHANGED(L("q", "-drive", "file=/a/d.img.overlay"), "/a/d.img", DISK("/a/d.img"));
	CHANGED(L("q", "-drive", "file=/x/a/d.img"), "/a/d.img", DISK("/a/d.img"));
}

/* ------------------------------------------------------------------------------- spec */

static char *make_spec(void)
{
	struct fr_vm_ram ram[] = {
		{.id = MUTABLE("m0"), .path = MUTABLE("/dev/hugepages/a")},
		{.id = MUTABLE("m1"), .path = MUTABLE("/dev/hugepages/a"), .again = true},
		{.id = MUTABLE("dimm/1"), .path = MUTABLE("/proc/self/fd/0"), .is_fd = true}};
	char *argv[] = {MUTABLE("qemu"), MUTABLE("-m"), MUTABLE("1G \"x\"\n"), NULL};
	gid_t groups[] = {5, 6};
	struct fr_vm vm = {.name = MUTABLE("web"),
			   .qmp_path = MUTABLE("/run/web.qmp"),
			   .exe = MUTABLE("/usr/bin/qemu"),
			   .cwd = MUTABLE("/"),
			   .machine = MUTABLE(MACHINE),
			   .ram = ram,
			   .nr_ram = 3,
			   .argv = argv,
			   .argc = 3,
			   .uid = 7,
			   .gid = 8,
			   .groups = groups,
			   .nr_groups = 2,
			   .was_running = true};
	struct fr_source *s;
	size_t nr;
	char *json;

	assert_int_equal(fr_vm_sources(&vm, &s, &nr), 0);
	assert_int_equal(nr, 2);
	assert_string_equal(s[0].name, "web.m0");
	assert_string_equal(s[1].name, "web.dimm_1");
	assert_string_equal(s[1].path, "/proc/self/fd/0");
	assert_true(s[1].is_fd && s[1].ino && !s[0].is_fd);
	for (size_t i = 0; i < nr; i++) {
		free(s[i].name);
		free(s[i].path);
		free(s[i].spec);
	}
	free(s);
	assert_int_equal(fr_vm_spec(&vm, &json), 0);
	return json;
}

static void finds_memfds(void **state)
{
	struct fr_vm vm = {.name = MUTABLE("web"), .pid = getpid()};
	int fd[3], found = -1;
	struct fr_ctx ctx = {0};
	struct fr_error e;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fd[i] = memfd_create(i < 2 ? "memory-backend-memfd" : "other", MFD_CLOEXEC);
		assert_true(fd[i] >= 0);
		assert_int_equal(ftruncate(fd[i], i == 1 ? 8192 : 4096), 0);
	}
	assert_int_equal(fr_vm_find_memfd(&ctx, &vm, "m", 4096, &found, &e), 0);
	assert_int_equal(found, fd[0]);
	assert_int_equal(fr_vm_find_memfd(&ctx, &vm, "m", 8192, &found, &e), 0);
	assert_int_equal(found, fd[1]);
	assert_int_equal(fr_vm_find_memfd(&ctx, &vm, "m", 12288, &found, &e), -ENOENT);
	assert_int_equal(ftruncate(fd[1], 4096), 0);
	assert_int_equal(fr_vm_find_memfd(&ctx, &vm, "m", 4096, &found, &e), -ENOTUNIQ);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* What is handed over as a descriptor can be written to: that has to be so already. */
static void memory_is_mapped_for_writing(void **state)
{
	static const struct {
		const char *permissions;
		int named, handed_over; /* results */
	} cases[] = {
		{"rw-s", 0, 0},
		{"r--s", 0, -EROFS},
		{"rw-p", 0, -EROFS},
	};
	struct fr_vm vm = {.name = MUTABLE("web"), .pid = 42};
	struct fr_vm_ram ram = {.id = MUTABLE("m"), .path = MUTABLE("/proc/self/exe")};
	struct fake_root root;
	struct fr_ctx ctx = {.root = root.path};
	struct fr_error e;
	char maps[128];
	struct stat st;

	(void)state;
	fake_root_make(&root);
	assert_int_equal(stat(ram.path, &st), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(maps, sizeof(maps),
			 "7f00-7f01 rw-s 00000000 00:00 1 \n"
			 "7f01-7f02 %s 00000000 %x:%x %llu    /x\n",
			 cases[i].permissions, major(st.st_dev), minor(st.st_dev),
			 (unsigned long long)st.st_ino);
		fake_root_text(&root, "/proc/42/maps", maps);
		ram.is_fd = false;
		assert_int_equal(fr_vm_check_mapping(&ctx, &vm, &ram, &e), cases[i].named);
		ram.is_fd = true;
		assert_int_equal(fr_vm_check_mapping(&ctx, &vm, &ram, &e), cases[i].handed_over);
	}
	fake_root_text(&root, "/proc/42/maps", "7f00-7f01 rw-s 00000000 00:00 1 \n");
	assert_int_equal(fr_vm_check_mapping(&ctx, &vm, &ram, &e), -ESTALE);
	fake_root_remove(&root);
}

/* Whoever is in a container would be started outside of it, with the command line of its choice. */
static void what_is_confined_is_refused(void **state)
{
	static const char *const places[] = {"root", "ns/mnt", "ns/pid", "ns/net", "ns/user"};
	struct fr_vm vm = {.name = MUTABLE("web"), .pid = 42};
	struct fake_root root;
	struct fr_ctx ctx = {.root = root.path};
	struct fr_error e;
	char file[64];

	(void)state;
	for (size_t other = 0; other <= FR_ARRAY_SIZE(places); other++) {
		fake_root_make(&root);
		fake_root_link(&root, "/proc/42/fd/0", "/dev/null");
		for (size_t i = 0; i < FR_ARRAY_SIZE(places); i++) {
			snprintf(file, sizeof(file), "/proc/self/%s", places[i]);
			fake_root_link(&root, file, "/dev/null");
			snprintf(file, sizeof(file), "/proc/42/%s", places[i]);
			fake_root_link(&root, file, i == other ? "/dev/zero" : "/dev/null");
		}
		if (other == FR_ARRAY_SIZE(places)) {
			assert_int_equal(fr_vm_check_process(&ctx, &vm, &e), 0);
			/* what cannot be looked at might be a device */
			fake_root_text(&root, "/proc/42/fd/1", "");
			assert_int_equal(fr_vm_check_process(&ctx, &vm, &e), -EINVAL);
		} else {
			assert_int_equal(fr_vm_check_process(&ctx, &vm, &e), -EOPNOTSUPP);
			assert_non_null(strstr(e.text, places[other]));
		}
		fake_root_remove(&root);
	}
}

static void spec_round_trip(void **state)
{
	char *json = make_spec(), **names;
	struct fr_error e;
	struct fr_vm *vm;
	size_t nr;

	(void)state;
	assert_int_equal(fr_vm_parse_spec(json, &vm, &e), 0);
	assert_string_equal(vm->argv[2], "1G \"x\"\n");
	assert_int_equal(vm->argc, 3);
	assert_int_equal(vm->uid, 7);
	assert_int_equal(vm->groups[1], 6);
	assert_true(vm->was_running);
	assert_int_equal(vm->nr_ram, 1);
	assert_string_equal(vm->ram[0].id, "dimm/1");
	assert_string_equal(vm->ram[0].region, "web.dimm_1");
	fr_vm_close(vm);
	assert_int_equal(fr_vm_spec_regions(json, &names, &nr, &e), 0);
	assert_int_equal(nr, 2);
	assert_string_equal(names[0], "web.m0");
	fr_strv_free(names);
	free(json);
}

/* The spec comes out of a descriptor: replace one member at a time. */
static void hostile_specs(void **state)
{
	static const char *const bad[][2] = {
		{"version", "2"},    {"version", "\"1\""},   {"name", "\"../x\""},
		{"name", "\"a/b\""}, {"name", "5"},	     {"exe", "\"qemu\""},
		{"cwd", "\"\""},     {"qmp", "\"web.qmp\""}, {"argv", "[]"},
		{"argv", "[1]"},     {"argv", "{}"},	     {"argv", "[\"a\", null]"},
		{"uid", "-1"},	     {"uid", "4294967295"},  {"uid", "\"0\""},
		{"gid", "null"},     {"groups", "[true]"},   {"groups", "7"},
	};
	char *json = make_spec();
	struct fr_error e;
	struct fr_vm *vm;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct json_object *o = json_tokener_parse(json);

		json_object_object_add(o, bad[i][0], json_tokener_parse(bad[i][1]));
		assert_int_equal(fr_vm_parse_spec(json_object_to_json_string(o), &vm, &e),
				 -EBADMSG);
		assert_int_equal(e.fault, FR_FAULT_DESCRIPTOR);
		json_object_put(o);
	}
	assert_int_equal(fr_vm_parse_spec("", &vm, &e), -EBADMSG);
	assert_int_equal(fr_vm_parse_spec("[[[[[[[[[[[[[[[[", &vm, &e), -EBADMSG);
	free(json);
}

static void hostile_regions(void **state)
{
	static const char *const bad[] = {
		"{\"version\":1}",
		"{\"version\":1,\"regions\":[]}",
		"{\"version\":1,\"regions\":[{}]}",
		"{\"version\":1,\"regions\":[7]}",
		"{\"version\":1,\"regions\":[{\"name\":\"a\"},{\"name\":\"../b\"}]}",
	};
	struct fr_error e;
	char **names;
	size_t nr;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(fr_vm_spec_regions(bad[i], &names, &nr, &e), -EBADMSG);
}

/* ---------------------------------------------------------------------------- restart */

static void leave_word(int sig)
{
	(void)sig;
	close(open("terminated", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	_exit(0);
}

static bool has_contents(const char *path)
{
	struct stat st;

	return !stat(path, &st) && st.st_size > 0;
}

static const char *reply(const char *command, const char *script)
{
	if (strstr(command, "query-migrate-capabilities"))
		return "\"return\": [{\"capability\": \"x-ignore-shared\", \"state\": false}]";
	if (strstr(command, "query-migrate"))
		return strcmp(script, "bad-state") ?
			       "\"return\": {\"status\": \"completed\"}" :
			       "\"return\": {\"status\": \"failed\", \"error-desc\": \"bad state\"}";
	if (strstr(command, "query-status"))
		return strcmp(script, "io-error") ? "\"return\": {\"status\": \"running\"}" :
						    "\"return\": {\"status\": \"io-error\"}";
	if (!strstr(command, "\"cont\""))
		return "\"return\": {}";
	if (!has_contents("marker"))
		return "\"error\": {\"desc\": \"not marked\"}";
	if (!strcmp(script, "mute"))
		return NULL;
	return strcmp(script, "refuse") ? "\"return\": {}" : "\"error\": {\"desc\": \"no\"}";
}

/* In a process of its own, in the root: listen on "qmp", answer as @script says. */
static int be_vmm(const char *script, const char *object)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "qmp"};
	char *path = NULL;
	int id = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[4096];
	ssize_t n;

	if (!object || fr_vm_member(object, "mem-path", &path) || !path ||
	    open(path, O_RDWR | O_CLOEXEC) < 0)
		return 1;
	signal(SIGTERM, leave_word);
	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	if (getenv("FR_TEST_SECRET"))
		close(creat("secret", 0600));
	dprintf(creat("pid", 0644), "%d\n", getpid());
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		return 1;
	fd = accept(fd, NULL, NULL);
	dprintf(fd, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, "
		    "\"micro\": 22}}}}\r\n");
	while ((n = read(fd, line, sizeof(line) - 1)) > 0) { /* one command at a time */
		const char *text;

		line[n] = '\0';
		text = reply(line, script);
		id++;
		if (text)
			dprintf(fd, "{%s, \"id\": %d}\r\n", text, id);
	}
	for (;;)
		pause();
}

struct outcome {
	int r;
	bool lives, marked, terminated, has_secret;
	uint64_t resumed; /* as the marker tells */
	int warnings;
	struct fr_error e;
};

static uid_t vmm_uid; /* if not 0: somebody else's */

static void count_warnings(void *data, enum fr_log_level level, const char *text)
{
	(void)text;
	*(int *)data += level == FR_LOG_WARN;
}

static char *restart_spec(const struct fake_root *root, const char *script, bool running)
{
	struct fr_vm_ram ram = {.id = MUTABLE("m"), .path = MUTABLE(""), .is_fd = true};
	char *argv[] = {MUTABLE("vmm"),	    MUTABLE("be-vmm"), MUTABLE(script),
			MUTABLE("-object"), MUTABLE("x,id=m"), NULL},
	     *json;
	char qmp[80];
	gid_t none;
	struct fr_vm vm = {.name = MUTABLE("web"),
			   .qmp_path = qmp,
			   .exe = MUTABLE("/proc/self/exe"),
			   .cwd = MUTABLE(root->path),
			   .machine = MUTABLE(""),
			   .ram = &ram,
			   .nr_ram = 1,
			   .argv = argv,
			   .argc = 5,
			   .uid = vmm_uid ? vmm_uid : geteuid(),
			   .gid = getegid(),
			   .groups = &none,
			   .was_running = running};

	snprintf(qmp, sizeof(qmp), "%s/qmp", root->path);
	assert_int_equal(fr_vm_spec(&vm, &json), 0);
	return json;
}

static int open_region(void *data, const char *region, struct fr_error *e)
{
	(void)data;
	(void)e;
	assert_string_equal(region, "web");
	return memfd_create("region", MFD_CLOEXEC);
}

#define MARKER "/run/kexec-fastrestart/vm/web.started"

/* @marker_flags: of an open file that is to be the marker */
static struct outcome restart(const char *script, bool running, int marker_flags)
{
	struct outcome o = {0};
	struct fake_root root;
	struct fr_ctx ctx = {.root = root.path, .log = count_warnings, .data = &o.warnings};
	struct fr_vm_restart how = {
		.state = "state", .state_bytes = 5, .timeout_ms = 2000, .open_region = open_region};
	char path[96], *spec, *text;
	pid_t vmm;

	fake_root_make(&root);
	fake_root_text(&root, "/run/x", "");
	fake_root_text(&root, "/marker", "");
	assert_int_equal(chmod(root.path, 0777), 0);
	snprintf(path, sizeof(path), "%s/marker", root.path);
	how.marker_fd = open(path, marker_flags | O_CLOEXEC);
	how.spec = spec = restart_spec(&root, script, running);
	o.r = fr_vm_start(&ctx, &how, &o.e);
	o.marked = has_contents(path);
	assert_int_equal(fr_read_file(path, 100, &text, NULL), 0);
	fake_root_text(&root, MARKER, text);
	o.resumed = fr_vm_resumed(&ctx, "web");
	free(text);
	snprintf(path, sizeof(path), "%s/terminated", root.path);
	o.terminated = !access(path, F_OK);
	snprintf(path, sizeof(path), "%s/secret", root.path);
	o.has_secret = !access(path, F_OK);
	vmm = atoi(fake_root_line(&root, "/pid"));
	assert_true(vmm > 0);
	o.lives = !waitpid(vmm, NULL, WNOHANG);
	if (o.lives) {
		kill(vmm, SIGKILL);
		waitpid(vmm, NULL, 0);
	}
	close(how.marker_fd);
	free(spec);
	fake_root_remove(&root);
	return o;
}

static void marks_before_the_guest_runs(void **state)
{
	uint64_t before = __rdtsc();
	struct outcome o = restart("", true, O_WRONLY);

	(void)state;
	if (o.r)
		fail_msg("%s", o.e.text);
	assert_true(o.marked && o.lives);
	assert_true(before < o.resumed && o.resumed < __rdtsc());
	assert_int_equal(o.warnings, 0);
	o = restart("", false, O_WRONLY); /* stays paused */
	assert_int_equal(o.r, 0);
	assert_true(o.marked && o.lives && !o.resumed);
}

/* It may have been written by half, or by another release. */
static void when_a_guest_ran_on(void **state)
{
	static const char *const unknown[] = {
		"",
		"started\n",
		"started\nresumed 5",
		"started\nresumed \n",
		"started\nresumed -5\n",
		"started\nresumed 5 6\n",
		"stopped\nresumed 5\n",
		"started\nresumed 00000000000000000000000000000000000000000000000000000005\n",
	};
	struct fake_root root;
	struct fr_ctx ctx = {.root = root.path};

	(void)state;
	fake_root_make(&root);
	assert_int_equal(fr_vm_resumed(&ctx, "web"), 0);
	fake_root_text(&root, MARKER, "started\nresumed 5\n");
	assert_int_equal(fr_vm_resumed(&ctx, "web"), 5);
	for (size_t i = 0; i < FR_ARRAY_SIZE(unknown); i++) {
		fake_root_text(&root, MARKER, unknown[i]);
		assert_int_equal(fr_vm_resumed(&ctx, "web"), 0);
	}
	fake_root_remove(&root);
}

/* Root's environment is nothing for a VMM that is somebody else. */
static void environment(void **state)
{
	struct outcome o;

	(void)state;
	assert_int_equal(setenv("FR_TEST_SECRET", "x", 1), 0);
	o = restart("", true, O_WRONLY);
	assert_true(!o.r && o.has_secret);
	if (!geteuid()) {
		vmm_uid = 65534;
		o = restart("", true, O_WRONLY);
		vmm_uid = 0;
		if (o.r)
			fail_msg("%s", o.e.text);
		assert_false(o.has_secret);
	}
	unsetenv("FR_TEST_SECRET");
}

static void what_has_not_run_is_killed(void **state)
{
	static const char *const scripts[] = {"bad-state", "refuse"};
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		o = restart(scripts[i], true, O_WRONLY);
		assert_true(o.r < 0);
		/* and not asked to end: it would empty files with discard-data=on */
		assert_false(o.marked || o.lives || o.terminated);
	}
	o = restart("", true, O_RDONLY);
	assert_int_equal(o.r, -EBADF);
	assert_false(o.marked || o.lives || o.terminated);
}

static void what_may_have_run_is_let_live(void **state)
{
	struct outcome o = restart("mute", true, O_WRONLY);

	(void)state;
	assert_int_equal(o.r, -ETIMEDOUT);
	assert_true(o.marked && o.lives && !o.resumed);
	o = restart("io-error", true, O_WRONLY);
	assert_int_equal(o.r, 0);
	assert_true(o.marked && o.lives);
	assert_int_equal(o.warnings, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrites),
		cmocka_unit_test(rewrites_prealloc),
		cmocka_unit_test(rewrites_memfd),
		cmocka_unit_test(rewrites_machine),
		cmocka_unit_test(refuses_fds),
		cmocka_unit_test(devices_since_start),
		cmocka_unit_test(disks_since_start),
		cmocka_unit_test(finds_memfds),
		cmocka_unit_test(memory_is_mapped_for_writing),
		cmocka_unit_test(what_is_confined_is_refused),
		cmocka_unit_test(spec_round_trip),
		cmocka_unit_test(hostile_specs),
		cmocka_unit_test(hostile_regions),
		cmocka_unit_test(marks_before_the_guest_runs),
		cmocka_unit_test(when_a_guest_ran_on),
		cmocka_unit_test(environment),
		cmocka_unit_test(what_has_not_run_is_killed),
		cmocka_unit_test(what_may_have_run_is_let_live),
	};

	if (argc > 2 && !strcmp(argv[1], "be-vmm"))
		return be_vmm(argv[2], argc > 4 ? argv[4] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
