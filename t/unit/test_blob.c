/* t/unit/test_blob.c — settings survive the way through bytes, and no bytes survive as wrong settings. */
#include "conf/blob.c"

#include "tap.h"

enum { HOSTILE_BLOBS = 20000 };

static struct err err;

static void build(struct settings *s)
{
	struct port *p;

	settings_init(s);
	settings_add_port(s, "127.0.0.1", 9501, PORT_TCP, &err)->events = 1u << EVENT_receive;
	p = settings_add_port(s, "/tmp/a b\n.sock", 0, PORT_UNIX, &err);
	s->directory = xstrdup("/srv/with space\\and\nmore");
	s->script = xstrdup("/srv/app.lua");
	s->generation = 7;
	s->events = 1u << EVENT_start;
	settings_set(s, NULL, "worker_num", LS_STR("3"), LAYER_OPTION, &err);
	settings_set(s, NULL, "image", LS_STR("a/*.lua,b"), LAYER_SCRIPT, &err);
	settings_set(s, NULL, "user", LS_STR("j\xc3\xb6rg"), LAYER_FILE, &err);
	settings_set(s, p, "package_eof", str_make("\0\\\n", 3), LAYER_SCRIPT, &err);
	userproc_add(s, LS_STR("clock of\\all"), RESTART_ON_ERROR, false, &err);
	userproc_add(s, LS_STR(""), RESTART_ALWAYS, true, &err);
	sock_parse("127.0.0.1", 41234, &s->ports[0].address, &err);
	sock_parse("/tmp/a", 0, &p->address, &err);
}

static bool same_rows(const struct settings *a, const struct settings *b, const struct port *p, const struct port *q)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (!value_equal(row, settings_field(a, p, row), settings_field(b, q, row)) ||
		    settings_layer_of(a, p, row) != settings_layer_of(b, q, row))
			return false;
	}
	return true;
}

static bool same_port(const struct port *p, const struct port *q)
{
	return strcmp(p->host, q->host) == 0 && p->number == q->number && p->type == q->type &&
	       p->events == q->events && p->address.len == q->address.len &&
	       memcmp(&p->address.storage, &q->address.storage, p->address.len) == 0 &&
	       memcmp(p->own, q->own, SETTINGS_COUNT) == 0;
}

static void survive_the_way(void)
{
	struct settings a, b;
	char *blob = NULL, *again = NULL;
	size_t len = 0, again_len = 0;

	build(&a);
	ok(settings_freeze(&a, &blob, &len) == 0 && len > 0, "frozen");
	ok(settings_thaw(&b, str_make(blob, len), &err) == 0, "thawed %s", err.text);
	ok(b.n_ports == 2 && same_port(&a.ports[0], &b.ports[0]) && same_port(&a.ports[1], &b.ports[1]),
	   "ports are the same");
	ok(b.n_processes == 2 && memcmp(a.processes, b.processes, 2 * sizeof *a.processes) == 0,
	   "user processes are the same");
	ok(same_rows(&a, &b, NULL, NULL) && same_rows(&a, &b, &a.ports[0], &b.ports[0]) &&
	           same_rows(&a, &b, &a.ports[1], &b.ports[1]),
	   "values and layers are the same");
	ok(strcmp(a.directory, b.directory) == 0 && strcmp(a.script, b.script) == 0 && b.generation == 7 &&
	           b.events == a.events,
	   "and so is the rest");
	settings_freeze(&b, &again, &again_len);
	ok(len == again_len && memcmp(blob, again, len) == 0, "freezing again gives the same bytes");
	free(blob);
	free(again);
	settings_fini(&a);
	settings_fini(&b);
}

static void resolved_ones_too(void)
{
	struct settings a, b;
	char *blob;
	size_t len;

	build(&a);
	settings_resolve(&a, &err);
	settings_freeze(&a, &blob, &len);
	ok(settings_thaw(&b, str_make(blob, len), &err) == 0 && same_rows(&a, &b, NULL, NULL), "resolved settings %s",
	   err.text);
	free(blob);
	settings_fini(&a);
	settings_fini(&b);
}

