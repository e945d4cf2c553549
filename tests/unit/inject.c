// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject.h"
#include "test.h"

#define RUN_SECONDS 20 /* a run that takes longer hangs */
#define MAX_TASKS   64
#define MAX_RUNS    20000
#define SHOWN	    20 /* defects of a scenario, in full */

enum role { SELF, FORKED, NR_ROLES, OTHER = NR_ROLES }; /* OTHER: not of the scenario */

/* Shared by this process, the child, and what it forks. */
static struct shared {
	enum inject_kind kind;
	int err;
	enum role role;
	long nth;
	pid_t tester, child;
	atomic_bool on[NR_ROLES];
	atomic_long count[NR_ROLES];
	atomic_int paused[NR_ROLES + 1];
	atomic_bool hit;
	char call[32];
	/* of the child, at its end */
	int r;
	char text[1024];
} * shared;

static enum role role(void)
{
	pid_t self = getpid();

	if (!shared || self == shared->tester)
		return OTHER;
	return self == shared->child ? SELF : FORKED;
}

/* Count one more call; is it the one that fails? */
static bool fails(enum inject_kind kind, enum role by, const char *call)
{
	if (!shared || by == OTHER || shared->kind != kind || !shared->on[by] || shared->paused[by])
		return false;
	if (atomic_fetch_add(&shared->count[by], 1) + 1 != shared->nth || by != shared->role)
		return false;
	shared->hit = true;
	snprintf(shared->call, sizeof(shared->call), "%s", call);
	return true;
}

int inject_operation(const char *name)
{
	return fails(INJECT_OPERATION, role(), name) ? -shared->err : 0;
}

void inject_pause(void)
{
	if (shared)
		shared->paused[role()]++;
}

void inject_resume(void)
{
	if (shared)
		shared->paused[role()]--;
}

void inject_leave(void)
{
	shared = NULL;
}

/* ------------------------------------------------------------------------ allocations */

static struct {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t nr, size_t size);
	void *(*realloc)(void *p, size_t size);
	void *(*aligned_alloc)(size_t align, size_t size);
	int (*posix_memalign)(void **ret, size_t align, size_t size);
	void (*free)(void *p);
	bool found;
} libc;

#ifdef __SANITIZE_ADDRESS__
#define COUNTS_ALL false /* its strdup() and others allocate without malloc() */

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:detect_leaks=0"; /* a process has but one tracer */
}
#else
#define COUNTS_ALL true
#endif
static atomic_long live; /* blocks */

/*
 * Until libc's functions are looked up, when all libraries have made themselves ready: the
 * address sanitizer must not be called before it is.  Each block is preceded by its size.
 */
static _Alignas(16) char early[1 << 20];
static size_t early_bytes;

/* Runs before the sanitizers do. */
#define RAW __attribute__((no_sanitize("address", "undefined")))

RAW static void *allocate_early(size_t size)
{
	char *p = early + early_bytes + 16;

	early_bytes += 16 + ((size + 15) & ~(size_t)15);
	if (early_bytes > sizeof(early))
		abort();
	*(size_t *)(void *)(p - 16) = size;
	return p;
}

RAW static bool is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

__attribute__((constructor)) static void find_libc(void)
{
	static const struct {
		const char *name;
		size_t at;
	} functions[] = {
		{"malloc", offsetof(typeof(libc), malloc)},
		{"calloc", offsetof(typeof(libc), calloc)},
		{"realloc", offsetof(typeof(libc), realloc)},
		{"aligned_alloc", offsetof(typeof(libc), aligned_alloc)},
		{"posix_memalign", offsetof(typeof(libc), posix_memalign)},
		{"free", offsetof(typeof(libc), free)},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		void *f = dlsym(RTLD_NEXT, functions[i].name);

		memcpy((char *)&libc + functions[i].at, &f, sizeof(f));
	}
	libc.found = true;
}

