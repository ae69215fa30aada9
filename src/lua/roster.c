#include "lua/roster.h"

#include "base/mem.h"

#include <stdlib.h>

enum {
	POOL_MAX = 1024,
	SLOTS_FIRST = 64,
	ID_BITS = 52, /* what a Lua number holds, less one for the index being counted from 1 */
	SLOT_NONE = 0xffffffff,
};

/* id = generation << id_bits | index + 1: found without a map. */
struct roster_slot {
	struct task *task;
	uint64_t generation;
	uint32_t next_free;
};

/* ---- coroutines ---------------------------------------------------------------------------------------------------- */

static void new_coroutine(struct roster *r, struct task *t)
{
	t->L = lua_newthread(r->L);
	lua_rawgeti(r->L, LUA_REGISTRYINDEX, r->foreign_ref);
	lua_pushvalue(r->L, -2);
	lua_pushboolean(r->L, 1);
	lua_rawset(r->L, -3);
	lua_pop(r->L, 1);
	t->anchor = luaL_ref(r->L, LUA_REGISTRYINDEX);
}

void roster_renew(struct roster *r, struct task *t)
{
	luaL_unref(r->L, LUA_REGISTRYINDEX, t->anchor);
	new_coroutine(r, t);
}

static void free_task(struct roster *r, struct task *t)
{
	luaL_unref(r->L, LUA_REGISTRYINDEX, t->anchor);
	free(t);
}

/* ---- slots --------------------------------------------------------------------------------------------------------- */

static void grow_slots(struct roster *r)
{
	uint32_t n = LS_MIN(r->n_slots ? r->n_slots * 2 : (uint32_t)SLOTS_FIRST, r->max);

	r->slots = xrealloc(r->slots, n * sizeof *r->slots);
	for (uint32_t i = n; i-- > r->n_slots;) {
		r->slots[i] = (struct roster_slot){ .next_free = r->free_slot };
		r->free_slot = i;
	}
	r->n_slots = n;
}

static uint32_t slot_of(const struct roster *r, uint64_t id)
{
	return (uint32_t)((id - 1) & ((1ULL << r->id_bits) - 1));
}

static void take_slot(struct roster *r, struct task *t)
{
	if (r->free_slot == SLOT_NONE)
		grow_slots(r);

	uint32_t index = r->free_slot;
	struct roster_slot *slot = &r->slots[index];

	r->free_slot = slot->next_free;
	slot->task = t;
	t->id = (slot->generation << r->id_bits) + index + 1;
}

static void give_slot(struct roster *r, uint64_t id)
{
	uint32_t index = slot_of(r, id);
	struct roster_slot *slot = &r->slots[index];

	slot->task = NULL;
	slot->generation = (slot->generation + 1) & ((1ULL << (ID_BITS - r->id_bits)) - 1);
	slot->next_free = r->free_slot;
	r->free_slot = index;
}

struct task *roster_find(const struct roster *r, uint64_t id)
{
	if (id == 0 || slot_of(r, id) >= r->n_slots)
		return NULL;

	struct task *t = r->slots[slot_of(r, id)].task;

	return t && t->id == id ? t : NULL;
}

struct task *roster_next(const struct roster *r, uint32_t *cursor)
{
	while (*cursor < r->n_slots) {
		struct task *t = r->slots[(*cursor)++].task;

		if (t)
			return t;
	}
	return NULL;
}

/* ---- tasks --------------------------------------------------------------------------------------------------------- */

struct task *roster_take(struct roster *r)
{
	if (r->alive >= r->max)
		return NULL;

	struct list *node = list_shift(&r->pool);
	struct task *t;

	if (node) {
		t = LS_CONTAINER_OF(node, struct task, link);
		r->pooled--;
	} else {
		t = xzalloc(sizeof *t);
		list_init(&t->link);
		new_coroutine(r, t);
	}
	take_slot(r, t);
	r->alive++;
	return t;
}

void roster_give(struct roster *r, struct task *t, bool keep)
{
	give_slot(r, t->id);
	r->alive--;
	if (!keep || r->pooled >= POOL_MAX) {
		free_task(r, t);
		return;
	}
	lua_settop(t->L, 0);
	r->pooled++;
	/* At the front: the one used last is in the caches. */
	list_append(r->pool.next, &t->link);
}

void roster_init(struct roster *r, lua_State *L, int foreign_ref, unsigned max)
{
	*r = (struct roster){ .L = L, .foreign_ref = foreign_ref, .max = max, .free_slot = SLOT_NONE };
	r->id_bits = (unsigned)__builtin_ctzll(pow2_up(LS_MAX(max, (unsigned)SLOTS_FIRST)));
	list_init(&r->pool);
}

void roster_fini(struct roster *r)
{
	for (struct list *node; (node = list_shift(&r->pool));)
		free_task(r, LS_CONTAINER_OF(node, struct task, link));
	free(r->slots);
}
