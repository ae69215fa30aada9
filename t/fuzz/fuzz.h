/* What the drivers of protocols share: a connection whose sink checks every frame, and the feeding of bytes in pieces.
 *
 * The first 4 bytes of an input seed the pieces, refusals and answers; the rest is what the peer sends.
 */
#pragma once

#include "base/mem.h"
#include "proto/http_head.h"
#include "proto/proto.h"

#include <errno.h>
#include <stdlib.h>

enum { FUZZ_SEED = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct settings fuzz_settings;
static struct port fuzz_port;
static struct proto_conn fuzz_conn;
static uint32_t fuzz_random_state;
static uint64_t fuzz_hash; /* of what the worker was handed, ABORT and SHUT aside */
static bool fuzz_refuses;  /* the sink says -EAGAIN now and then */

static inline uint32_t fuzz_random(void)
{
	fuzz_random_state = fuzz_random_state * 1664525 + 1013904223;
	return fuzz_random_state >> 8;
}

static inline void fuzz_check(bool held)
{
	if (!held)
		abort();
}

static inline void fuzz_mix(const void *p, size_t len)
{
	const uint8_t *bytes = p;

	while (len--)
		fuzz_hash = (fuzz_hash ^ *bytes++) * 0x100000001b3;
}

/* A copy of its own size, so that ASan sees steps outside. */
static inline char *fuzz_copy(const struct str *parts, int n, size_t *len)
{
	char *all, *p;

	*len = 0;
	for (int i = 0; i < n; i++)
		*len += parts[i].len;
	p = all = malloc(*len ? *len : 1);
	for (int i = 0; i < n; i++)
		p = parts[i].len ? mempcpy(p, parts[i].p, parts[i].len) : p;
	return all;
}

static inline int fuzz_emit(struct proto_conn *pc, struct frame *f, const struct str *parts, int n, struct stream *s)
{
	size_t len;
	char *all;

	(void)pc;
	if (f->type == FRAME_ABORT || f->type == FRAME_SHUT)
		return 0;
	if (fuzz_refuses && fuzz_random() % 4 == 0)
		return -EAGAIN;
	all = fuzz_copy(parts, n, &len);
	f->len = (uint32_t)len;
	fuzz_check(frame_check(f, FRAME_DOWN) == 0 && f->stream == (s ? s->number : 0));
	if (f->type == FRAME_REQUEST) {
		struct http_view v;

		fuzz_check(http_head_check(str_make(all, len), &v) == 0);
		((struct http_head *)(void *)all)->received_us = 0;
	}
	if (f->type != FRAME_BODY)
		fuzz_mix(f, offsetof(struct frame, conn)); /* bodies are the same however they are cut */
	fuzz_mix(all, len);
	free(all);
	return 0;
}

static inline void fuzz_done(struct proto_conn *pc, struct stream *s)
{
	fuzz_check(pc && s);
}

static inline struct proto_conn *fuzz_open(const struct proto *proto, uint32_t seed, bool refuses)
{
	static const struct sink sink = { .emit = fuzz_emit, .stream_done = fuzz_done };

	fuzz_random_state = seed;
	fuzz_hash = 0xcbf29ce484222325;
	fuzz_refuses = refuses;
	fuzz_port = (struct port){
		.package_max_length = 1000,
		.package_eof = LS_STR("\r\n"),
		.package_length_type = 'n',
		.package_body_offset = 2,
		.http_pipeline_max = 3,
		.http_max_header_size = 512,
		.http_max_target_size = 64,
		.http_max_headers = 8,
	};
	fuzz_conn = (struct proto_conn){
		.proto = proto,
		.settings = &fuzz_settings,
		.port = &fuzz_port,
		.sink = &sink,
		.id = 1,
	};
	list_init(&fuzz_conn.streams);
	return &fuzz_conn;
}

/* A request that is whole and unanswered, or NULL. */
static inline struct stream *fuzz_pick(struct proto_conn *pc)
{
	struct stream *picked = NULL;

	LS_LIST_EACH (it, &pc->streams) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_conn);

		if (s->input_done && !s->output_done && (!picked || fuzz_random() % 2))
			picked = s;
	}
	return picked;
}

/* Answers requests in random order: all of them when the protocol waits, else perhaps some. */
static inline void fuzz_answer(struct proto_conn *pc)
{
	struct {
		struct http_head head;
		char body[4];
	} answer = { .head = { .status = 200, .size = sizeof answer.head }, .body = "body" };
	struct stream *s;

	while ((pc->paused || fuzz_random() % 2) && (s = fuzz_pick(pc))) {
		struct frame f = {
			.type = FRAME_RESPONSE,
			.flags = FRAME_END,
			.arg = sizeof answer.head,
			.value = fuzz_random() % 2 ? 4 : UINT64_MAX,
		};

		fuzz_check(pc->proto->output(pc, &f, str_make(&answer, sizeof answer.head + 4), s) == 0);
	}
}

/* Shows all bytes; `cut`: in random pieces; `between` is called after each.  How many were eaten. */
static inline size_t fuzz_show(struct proto_conn *pc, struct str bytes, bool cut,
                               void (*between)(struct proto_conn *pc))
{
	size_t from = 0, shown = 0;

	for (int idle = 0; idle < 50 && from < bytes.len && !pc->close_when_sent && !pc->goodbye;) {
		size_t len;
		char *copy;
		ssize_t n;

		idle += shown == bytes.len;
		shown = cut ? shown + fuzz_random() % 30 : bytes.len;
		shown = shown < bytes.len ? shown : bytes.len;
		if (!pc->paused && shown > from) {
			copy = fuzz_copy(&(struct str){ bytes.p + from, shown - from }, 1, &len);
			n = pc->proto->input(pc, str_make(copy, len));
			free(copy);
			if (n < 0)
				break;
			fuzz_check((size_t)n <= len);
			from += (size_t)n;
			idle = n ? 0 : idle;
		}
		if (between)
			between(pc);
	}
	return from;
}

/* The connection has been closed. */
static inline void fuzz_end(struct proto_conn *pc)
{
	pc->proto->close(pc);
	proto_finish(pc);
	chain_clear(&pc->out);
	fuzz_check(list_empty(&pc->streams) && !pc->state);
}

/* Feeds all bytes and ends with the peer's end and close(). */
static inline void fuzz_feed(struct proto_conn *pc, struct str bytes, bool cut)
{
	size_t from = fuzz_show(pc, bytes, cut, pc->proto->stateful ? NULL : fuzz_answer);

	if (!pc->close_when_sent)
		pc->proto->eof(pc, str_skip(bytes, from));
	pc->proto->idle(pc);
	fuzz_end(pc);
}

/* The same bytes whole and in pieces, with and without refusals, must give the worker the same. */
static inline void fuzz_twice(const struct proto *proto, const uint8_t *data, size_t size,
                              void (*prepare)(uint8_t option))
{
	struct str bytes = str_skip(str_make(data, size), FUZZ_SEED);
	uint32_t seed;
	uint64_t hash;

	if (size < FUZZ_SEED)
		return;
	memcpy(&seed, data, sizeof seed);
	fuzz_open(proto, seed, false);
	if (prepare)
		prepare(data[0]);
	fuzz_feed(&fuzz_conn, bytes, false);
	hash = fuzz_hash;
	fuzz_open(proto, seed, true);
	if (prepare)
		prepare(data[0]);
	fuzz_feed(&fuzz_conn, bytes, true);
	fuzz_check(hash == fuzz_hash);
}
