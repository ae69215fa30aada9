#include "conf/shared.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

const struct shared *shared_find(const struct shared_list *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strcmp(l->items[i].name, name) == 0)
			return &l->items[i];
	return NULL;
}

/* Names stand in messages and file names of /proc. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return false;
	return len > 0 && len <= SHARED_NAME_MAX;
}

int shared_declare(struct shared_list *l, const char *name, const char *shape, uint64_t bytes, struct err *err)
{
	const struct shared *old = shared_find(l, name);

	if (!is_name(name))
		return err_set(err, -EINVAL, "a name of 1 to %d printable characters is expected", SHARED_NAME_MAX);
	if (old && strcmp(old->shape, shape) == 0)
		return 0;
	if (old)
		return err_set(err, -EEXIST, "\"%s\" is declared twice: as %s, and as %s", name, old->shape, shape);
	if (l->n == SHARED_MAX)
		return err_set(err, -E2BIG, "more than %d shared objects are declared", SHARED_MAX);
	l->items = xrealloc(l->items, (l->n + 1) * sizeof *l->items);
	l->items[l->n++] = (struct shared){ xstrdup(name), xstrdup(shape), bytes };
	return 0;
}

void shared_fini(struct shared_list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		free(l->items[i].name);
		free(l->items[i].shape);
	}
	free(l->items);
	*l = (struct shared_list){ 0 };
}
