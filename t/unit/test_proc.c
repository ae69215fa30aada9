/* t/unit/test_proc.c — quotas of both cgroup versions, titles, and privileges that do not come back. */
#include "sys/proc.c"

#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = "/tmp/luaserv-test-proc-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	fd_write_all(fd, str_from(text));
	fd_close(&fd);
}

static unsigned cpus_with(const char *membership)
{
	char path[256];

	write_file("membership", membership);
	snprintf(path, sizeof path, "%s/membership", dir);
	return cgroup_cpus(path, dir);
}

static void make_dir(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	mkdir(path, 0700);
}

static void quotas_of_version_2(void)
{
	make_dir("a");
	make_dir("a/b");
	ok(cpus_with("0::/a/b\n") == UINT_MAX, "no files, no quota");
	write_file("a/b/cpu.max", "max 100000\n");
	ok(cpus_with("0::/a/b\n") == UINT_MAX, "\"max\" is no quota");
	write_file("a/b/cpu.max", "250000 100000\n");
	ok(cpus_with("0::/a/b\n") == 3, "2.5 CPUs are 3");
	write_file("a/cpu.max", "200000 100000\n");
	ok(cpus_with("0::/a/b\n") == 2, "an ancestor's quota holds too");
	write_file("a/cpu.max", "1000 100000\n");
	ok(cpus_with("0::/a/b\n") == 1, "a sliver is one CPU");
	write_file("cpu.max", "400000 100000\n");
	ok(cpus_with("0::/not/shown/here\n") == 4, "a path that is not shown falls back to the root");
	write_file("cpu.max", "5 0\n");
	ok(cpus_with("0::/\n") == UINT_MAX, "nonsense is no quota");
}

static void quotas_of_version_1(void)
{
	make_dir("cpu");
	make_dir("cpu/c");
	write_file("cpu/c/cpu.cfs_quota_us", "-1\n");
	write_file("cpu/c/cpu.cfs_period_us", "100000\n");
	ok(cpus_with("3:memory:/c\n4:cpu,cpuacct:/c\n") == UINT_MAX, "-1 is no quota");
	write_file("cpu/c/cpu.cfs_quota_us", "150000\n");
	ok(cpus_with("3:memory:/c\n4:cpu,cpuacct:/c\n") == 2, "1.5 CPUs are 2");
	ok(cpus_with("4:cpuset,cpux:/c\n") == UINT_MAX, "another controller's line does not count");
	ok(cpus_with("nonsense\n::\n4:cpu\n\n") == UINT_MAX, "nor does nonsense");
}

static void remove_all(void)
{
	static const char *const names[] = { "cpu/c/cpu.cfs_quota_us",
		                             "cpu/c/cpu.cfs_period_us",
		                             "cpu/c",
		                             "cpu",
		                             "a/b/cpu.max",
		                             "a/b",
		                             "a/cpu.max",
		                             "a",
		                             "cpu.max",
		                             "membership",
		                             "" };
	char path[256];

	for (size_t i = 0; i < LS_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		remove(path);
	}
}

static void facts(void)
{
	unsigned cpus = proc_cpu_count();
	uint64_t rss = proc_rss();

	ok(cpus >= 1 && cpus <= (unsigned)sysconf(_SC_NPROCESSORS_CONF), "%u CPUs", cpus);
	ok(rss > 100000 && rss < 1ULL << 40, "%llu bytes resident", (unsigned long long)rss);
	ok(proc_become_subreaper() == 0, "a subreaper");
}

static void titles(int argc, char **argv)
{
	char *first = argv[0], *shown, *lengthy = xzalloc(5000);
	ssize_t n;

	proc_init_title(argc, argv);
	ok(argv[0] != first && strcmp(argv[0], first) == 0 && !argv[argc], "argv goes on as copies");
	proc_set_title("title");
	ok(strcmp(first, "title") == 0, "the title is set");
	n = fd_read_file("/proc/self/cmdline", 10000, &shown, NULL);
	ok(n > 0 && strcmp(shown, "title") == 0, "and shown");
	free(shown);
	n = fd_read_file("/proc/self/comm", 100, &shown, NULL);
	ok(n > 0 && strcmp(shown, "title\n") == 0, "the short one too");
	free(shown);
	memset(lengthy, 'x', 4999);
	proc_set_title(lengthy);
	n = fd_read_file("/proc/self/cmdline", 10000, &shown, NULL);
	ok(n == (ssize_t)title_room.len && shown[n - 1] == '\0', "a long one is cut");
	free(shown);
	free(lengthy);
}

/* In a child: 0 if all held. */
static int drop_in_child(void)
{
	struct err err = { 0 };
	gid_t groups[8];

	if (proc_drop_privileges("nobody", "", dir, &err) < 0)
		return 1;
	if (getuid() == 0 || geteuid() == 0 || getgid() == 0 || setuid(0) == 0)
		return 2;
	if (access("/membership", F_OK) < 0)
		return 3; /* the root directory is not `dir` */
	if (getgroups(8, groups) < 1 || groups[0] == 0)
		return 4;
	return 0;
}

static void privileges(void)
{
	struct err err = { 0 };
	int status = -1;
	pid_t pid;

	ok(proc_drop_privileges("", "", "", &err) == 0, "nothing to change");
	ok(proc_drop_privileges("no-such-user", "", "", &err) == -ENOENT, "%s", err.text);
	ok(proc_drop_privileges("", "no-such-group", "", &err) == -ENOENT, "%s", err.text);
	ok(proc_drop_privileges("3999999999", "", "", &err) == -ENOENT, "%s", err.text);
	ok(proc_drop_privileges("", "", "/nonexistent", &err) < 0, "%s", err.text);
	if (geteuid() != 0) {
		ok(true, "dropping # SKIP needs root");
		return;
	}
	chmod(dir, 0755);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(drop_in_child());
	waitpid(pid, &status, 0);
	ok(status == 0, "root becomes nobody in another root directory, for good (status 0x%x)", status);
}

int main(int argc, char **argv)
{
	if (!mkdtemp(dir))
		return 1;
	quotas_of_version_2();
	quotas_of_version_1();
	facts();
	titles(argc, argv);
	privileges();
	remove_all();
	return tap_done();
}
