/* Files below a port's document_root, served by the reactor: no worker hears of such a request.
 *
 * What is sent is found out when the head comes, and written before the loop sleeps, since a sink may not come back into its protocol. */
#include "reactor/core.h"

#include "base/codec.h"
#include "net/filecache.h"
#include "proto/accept_encoding.h"
#include "proto/http1.h"
#include "proto/http_conditions.h"
#include "proto/mime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* struct stream.plan: what a request is answered with. */
struct plan {
	struct file *file; /* NULL: no file */
	struct http_verdict verdict;
	enum http_coding coding;
	struct str type;
	char location[]; /* of a redirection */
};

static _Thread_local struct http_head_builder builder;

/* ---- which file ---------------------------------------------------------------------------------------------------------------------- */

static struct filecache *cache_of(struct reactor *r, const struct port *port)
{
	struct filecache **fc = &r->files[port->index];
	uint64_t swallowed;
	int code;

	if (*fc)
		return *fc;
	*fc = filecache_new(port->document_root, port->static_cache_max, port->static_cache_valid, &code);
	if (!*fc && log_every_due(&r->complaints, 10000, &swallowed))
		log_error("document_root %s cannot be opened: %s; its files are answered 404 (%llu more)",
		          port->document_root, strerror(-code), (unsigned long long)swallowed);
	return *fc;
}

/* Under static_handler_locations a path that names no file is 404, elsewhere the app's. */
static bool is_under_location(const struct port *port, struct str path)
{
	for (unsigned i = 0; i < port->static_handler_locations.count; i++)
		if (str_starts(path, str_from(port->static_handler_locations.items[i])))
			return true;
	return false;
}

/* The path of a target as that of a file below the root: decoded, without "." and empty names.  False: it names no file, since it has
 * a NUL or goes up, or is too long. */
static bool path_of_target(struct str target, char out[PATH_MAX])
{
	char decoded[PATH_MAX];
	struct str rest;
	size_t n = 0;

	if (target.len >= PATH_MAX)
		return false;
	rest = str_make(decoded, codec_url_decode(target, false, decoded));
	if (memchr(decoded, '\0', rest.len))
		return false;
	while (rest.p) {
		struct str name = str_split(&rest, '/');

		if (str_eq(name, LS_STR("..")))
			return false;
		if (name.len == 0 || str_eq(name, LS_STR(".")))
			continue;
		if (n > 0)
			out[n++] = '/';
		memcpy(out + n, name.p, name.len);
		n += name.len;
	}
	out[n] = '\0';
	return true;
}

static struct file *get_beside(struct filecache *fc, const char *path, const char *suffix, uint64_t now_ms)
{
	char whole[PATH_MAX];
	int len = snprintf(whole, sizeof whole, "%s%s", path, suffix);

	return len > 0 && (size_t)len < sizeof whole ? filecache_get(fc, whole, now_ms) : NULL;
}

static struct file *keep_if_there(struct file *f)
{
	if (f && file_is_there(f))
		return f;
	if (f)
		file_unref(f);
	return NULL;
}

/* The index of a folder; NULL: it has none. */
static struct file *find_index(struct filecache *fc, const struct port *port, const char *folder, uint64_t now_ms)
{
	for (unsigned i = 0; i < port->http_index_files.count; i++) {
		char name[NAME_MAX + 2];
		struct file *f;

		snprintf(name, sizeof name, "%s%s", *folder ? "/" : "", port->http_index_files.items[i]);
		f = keep_if_there(get_beside(fc, folder, name, now_ms));
		if (f)
			return f;
	}
	return NULL;
}

/* The compressed one beside it that the client prefers, instead of it. */
static struct file *prefer_compressed(struct filecache *fc, const struct http_view *v, struct file *plain,
                                      enum http_coding *coding, uint64_t now_ms)
{
	enum http_coding chosen = accept_encoding_choose(v, 1u << CODING_GZIP | 1u << CODING_BROTLI);
	struct file *f = NULL;

	if (chosen == CODING_BROTLI)
		f = keep_if_there(get_beside(fc, plain->path, ".br", now_ms));
	if (!f && chosen != CODING_IDENTITY && accept_encoding_choose(v, 1u << CODING_GZIP) == CODING_GZIP) {
		chosen = CODING_GZIP;
		f = keep_if_there(get_beside(fc, plain->path, ".gz", now_ms));
	}
	/* One that is older than what it was made from shows the past. */
	if (f && f->modified >= plain->modified) {
		*coding = chosen;
		file_unref(plain);
		return f;
	}
	if (f)
		file_unref(f);
	return plain;
}

