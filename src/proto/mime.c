#include "proto/mime.h"

#include "base/bits.h"

static const struct {
	const char *extension;
	const char *type;
} types[] = {
#define MIME(extension, type) { extension, type },
#include "proto/mime_types.def"
#undef MIME
};

/* Behind the last dot of the last name; empty: there is none. */
static struct str extension_of(struct str path)
{
	size_t at = path.len;

	while (at > 0 && path.p[at - 1] != '.' && path.p[at - 1] != '/')
		at--;
	return at > 0 && path.p[at - 1] == '.' ? str_skip(path, at) : LS_STR("");
}

struct str mime_of(struct str path)
{
	struct str extension = extension_of(path);

	for (size_t i = 0; i < LS_COUNT(types); i++)
		if (str_ieq(extension, str_from(types[i].extension)))
			return str_from(types[i].type);
	return LS_STR("application/octet-stream");
}
