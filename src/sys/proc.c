#include "sys/proc.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { GROUPS_MAX = 1024, SMALL_FILE_MAX = 65536, CPUS_MAX = 1 << 16 };

/* Whom to become; looked up before chroot() hides /etc. */
struct owner {
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	int n_groups;
};

/* The bytes behind argv, which ps shows. */
static struct {
	char *p;
	size_t len;
} title_room;

/* A number stands for itself, known to /etc/passwd or not. */
static bool to_id(const char *name, unsigned *id)
{
	uint64_t n;

	if (str_to_u64(str_from(name), &n) < 0 || n >= UINT32_MAX)
		return false;
	*id = (unsigned)n;
	return true;
}

static int find_user(const char *user, const char *group, struct owner *o, struct err *err)
{
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw && to_id(user, &o->uid))
		pw = getpwuid(o->uid);
	if (!pw && !to_id(user, &o->uid))
		return err_set(err, -ENOENT, "there is no user \"%s\"", user);
	if (!pw && !group[0])
		return err_set(err, -ENOENT, "user %s has no entry in /etc/passwd: set a group too", user);
	if (!pw)
		return 0;
	o->uid = pw->pw_uid;
	o->gid = pw->pw_gid;
	return 0;
}

static int find_group(const char *group, struct owner *o, struct err *err)
{
	struct group *gr = getgrnam(group);

	if (gr)
		o->gid = gr->gr_gid;
	else if (!to_id(group, &o->gid))
		return err_set(err, -ENOENT, "there is no group \"%s\"", group);
	return 0;
}

/* With a user, the groups that user is in; else the one group. */
static int find_owner(const char *user, const char *group, struct owner *o, struct err *err)
{
	struct passwd *pw;
	int r = 0;

	*o = (struct owner){ .uid = getuid(), .gid = getgid() };
	if (user[0])
		r = find_user(user, group, o, err);
	if (r == 0 && group[0])
		r = find_group(group, o, err);
	if (r < 0)
		return r;
	o->groups[0] = o->gid;
	o->n_groups = 1;
	pw = user[0] ? getpwuid(o->uid) : NULL;
	if (pw) {
		o->n_groups = GROUPS_MAX;
		if (getgrouplist(pw->pw_name, o->gid, o->groups, &o->n_groups) < 0)
			return err_set(err, -E2BIG, "user %s is in more than %d groups", user, GROUPS_MAX);
	}
	return 0;
}

static int change_root(const char *dir, struct err *err)
{
	if (chroot(dir) < 0 || chdir("/") < 0)
		return err_set(err, -errno, "cannot make %s the root directory: %s", dir, strerror(errno));
	return 0;
}

static bool is_owner(const struct owner *o)
{
	return getuid() == o->uid && geteuid() == o->uid && getgid() == o->gid && getegid() == o->gid;
}

static int become(const struct owner *o, struct err *err)
{
	if (is_owner(o))
		return 0;
	if (setgroups((size_t)o->n_groups, o->groups) < 0)
		return err_set(err, -errno, "cannot set the supplementary groups: %s", strerror(errno));
	if (setresgid(o->gid, o->gid, o->gid) < 0)
		return err_set(err, -errno, "cannot become group %u: %s", o->gid, strerror(errno));
	if (setresuid(o->uid, o->uid, o->uid) < 0)
		return err_set(err, -errno, "cannot become user %u: %s", o->uid, strerror(errno));
	if (o->uid != 0 && setuid(0) == 0)
		return err_set(err, -EPERM, "became user %u, but could become root again", o->uid);
	return 0;
}

int proc_drop_privileges(const char *user, const char *group, const char *chroot_dir, struct err *err)
{
	struct owner o;
	int r = 0;

	if (user[0] || group[0])
		r = find_owner(user, group, &o, err);
	if (r == 0 && chroot_dir[0])
		r = change_root(chroot_dir, err);
	if (r == 0 && (user[0] || group[0]))
		r = become(&o, err);
	return r;
}

int proc_become_subreaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

void proc_init_title(int argc, char **argv)
{
	char *end = argc > 0 ? argv[0] : NULL;

	/* The strings lie one behind the other.  They move, since a title will overwrite them. */
	for (int i = 0; i < argc && argv[i] == end; i++)
		end += strlen(argv[i]) + 1;
	title_room.p = argc > 0 ? argv[0] : NULL;
	title_room.len = (size_t)(end - title_room.p);
	for (int i = 0; i < argc; i++)
		argv[i] = xstrdup(argv[i]);
}

void proc_set_title(const char *title)
{
	/* The short name too, which would be "exe" after a start from /proc/self/exe; the kernel cuts it. */
	prctl(PR_SET_NAME, title, 0L, 0L, 0L);
	if (!title_room.p)
		return;
	/* A last byte that is not 0 would make the kernel show the environment as well. */
	memset(title_room.p, 0, title_room.len);
	str_copy(str_from(title), title_room.p, title_room.len);
}