/* Is the next allocation, by code at @caller, the one that fails? */
static bool allocation_fails(const char *name, void *caller)
{
	Dl_info info;

	if (!fails(INJECT_ALLOCATION, role(), name))
		return false;
	if (dladdr(caller, &info) && info.dli_fname)
		snprintf(shared->call, sizeof(shared->call), "%s of %s", name,
			 basename(info.dli_fname));
	errno = ENOMEM;
	return true;
}

static void *counted(void *p)
{
	live += p != NULL;
	return p;
}

RAW void *malloc(size_t size)
{
	if (!libc.found)
		return allocate_early(size);
	return allocation_fails("malloc", __builtin_return_address(0)) ? NULL :
									 counted(libc.malloc(size));
}

RAW void *calloc(size_t nr, size_t size)
{
	if (!libc.found)
		return allocate_early(nr * size);
	return allocation_fails("calloc", __builtin_return_address(0)) ?
		       NULL :
		       counted(libc.calloc(nr, size));
}

RAW static void *move_early(const void *old, size_t size)
{
	size_t old_size;
	void *p = malloc(size);

	memcpy(&old_size, (const char *)old - 16, sizeof(old_size));
	return p ? memcpy(p, old, old_size < size ? old_size : size) : NULL;
}

RAW void *realloc(void *old, size_t size)
{
	void *p;

	if (is_early(old))
		return move_early(old, size);
	if (!libc.found)
		return allocate_early(size);
	if (allocation_fails("realloc", __builtin_return_address(0)))
		return NULL;
	p = libc.realloc(old, size);
	live += (p != NULL) - (old && (p || !size));
	return p;
}

void *aligned_alloc(size_t align, size_t size)
{
	return !libc.found || allocation_fails("aligned_alloc", __builtin_return_address(0)) ?
		       NULL :
		       counted(libc.aligned_alloc(align, size));
}

int posix_memalign(void **ret, size_t align, size_t size)
{
	int r = !libc.found || allocation_fails("posix_memalign", __builtin_return_address(0)) ?
			ENOMEM :
			libc.posix_memalign(ret, align, size);

	live += !r;
	return r;
}

RAW void free(void *p)
{
	if (!p || is_early(p) || !libc.found)
		return;
	live--;
	libc.free(p);
}

/* ----------------------------------------------------------------------- system calls */

/* Those that cannot fail, or that libc cannot do without. */
static const int harmless[] = {
#ifdef __SANITIZE_ADDRESS__
	SYS_mmap, /* which it could not do without, either */
#endif
	SYS_exit,	  SYS_exit_group,    SYS_rt_sigaction, SYS_rt_sigprocmask,
	SYS_rt_sigreturn, SYS_sigaltstack,   SYS_getpid,       SYS_gettid,
	SYS_getppid,	  SYS_getuid,	     SYS_geteuid,      SYS_getgid,
	SYS_getegid,	  SYS_munmap,	     SYS_brk,	       SYS_futex,
	SYS_sched_yield,  SYS_clock_gettime, SYS_gettimeofday, SYS_set_robust_list,
	SYS_rseq,	  SYS_arch_prctl,    SYS_prctl,	       SYS_umask,
	SYS_close,	  SYS_kill,	     SYS_tgkill,       SYS_restart_syscall};

/* Those that a signal can interrupt: signal(7), and what allocates or waits in a file system. */
static const int interruptible[] = {SYS_read,
				    SYS_pread64,
				    SYS_readv,
				    SYS_write,
				    SYS_pwrite64,
				    SYS_writev,
				    SYS_open,
				    SYS_openat,
				    SYS_connect,
				    SYS_accept,
				    SYS_accept4,
				    SYS_sendto,
				    SYS_sendmsg,
				    SYS_recvfrom,
				    SYS_recvmsg,
				    SYS_poll,
				    SYS_ppoll,
				    SYS_wait4,
				    SYS_waitid,
				    SYS_nanosleep,
				    SYS_flock,
				    SYS_fcntl,
				    SYS_ioctl,
				    SYS_fallocate,
				    SYS_ftruncate,
				    SYS_fsync,
				    SYS_statfs,
				    SYS_fstatfs,
				    SYS_dup2,
				    SYS_dup3,
				    SYS_getrandom,
				    SYS_madvise,
				    SYS_clock_nanosleep,
				    SYS_io_uring_register,
				    SYS_io_uring_enter};

