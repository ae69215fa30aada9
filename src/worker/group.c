#include "worker/group.h"

#include "worker/codes.h"
#include "worker/runtime.h"

int group_change(struct worker *w, conn_id id, struct str name, bool join)
{
	struct frame f = { .type = join ? FRAME_JOIN : FRAME_LEAVE, .conn = id };
	const struct session *s = session_find(w, id);
	struct link *line = worker_link(w, id);

	if (!line)
		return CODE_NO_CONNECTION;
	if (s && s->closed)
		return CODE_CLOSED;
	return link_send(line, &f, &name, 1) < 0 ? CODE_OUTPUT_OVERFLOW : 0;
}

int group_publish(struct worker *w, struct str name, struct str bytes, conn_id except)
{
	struct frame f = { .type = FRAME_PUBLISH, .arg = (uint32_t)name.len, .value = except };
	struct str parts[2] = { name, bytes };
	int code = 0;

	for (unsigned i = 0; i < SLOTS_OWNERS; i++)
		if (w->links[i] && link_send(w->links[i], &f, parts, 2) < 0)
			code = CODE_OUTPUT_OVERFLOW;
	return code;
}