/* A small file's first number, or the one behind a space (`nth` 1); false: "max", "-1" or no such file. */
static bool read_number(const char *path, unsigned nth, uint64_t *out)
{
	struct str rest, word = { 0 };
	char *text;
	bool found;
	ssize_t n = fd_read_file(path, SMALL_FILE_MAX, &text, NULL);

	if (n < 0)
		return false;
	rest = str_make(text, (size_t)n);
	if (str_ends(rest, LS_STR("\n")))
		rest.len--;
	for (unsigned i = 0; i <= nth; i++)
		word = rest.p ? str_split(&rest, ' ') : (struct str){ 0 };
	found = str_to_u64(word, out) == 0;
	free(text);
	return found;
}

/* CPUs that a quota in one cgroup directory allows, rounded up; UINT_MAX: no quota. */
static unsigned quota_in(const char *dir)
{
	static const struct {
		const char *quota_file, *period_file;
		unsigned period_nth;
	} versions[] = {
		{ "cpu.max", "cpu.max", 1 },
		{ "cpu.cfs_quota_us", "cpu.cfs_period_us", 0 },
	};
	char path[PATH_MAX];
	uint64_t quota, period;

	for (size_t i = 0; i < LS_COUNT(versions); i++) {
		if (snprintf(path, sizeof path, "%s/%s", dir, versions[i].quota_file) >= (int)sizeof path)
			continue;
		if (!read_number(path, 0, &quota))
			continue;
		if (snprintf(path, sizeof path, "%s/%s", dir, versions[i].period_file) >= (int)sizeof path)
			continue;
		if (!read_number(path, versions[i].period_nth, &period) || period == 0)
			continue;
		return (unsigned)LS_MIN((quota + period - 1) / period, (uint64_t)CPUS_MAX);
	}
	return UINT_MAX;
}

/* The tightest quota from `path` below `root` up to the root: every ancestor's holds.  A path that a
 * container does not show has no files, which does no harm. */
static unsigned quota_above(const char *root, struct str path)
{
	unsigned tightest = UINT_MAX;
	char dir[PATH_MAX];

	for (;;) {
		while (str_ends(path, LS_STR("/")))
			path.len--;
		if (snprintf(dir, sizeof dir, "%s%.*s", root, LS_STR_ARG(path)) < (int)sizeof dir) {
			unsigned here = quota_in(dir);

			tightest = LS_MIN(tightest, here);
		}
		if (path.len == 0)
			return tightest;
		while (path.len && path.p[path.len - 1] != '/')
			path.len--;
	}
}

static bool names_cpu(struct str controllers)
{
	while (controllers.p)
		if (str_eq(str_split(&controllers, ','), LS_STR("cpu")))
			return true;
	return false;
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1). */
static unsigned quota_of_line(const char *mount, struct str line)
{
	struct str number = str_split(&line, ':');
	struct str controllers = line.p ? str_split(&line, ':') : line;
	char root[PATH_MAX];

	if (!line.p)
		return UINT_MAX;
	if (str_eq(number, LS_STR("0")) && controllers.len == 0)
		return quota_above(mount, line);
	if (!names_cpu(controllers))
		return UINT_MAX;
	/* "cpu" is a link to "cpu,cpuacct" wherever that is the directory. */
	if (snprintf(root, sizeof root, "%s/cpu", mount) >= (int)sizeof root)
		return UINT_MAX;
	return quota_above(root, line);
}

static unsigned cgroup_cpus(const char *membership, const char *mount)
{
	unsigned tightest = UINT_MAX;
	char *text;
	ssize_t n = fd_read_file(membership, SMALL_FILE_MAX, &text, NULL);

	if (n < 0)
		return tightest;
	for (struct str rest = str_make(text, (size_t)n); rest.p;) {
		unsigned here = quota_of_line(mount, str_split(&rest, '\n'));

		tightest = LS_MIN(tightest, here);
	}
	free(text);
	return tightest;
}

static unsigned affinity_cpus(void)
{
	/* The kernel refuses a set smaller than its own. */
	for (int n = 1024; n <= CPUS_MAX; n *= 2) {
		cpu_set_t *set = CPU_ALLOC(n);
		size_t size = CPU_ALLOC_SIZE(n);
		int r = set ? sched_getaffinity(0, size, set) : -1;
		int count = r == 0 ? CPU_COUNT_S(size, set) : 0;

		CPU_FREE(set);
		if (count > 0)
			return (unsigned)count;
	}
	return 1;
}

unsigned proc_cpu_count(void)
{
	unsigned mask = affinity_cpus();
	unsigned quota = cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
	unsigned count = LS_MIN(mask, quota);

	return LS_MAX(count, 1u);
}

uint64_t proc_rss(void)
{
	uint64_t pages;

	return read_number("/proc/self/statm", 1, &pages) ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
