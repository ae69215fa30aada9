/* Settings as bytes, to be handed to other processes in a sealed memfd.
 *
 * Lines of words; the last word of a line is escaped, so that it holds no line feed:
 *
 *   luaserv settings 1
 *   server LAYER NAME VALUE             of the server
 *   template LAYER NAME VALUE           what a new port starts from
 *   port TYPE NUMBER EVENTS HOST        begins a port
 *   own|inherited LAYER NAME VALUE      of the last port
 *   process RESTART COROUTINE NAME      a user process
 *   shared BYTES NAME                   begins a shared object
 *   shape SHAPE                         of the last shared object
 *   end CHECKSUM
 *
 * They pass from one process of this program to another, yet a reader trusts nothing: every value goes through the same
 * parser as one that a user wrote.
 */
#include "base/bits.h"
#include "base/codec.h"
#include "base/mem.h"
#include "conf/escape.h"
#include "conf/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOB_MAX = 16 << 20, PATH_LENGTH_MAX = 4096 };

static const char blob_head[] = "luaserv settings 1\n";

/* Where the reader is. */
struct thaw {
	struct settings *s;
	struct port *port;  /* the last one begun */
	const char *shared; /* name of the last one begun, NULL: it has its shape; owned */
	uint64_t bytes;
	unsigned line;
	struct err *err;
};

static void write_escaped(FILE *f, struct str text)
{
	char *escaped = xalloc(4 * text.len + 1);

	fprintf(f, "%s\n", escape_encode(text, escaped));
	free(escaped);
}

static void write_text(FILE *f, const char *key, const char *text)
{
	if (!text)
		return;
	fprintf(f, "%s ", key);
	write_escaped(f, str_from(text));
}

static void write_row(FILE *f, const char *key, const struct settings *s, const struct port *p, unsigned i)
{
	const struct settings_row *row = &settings_rows[i];
	char text[VALUE_TEXT_MAX];

	fprintf(f, "%s %s %s ", key, settings_layer_name(settings_layer_of(s, p, row)), row->name);
	write_escaped(f, str_from(settings_text(s, p, row, text, sizeof text)));
}

static void write_scope(FILE *f, const struct settings *s, const struct port *p, enum settings_scope scope)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		if (settings_rows[i].scope != scope)
			continue;
		if (scope == SETTINGS_SERVER)
			write_row(f, "server", s, NULL, i);
		else if (!p)
			write_row(f, "template", s, NULL, i);
		else
			write_row(f, p->own[i] ? "own" : "inherited", s, p, i);
	}
}

static void write_port(FILE *f, const struct settings *s, const struct port *p)
{
	const unsigned char *bytes = (const unsigned char *)&p->address.storage;

	fprintf(f, "port %d %u %" PRIu64 " ", (int)p->type, p->number, p->events);
	write_escaped(f, str_from(p->host));
	if (p->address.len) {
		fprintf(f, "address ");
		for (socklen_t i = 0; i < p->address.len; i++)
			fprintf(f, "%02x", bytes[i]);
		fprintf(f, "\n");
	}
	write_scope(f, s, p, SETTINGS_PORT);
}

static void write_process(FILE *f, const struct userproc *p)
{
	fprintf(f, "process %s %d ", userproc_restart_name(p->restart), p->coroutine);
	write_escaped(f, str_from(p->name));
}

static void write_shared(FILE *f, const struct shared *shared)
{
	fprintf(f, "shared %" PRIu64 " ", shared->bytes);
	write_escaped(f, str_from(shared->name));
	write_text(f, "shape", shared->shape);
}

int settings_freeze(const struct settings *s, char **out, size_t *len)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return -ENOMEM;
	fputs(blob_head, f);
	write_text(f, "directory", s->directory);
	write_text(f, "script", s->script);
	fprintf(f, "generation %" PRIu64 "\nevents %" PRIu64 "\n", s->generation, s->events);
	write_scope(f, s, NULL, SETTINGS_SERVER);
	write_scope(f, s, NULL, SETTINGS_PORT);
	for (unsigned i = 0; i < s->n_ports; i++)
		write_port(f, s, &s->ports[i]);
	for (unsigned i = 0; i < s->n_processes; i++)
		write_process(f, &s->processes[i]);
	for (unsigned i = 0; i < s->shared.n; i++)
		write_shared(f, &s->shared.items[i]);
	fflush(f);
	fprintf(f, "end %016" PRIx64 "\n", codec_hash(str_make(text, size)));
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	*len = size;
	return 0;
}

static int broken(struct thaw *t, const char *what)
{
	return err_set(t->err, -EBADMSG, "frozen settings, line %u: %s", t->line, what);
}

