#include "worker/colleague.h"

#include "sys/fd.h"
#include "worker/runtime.h"

#include <stdlib.h>

/* ---- who is there ----------------------------------------------------------------------------------------------------------------- */

static int map_board(struct colleague *c, int fd)
{
	int r = shm_map(fd, false, &c->map);

	if (r < 0)
		return r;
	if (c->map.size < sizeof *c->board || !shm_is_sealed(fd, false)) {
		shm_unmap(&c->map);
		return -EBADMSG;
	}
	c->board = c->map.p;
	return 0;
}

struct colleague *colleague_meet(struct worker *w, unsigned slot, uint64_t generation, struct link *line, int board_fd)
{
	struct colleague *c = xzalloc(sizeof *c);

	*c = (struct colleague){
		.worker = w,
		.slot = slot,
		.generation = generation,
		.line = line,
		.mark = -1,
		.noted = -1,
		.window = 1,
	};
	list_init(&c->link);
	list_init(&c->orders);
	list_init(&c->messages);
	if (slot >= crew_count(w->o.settings) || map_board(c, board_fd) < 0) {
		log_error("the board of process %u cannot be read, so this one sends it nothing", slot);
		fd_close(&board_fd);
		free(c);
		return NULL;
	}
	fd_close(&board_fd);
	c->kind = crew_kind(w->o.settings, slot);
	list_append(&w->colleagues, &c->link);
	return c;
}

void colleague_forget(struct colleague *c)
{
	if (c->noted >= 0)
		board_set(&c->worker->o.board->taken[c->noted].generation, 0);
	c->noted = -1;
}

void colleague_free(struct colleague *c)
{
	list_del(&c->link);
	shm_unmap(&c->map);
	free(c);
}

struct colleague *colleague_find(struct worker *w, unsigned slot, uint64_t generation)
{
	LS_LIST_EACH (it, &w->colleagues) {
		struct colleague *c = LS_CONTAINER_OF(it, struct colleague, link);

		if (c->generation == generation && c->slot == slot)
			return c;
	}
	return NULL;
}

bool colleague_is_ready(const struct colleague *c)
{
	return c->greeted && board_get(&c->board->state) == BOARD_READY;
}

/* 0: it takes nothing. */
static uint64_t rank(const struct colleague *c)
{
	uint64_t state = c->greeted ? board_get(&c->board->state) : BOARD_STARTING;
	uint64_t ready = UINT64_C(1) << 63; /* above all generations */

	return state == BOARD_READY ? ready | c->generation : state == BOARD_DRAINING ? c->generation : 0;
}

struct colleague *colleague_of_slot(struct worker *w, unsigned slot)
{
	struct colleague *found = NULL;

	LS_LIST_EACH (it, &w->colleagues) {
		struct colleague *c = LS_CONTAINER_OF(it, struct colleague, link);

		if (c->slot == slot && rank(c) && (!found || rank(c) > rank(found)))
			found = c;
	}
	return found;
}

/* ---- how far it has come ------------------------------------------------------------------------------------------------------------ */

static int find_mark(const struct board_worker *b, uint64_t generation)
{
	for (int i = 0; i < BOARD_SENDERS; i++)
		if (board_observe(&b->taken[i].generation) == generation)
			return i;
	return -1;
}

uint64_t colleague_begun(struct colleague *c, enum board_stream stream)
{
	if (c->mark < 0)
		c->mark = find_mark(c->board, c->worker->o.generation);
	if (c->mark >= 0)
		return board_get(&c->board->taken[c->mark].upto[stream]);
	/* Nothing yet; or it could not note us, and may have begun everything. */
	return find_mark(c->board, 0) >= 0 ? 0 : UINT64_MAX;
}

static void choose_mark(struct colleague *c)
{
	struct board_worker *b = c->worker->o.board;

	c->noted = find_mark(b, 0);
	if (c->noted < 0) {
		c->unnoted = true;
		log_error("more than %d processes send here; what process %u sends is given up when this one dies",
		          BOARD_SENDERS, c->slot);
		return;
	}
	for (int i = 0; i < BOARD_STREAMS; i++)
		board_set(&b->taken[c->noted].upto[i], 0);
	board_publish(&b->taken[c->noted].generation, c->generation);
}

void colleague_begin(struct colleague *c, enum board_stream stream, uint64_t number)
{
	if (c->noted < 0 && !c->unnoted)
		choose_mark(c);
	if (c->noted >= 0)
		board_set(&c->worker->o.board->taken[c->noted].upto[stream], number);
}
