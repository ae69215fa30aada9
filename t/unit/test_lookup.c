/* t/unit/test_lookup.c — names become addresses while the loop turns; what was cancelled tells nobody. */
#include "loop/lookup.c"

#include "tap.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop loop;
static unsigned calls, got;
static bool all_loopback;
static char said[200];

static void on_done(LS_UNUSED void *ctx, const struct sock_addr *addrs, unsigned n, const char *reason)
{
	calls++;
	got = n;
	all_loopback = n > 0;
	for (unsigned i = 0; i < n; i++)
		if (addrs[i].sa.sa_family == AF_INET)
			all_loopback = all_loopback && ntohl(addrs[i].v4.sin_addr.s_addr) >> 24 == 127;
		else
			all_loopback = all_loopback && IN6_IS_ADDR_LOOPBACK(&addrs[i].v6.sin6_addr);
	str_copy(str_from(reason), said, sizeof said);
}

static struct lookup *ask(const char *name, int family)
{
	struct lookup_opts o = {
		.loop = &loop, .name = name, .family = family, .type = SOCK_STREAM, .on_done = on_done
	};

	calls = 0;
	return lookup_start(&o, NULL);
}

/* Sleeps between turns: what libuv finishes must wake the loop. */
static void wait_for_it(void)
{
	while (calls == 0)
		loop_turn(&loop, true);
}

/* How many threads but the first have all signals blocked, or -1 if one has not. */
static int threads_without_signals(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int n = 0;

	for (const struct dirent *e; (e = readdir(tasks));) {
		char path[300], line[200];
		unsigned long long blocked = 0;

		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);

		FILE *f = e->d_name[0] != '.' && atoi(e->d_name) != getpid() ? fopen(path, "r") : NULL;

		if (!f)
			continue;
		while (fgets(line, sizeof line, f))
			if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
				break;
		fclose(f);
		n = n < 0 || !(blocked & 1ULL << (SIGPROF - 1)) || !(blocked & 1ULL << (SIGTERM - 1)) ? -1 : n + 1;
	}
	closedir(tasks);
	return n;
}

int main(void)
{
	struct lookup *l;
	char long_name[400];

	loop_init(&loop);
	l = ask("localhost", AF_INET);
	ok(l && calls == 0, "nothing is told at once");
	wait_for_it();
	ok(calls == 1 && got >= 1 && all_loopback, "localhost, IPv4: %u addresses", got);
	ok(threads_without_signals() > 0, "the pool's threads get no signals");
	ask("localhost", AF_UNSPEC);
	wait_for_it();
	ok(got >= 1 && all_loopback, "of either kind: %u", got);
	ask("256.1.1.1.", AF_INET);
	wait_for_it();
	ok(got == 0 && said[0], "what cannot be resolved has a reason: %s", said);

	memset(long_name, 'a', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';

	struct err err = { 0 };
	struct lookup_opts o = { .loop = &loop, .name = long_name, .on_done = on_done };

	ok(!lookup_start(&o, &err) && err.text[0], "a name that is none is refused: %s", err.text);
	l = ask("localhost", AF_INET);
	lookup_cancel(l);
	lookup_cancel(NULL);
	for (int i = 0; i < 100; i++)
		loop_turn(&loop, false);
	ok(calls == 0, "a cancelled one tells nobody");
	ask("localhost", AF_INET);
	lookup_cancel(ask("localhost", AF_INET));
	loop_fini(&loop);
	ok(true, "the loop ends also while some are under way");
	return tap_done();
}