enum { OTHER_CALL = 1, INTERRUPTIBLE_CALL };

static void add_calls(struct sock_filter *f, size_t *nr, const int *calls, size_t nr_calls,
		      unsigned int verdict)
{
	for (size_t i = 0; i < nr_calls; i++) {
		f[(*nr)++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							  (unsigned int)calls[i], 0, 1);
		f[(*nr)++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict);
	}
}

/* From now on every call that can fail stops at the tracer. */
static void be_traced(void)
{
	struct sock_filter f[160];
	size_t nr = 0;
	struct sock_fprog program;

	f[nr++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       offsetof(struct seccomp_data, nr));
	add_calls(f, &nr, harmless, sizeof(harmless) / sizeof(*harmless), SECCOMP_RET_ALLOW);
	add_calls(f, &nr, interruptible, sizeof(interruptible) / sizeof(*interruptible),
		  SECCOMP_RET_TRACE | INTERRUPTIBLE_CALL);
	f[nr++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | OTHER_CALL);
	program = (struct sock_fprog){.len = (unsigned short)nr, .filter = f};
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		abort();
	raise(SIGSTOP);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		abort();
}

struct task {
	pid_t id;
	enum role role;
	bool known, stopped; /* its parent's event, its own first stop: whichever comes first */
};

struct tracer {
	struct task task[MAX_TASKS];
	size_t nr;
	int status; /* of the child */
};

static struct task *find_task(struct tracer *t, pid_t id)
{
	for (size_t i = 0; i < t->nr; i++)
		if (t->task[i].id == id)
			return &t->task[i];
	if (t->nr == MAX_TASKS)
		abort();
	t->task[t->nr] = (struct task){.id = id};
	return &t->task[t->nr++];
}

static void set_known(struct tracer *t, pid_t id, enum role as)
{
	struct task *task = find_task(t, id);

	task->known = true;
	task->role = as;
	if (task->stopped)
		ptrace(PTRACE_CONT, id, NULL, NULL);
}

