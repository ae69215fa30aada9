/* t/unit/test_userproc.c — what a script may say of a user process, and where it stands in the crew. */
#include "conf/userproc.h"

#include "conf/crew.h"
#include "tap.h"

#include <errno.h>
#include <signal.h>

static struct err err;

static void names_and_number_are_bounded(void)
{
	struct settings s;
	unsigned n = 1;

	settings_init(&s);
	ok(userproc_add(&s, LS_STR("1234567890123456789012345678901"), RESTART_ALWAYS, true, &err) == 0, "31 bytes");
	ok(userproc_add(&s, LS_STR("12345678901234567890123456789012"), RESTART_ALWAYS, true, &err) == -EINVAL, "%s",
	   err.text);
	ok(userproc_add(&s, LS_STR("a\nb"), RESTART_ALWAYS, true, &err) == -EINVAL, "no control characters");
	while (userproc_add(&s, LS_STR(""), RESTART_ALWAYS, true, &err) == 0)
		n++;
	ok(n == USERPROC_MAX && s.n_processes == n, "%s", err.text);
	settings_fini(&s);
}

static void they_come_last(void)
{
	struct settings s;

	settings_init(&s);
	s.worker_num = 2;
	s.task_worker_num = 1;
	userproc_add(&s, LS_STR("x"), RESTART_ALWAYS, true, &err);
	ok(crew_count(&s) == 4 && crew_first_process(&s) == 3, "counted");
	ok(crew_kind(&s, 1) == CREW_WORKER && crew_kind(&s, 2) == CREW_TASK && crew_kind(&s, 3) == CREW_PROCESS,
	   "in order");
	ok(crew_process(&s, 3) == s.processes && !crew_process(&s, 2) && !crew_process(&s, 4), "and found");
	settings_fini(&s);
}

static void restart(void)
{
	struct userproc p = { .restart = RESTART_ALWAYS };

	ok(userproc_wants_successor(&p, 0) && userproc_wants_successor(&p, SIGKILL), "always");
	p.restart = RESTART_ON_ERROR;
	ok(!userproc_wants_successor(&p, 0) && userproc_wants_successor(&p, 1 << 8), "on_error");
	p.restart = RESTART_NEVER;
	ok(!userproc_wants_successor(&p, 0) && !userproc_wants_successor(&p, SIGKILL), "never");
	for (int i = 0; i < RESTARTS; i++)
		ok(userproc_restart_find(str_from(userproc_restart_name((enum userproc_restart)i))) == i,
		   "found by name");
	ok(userproc_restart_find(LS_STR("often")) == -1, "unknown");
}

int main(void)
{
	names_and_number_are_bounded();
	they_come_last();
	restart();
	return tap_done();
}
