/* Lists in a dict.  What counts is the way forward from `first`; `last`, `previous` and the count are made anew at a repair. */
#include "ipc/shdict_block.h"

#include <errno.h>
#include <string.h>

/* The key's list, or NULL; -EPROTOTYPE: it holds something else. An expired one is taken out. */
static int find_list(struct shdict_in *in, struct shdict_probe *p, struct shdict_entry **out)
{
	struct shdict_entry *e = p->number ? &shdict_at(in, p->number)->entry : NULL;

	if (e && shdict_expired(in, e)) {
		shdict_drop(in, p->from, p->number);
		in->shard->expired++;
		p->number = 0;
		e = NULL;
	}
	*out = e;
	return e && e->kind != SHDICT_LIST ? -EPROTOTYPE : 0;
}

static uint32_t make_node(struct shdict_in *in, const struct shdict_value *value)
{
	uint32_t number = shdict_take(in, shdict_blocks_for(value->bytes.len, NODE_INLINE));
	struct shdict_node *node = &shdict_at(in, number)->node;

	node->next = 0;
	node->previous = 0;
	node->len = (uint32_t)value->bytes.len;
	node->kind = (uint8_t)value->kind;
	memcpy(node->number, &value->number, sizeof node->number);
	shdict_write(in, node->bytes, NODE_INLINE, node->rest, 0, value->bytes);
	return number;
}

static void link_node(struct shdict_in *in, struct shdict_entry *e, uint32_t number, bool left)
{
	struct shdict_node *node = &shdict_at(in, number)->node;

	if (left) {
		node->next = e->first;
		shdict_commit(&e->first, number);
		if (node->next)
			shdict_at(in, node->next)->node.previous = number;
		else
			e->last = number;
	} else {
		node->previous = e->last;
		shdict_commit(e->last ? &shdict_at(in, e->last)->node.next : &e->first, number);
		e->last = number;
	}
	e->value_len++;
}

int shdict_push(struct shdict *d, struct str key, const struct shdict_value *value, bool left, uint32_t *len)
{
	static const struct shdict_value empty = { .kind = SHDICT_LIST };
	uint64_t n = shdict_blocks_for(value->bytes.len, NODE_INLINE);
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	unsigned evicted;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	r = find_list(&in, &p, &e);
	if (r == 0 && shdict_room(&in) < n + shdict_blocks_for(key.len, ENTRY_INLINE))
		r = -ENOSPC;
	if (r == 0 && !e)
		r = shdict_store(&in, &p, &empty, true, 0, &evicted);
	if (r == 0) {
		e = e ? e : &shdict_at(&in, *p.from)->entry;
		link_node(&in, e, make_node(&in, value), left);
		*len = e->value_len;
	}
	shdict_leave(&in);
	return r;
}

static int read_node(struct shdict_in *in, const struct shdict_node *node, struct shdict_value *out)
{
	size_t len = LS_MIN((size_t)node->len, (size_t)in->d->blocks * BLOCK);
	char *buffer = shdict_buffer(in->d, len + 1);

	if (!buffer)
		return -ENOMEM;
	*out = (struct shdict_value){ .kind = (enum shdict_kind)node->kind };
	memcpy(&out->number, node->number, sizeof out->number);
	shdict_read(in, node->bytes, NODE_INLINE, node->rest, 0, buffer, len);
	out->bytes = str_make(buffer, len);
	return 0;
}

static void unlink_node(struct shdict_in *in, struct shdict_entry *e, uint32_t number, bool left)
{
	struct shdict_node *node = &shdict_at(in, number)->node;

	if (left) {
		shdict_commit(&e->first, node->next);
		if (node->next)
			shdict_at(in, node->next)->node.previous = 0;
		else
			e->last = 0;
	} else {
		shdict_commit(node->previous ? &shdict_at(in, node->previous)->node.next : &e->first, 0);
		e->last = node->previous;
	}
	e->value_len--;
	shdict_give(in, number, shdict_blocks_for(node->len, NODE_INLINE));
}

int shdict_pop(struct shdict *d, struct str key, bool left, struct shdict_value *out)
{
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	r = find_list(&in, &p, &e);
	if (r == 0 && (!e || e->first == 0 || e->last == 0))
		r = -ENOENT;
	if (r == 0) {
		uint32_t number = left ? e->first : e->last;

		r = read_node(&in, &shdict_at(&in, number)->node, out);
		if (r == 0)
			unlink_node(&in, e, number, left);
	}
	if (e && e->kind == SHDICT_LIST && e->first == 0)
		shdict_drop(&in, p.from, p.number);
	shdict_leave(&in);
	return r;
}

int shdict_length(struct shdict *d, struct str key, uint32_t *len)
{
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	r = find_list(&in, &p, &e);
	*len = r == 0 && e ? e->value_len : 0;
	shdict_leave(&in);
	return r;
}
