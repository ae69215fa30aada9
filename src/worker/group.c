#include "worker/group.h"

#include "worker/codes.h"
#include "worker/runtime.h"

int group_change(struct worker *w, conn_id id, struct str name, bool join)
{
	struct frame f = { .type = join ? FRAME_JOIN : FRAME_LEAVE, .conn = id };
	const struct session *s = session_known(w, id);

	return s && s->closed ? CODE_CLOSED : codes_of_send(worker_send_any(w, &f, &name, 1));
}

int group_publish(struct worker *w, struct str name, struct str bytes, unsigned opcode, conn_id except)
{
	struct frame f = { .type = FRAME_PUBLISH, .stream = opcode, .arg = (uint32_t)name.len, .value = except };
	struct str parts[2] = { name, bytes };
	int code = 0;

	for (unsigned i = 0; i < SLOTS_OWNERS; i++) {
		bool fine = (!w->links[i] || link_send(w->links[i], &f, parts, 2) == 0) &
		            (!w->peers[i] || link_send(w->peers[i], &f, parts, 2) == 0);

		if (!fine)
			code = CODE_OUTPUT_OVERFLOW;
	}
	return code;
}
