#include "proto/stream.h"

#include "base/mem.h"

#include <stdlib.h>

enum { STREAMS_KEPT = 256 };

static _Thread_local struct pool streams = { .size = sizeof(struct stream), .keep = STREAMS_KEPT };

struct stream *stream_new(void)
{
	struct stream *s = pool_get(&streams);

	*s = (struct stream){ 0 };
	list_init(&s->on_conn);
	list_init(&s->on_worker);
	return s;
}

struct stream *stream_find(const struct list *on_conn, uint32_t number)
{
	LS_LIST_EACH (it, on_conn) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_conn);

		if (s->number == number)
			return s;
	}
	return NULL;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	list_del(&s->on_conn);
	list_del(&s->on_worker);
	chain_clear(&s->pending);
	free(s->log);
	pool_put(&streams, s);
}

void stream_trim(void)
{
	pool_trim(&streams);
}
