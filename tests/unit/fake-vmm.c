// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake-vmm.h"

/* in its working directory */
#define SOCKET "vmm.qmp"
#define PID    "pid"

char *fake_vmm_spec(const struct fake_root *root, const char *name, const char *region,
		    const char *path)
{
	char text[1024], exe[256];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	snprintf(text, sizeof(text),
		 "{\"version\":1,\"name\":\"%s\",\"exe\":\"%s\",\"argv\":[\"vmm\",\"be-vmm\","
		 "\"-object\",\"memory-backend-file,id=m,prealloc=on\",\"-M\",\"q35\"],"
		 "\"cwd\":\"%s\",\"qmp\":\"%s/" SOCKET "\",\"machine\":\"pc-q35-7.2\","
		 "\"running\":true,\"uid\":%u,\"gid\":%u,\"groups\":[],\"qemu\":\"7.2.22\","
		 "\"regions\":[{\"name\":\"%s\",\"path\":\"%s\",\"id\":\"m\"}]}",
		 name, exe, root->path, root->path, geteuid(), getegid(), region, path);
	return strdup(text);
}

static void answer(int client, const char *command)
{
	const char *id = strstr(command, "\"id\":"), *say = "{}";

	if (strstr(command, "query-migrate-capabilities"))
		say = "[{\"capability\": \"x-ignore-shared\", \"state\": false}]";
	else if (strstr(command, "query-migrate"))
		say = "{\"status\": \"completed\"}";
	else if (strstr(command, "query-status"))
		say = "{\"status\": \"running\"}";
	dprintf(client, "{\"return\": %s, \"id\": %d}\r\n", say, id ? atoi(id + 5) : 0);
}

int fake_vmm(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), pid = creat(PID, 0600);
	char line[4096];
	ssize_t n;

	alarm(60);
	dprintf(pid, "%d\n", getpid());
	close(pid);
	signal(SIGPIPE, SIG_IGN);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
		return 1;
	for (;;) {
		int client = accept(fd, NULL, NULL);

		dprintf(client, "{\"QMP\": {}}\r\n");
		while ((n = read(client, line, sizeof(line) - 1)) > 0) {
			line[n] = '\0';
			answer(client, line);
		}
		close(client);
	}
}

bool fake_vmm_end(const struct fake_root *root)
{
	char path[128];
	struct stat st;
	pid_t vmm;

	snprintf(path, sizeof(path), "%s/" PID, root->path);
	if (stat(path, &st) || !st.st_size)
		return false;
	vmm = (pid_t)atoi(fake_root_line(root, "/" PID));
	if (waitpid(vmm, NULL, WNOHANG))
		return false;
	kill(vmm, SIGKILL);
	return waitpid(vmm, NULL, 0) == vmm;
}