static int read_number(struct thaw *t, struct str text, uint64_t most, uint64_t *out)
{
	uint64_t n;

	if (str_to_u64(text, &n) < 0 || n > most)
		return broken(t, "a number that cannot be");
	*out = n;
	return 0;
}

/* A malloc'ed string without NUL bytes in it. */
static int read_text(struct thaw *t, struct str text, const char **field)
{
	char *decoded;
	ssize_t len;

	if (text.len > 4 * PATH_LENGTH_MAX)
		return broken(t, "a text that is too long");
	decoded = xalloc(text.len + 1);
	len = escape_decode(text, decoded);
	if (len < 0 || strlen(decoded) != (size_t)len) {
		free(decoded);
		return broken(t, "a text that cannot be decoded");
	}
	free((void *)*field);
	*field = decoded;
	return 0;
}

static const struct settings_row *find_row(struct str name, enum settings_scope scope)
{
	char terminated[64];
	const struct settings_row *row;

	if (!str_copy(name, terminated, sizeof terminated))
		return NULL;
	row = settings_find(terminated);
	return row && row->scope == scope ? row : NULL;
}

static int find_layer(struct str name)
{
	for (int i = LAYER_DEFAULT; i <= LAYER_OPTION; i++)
		if (str_eq(name, str_from(settings_layer_name((enum settings_layer)i))))
			return i;
	return -EBADMSG;
}

/* `rest` is "LAYER NAME VALUE" of a field in the struct at `base`.  The setting's index, or negative. */
static int read_row(struct thaw *t, struct str rest, enum settings_scope scope, void *base, uint8_t *layers)
{
	int layer = find_layer(str_split(&rest, ' '));
	const struct settings_row *row = find_row(str_split(&rest, ' '), scope);
	const char *text = NULL;
	int r;

	if (layer < 0 || !row || !rest.p)
		return broken(t, "a setting that is not known");
	r = read_text(t, rest, &text);
	if (r < 0)
		return r;
	r = value_parse(row, str_from(text), (char *)base + row->offset, t->err);
	free((void *)text);
	if (r < 0)
		return r;
	layers[row - settings_rows] = (uint8_t)layer;
	return (int)(row - settings_rows);
}

static int read_server_row(struct thaw *t, struct str rest)
{
	return read_row(t, rest, SETTINGS_SERVER, t->s, t->s->layers);
}

static int read_template_row(struct thaw *t, struct str rest)
{
	return read_row(t, rest, SETTINGS_PORT, &t->s->template, t->s->template.layers);
}

static int read_port_row(struct thaw *t, struct str rest, bool own)
{
	int i;

	if (!t->port)
		return broken(t, "a port's setting before there is a port");
	i = read_row(t, rest, SETTINGS_PORT, t->port, t->port->layers);
	if (i >= 0)
		t->port->own[i] = own;
	return i;
}

static int read_own_row(struct thaw *t, struct str rest)
{
	return read_port_row(t, rest, true);
}

static int read_inherited_row(struct thaw *t, struct str rest)
{
	return read_port_row(t, rest, false);
}

static int read_port(struct thaw *t, struct str rest)
{
	uint64_t type = 0, number = 0, events = 0;
	const char *host = NULL;
	int r = read_number(t, str_split(&rest, ' '), PORT_TYPES - 1, &type);

	if (r == 0)
		r = read_number(t, str_split(&rest, ' '), UINT16_MAX, &number);
	if (r == 0)
		r = read_number(t, str_split(&rest, ' '), (UINT64_C(1) << EVENTS) - 1, &events);
	if (r == 0)
		r = read_text(t, rest.p ? rest : str_from(""), &host);
	if (r < 0)
		return r;
	t->port = settings_add_port(t->s, host, (uint16_t)number, (enum port_type)type, t->err);
	free((void *)host);
	if (!t->port)
		return -EBADMSG;
	t->port->events = events;
	return 0;
}

static bool sound_address(const struct sock_addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->len == sizeof a->v4;
	case AF_INET6:
		return a->len == sizeof a->v6;
	case AF_UNIX:
		return a->len > offsetof(struct sockaddr_un, sun_path) && a->len <= sizeof a->un;
	default:
		return false;
	}
}