/* ---- what it is answered with ------------------------------------------------------------------------------------------------------- */

static struct plan *plan_status(int status, size_t room)
{
	struct plan *p = xzalloc(sizeof *p + room + 1);

	p->verdict.status = status;
	return p;
}

/* "/a" is a folder: its relative links are right under "/a/".  One slash in front, since "//a" would be another host. */
static struct plan *plan_folder(const struct http_view *v)
{
	struct str path = http_head_str(v, v->head->path), query = http_head_str(v, v->head->query);
	size_t room = path.len + query.len + sizeof "/?";
	struct plan *p = plan_status(301, room);

	while (path.len > 1 && path.p[1] == '/')
		path = str_skip(path, 1);
	snprintf(p->location, room, "%.*s/%s%.*s", LS_STR_ARG(path), query.len ? "?" : "", LS_STR_ARG(query));
	return p;
}

static struct plan *plan_file(struct reactor *r, const struct port *port, const struct http_view *v, struct file *f)
{
	struct plan *p = plan_status(200, 0);

	p->type = mime_of(str_from(f->path));
	if (port->static_precompressed)
		f = prefer_compressed(r->files[port->index], v, f, &p->coding, loop_now(r->loop));
	p->file = f;
	p->verdict = http_conditions_judge(
		v, &(struct http_entity){ .etag = str_from(f->etag), .modified = f->modified, .size = f->size });
	return p;
}

/* NULL: there is nothing of that name. */
static struct plan *plan_path(struct reactor *r, const struct port *port, const struct http_view *v)
{
	struct str target = http_head_str(v, v->head->path);
	struct filecache *fc = cache_of(r, port);
	uint64_t now = loop_now(r->loop);
	char path[PATH_MAX];
	struct file *f, *index;
	bool is_folder;

	if (!fc || !path_of_target(target, path))
		return NULL;
	f = filecache_get(fc, path, now);
	if (!f)
		return plan_status(503, 0); /* there are no descriptors, or no memory, just now */
	if (file_is_there(f) && !str_ends(target, LS_STR("/")))
		return plan_file(r, port, v, f);
	is_folder = f->is_folder;
	file_unref(f);
	index = is_folder ? find_index(fc, port, path, now) : NULL;
	if (!index)
		return NULL;
	if (str_ends(target, LS_STR("/")))
		return plan_file(r, port, v, index);
	file_unref(index);
	return plan_folder(v);
}

bool static_take(struct conn *c, const struct frame *f, const struct str *parts, struct stream *s)
{
	const struct port *port = c->pc.port;
	struct reactor *r = reactor_of(c);
	struct http_view v = { .head = (const void *)parts[0].p,
		               .fields = (const void *)parts[1].p,
		               .text = parts[2].p,
		               .text_len = (uint32_t)parts[2].len };
	struct str path;
	struct plan *p;
	bool ours;

	if (!settings_port_has_files(port) || !(f->flags & FRAME_END))
		return false;
	if (v.head->method != HTTP_METHOD_GET && v.head->method != HTTP_METHOD_HEAD)
		return false;
	path = http_head_str(&v, v.head->path);
	ours = is_under_location(port, path);
	if (port->static_handler_locations.count > 0 && !ours)
		return false;
	p = plan_path(r, port, &v);
	if (!p && !ours && port->events & 1ULL << EVENT_request)
		return false;
	s->plan = p ? p : plan_status(404, 0);
	s->conn = c;
	list_append(&r->planned, &s->on_worker);
	return true;
}

/* ---- the answer ----------------------------------------------------------------------------------------------------------------------- */

static void add(const char *name, struct str value)
{
	(void)http_head_add(&builder, str_from(name), value); /* a handful of short fields */
}

static void add_date(int64_t seconds)
{
	char text[64];
	struct tm tm;
	time_t t = (time_t)seconds;

	gmtime_r(&t, &tm);
	add("Last-Modified", str_make(text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm)));
}