/* Thaws `body` with the right first line and checksum. */
static int thaw_body(const char *body)
{
	struct settings s;
	char blob[2048];
	int len = snprintf(blob, sizeof blob, "%s%s", blob_head, body);
	int r;

	len += snprintf(blob + len, sizeof blob - (size_t)len, "end %016" PRIx64 "\n",
	                codec_hash(str_make(blob, (size_t)len)));
	err = (struct err){ 0 };
	r = settings_thaw(&s, str_make(blob, (size_t)len), &err);
	if (r == 0)
		settings_fini(&s);
	return r;
}

static void lines_that_lie(void)
{
	static const char *const lies[] = {
		"\n",
		"server\n",
		"server \n",
		"server script\n",
		"server script worker_num\n",
		"server script backlog 1\n",
		"server script worker_num 0\n",
		"server nobody worker_num 1\n",
		"server script no_such 1\n",
		"template script worker_num 1\n",
		"own script backlog 1\n",
		"inherited script backlog 1\n",
		"port\n",
		"port 0\n",
		"port 9 1 0 *\n",
		"port 0 65536 0 *\n",
		"port 0 1 99999999999 *\n",
		"port 0 1 0 \\q\n",
		"address 0200\n",
		"port 0 1 0 *\naddress 02\n",
		"port 0 1 0 *\naddress 0200\n",
		"port 0 1 0 *\naddress zz00\n",
		"port 0 1 0 *\nown script backlog\n",
		"generation -1\n",
		"events 18446744073709551615\n",
		"script \\0\n",
		"directory \\\n",
		"end 0\n",
		"nonsense 1\n",
		"port 0 1 0 *",
		"server script user \\n\n",
	};

	for (size_t i = 0; i < LS_COUNT(lies); i++) {
		int r = thaw_body(lies[i]);

		if (i == LS_COUNT(lies) - 2)
			ok(r == 0, "a last line without its line feed is a line");
		else
			ok(r < 0 && err.text[0], "%s", err.text);
	}
	ok(thaw_body("") == 0, "nothing said is all defaults");
}

static void damage_is_noticed(void)
{
	struct settings a, b;
	char *blob;
	size_t len;
	int taken = 0;

	build(&a);
	settings_freeze(&a, &blob, &len);
	srand(7);
	for (int i = 0; i < HOSTILE_BLOBS; i++) {
		size_t at = (size_t)rand() % len;
		char old = blob[at];

		blob[at] = (char)(old ^ (1 + rand() % 255));
		taken += settings_thaw(&b, str_make(blob, (size_t)rand() % 4 ? len : at), &err) == 0;
		blob[at] = old;
	}
	ok(taken == 0, "none of %d damaged blobs was taken: %s", HOSTILE_BLOBS, err.text);
	ok(settings_thaw(&b, str_make(blob, 0), &err) == -EBADMSG, "%s", err.text);
	free(blob);
	settings_fini(&a);
}

/* With a right checksum, whatever is taken must be sound enough to use and to freeze again. */
static void lies_with_a_right_checksum(void)
{
	struct settings a, b;
	char *blob;
	size_t len;
	int taken = 0;

	build(&a);
	settings_freeze(&a, &blob, &len);
	for (int i = 0; i < HOSTILE_BLOBS / 10; i++) {
		size_t at = sizeof blob_head + (size_t)rand() % (len - sizeof blob_head - 25);
		char old = blob[at];
		char hash[32], *again;
		size_t again_len;

		blob[at] = (char)rand();
		snprintf(hash, sizeof hash, "%016" PRIx64, codec_hash(str_make(blob, len - 21)));
		memcpy(blob + len - 17, hash, 16);
		if (settings_thaw(&b, str_make(blob, len), &err) == 0) {
			taken += settings_freeze(&b, &again, &again_len) == 0;
			free(again);
			settings_fini(&b);
		}
		blob[at] = old;
	}
	ok(taken > 0, "%d of %d lies were sound settings", taken, HOSTILE_BLOBS / 10);
	free(blob);
	settings_fini(&a);
}

int main(void)
{
	survive_the_way();
	resolved_ones_too();
	lines_that_lie();
	damage_is_noticed();
	lies_with_a_right_checksum();
	return tap_done();
}
