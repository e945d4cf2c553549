// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * reboot-at NAME: jump into the kernel that kexec-tools has loaded, at a TSC that it says before:
 * with nothing between the reading and reboot(), as kexec -e has (it syncs and takes networks down).
 */
#include <stdio.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

#ifndef RB_KEXEC
#define RB_KEXEC 0x45584543
#endif
#define ENOUGH 2000000000ull /* ticks to say it in */

int main(int argc, char **argv)
{
	unsigned long long at = __rdtsc() + ENOUGH;

	if (argc != 2)
		return 2;
	printf("FR: VALUE %s_reboot_tsc=%llu\n", argv[1], at);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	while (__rdtsc() < at)
		_mm_pause();
	reboot(RB_KEXEC);
	perror("reboot");
	return 1;
}
