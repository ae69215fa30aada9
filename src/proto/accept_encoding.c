#include "proto/accept_encoding.h"

#include "base/bits.h"

enum { WEIGHT_MAX = 1000 };

struct str http_coding_name(enum http_coding coding)
{
	static const char *const names[] = {
		[CODING_IDENTITY] = "identity",
		[CODING_GZIP] = "gzip",
		[CODING_BROTLI] = "br",
	};

	return str_from(names[coding]);
}

/* "0", "0.5", "1.000" in thousandths (RFC 9110 §12.4.2); -1: it is none. */
static int weight_of(struct str text)
{
	int value, digit = 100;

	if (text.len == 0 || text.len > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
	    (text.len > 1 && text.p[1] != '.'))
		return -1;
	value = (text.p[0] - '0') * WEIGHT_MAX;
	for (size_t i = 2; i < text.len; i++, digit /= 10) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -1;
		value += (text.p[i] - '0') * digit;
	}
	return value <= WEIGHT_MAX ? value : -1;
}

/* Of "gzip;q=0.5"; what is malformed counts as not said. `*name` becomes the coding's. */
static int element_weight(struct str element, struct str *name)
{
	struct str parameter;

	*name = str_trim(str_split(&element, ';'));
	if (!element.p)
		return WEIGHT_MAX;
	parameter = str_trim(str_split(&element, ';'));
	if (parameter.len < 2 || (parameter.p[0] | 0x20) != 'q' || parameter.p[1] != '=')
		return -1;
	return weight_of(str_trim(str_skip(parameter, 2)));
}

static bool is_named(struct str name, unsigned coding)
{
	return str_ieq(name, http_coding_name((enum http_coding)coding)) ||
	       (coding == CODING_GZIP && str_ieq(name, LS_STR("x-gzip")));
}

/* -1: not named.  Those behind CODINGS are for "*". */
static void read_field(struct str list, int weights[CODINGS + 1])
{
	while (list.p) {
		struct str name;
		int weight = element_weight(str_trim(str_split(&list, ',')), &name);

		if (weight < 0)
			continue;
		for (unsigned i = 0; i < CODINGS; i++)
			if (is_named(name, i))
				weights[i] = weight;
		if (str_eq(name, LS_STR("*")))
			weights[CODINGS] = weight;
	}
}

enum http_coding accept_encoding_choose(const struct http_view *v, unsigned offered)
{
	int weights[CODINGS + 1] = { [0 ... CODINGS] = -1 };
	unsigned best = CODING_IDENTITY;
	int most = 0;

	for (unsigned i = 0; i < v->head->n_fields; i++)
		if (str_eq(http_head_str(v, v->fields[i].name), LS_STR("accept-encoding")))
			read_field(http_head_str(v, v->fields[i].value), weights);
	for (unsigned i = CODING_IDENTITY + 1; i < CODINGS; i++) {
		int weight = weights[i] >= 0 ? weights[i] : weights[CODINGS];

		if (offered & 1u << i && weight > 0 && weight >= most) {
			most = weight;
			best = i;
		}
	}
	/* Who prefers the body as it is gets it so. */
	return weights[CODING_IDENTITY] > most ? CODING_IDENTITY : (enum http_coding)best;
}
