/* The access log: one line per answered request, gathered and written in batches. */
#include "reactor/core.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "proto/http_head.h"
#include "sys/fd.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32 * 1024, LINE_MAX_BYTES = 4096, FLUSH_MS = 1000 };

struct access_log {
	struct loop *loop;
	struct timer timer;
	int fd;
	bool json;
	uint64_t lost; /* bytes that could not be written and have not been told of */
	struct log_every complaints;
	size_t len;
	char batch[BATCH];
};

/* What a line needs of the request, kept until the answer is complete: texts behind each other. */
struct record {
	uint32_t request; /* lengths */
	uint32_t referer;
	uint32_t agent;
	char text[];
};

static void tell_loss(struct access_log *a, int code)
{
	uint64_t swallowed;

	a->lost += a->len;
	if (!log_every_due(&a->complaints, 10000, &swallowed))
		return;
	log_warn("the access log cannot be written: %s; %llu bytes of it are lost", strerror(-code),
	         (unsigned long long)a->lost);
	a->lost = 0;
}

static void write_batch(struct access_log *a)
{
	if (a->len == 0)
		return;

	/* A full disk must not stop the server; the loss is told in the error log. */
	int r = fd_write_all(a->fd, str_make(a->batch, a->len));

	if (r < 0)
		tell_loss(a, r);
	a->len = 0;
}

static void on_timer(struct timer *t)
{
	write_batch(LS_CONTAINER_OF(t, struct access_log, timer));
}

struct access_log *access_log_new(struct loop *loop, int fd, const struct settings *settings)
{
	struct access_log *a = xzalloc(sizeof *a);

	a->loop = loop;
	a->fd = fd;
	a->json = settings->access_log_format == ACCESS_JSON;
	timer_init(&a->timer, on_timer);
	return a;
}

void access_log_free(struct access_log *a)
{
	if (!a)
		return;
	timer_del(a->loop, &a->timer);
	write_batch(a);
	free(a);
}

void access_log_reopen(struct access_log *a, int fd)
{
	write_batch(a);
	a->fd = fd;
}

static struct str bounded(struct str s)
{
	return str_take(s, LINE_MAX_BYTES / 4);
}

/* Joins the image into `room` (aligned) or, if it does not fit there, gives up: such a request is logged without a record. */
static bool view_parts(const struct str *parts, int n, uint64_t *room, size_t cap, struct http_view *v)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		if (len + parts[i].len > cap)
			return false;
		if (parts[i].len)
			memcpy((char *)room + len, parts[i].p, parts[i].len);
		len += parts[i].len;
	}
	return http_head_check(str_make(room, len), v) == 0;
}

void access_log_begin(struct stream *s, const struct str *image_parts, int n)
{
	static _Thread_local uint64_t room[64 * 1024 / sizeof(uint64_t)];
	struct http_view v;

	if (!view_parts(image_parts, n, room, sizeof room, &v))
		return;

	struct str method = http_head_str(&v, v.head->method_name);
	struct str target = bounded(http_head_str(&v, v.head->target));
	struct str referer = bounded(http_head_find(&v, LS_STR("referer")));
	struct str agent = bounded(http_head_find(&v, LS_STR("user-agent")));
	size_t request = method.len + 1 + target.len + sizeof " HTTP/1.x" - 1;
	struct record *r = try_alloc(sizeof *r + request + 1 + referer.len + agent.len);

	if (!r)
		return;
	r->request = (uint32_t)request;
	r->referer = (uint32_t)referer.len;
	r->agent = (uint32_t)agent.len;
	snprintf(r->text, request + 1, "%.*s %.*s HTTP/1.%u", LS_STR_ARG(method), LS_STR_ARG(target),
	         v.head->version_minor);
	memcpy(r->text + request, referer.p ? referer.p : "", referer.len);
	memcpy(r->text + request + referer.len, agent.p ? agent.p : "", agent.len);
	s->log = r;
}

static int format_combined(const struct record *r, const struct stream *s, const char *peer, char *out, size_t cap)
{
	char request[LINE_MAX_BYTES], referer[LINE_MAX_BYTES / 2], agent[LINE_MAX_BYTES / 2], when[64];
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm tm;

	strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S %z", localtime_r(&now, &tm));
	str_escape(str_make(r->text, r->request), request, sizeof request);
	str_escape(str_make(r->text + r->request, r->referer), referer, sizeof referer);
	str_escape(str_make(r->text + r->request + r->referer, r->agent), agent, sizeof agent);
	return snprintf(out, cap, "%s - - [%s] \"%s\" %u %llu \"%s\" \"%s\"\n", peer, when, request, s->status,
	                (unsigned long long)s->body_sent, r->referer ? referer : "-", r->agent ? agent : "-");
}

static int format_json(const struct record *r, const struct stream *s, const char *peer, char *out, size_t cap)
{
	char request[LINE_MAX_BYTES], referer[LINE_MAX_BYTES / 2], agent[LINE_MAX_BYTES / 2];
	uint64_t now = clock_wall_us();

	codec_json_string(str_make(r->text, r->request), request, sizeof request);
	codec_json_string(str_make(r->text + r->request, r->referer), referer, sizeof referer);
	codec_json_string(str_make(r->text + r->request + r->referer, r->agent), agent, sizeof agent);
	return snprintf(out, cap,
	                "{\"time\":%.3f,\"remote_addr\":\"%s\",\"request\":%s,\"status\":%u,\"body_bytes\":%llu,"
	                "\"duration\":%.6f,\"referer\":%s,\"user_agent\":%s}\n",
	                (double)now / 1e6, peer, request, s->status, (unsigned long long)s->body_sent,
	                s->started_us && now > s->started_us ? (double)(now - s->started_us) / 1e6 : 0.0, referer,
	                agent);
}

void access_log_end(struct access_log *a, struct stream *s, const struct sock_peer *peer)
{
	char line[3 * LINE_MAX_BYTES], text[SOCK_TEXT_MAX];
	const struct record *r = s->log;

	if (!r)
		return;

	const char *who = sock_peer_text(peer, text);
	int n = a->json ? format_json(r, s, who, line, sizeof line) : format_combined(r, s, who, line, sizeof line);
	size_t len = LS_MIN((size_t)LS_MAX(n, 0), sizeof line - 1);

	if (a->len + len > sizeof a->batch)
		write_batch(a);
	memcpy(a->batch + a->len, line, len);
	a->len += len;
	if (!timer_is_set(&a->timer))
		timer_set(a->loop, &a->timer, FLUSH_MS);
}

void access_log_drop(struct stream *s)
{
	free(s->log);
	s->log = NULL;
}