static void add_range(const struct plan *p)
{
	char text[96];
	int len;

	if (p->verdict.status == 416)
		len = snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)p->file->size);
	else
		len = snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)p->verdict.off,
		               (unsigned long long)(p->verdict.off + p->verdict.len - 1),
		               (unsigned long long)p->file->size);
	add("Content-Range", str_make(text, (size_t)len));
}

static void add_file_fields(const struct plan *p, const struct port *port)
{
	int status = p->verdict.status;

	if (status == 200 || status == 206) {
		add("Content-Type", p->type);
		add("Accept-Ranges", LS_STR("bytes"));
	}
	if (p->coding != CODING_IDENTITY && status != 412 && status != 416)
		add("Content-Encoding", http_coding_name(p->coding));
	if (port->static_precompressed)
		add("Vary", LS_STR("Accept-Encoding"));
	if (port->static_cache_control[0] && status != 412 && status != 416)
		add("Cache-Control", str_from(port->static_cache_control));
	if (status == 206 || status == 416)
		add_range(p);
	add("ETag", str_from(p->file->etag));
	add_date(p->file->modified);
}

/* The head, of an answer whose body has `length` bytes. */
static int send_head(struct conn *c, struct stream *s, const struct plan *p, uint64_t length)
{
	struct frame f = { .type = FRAME_RESPONSE, .conn = c->pc.id, .stream = s->number, .value = length };
	struct str parts[3];
	char *image, *end;
	int r;

	http_head_begin(&builder);
	builder.head.status = (uint16_t)p->verdict.status;
	if (p->file)
		add_file_fields(p, c->pc.port);
	else
		add("Content-Type", LS_STR("text/plain"));
	if (p->verdict.status == 301)
		add("Location", str_from(p->location));
	http_head_parts(&builder, parts);
	f.arg = (uint32_t)(parts[0].len + parts[1].len + parts[2].len);
	image = end = try_alloc(f.arg);
	if (!image)
		return -ENOMEM;
	for (int i = 0; i < 3; i++)
		end = parts[i].len ? mempcpy(end, parts[i].p, parts[i].len) : end;
	r = c->pc.proto->output(&c->pc, &f, str_make(image, f.arg), s);
	free(image);
	return r;
}

static int send_body(struct conn *c, struct stream *s, struct str bytes)
{
	struct frame f = { .type = FRAME_RESPONSE_BODY, .flags = FRAME_END, .conn = c->pc.id, .stream = s->number };

	return c->pc.proto->output(&c->pc, &f, bytes, s);
}

static int send_file(struct conn *c, struct stream *s, const struct plan *p)
{
	const struct http_verdict *v = &p->verdict;
	int fd;

	if (p->file->bytes)
		return send_body(c, s, str_take(str_skip(buf_str(p->file->bytes), v->off), v->len));
	fd = fcntl(p->file->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return http1_output_file(&c->pc, s, fd, v->off, v->len, true);
}

static int send_answer(struct conn *c, struct stream *s, const struct plan *p)
{
	int status = p->verdict.status, r;
	char text[64];

	if (status == 200 || status == 206) {
		r = send_head(c, s, p, p->verdict.len);
		return r < 0 ? r : send_file(c, s, p);
	}
	snprintf(text, sizeof text, "%d %s\n", status, http_reason(status));
	r = send_head(c, s, p, status == 304 ? 0 : strlen(text));
	return r < 0 ? r : send_body(c, s, str_from(status == 304 ? "" : text));
}

static void free_plan(struct plan *p)
{
	if (p && p->file)
		file_unref(p->file);
	free(p);
}

void static_answer_all(struct reactor *r)
{
	for (struct list *it; (it = list_shift(&r->planned));) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_worker);
		struct plan *p = s->plan;
		struct conn *c = s->conn;

		s->plan = NULL; /* the stream may be gone when it is answered */
		c->pc.now_ms = loop_now(r->loop);
		if (send_answer(c, s, p) < 0)
			conn_kill(c, CLOSE_BY_ERROR, CLOSE_BUFFER_FULL); /* part of it may have been promised */
		else
			conn_touch(c);
		free_plan(p);
	}
}

void static_drop(struct stream *s)
{
	free_plan(s->plan);
	s->plan = NULL;
}

void static_forget(struct reactor *r)
{
	for (unsigned i = 0; i < SETTINGS_PORTS_MAX; i++) {
		filecache_free(r->files[i]);
		r->files[i] = NULL;
	}
}

void static_trim(void)
{
	http_head_fini(&builder);
}