static int read_address(struct thaw *t, struct str hex)
{
	struct sock_addr a = { 0 };
	unsigned char *bytes = (unsigned char *)&a.storage;

	if (!t->port || hex.len % 2 || hex.len / 2 > sizeof a.storage || hex.len / 2 < sizeof a.sa.sa_family)
		return broken(t, "an address that cannot be");
	for (size_t i = 0; i < hex.len / 2; i++) {
		char escaped[4] = { '\\', 'x', hex.p[2 * i], hex.p[2 * i + 1] };
		char decoded[sizeof escaped + 1];

		if (escape_decode(str_make(escaped, sizeof escaped), decoded) != 1)
			return broken(t, "an address that is not hex");
		bytes[i] = (unsigned char)decoded[0];
	}
	a.len = (socklen_t)(hex.len / 2);
	if (!sound_address(&a))
		return broken(t, "an address that cannot be");
	t->port->address = a;
	return 0;
}

static int read_process(struct thaw *t, struct str rest)
{
	int restart = userproc_restart_find(str_split(&rest, ' '));
	uint64_t coroutine = 0;
	const char *name = NULL;
	int r = restart < 0 ? broken(t, "a way of restarting that is not known") : 0;

	if (r == 0)
		r = read_number(t, str_split(&rest, ' '), 1, &coroutine);
	if (r == 0)
		r = read_text(t, rest.p ? rest : str_from(""), &name);
	if (r == 0)
		r = userproc_add(t->s, str_from(name), (enum userproc_restart)restart, coroutine == 1, t->err);
	free((void *)name);
	return r;
}

static int read_directory(struct thaw *t, struct str rest)
{
	return read_text(t, rest, &t->s->directory);
}

static int read_script(struct thaw *t, struct str rest)
{
	return read_text(t, rest, &t->s->script);
}

static int read_generation(struct thaw *t, struct str rest)
{
	return read_number(t, rest, UINT64_MAX, &t->s->generation);
}

static int read_events(struct thaw *t, struct str rest)
{
	return read_number(t, rest, (UINT64_C(1) << EVENTS) - 1, &t->s->events);
}

static int read_shared(struct thaw *t, struct str rest)
{
	int r = read_number(t, str_split(&rest, ' '), UINT64_MAX, &t->bytes);

	return r < 0 ? r : read_text(t, rest.p ? rest : str_from(""), &t->shared);
}

static int read_shape(struct thaw *t, struct str rest)
{
	const char *shape = NULL;
	int r = read_text(t, rest, &shape);

	if (r < 0)
		return r;
	if (t->shared)
		r = shared_declare(&t->s->shared, t->shared, shape, t->bytes, t->err);
	else
		r = broken(t, "a shape of nothing");
	free((void *)shape);
	free((void *)t->shared);
	t->shared = NULL;
	return r;
}

static const struct line_kind {
	const char *word;
	int (*read)(struct thaw *t, struct str rest); /* 0 or positive: fine */
} line_kinds[] = {
	{ "server", read_server_row },   { "template", read_template_row },   { "port", read_port },
	{ "own", read_own_row },         { "inherited", read_inherited_row }, { "address", read_address },
	{ "directory", read_directory }, { "script", read_script },           { "generation", read_generation },
	{ "events", read_events },       { "process", read_process },         { "shared", read_shared },
	{ "shape", read_shape },
};

static int read_line(struct thaw *t, struct str line)
{
	struct str word = str_split(&line, ' ');

	if (!line.p)
		return broken(t, "a line without content");
	for (size_t i = 0; i < LS_COUNT(line_kinds); i++)
		if (str_eq(word, str_from(line_kinds[i].word)))
			return line_kinds[i].read(t, line);
	return broken(t, "a kind of line that is not known");
}

/* What stands between the first line and the checksum, if both are right. */
static int open_blob(struct str blob, struct str *body, struct err *err)
{
	struct str head = str_make(blob_head, sizeof blob_head - 1);
	const size_t end_len = strlen("end 0123456789abcdef\n");
	char end[32];

	if (blob.len > BLOB_MAX || !str_starts(blob, head) || blob.len < head.len + end_len)
		return err_set(err, -EBADMSG, "these are not settings frozen by this version of luaserv");
	*body = str_take(blob, blob.len - end_len);
	snprintf(end, sizeof end, "end %016" PRIx64 "\n", codec_hash(*body));
	if (!str_eq(str_skip(blob, body->len), str_from(end)))
		return err_set(err, -EBADMSG, "frozen settings are damaged: their checksum is wrong");
	*body = str_skip(*body, head.len);
	return 0;
}

int settings_thaw(struct settings *s, struct str blob, struct err *err)
{
	struct thaw t = { .s = s, .line = 1, .err = err };
	struct str body;
	int r = open_blob(blob, &body, err);

	if (r < 0)
		return r;
	settings_init(s);
	while (body.len) {
		t.line++;
		r = read_line(&t, str_split(&body, '\n'));
		if (r < 0)
			break;
	}
	free((void *)t.shared);
	if (r < 0)
		settings_fini(s);
	return r < 0 ? r : 0;
}
