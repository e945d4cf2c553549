// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "signals.h"

int fr_signals_take(struct fr_signals *s, struct fr_error *e)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	/* a stopped exec would leave the guests stopped */
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGTTIN);
	sigaddset(&set, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &set, &s->old_mask);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd >= 0)
		return 0;
	r = fr_fail(e, FR_FAULT_SYSTEM, errno, "signalfd: %s", strerror(errno));
	pthread_sigmask(SIG_SETMASK, &s->old_mask, NULL);
	return r;
}

int fr_signals_check(const struct fr_signals *s, const char *what, struct fr_error *e)
{
	struct signalfd_siginfo info;

	if (s->fd < 0 || read(s->fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return fr_fail(e, FR_FAULT_INTERRUPTED, EINTR, "%s: interrupted by signal %u (%s)", what,
		       info.ssi_signo, strsignal((int)info.ssi_signo));
}

void fr_signals_release(struct fr_signals *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	pthread_sigmask(SIG_SETMASK, &s->old_mask, NULL);
}
