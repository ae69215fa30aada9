#include "role/fanout.h"

#include "base/mem.h"

#include <stdlib.h>

struct part {
	struct post post;
	struct fanout *fanout;
};

struct fanout {
	struct mailbox *mailbox;
	unsigned left;
	void (*fn)(void *ctx);
	void *ctx;
	struct part parts[];
};

static void on_answer(struct post *p)
{
	struct fanout *f = LS_CONTAINER_OF(p, struct part, post)->fanout;

	if (--f->left)
		return;

	void (*fn)(void *ctx) = f->fn;
	void *ctx = f->ctx;

	free(f);
	fn(ctx);
}

struct fanout *fanout_new(struct mailbox *m, unsigned n, void (*fn)(void *ctx), void *ctx)
{
	struct fanout *f = xzalloc(sizeof *f + n * sizeof f->parts[0]);

	f->mailbox = m;
	f->left = n;
	f->fn = fn;
	f->ctx = ctx;
	for (unsigned i = 0; i < n; i++) {
		f->parts[i].post.fn = on_answer;
		f->parts[i].fanout = f;
	}
	return f;
}

void *fanout_part(struct fanout *f, unsigned i)
{
	return &f->parts[i];
}

void fanout_answered(void *part)
{
	struct part *p = part;

	mailbox_post(p->fanout->mailbox, &p->post);
}
