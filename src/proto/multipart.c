#include "proto/multipart.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

enum { BOUNDARY_MAX = 70, PADDING_MAX = 256, KEPT_MAX = 1 << 20 };

enum state { STATE_PREAMBLE, STATE_BOUNDARY, STATE_HEAD, STATE_DATA, STATE_EPILOGUE };

struct multipart {
	const struct multipart_sink *sink;
	void *ctx;
	enum state state;
	struct buf *rest; /* not looked at to its end */
	size_t len;
	char boundary[BOUNDARY_MAX + 4]; /* with CRLF and two dashes in front */
};

/* ---- parameters -------------------------------------------------------------------------------------------------------------------- */

/* The end of a quoted string that begins at `s`, behind its closing quote; 0: it has none. */
static size_t quoted_end(struct str s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len && (s.p[i + 1] == '"' || s.p[i + 1] == '\\'))
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Cuts "name=value" off the front of what follows the first semicolon; false: there is none, or it is malformed. */
static bool next_parameter(struct str *rest, struct str *name, struct str *value)
{
	size_t end;
	ssize_t semicolon, eq;

	*rest = str_trim(*rest);
	if (rest->len == 0 || rest->p[0] != ';')
		return false;
	*rest = str_trim(str_skip(*rest, 1));
	eq = str_chr(*rest, '=');
	if (eq <= 0)
		return false;
	*name = str_trim(str_take(*rest, (size_t)eq));
	*rest = str_skip(*rest, (size_t)eq + 1);
	if (rest->len && rest->p[0] == '"') {
		end = quoted_end(*rest);
		if (end == 0)
			return false;
		*value = str_take(str_skip(*rest, 1), end - 2);
		*rest = str_skip(*rest, end);
		return true;
	}
	semicolon = str_chr(*rest, ';');
	end = semicolon < 0 ? rest->len : (size_t)semicolon;
	*value = str_trim(str_take(*rest, end));
	*rest = str_skip(*rest, end);
	return true;
}

/* The parameter of that name, as it stands between its quotes; p == NULL: there is none. */
static struct str parameter(struct str field, const char *wanted)
{
	ssize_t semicolon = str_chr(field, ';');
	struct str rest = semicolon < 0 ? (struct str){ 0 } : str_skip(field, (size_t)semicolon), name, value;

	while (next_parameter(&rest, &name, &value))
		if (str_ieq(name, str_from(wanted)))
			return value;
	return (struct str){ 0 };
}

bool multipart_is_type(struct str content_type)
{
	return str_ieq(str_trim(str_split(&content_type, ';')), LS_STR("multipart/form-data"));
}

/* bcharsnospace of RFC 2046, and the space that may stand between them. */
static bool boundary_is_sound(struct str b)
{
	for (size_t i = 0; i < b.len; i++) {
		char c = b.p[i];
		bool usual = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!usual && !memchr("'()+_,-./:=? ", c, 13))
			return false;
	}
	return b.len > 0 && b.len <= BOUNDARY_MAX && b.p[b.len - 1] != ' ';
}

struct multipart *multipart_new(struct str content_type, const struct multipart_sink *sink, void *ctx)
{
	struct str boundary = parameter(content_type, "boundary");
	struct multipart *m = boundary_is_sound(boundary) ? try_alloc(sizeof *m) : NULL;

	if (!m)
		return NULL;
	*m = (struct multipart){ .sink = sink, .ctx = ctx, .len = boundary.len + 4 };
	memcpy(m->boundary, "\r\n--", 4);
	memcpy(m->boundary + 4, boundary.p, boundary.len);
	/* The first boundary may stand at the very beginning. */
	if (buf_append(&m->rest, LS_STR("\r\n"), KEPT_MAX) == 0)
		return m;
	free(m);
	return NULL;
}

void multipart_free(struct multipart *m)
{
	if (m)
		buf_unref(m->rest);
	free(m);
}

/* ---- parts --------------------------------------------------------------------------------------------------------------------------- */

/* Undoes \" and \\ in place; other backslashes are the sender's own. */
static struct str unquote(char *p, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\\' && i + 1 < len && (p[i + 1] == '"' || p[i + 1] == '\\'))
			i++;
		p[n++] = p[i];
	}
	return str_make(p, n);
}

