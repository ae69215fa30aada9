#include "loop/post.h"

static void on_async(uv_async_t *async)
{
	struct mailbox *m = LS_CONTAINER_OF(async, struct mailbox, async);
	struct list taken;

	list_init(&taken);
	pthread_mutex_lock(&m->lock);
	list_move_all(&taken, &m->queue);
	pthread_mutex_unlock(&m->lock);

	for (struct list *it; (it = list_shift(&taken));) {
		struct post *p = LS_CONTAINER_OF(it, struct post, link);

		p->fn(p);
	}
}

int mailbox_open(struct mailbox *m, struct loop *l)
{
	int r = uv_async_init(&l->uv, &m->async, on_async);

	if (r < 0)
		return r;
	l->uv_due = true;
	m->loop = l;
	list_init(&m->queue);
	return -pthread_mutex_init(&m->lock, NULL);
}

void mailbox_post(struct mailbox *m, struct post *p)
{
	pthread_mutex_lock(&m->lock);

	bool was_empty = list_empty(&m->queue);

	list_append(&m->queue, &p->link);
	/* Within the lock: the call may end the loop, which must not go while we still wake it. */
	if (was_empty)
		uv_async_send(&m->async);
	pthread_mutex_unlock(&m->lock);
}

void mailbox_close(struct mailbox *m)
{
	on_async(&m->async);
	pthread_mutex_destroy(&m->lock);
	m->loop->uv_due = true;
	uv_close((uv_handle_t *)&m->async, NULL);
}
