/* t/unit/test_log.c — one record is one line in one write; what is lost is told. */
#include "base/log.c"

#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "/tmp/luaserv-test-log-XXXXXX";
static char path[64], moved[64], got[1 << 16];

static const char *content(const char *of)
{
	int fd = open(of, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, got, sizeof got - 1);

	if (fd >= 0)
		close(fd);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void start_anew(void)
{
	unlink(path);
	log_open(path, NULL);
}

/* Behind "2026-11-22T10:19:55.123Z ". */
static const char *behind_time(const char *line)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";

	for (size_t i = 0; i < sizeof shape - 1; i++)
		if (shape[i] == 'd' ? line[i] < '0' || line[i] > '9' : line[i] != shape[i])
			return "no time";
	return line + sizeof shape - 1;
}

static void *log_from_another_thread(void *arg)
{
	(void)arg;
	log_warn("who am I");
	return NULL;
}

static void lines_have_their_form(void)
{
	pthread_t thread;

	log_identity("worker", 3);
	log_warn("worker %d died", 7);
	ok(strcmp(behind_time(content(path)), "warn worker[3] test_log.c: worker 7 died\n") == 0, "with a number");
	start_anew();
	log_identity("master", -1);
	log_error("no");
	ok(strcmp(behind_time(content(path)), "error master test_log.c: no\n") == 0, "without one");
	start_anew();
	pthread_create(&thread, NULL, log_from_another_thread, NULL);
	pthread_join(thread, NULL);
	ok(strcmp(behind_time(content(path)), "warn luaserv test_log.c: who am I\n") == 0, "a thread without a name");
}

static int evaluations;

static int evaluate(void)
{
	return ++evaluations;
}

static void levels_are_obeyed(void)
{
	start_anew();
	log_set_level(LOG_LEVEL_WARN);
	log_notice("not this");
	log_debug("nor this %d", evaluate());
	ok(content(path)[0] == '\0' && evaluations == 0, "below the level nothing is written or evaluated");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("but this %d", evaluate());
	ok(strstr(content(path), "debug master test_log.c: but this 1\n") && log_get_level() == LOG_LEVEL_DEBUG,
	   "at the level it is");
}

static void inner_lines_are_indented(void)
{
	start_anew();
	log_info("%s", "a:\n\tb\n\nc\n\n");
	ok(strcmp(behind_time(content(path)), "info master test_log.c: a:\n\t\tb\n\t\n\tc\n") == 0, "inner lines");
	start_anew();
	log_info("%s", "");
	ok(strcmp(behind_time(content(path)), "info master test_log.c: \n") == 0, "an empty message");
}

static void long_messages_are_cut(void)
{
	static char lengthy[20000];
	size_t len;

	memset(lengthy, '\n', sizeof lengthy - 1);
	lengthy[8000] = 'x';
	start_anew();
	log_info("%s", lengthy);
	memset(lengthy, 'y', sizeof lengthy - 1);
	log_info("%s", lengthy);
	len = strlen(content(path));
	ok(len > LINE_MAX_BYTES && len <= 2 * LINE_MAX_BYTES && got[len - 1] == '\n', "to %zu bytes for two", len);
}

static void rotation(void)
{
	start_anew();
	log_info("one");
	rename(path, moved);
	log_info("two");
	ok(log_reopen(NULL) == 0, "the path is opened again");
	log_info("three");
	ok(strstr(content(moved), "two\n") && !strstr(got, "three"), "the moved file has the old lines");
	ok(strstr(content(path), "three\n") && !strstr(got, "two"), "the new one the new");
	ok(fcntl(log_fd(), F_GETFD) & FD_CLOEXEC, "the descriptor is close-on-exec");
}

static void failures(void)
{
	struct err err = { 0 };
	int before = log_fd();

	ok(log_open("/nonexistent/x/log", &err) == -ENOENT && strstr(err.text, "/nonexistent/x/log"), "%s", err.text);
	ok(log_fd() == before, "a failure leaves the old target");
	log_open("stderr", NULL);
	ok(log_fd() == 2 && log_reopen(NULL) == 0 && log_open("stdout", NULL) == 0 && log_fd() == 1, "standard ones");
	log_open(NULL, NULL);
	ok(log_fd() == 2, "none is stderr");
}

static void lost_lines_are_told(void)
{
	log_open("/dev/full", NULL);
	errno = EDOM;
	log_info("lost");
	ok(errno == EDOM, "logging keeps errno");
	log_info("lost too");
	start_anew();
	log_info("found");
	ok(strstr(content(path), "found (2 lines before this one were lost: No space left on device)\n") != NULL,
	   "the next line that succeeds tells how many were lost");
	log_info("on");
	ok(strstr(content(path), "test_log.c: on\n") != NULL, "and tells it once");
	target.torn = true;
	log_info("whole");
	ok(strstr(content(path), "on\n\n2") != NULL, "behind a torn line a new one begins");
}

static void every(void)
{
	struct log_every e = { 0 };
	uint64_t swallowed = 9;

	ok(log_every_due(&e, 1000000, &swallowed) && swallowed == 0, "the first is due");
	ok(!log_every_due(&e, 1000000, &swallowed) && !log_every_due(&e, 1000000, &swallowed), "the next are not");
	e.next_ms = 0;
	ok(log_every_due(&e, 1000000, &swallowed) && swallowed == 2, "then it is told how many were not");
}

enum { THREADS = 4, LINES = 2000 };

static void *log_many(void *arg)
{
	log_identity("worker", *(int *)arg);
	for (int i = 0; i < LINES; i++)
		log_info("line of a thread among others %d", i);
	return NULL;
}

static void threads_do_not_mix(void)
{
	static const char end[] = "\n";
	pthread_t threads[THREADS];
	int numbers[THREADS], lines = 0;
	bool sound = true;
	FILE *f;
	char text[256];

	start_anew();
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, log_many, &numbers[i]);
	}
	for (int i = 0; i < 50; i++)
		sound = sound && log_reopen(NULL) == 0;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	f = fopen(path, "re");
	while (fgets(text, sizeof text, f)) {
		lines++;
		sound = sound && strstr(text, end) && strncmp(behind_time(text), "info worker[", 12) == 0;
	}
	fclose(f);
	ok(sound && lines == THREADS * LINES, "%d lines of %d threads, reopened meanwhile", lines, THREADS);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/log", dir);
	snprintf(moved, sizeof moved, "%s/log.1", dir);
	ok(log_open(path, NULL) == 0, "a file is opened");
	lines_have_their_form();
	levels_are_obeyed();
	inner_lines_are_indented();
	long_messages_are_cut();
	rotation();
	failures();
	lost_lines_are_told();
	every();
	threads_do_not_mix();
	log_open(NULL, NULL);
	unlink(path);
	unlink(moved);
	rmdir(dir);
	return tap_done();
}