static const char *call_name(unsigned long long nr)
{
	static const struct {
		int nr;
		const char *name;
	} names[] = {
#define NAME(x) {SYS_##x, #x}
		NAME(read),
		NAME(write),
		NAME(open),
		NAME(openat),
		NAME(stat),
		NAME(fstat),
		NAME(lstat),
		NAME(newfstatat),
		NAME(poll),
		NAME(lseek),
		NAME(mmap),
		NAME(mprotect),
		NAME(ioctl),
		NAME(pread64),
		NAME(pwrite64),
		NAME(access),
		NAME(madvise),
		NAME(socket),
		NAME(connect),
		NAME(accept),
		NAME(sendto),
		NAME(sendmsg),
		NAME(recvfrom),
		NAME(recvmsg),
		NAME(socketpair),
		NAME(clone),
		NAME(clone3),
		NAME(vfork),
		NAME(wait4),
		NAME(uname),
		NAME(fcntl),
		NAME(flock),
		NAME(fsync),
		NAME(ftruncate),
		NAME(getdents64),
		NAME(rename),
		NAME(renameat2),
		NAME(mkdir),
		NAME(rmdir),
		NAME(unlink),
		NAME(unlinkat),
		NAME(readlink),
		NAME(readlinkat),
		NAME(fchmod),
		NAME(fchown),
		NAME(statfs),
		NAME(fstatfs),
		NAME(sync),
		NAME(setrlimit),
		NAME(prlimit64),
		NAME(dup2),
		NAME(setsid),
		NAME(getrandom),
		NAME(memfd_create),
		NAME(eventfd2),
		NAME(signalfd4),
		NAME(pipe2),
		NAME(fallocate),
		NAME(getsockopt),
		NAME(inotify_init1),
		NAME(inotify_add_watch),
		NAME(chdir),
		NAME(io_uring_setup),
		NAME(io_uring_register),
		NAME(userfaultfd),
		NAME(mkdirat),
		NAME(kexec_load),
		NAME(mremap),
		NAME(execve),
		NAME(mincore),
		NAME(pidfd_open),
		NAME(statx),
		NAME(splice),
#undef NAME
	};
	static char other[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if ((unsigned long long)names[i].nr == nr)
			return names[i].name;
	snprintf(other, sizeof(other), "call %llu", nr);
	return other;
}

static void on_call(const struct task *task)
{
	struct user_regs_struct regs;
	unsigned long kind = 0;

	if (task->role >= NR_ROLES || !shared->on[task->role])
		return;
	ptrace(PTRACE_GETEVENTMSG, task->id, NULL, &kind);
	if (shared->err == EINTR && kind != INTERRUPTIBLE_CALL)
		return;
	if (!fails(INJECT_SYSCALL, task->role, ""))
		return;
	ptrace(PTRACE_GETREGS, task->id, NULL, &regs);
	snprintf(shared->call, sizeof(shared->call), "%s", call_name(regs.orig_rax));
	regs.orig_rax = ~0ull; /* no call: its result is what is in the register */
	regs.rax = (unsigned long long)-shared->err;
	ptrace(PTRACE_SETREGS, task->id, NULL, &regs);
}

/* One stop of @id; true if it ended. */
static bool on_stop(struct tracer *t, pid_t id, int status)
{
	struct task *task = find_task(t, id);
	unsigned long new = 0;
	int signal = WSTOPSIG(status);

	if (WIFEXITED(status) || WIFSIGNALED(status)) {
		if (id == shared->child)
			t->status = status;
		*task = t->task[--t->nr];
		return true;
	}
	if (!task->known && !task->stopped) {
		task->stopped = true; /* goes on when it is known whose it is */
		return false;
	}
	switch (status >> 16) {
	case PTRACE_EVENT_SECCOMP:
		on_call(task);
		signal = 0;
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		ptrace(PTRACE_GETEVENTMSG, id, NULL, &new);
		set_known(t, (pid_t) new,
			  status >> 16 == PTRACE_EVENT_CLONE || task->role == OTHER ? task->role :
										      FORKED);
		signal = 0;
		break;
	case PTRACE_EVENT_EXEC:
		task->role = OTHER;
		signal = 0;
		break;
	case 0:
		if (signal == SIGSTOP && !task->stopped) { /* the first one of a known task */
			task->stopped = true;
			signal = 0;
		}
		break;
	default:
		signal = 0;
	}
	ptrace(PTRACE_CONT, id, NULL, (void *)(uintptr_t)signal);
	return false;
}

static int trace(pid_t child)
{
	static struct tracer t;
	int status;
	pid_t id;

	t = (struct tracer){.task = {{child, SELF, true, true}}, .nr = 1};
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		abort();
	ptrace(PTRACE_SETOPTIONS, child, NULL,
	       (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK |
			PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
	ptrace(PTRACE_CONT, child, NULL, NULL);
	while (t.nr && (id = waitpid(-1, &status, __WALL)) > 0)
		on_stop(&t, id, status);
	return t.status;
}

/* ---------------------------------------------------------------------------- one run */

/* Mappings of files other than programs and libraries. */
static int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, "/memfd:") || strstr(line, "/dev/shm/") || strstr(line, "/tmp/");
	fclose(f);
	return n;
}

static void complain(const char *text)
{
	snprintf(shared->text, sizeof(shared->text), "%s", text);
}

static bool is_documented(const struct inject_scenario *s, int r, const struct fr_error *e)
{
	if (r == s->expected && !r)
		return true;
	if (r >= 0 || e->err != -r || e->fault <= FR_FAULT_NONE || e->fault > FR_FAULT_MISMATCH ||
	    !*e->text || !memchr(e->text, 0, sizeof(e->text))) {
		complain("its error is incomplete");
		return false;
	}
	if (r == s->expected ||
	    (shared->hit &&
	     (r == -shared->err || (s->allows && s->allows(r, shared->call, shared->err)))))
		return true;
	complain("it ends with another error");
	return false;
}

static void look_back(const struct inject_scenario *s, int r, const struct fr_error *e, int fds,
		      int mappings, long blocks)
{
	long leaked = COUNTS_ALL ? live - blocks : 0;
	const char *wrong;

	is_documented(s, r, e);
	wrong = s->check ? s->check(r, e) : NULL;
	if (wrong)
		complain(wrong);
	else if (leaked && !(leaked == 1 && strstr(shared->call, "libjson-c")))
		snprintf(shared->text, sizeof(shared->text), "%ld blocks of memory leak", leaked);
	else if (test_count_fds() != fds)
		complain("file descriptors leak");
	else if (count_mappings() != mappings)
		complain("mappings leak");
	else if (!*shared->text)
		return;
	snprintf(shared->text + strlen(shared->text), sizeof(shared->text) - strlen(shared->text),
		 "; it returned %d: %.400s", r, r ? e->text : "");
}

static void be_child(const struct inject_scenario *s)
{
	struct fr_error e = {0};
	int fds, mappings;
	long blocks;

	shared->child = getpid();
	if (shared->kind == INJECT_SYSCALL)
		be_traced();
	alarm(RUN_SECONDS);
	fds = test_count_fds();
	mappings = count_mappings();
	blocks = live;
	shared->on[FORKED] = true;
	shared->on[SELF] = true;
	shared->r = s->run(&e);
	shared->on[SELF] = false;
	look_back(s, shared->r, &e, fds, mappings, blocks);
	_exit(0);
}

static int run_child(const struct inject_scenario *s)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		be_child(s);
	if (shared->kind == INJECT_SYSCALL)
		return trace(child);
	if (waitpid(child, &status, 0) != child)
		abort();
	return status;
}

