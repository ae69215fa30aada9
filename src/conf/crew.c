#include "conf/crew.h"

unsigned crew_first_process(const struct settings *s)
{
	return (unsigned)(s->worker_num + s->task_worker_num);
}

unsigned crew_count(const struct settings *s)
{
	return crew_first_process(s) + s->n_processes;
}

enum crew_kind crew_kind(const struct settings *s, unsigned slot)
{
	if (slot < s->worker_num)
		return CREW_WORKER;
	return slot < crew_first_process(s) ? CREW_TASK : CREW_PROCESS;
}

const char *crew_title(const struct settings *s, unsigned slot)
{
	static const char *const titles[] = { "worker", "task worker", "user process" };

	return titles[crew_kind(s, slot)];
}

const struct userproc *crew_process(const struct settings *s, unsigned slot)
{
	unsigned first = crew_first_process(s);

	return slot >= first && slot < crew_count(s) ? &s->processes[slot - first] : NULL;
}
