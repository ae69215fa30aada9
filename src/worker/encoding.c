#include "worker/encoding.h"

#include "base/mem.h"
#include "worker/encoder.h"
#include "worker/runtime.h"

#include <errno.h>

/* "text/html; charset=utf-8" is text/html; "text/" in the setting is all of them. */
static bool type_is_listed(const struct settings_list *types, struct str type)
{
	type = str_trim(str_split(&type, ';'));
	for (unsigned i = 0; i < types->count; i++) {
		struct str item = str_from(types->items[i]);
		struct str front = str_ends(item, LS_STR("/")) ? str_take(type, item.len) : type;

		if (str_ieq(front, item) || str_eq(item, LS_STR("*")))
			return true;
	}
	return false;
}

/* Whether the answer is of a kind that is compressed for those who want it. */
static bool may_be_coded(const struct request *r)
{
	struct str type = fields_get(&r->head, LS_STR("content-type"));
	bool has_none = r->status == 204 || r->status == 206 || r->status == 304;

	if (!r->port->http_compression || has_none || fields_has(&r->head, LS_STR("content-encoding")))
		return false;
	if (str_list_has(fields_get(&r->head, LS_STR("cache-control")), LS_STR("no-transform"), str_ieq))
		return false;
	return type_is_listed(&r->port->http_compression_types, type.p ? type : LS_STR("text/html"));
}

/* Caches keep an answer for each coding apart (RFC 9110 §12.5.5). */
static int add_vary(struct request *r)
{
	struct str vary = fields_get(&r->head, LS_STR("vary"));

	if (str_eq(vary, LS_STR("*")) || str_list_has(vary, LS_STR("accept-encoding"), str_ieq))
		return 0;
	return response_field(r, LS_STR("Vary"), LS_STR("Accept-Encoding"), true);
}

/* The bytes are others than those that a strong validator stands for (RFC 9110 §8.8.1). */
static int weaken_etag(struct request *r)
{
	struct str etag = fields_get(&r->head, LS_STR("etag"));
	char *weak;

	if (!etag.p || str_starts(etag, LS_STR("W/")))
		return 0;
	weak = arena_alloc(&r->arena, etag.len + 2);
	memcpy(weak, "W/", 2);
	memcpy(weak + 2, etag.p, etag.len);
	return response_field(r, LS_STR("ETag"), str_make(weak, etag.len + 2), false);
}

static bool say_coding(struct request *r, enum http_coding coding)
{
	return response_field(r, LS_STR("Content-Encoding"), http_coding_name(coding), false) == 0 &&
	       weaken_etag(r) == 0;
}

/* Gives the buffer back; raises without memory for the string, but has lost nothing of it then. */
static int push_buf(struct request *r, lua_State *L, struct buf *b)
{
	int index;

	r->coded = b; /* freed by encoding_free() if this raises */
	lua_pushlstring(L, b->data, b->len);
	index = lua_gettop(L);
	buf_unref(r->coded);
	r->coded = NULL;
	return index;
}

static int apply_encoder(struct request *r, lua_State *L, int idx, bool end)
{
	struct str bytes = { 0 };
	struct buf *b;
	int code;

	bytes.p = lua_tolstring(L, idx, &bytes.len);
	code = encoder_run(r->encoder, bytes, end, &b);
	return code < 0 ? code : push_buf(r, L, b);
}

int encoding_apply(struct request *r, lua_State *L, int idx, bool whole, bool end)
{
	struct str bytes = { 0 };
	enum http_coding coding;
	struct buf *b;

	if (r->encoding_decided)
		return r->encoder ? apply_encoder(r, L, idx, end) : idx;
	r->encoding_decided = true;
	bytes.p = lua_tolstring(L, idx, &bytes.len);
	if ((whole && bytes.len < r->port->http_compression_min_length) || !may_be_coded(r) || add_vary(r) < 0)
		return idx;
	coding = accept_encoding_choose(&r->view, encoder_codings);
	if (coding == CODING_IDENTITY)
		return idx;
	if (!whole) {
		r->encoder = encoder_new(coding, (int)r->port->http_compression_level);
		return r->encoder && say_coding(r, coding) ? apply_encoder(r, L, idx, end) : idx;
	}
	b = encoder_whole(coding, (int)r->port->http_compression_level, bytes);
	if (b && say_coding(r, coding))
		return push_buf(r, L, b);
	buf_unref(b);
	return idx;
}

int encoding_finish(struct request *r, struct buf **out)
{
	*out = NULL;
	return r->encoder ? encoder_run(r->encoder, (struct str){ "", 0 }, true, out) : 0;
}

void encoding_free(struct request *r)
{
	encoder_free(r->encoder);
	buf_unref(r->coded);
	r->encoder = NULL;
	r->coded = NULL;
}
