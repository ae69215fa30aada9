/* What other processes of this server send, and how they come and go. */
#include "sys/spawn.h"
#include "worker/commands.h"
#include "worker/duties.h"
#include "worker/messages.h"
#include "worker/orders.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdio.h>

/* Two processes learn of each other at different times: each says HELLO when it knows the other and can take something, and once more
 * when it hears it for the first time, since the other may not have known it before. */
static void greet(struct colleague *c)
{
	struct frame hello = { .type = FRAME_HELLO };

	if (board_get(&c->worker->o.board->state) == BOARD_READY)
		(void)link_send(c->line, &hello, NULL, 0); /* a notice */
}

void colleague_greet_all(struct worker *w)
{
	LS_LIST_EACH (it, &w->colleagues)
		greet(LS_CONTAINER_OF(it, struct colleague, link));
}

static void on_hello(struct worker *w, struct colleague *c)
{
	if (!c->greeted)
		greet(c);
	c->greeted = true;
	orders_on_ready(w->orders);
	messages_on_ready(w->messages, c);
	if (colleague_is_ready(c))
		commands_on_ready(w->commands, c);
}

void worker_meet(struct worker *w, unsigned slot, uint64_t generation, struct link *line, int board_fd)
{
	struct colleague *c = colleague_meet(w, slot, generation, line, board_fd);

	if (c)
		greet(c);
	strangers_meet(w->strangers, slot, generation);
}

/* "task worker 2 (pid 123) died by SIGKILL" */
static void describe(const struct colleague *c, pid_t pid, int status, char *out, size_t cap)
{
	char how[96];

	snprintf(out, cap, "%s %u (pid %d) %s", crew_title(c->worker->o.settings, c->slot), c->slot, pid,
	         spawn_status_text(status, how, sizeof how));
}

void worker_part(struct worker *w, unsigned slot, uint64_t generation, pid_t pid, int status)
{
	struct colleague *c = colleague_find(w, slot, generation);
	char how[160];

	if (!c)
		return;
	list_del(&c->link);
	describe(c, pid, status, how, sizeof how);
	orders_on_gone(w->orders, c, how);
	messages_on_gone(w->messages, c);
	commands_on_gone(w->commands, c, how);
	colleague_forget(c);
	colleague_free(c);
}

int worker_on_side(struct worker *w, unsigned slot, uint64_t generation, const struct frame *f, struct str payload)
{
	struct colleague *c = colleague_find(w, slot, generation);

	if (!c && strangers_keep(w->strangers, slot, generation, f, payload))
		return 0;
	if (!c)
		return 0; /* a HELLO from one that this process has not been told of yet */
	switch (f->type) {
	case FRAME_HELLO:
		on_hello(w, c);
		return 0;
	case FRAME_RETIRE:
		if (w->o.on_retire)
			w->o.on_retire(w->o.ctx);
		return 0;
	case FRAME_TASK:
		return w->duties ? duties_on_task(w->duties, c, f, payload) : -EBADMSG;
	case FRAME_RESULT:
		return orders_on_result(w->orders, c, f, payload);
	case FRAME_TASK_FAILED:
		return orders_on_failed(w->orders, c, f, payload);
	case FRAME_TASK_TAKEN:
		return orders_on_taken(w->orders, c, f);
	case FRAME_TASK_PROBED:
		return orders_on_probed(w->orders, f);
	case FRAME_COMMAND:
		return commands_on_command(w->commands, c, f, payload);
	case FRAME_COMMAND_ANSWER:
		return commands_on_answer(w->commands, c, f, payload);
	case FRAME_MESSAGE:
		return messages_on_message(w->messages, c, f, payload);
	default:
		return -EBADMSG;
	}
}

void worker_slot_failed(struct worker *w, unsigned slot, bool failed)
{
	if (slot < crew_count(w->o.settings) && crew_kind(w->o.settings, slot) == CREW_TASK)
		orders_on_slot(w->orders, slot, failed);
}
