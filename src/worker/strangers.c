#include "worker/strangers.h"

#include "worker/runtime.h"

#include <stdlib.h>

struct kept {
	struct list link;
	unsigned slot;
	uint64_t generation;
	struct frame frame;
	size_t len;
	char data[];
};

struct strangers {
	struct worker *worker;
	struct list kept;
	uint64_t newest; /* generation that is known; they are told of in their order */
};

bool strangers_may_come(const struct strangers *s, uint64_t generation)
{
	return generation > s->newest;
}

bool strangers_keep(struct strangers *s, unsigned slot, uint64_t generation, const struct frame *f, struct str payload)
{
	struct kept *k;

	if (!strangers_may_come(s, generation) || f->type == FRAME_HELLO)
		return false;
	k = try_alloc(sizeof *k + payload.len);
	if (!k) {
		worker_out_of_memory(s->worker, "what a new task worker says is lost");
		return false;
	}
	*k = (struct kept){ .slot = slot, .generation = generation, .frame = *f, .len = payload.len };
	if (k->len)
		memcpy(k->data, payload.p, k->len);
	list_init(&k->link);
	list_append(&s->kept, &k->link);
	return true;
}

void strangers_meet(struct strangers *s, unsigned slot, uint64_t generation)
{
	s->newest = LS_MAX(s->newest, generation);
	LS_LIST_EACH_SAFE (it, after, &s->kept) {
		struct kept *k = LS_CONTAINER_OF(it, struct kept, link);

		if (k->generation > s->newest)
			continue;
		list_del(&k->link);
		if (k->generation == generation && k->slot == slot &&
		    worker_on_side(s->worker, slot, generation, &k->frame, str_make(k->data, k->len)) < 0)
			log_error("what process %u sent here makes no sense and is dropped", slot);
		free(k);
	}
}

struct strangers *strangers_new(struct worker *w)
{
	struct strangers *s = xzalloc(sizeof *s);

	s->worker = w;
	s->newest = w->o.generation;
	list_init(&s->kept);
	return s;
}

void strangers_free(struct strangers *s)
{
	for (struct list *it; (it = list_shift(&s->kept));)
		free(LS_CONTAINER_OF(it, struct kept, link));
	free(s);
}
