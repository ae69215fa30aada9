/* A sink that writes down what it is handed, for tests of protocols.  One connection at a time. */
#pragma once

#include "base/bits.h"
#include "base/mem.h"
#include "proto/http_head.h"
#include "proto/proto.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { STUB_LOG = 1 << 20 };

static struct {
	char log[STUB_LOG]; /* frames as text, terminated; BODY frames of one stream are joined */
	size_t len;
	uint32_t open_body; /* the log ends within this stream's body */
	unsigned refuse;    /* 1 of so many frames gets -EAGAIN; 0: none */
	unsigned refusals;
	unsigned requests;
	unsigned done; /* stream_done() calls */
	int fail_with; /* emit returns this when not 0 */
	uint32_t random;
} stub;

static struct settings stub_settings;
static struct port stub_port;
static struct proto_conn stub_conn;

static inline uint32_t stub_random(void)
{
	stub.random = stub.random * 1664525 + 1013904223;
	return stub.random >> 8;
}

static inline void stub_text(const char *p, size_t len)
{
	assert(stub.len + len < STUB_LOG);
	memcpy(stub.log + stub.len, p, len);
	stub.len += len;
	stub.log[stub.len] = '\0';
}

static inline void __attribute__((format(printf, 1, 2))) stub_say(const char *fmt, ...)
{
	char line[512];
	__builtin_va_list args;

	__builtin_va_start(args, fmt);
	int n = vsnprintf(line, sizeof line, fmt, args);
	__builtin_va_end(args);
	stub_text(line, LS_MIN((size_t)n, sizeof line - 1));
}

/* Parts joined in memory aligned to 8; freed by the caller. */
static inline struct str stub_join(const struct str *parts, int n)
{
	size_t len = 0;
	char *all, *p;

	for (int i = 0; i < n; i++)
		len += parts[i].len;
	p = all = xalloc(len);
	for (int i = 0; i < n; i++)
		p = parts[i].len ? mempcpy(p, parts[i].p, parts[i].len) : p;
	return str_make(all, len);
}

static inline void stub_say_str(const char *before, struct str s)
{
	stub_say("%s", before);
	stub_text(s.p, s.len);
}

static inline void stub_say_request(const struct frame *f, struct str image)
{
	struct http_view v;

	stub.requests++;
	if (http_head_check(image, &v) != 0) {
		stub_say("REQUEST with a bad image\n");
		return;
	}
	stub_say("REQUEST %u port=%u value=%llx 1.%u method=%u flags=%x", f->stream, f->arg,
	         (unsigned long long)f->value, v.head->version_minor, v.head->method, v.head->flags);
	stub_say_str(" ", http_head_str(&v, v.head->method_name));
	stub_say_str(" ", http_head_str(&v, v.head->target));
	stub_say_str(" ", http_head_str(&v, v.head->path));
	stub_say_str(" ?", http_head_str(&v, v.head->query));
	for (unsigned i = 0; i < v.head->n_fields; i++) {
		stub_say_str(" ", http_head_str(&v, v.fields[i].name));
		stub_say_str("=", http_head_str(&v, v.fields[i].value));
		stub_say(";");
	}
	stub_say("%s\n", f->flags & FRAME_END ? " END" : "");
}

static inline void stub_say_body(const struct frame *f, struct str bytes)
{
	if (stub.open_body != f->stream)
		stub_say("BODY %u ", f->stream);
	stub.open_body = f->stream;
	stub_text(bytes.p, bytes.len);
	if (f->flags & FRAME_END) {
		stub.open_body = 0;
		stub_say(" END\n");
	}
}

static inline int stub_emit(struct proto_conn *pc, struct frame *f, const struct str *parts, int n, struct stream *s)
{
	struct str all;

	assert(f->conn == pc->id && f->stream == (s ? s->number : 0));
	if (f->type != FRAME_ABORT && stub.fail_with)
		return stub.fail_with;
	if (f->type != FRAME_ABORT && stub.refuse && stub_random() % stub.refuse == 0) {
		stub.refusals++;
		return -EAGAIN;
	}
	all = stub_join(parts, n);
	f->len = (uint32_t)all.len;
	assert(frame_check(f, FRAME_DOWN) == 0);
	if (f->type == FRAME_REQUEST)
		stub_say_request(f, all);
	else if (f->type == FRAME_BODY)
		stub_say_body(f, all);
	else if (f->type == FRAME_ABORT)
		stub_say("ABORT %u %s\n", f->stream, close_reason_name(f->arg));
	else
		stub_say_str("DATA ", all), stub_say("\n");
	free((char *)all.p);
	return 0;
}

static inline void stub_done(struct proto_conn *pc, struct stream *s)
{
	(void)pc;
	(void)s;
	stub.done++;
}

static const struct sink stub_sink = { .emit = stub_emit, .stream_done = stub_done };