/* One run: 0, or 1 with a line about what was wrong. */
static int run(const struct inject_scenario *s, enum inject_kind kind, enum role by, int err,
	       long nth)
{
	static const char *const kinds[] = {"nothing", "allocation", "system call", "operation"};
	const char *wrong = NULL;
	char text[128];
	int status;

	*shared = (struct shared){
		.kind = kind, .err = err, .role = by, .nth = nth, .tester = getpid()};
	status = run_child(s);
	if (!WIFEXITED(status))
		snprintf(text, sizeof(text),
			 WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ?
				 "it hangs" :
				 "it crashes (wait status %#x)",
			 status);
	else
		*text = '\0';
	wrong = s->settle ? s->settle(*text ? -EFAULT : shared->r) : NULL;
	if (*text)
		wrong = text;
	else if (*shared->text)
		wrong = shared->text;
	if (!wrong)
		return 0;
	printf("# %s, %s %ld of %s (%s) fails with %s: %s\n", s->name, kinds[kind], nth,
	       by == SELF ? "the process" : "what it forked", shared->hit ? shared->call : "none",
	       strerrorname_np(err) ? strerrorname_np(err) : "nothing", wrong);
	return 1;
}

bool inject_all(const struct inject_scenario *s, long first, long step)
{
	static const struct {
		enum inject_kind kind;
		int err;
	} faults[] = {{INJECT_ALLOCATION, ENOMEM},
		      {INJECT_SYSCALL, ENOMEM},
		      {INJECT_SYSCALL, EINTR},
		      {INJECT_OPERATION, ENOMEM},
		      {INJECT_OPERATION, EINTR}};
	long hits = 0;
	int wrong;

	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wrong = run(s, INJECT_NOTHING, SELF, 0, 0);
	if (wrong)
		return false; /* it does not work at all */
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		for (enum role by = SELF; by < NR_ROLES; by++) {
			long nth = first;

			do {
				wrong += run(s, faults[i].kind, by, faults[i].err, nth);
				hits += shared->hit;
				nth += step;
			} while (shared->hit && nth < MAX_RUNS && wrong < SHOWN);
			if (shared->hit && nth >= MAX_RUNS) {
				printf("# %s: more calls than %d: not all of them failed\n",
				       s->name, MAX_RUNS);
				wrong++;
			}
		}
	}
	printf("# %s: %ld failures, from the %ld. on one in %ld\n", s->name, hits, first, step);
	return !wrong;
}
