#include "conf/crew.h"

unsigned crew_count(const struct settings *s)
{
	return (unsigned)(s->worker_num + s->task_worker_num);
}

enum crew_kind crew_kind(const struct settings *s, unsigned slot)
{
	return slot < s->worker_num ? CREW_WORKER : CREW_TASK;
}

const char *crew_title(const struct settings *s, unsigned slot)
{
	return crew_kind(s, slot) == CREW_WORKER ? "worker" : "task worker";
}