/* A fresh connection with the defaults of settings.def. */
static inline struct proto_conn *stub_open(const struct proto *proto)
{
	stub.len = stub.done = stub.requests = stub.refusals = 0;
	stub.open_body = stub.refuse = 0;
	stub.fail_with = 0;
	stub.random = 1;
	stub.log[0] = '\0';
	stub_port = (struct port){
		.package_max_length = 2 << 20,
		.package_eof = LS_STR("\r\n"),
		.package_length_type = 'N',
		.package_body_offset = 4,
		.http_pipeline_max = 64,
		.http_max_header_size = 16384,
		.http_max_target_size = 8192,
		.http_max_headers = 100,
		.http_server_header = true,
		.index = 3,
	};
	stub_conn = (struct proto_conn){
		.proto = proto,
		.settings = &stub_settings,
		.port = &stub_port,
		.sink = &stub_sink,
		.id = 0x1234567,
		.next_stream = 1,
		.now_ms = 1000,
	};
	list_init(&stub_conn.streams);
	return &stub_conn;
}

static inline void stub_close(struct proto_conn *pc)
{
	pc->proto->close(pc);
	chain_clear(&pc->out);
}

/* Shows `bytes` in pieces of `step` bytes (0: random ones) as a connection does: what is not eaten is shown again, and
 * a paused or refused protocol is asked again later.  Returns what was not eaten, or the negative. */
static inline ssize_t stub_feed(struct proto_conn *pc, struct str bytes, size_t step)
{
	size_t from = 0, shown = 0;

	for (unsigned idle = 0; !pc->paused && !pc->close_when_sent && idle < 100;) {
		size_t piece = step ? step : 1 + stub_random() % 40;
		char *copy;
		ssize_t n;

		if (shown == bytes.len || stub.refuse)
			idle++;
		shown = LS_MIN(shown + piece, bytes.len);
		if (shown == from)
			break;
		copy = xmemdup0(bytes.p + from, shown - from); /* so that ASan sees reads beyond it */
		copy = realloc(copy, shown - from);
		n = pc->proto->input(pc, str_make(copy, shown - from));
		free(copy);
		if (n < 0)
			return n;
		if (n > 0)
			idle = 0;
		from += (size_t)n;
	}
	return (ssize_t)(bytes.len - from);
}

/* What waits in `out`, as a terminated text that is valid until the next call; `out` is emptied. */
static inline const char *stub_out(struct proto_conn *pc)
{
	static char text[1 << 20];
	size_t len = 0;
	struct iovec iov[8];
	int n;

	while ((n = chain_iov(&pc->out, iov, 8)) > 0) {
		size_t sum = 0;

		for (int i = 0; i < n; i++) {
			assert(len + sum + iov[i].iov_len < sizeof text);
			memcpy(text + len + sum, iov[i].iov_base, iov[i].iov_len);
			sum += iov[i].iov_len;
		}
		len += sum;
		chain_consume(&pc->out, sum);
	}
	text[len] = '\0';
	return text;
}

static inline struct stream *stub_stream(struct proto_conn *pc, uint32_t number)
{
	LS_LIST_EACH (it, &pc->streams) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_conn);

		if (s->number == number)
			return s;
	}
	return NULL;
}

struct stub_answer {
	uint8_t type;       /* 0: RESPONSE */
	int status;         /* 0: 200 */
	const char *reason; /* or NULL */
	const char *fields; /* "name: value\n…" or NULL */
	const char *body;   /* or NULL */
	uint64_t value;     /* 0: length of the body */
	bool more;          /* without END */
};

/* A RESPONSE, or what else begins with an image, for stream `number`. */
static inline int stub_answer(struct proto_conn *pc, uint32_t number, struct stub_answer a)
{
	static struct http_head_builder b;
	struct str fields = str_from(a.fields), body = str_from(a.body), parts[4], all;
	struct frame f = { .type = a.type ? a.type : FRAME_RESPONSE, .conn = pc->id, .stream = number };
	int r;

	http_head_begin(&b);
	b.head.status = (uint16_t)(a.status ? a.status : 200);
	if (a.reason)
		http_head_text(&b, str_from(a.reason), &b.head.target);
	while (fields.len) {
		struct str value = str_split(&fields, '\n'), name = str_split(&value, ':');

		http_head_add(&b, name, str_skip(value, 1));
	}
	http_head_parts(&b, parts);
	parts[3] = body;
	f.arg = b.head.size;
	f.value = a.value ? a.value : body.len;
	f.flags = a.more ? 0 : FRAME_END;
	all = stub_join(parts, 4);
	f.len = (uint32_t)all.len;
	r = pc->proto->output(pc, &f, all, stub_stream(pc, number));
	free((char *)all.p);
	http_head_fini(&b);
	return r;
}

static inline int stub_answer_body(struct proto_conn *pc, uint32_t number, const char *body, bool end)
{
	struct frame f = {
		.type = FRAME_RESPONSE_BODY,
		.conn = pc->id,
		.stream = number,
		.flags = end ? FRAME_END : 0,
	};

	return pc->proto->output(pc, &f, str_from(body), stub_stream(pc, number));
}
