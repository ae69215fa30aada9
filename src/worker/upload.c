#include "worker/upload.h"

#include "base/mem.h"
#include "proto/multipart.h"
#include "sys/fd.h"
#include "worker/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BAD_REQUEST = 400, TOO_LARGE = 413, HEAD_TOO_LARGE = 431, OUT_OF_MEMORY = 503, DISK_FULL = 507 };

struct upload {
	struct request *r;
	struct multipart *parser;
	struct list items;
	unsigned n_items;
	uint64_t fields_size; /* bytes of fields, and of all names */
	int fd;               /* the file that is being written; -1: none */
};

/* What the parser's errors mean for the client. */
static int status_of(int code)
{
	switch (code) {
	case 0:
		return 0;
	case -EFBIG:
		return TOO_LARGE;
	case -EMSGSIZE:
		return HEAD_TOO_LARGE;
	case -ENOMEM:
		return OUT_OF_MEMORY;
	case -EIO:
		return DISK_FULL;
	default:
		return BAD_REQUEST;
	}
}

static struct upload_item *last_of(const struct upload *u)
{
	return LS_CONTAINER_OF(u->items.prev, struct upload_item, link);
}

static void complain(struct upload *u, const char *what, const char *path)
{
	struct worker *w = u->r->worker;
	uint64_t swallowed;

	if (log_every_due(&w->complaints, 10000, &swallowed))
		log_error("a file of a form cannot be %s: %s: %s; the request is answered 507 (%llu more)", what, path,
		          strerror(errno), (unsigned long long)swallowed);
}

/* -EIO: the log says why. */
static int open_file(struct upload *u, struct upload_item *item)
{
	const char *folder = u->r->port->upload_tmp_dir;
	size_t room = strlen(folder) + sizeof "/luaserv-upload-XXXXXX";

	item->path = try_alloc(room);
	if (!item->path)
		return -ENOMEM;
	snprintf(item->path, room, "%s/luaserv-upload-XXXXXX", folder);
	u->fd = mkostemp(item->path, O_CLOEXEC);
	if (u->fd >= 0)
		return 0;
	complain(u, "made", item->path);
	free(item->path);
	item->path = NULL;
	return -EIO;
}

static struct str keep(struct upload *u, struct str s)
{
	return str_make(arena_dup(&u->r->arena, s.p, s.len), s.len);
}

static int on_begin(void *ctx, const struct multipart_part *part)
{
	struct upload *u = ctx;
	struct upload_item *item;

	u->fields_size += part->name.len + part->filename.len + part->type.len;
	if (u->n_items >= u->r->port->upload_max_parts || u->fields_size > u->r->port->package_max_length)
		return -EFBIG;
	item = arena_zalloc(&u->r->arena, sizeof *item);
	item->name = keep(u, part->name);
	item->type = keep(u, part->type);
	if (part->filename.p)
		item->filename = keep(u, part->filename);
	list_append(&u->items, &item->link);
	u->n_items++;
	/* A file that the user did not choose comes without a name and empty. */
	return part->filename.len ? open_file(u, item) : 0;
}

static bool file_is_too_large(const struct upload *u, const struct upload_item *item)
{
	uint64_t max = u->r->port->upload_max_filesize;

	return max && item->size > max;
}

static int write_file(struct upload *u, struct upload_item *item, struct str bytes)
{
	int code = fd_write_all(u->fd, bytes);

	if (code == 0)
		return 0;
	errno = -code;
	complain(u, "written", item->path);
	return -EIO;
}

static int on_data(void *ctx, struct str bytes)
{
	struct upload *u = ctx;
	struct upload_item *item = last_of(u);

	item->size += bytes.len;
	if (u->fd >= 0)
		return file_is_too_large(u, item) ? -EFBIG : write_file(u, item, bytes);
	u->fields_size += bytes.len;
	if (u->fields_size > u->r->port->package_max_length)
		return -EFBIG;
	return buf_append(&item->value, bytes, (size_t)u->r->port->package_max_length);
}

static int on_end(void *ctx)
{
	struct upload *u = ctx;

	fd_close(&u->fd);
	return 0;
}

struct upload *upload_new(struct request *r)
{
	static const struct multipart_sink sink = { .begin = on_begin, .data = on_data, .end = on_end };
	struct str type = http_head_find(&r->view, LS_STR("content-type"));
	struct upload *u;

	if (!r->port->http_parse_files || r->streaming || r->body_done || !multipart_is_type(type))
		return NULL;
	u = try_alloc(sizeof *u);
	if (!u)
		return NULL;
	*u = (struct upload){ .r = r, .fd = -1 };
	list_init(&u->items);
	u->parser = multipart_new(type, &sink, u); /* NULL: upload_feed() refuses it */
	return u;
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	fd_close(&u->fd);
	LS_LIST_EACH (it, &u->items) {
		struct upload_item *item = LS_CONTAINER_OF(it, struct upload_item, link);

		if (item->path)
			(void)unlink(item->path); /* the app may have moved it */
		free(item->path);
		buf_unref(item->value);
	}
	multipart_free(u->parser);
	free(u);
}

int upload_feed(struct upload *u, struct str bytes, bool end)
{
	int code = u->parser ? multipart_feed(u->parser, bytes) : -EBADMSG;

	if (code == 0 && end)
		code = multipart_finish(u->parser);
	return status_of(code);
}

const struct list *upload_items(const struct upload *u)
{
	return &u->items;
}