/* Without the folders that some clients send with it. */
static struct str base_name(struct str name)
{
	for (size_t i = name.len; i > 0; i--)
		if (name.p[i - 1] == '/' || name.p[i - 1] == '\\')
			return str_skip(name, i);
	return name;
}

/* `head` is ours to change. */
static int begin_part(struct multipart *m, struct str head)
{
	struct multipart_part part = { .type = { "", 0 } };

	while (head.len) {
		ssize_t end = str_find(head, LS_STR("\r\n"));
		struct str line = end < 0 ? head : str_take(head, (size_t)end), name;

		head = str_skip(head, line.len + 2);
		if (memchr(line.p, '\0', line.len) || str_chr(line, ':') <= 0)
			return -EBADMSG;
		name = str_split(&line, ':');
		if (str_ieq(name, LS_STR("content-type")))
			part.type = str_trim(line);
		if (!str_ieq(name, LS_STR("content-disposition")))
			continue;
		part.name = parameter(line, "name");
		part.filename = parameter(line, "filename");
	}
	if (!part.name.p)
		return -EBADMSG;
	part.name = unquote((char *)(uintptr_t)part.name.p, part.name.len);
	if (part.filename.p)
		part.filename = base_name(unquote((char *)(uintptr_t)part.filename.p, part.filename.len));
	return m->sink->begin(m->ctx, &part);
}

/* Each step looks at what is there, and says how much of it is done with; 0: more must come; negative: the end. */

static ssize_t step_data(struct multipart *m, struct str in)
{
	ssize_t at = str_find(in, str_make(m->boundary, m->len));
	size_t sure = at >= 0 ? (size_t)at : in.len >= m->len ? in.len - m->len + 1 : 0;
	int r = 0;

	if (m->state == STATE_DATA && sure > 0)
		r = m->sink->data(m->ctx, str_take(in, sure));
	if (r == 0 && m->state == STATE_DATA && at >= 0)
		r = m->sink->end(m->ctx);
	if (r < 0)
		return r;
	if (at < 0)
		return (ssize_t)sure;
	m->state = STATE_BOUNDARY;
	return at + (ssize_t)m->len;
}

static ssize_t step_boundary(struct multipart *m, struct str in)
{
	size_t padding = 0;

	if (in.len < 2)
		return 0;
	if (str_starts(in, LS_STR("--"))) {
		m->state = STATE_EPILOGUE;
		return 2;
	}
	while (padding < in.len && (in.p[padding] == ' ' || in.p[padding] == '\t'))
		padding++;
	if (padding > PADDING_MAX)
		return -EBADMSG;
	if (in.len < padding + 2)
		return 0;
	if (!str_starts(str_skip(in, padding), LS_STR("\r\n")))
		return -EBADMSG;
	m->state = STATE_HEAD;
	return (ssize_t)padding + 2;
}

static ssize_t step_head(struct multipart *m, struct str in)
{
	ssize_t end = str_find(in, LS_STR("\r\n\r\n"));
	int r;

	if (end < 0 && in.len > MULTIPART_HEAD_MAX + 4)
		return -EMSGSIZE;
	if (end < 0)
		return 0;
	if (end > MULTIPART_HEAD_MAX)
		return -EMSGSIZE;
	r = begin_part(m, str_take(in, (size_t)end));
	m->state = STATE_DATA;
	return r < 0 ? r : end + 4;
}

static ssize_t step(struct multipart *m, struct str in)
{
	switch (m->state) {
	case STATE_PREAMBLE:
	case STATE_DATA:
		return step_data(m, in);
	case STATE_BOUNDARY:
		return step_boundary(m, in);
	case STATE_HEAD:
		return step_head(m, in);
	default:
		return (ssize_t)in.len; /* what follows the last boundary is nothing */
	}
}

int multipart_feed(struct multipart *m, struct str bytes)
{
	int r = buf_append(&m->rest, bytes, (size_t)KEPT_MAX + bytes.len);

	while (r == 0 && m->rest && buf_str(m->rest).len) {
		ssize_t n = step(m, buf_str(m->rest));

		if (n <= 0)
			return (int)n;
		m->rest->off += (uint32_t)n;
	}
	if (m->rest && buf_str(m->rest).len == 0) {
		buf_unref(m->rest);
		m->rest = NULL;
	}
	return r;
}

int multipart_finish(const struct multipart *m)
{
	return m->state == STATE_EPILOGUE ? 0 : -EBADMSG;
}
