#include "super/launch.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

void launch_init(struct launch *l, const char *script, const char *directory, const char *conf)
{
	*l = (struct launch){
		.script = xstrdup(script ? script : ""),
		.directory = xstrdup(directory ? directory : ""),
		.conf = xstrdup(conf ? conf : ""),
	};
}

void launch_fini(struct launch *l)
{
	for (unsigned i = 0; i < l->n_options; i++)
		free(l->options[i]);
	free(l->options);
	free(l->script);
	free(l->directory);
	free(l->conf);
	*l = (struct launch){ 0 };
}

static void add_option(struct launch *l, struct str option)
{
	l->options = xrealloc(l->options, (l->n_options + 1) * sizeof *l->options);
	l->options[l->n_options++] = xmemdup0(option.p, option.len);
}

void launch_copy(struct launch *to, const struct launch *from)
{
	launch_init(to, from->script, from->directory, from->conf);
	for (unsigned i = 0; i < from->n_options; i++)
		add_option(to, str_from(from->options[i]));
}

int launch_add_option(struct launch *l, const char *option, struct err *err)
{
	if (l->n_options == LAUNCH_OPTIONS_MAX)
		return err_set(err, -E2BIG, "there are more than %d options", LAUNCH_OPTIONS_MAX);
	if (!strchr(option, '=') || option[0] == '=')
		return err_set(err, -EINVAL, "an option is written name=value, not \"%s\"", option);
	if (strchr(option, '\n'))
		return err_set(err, -EINVAL, "an option may not hold a line end");
	add_option(l, str_from(option));
	return 0;
}

/* Every string with its terminator. */
static size_t put(char *out, size_t at, size_t cap, const char *text)
{
	size_t len = strlen(text) + 1;

	if (at + len <= cap)
		memcpy(out + at, text, len);
	return at + len;
}

ssize_t launch_pack(const struct launch *l, char *out, size_t cap)
{
	size_t at = put(out, 0, cap, l->script);

	at = put(out, at, cap, l->directory);
	at = put(out, at, cap, l->conf);
	for (unsigned i = 0; i < l->n_options; i++)
		at = put(out, at, cap, l->options[i]);
	return at <= cap ? (ssize_t)at : -E2BIG;
}

int launch_unpack(struct launch *l, struct str bytes)
{
	struct str fields[3 + LAUNCH_OPTIONS_MAX];
	unsigned n = 0;

	*l = (struct launch){ 0 };
	if (bytes.len == 0 || bytes.p[bytes.len - 1] != '\0')
		return -EPROTO;
	bytes.len--;
	while (bytes.p) {
		if (n == 3 + LAUNCH_OPTIONS_MAX)
			return -EPROTO;
		fields[n++] = str_split(&bytes, '\0');
	}
	if (n < 3)
		return -EPROTO;
	launch_init(l, fields[0].p, fields[1].p, fields[2].p);
	for (unsigned i = 3; i < n; i++)
		add_option(l, fields[i]);
	return 0;
}
