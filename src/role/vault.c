#include "role/vault.h"

#include "base/mem.h"
#include "ipc/ctl.h"
#include "sys/fd.h"
#include "sys/shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vault_item *find(const struct vault *v, const char *name)
{
	for (unsigned i = 0; i < v->n; i++)
		if (strcmp(v->items[i].is.name, name) == 0)
			return &v->items[i];
	return NULL;
}

static int make(struct vault *v, const struct shared *wanted, struct err *err)
{
	char name[SHARED_NAME_MAX + 16];
	int fd;

	if (v->n == SHARED_MAX)
		return err_set(err, -E2BIG,
		               "with those that earlier versions of the app declared there would be more than %d "
		               "shared objects; a restart is needed",
		               SHARED_MAX);
	snprintf(name, sizeof name, "luaserv-%s", wanted->name);
	fd = shm_create(name, wanted->bytes);
	if (fd < 0)
		return err_set(err, fd, "the shared memory of \"%s\", %s, cannot be made: %s", wanted->name,
		               wanted->shape, strerror(-fd));
	v->items = xrealloc(v->items, (v->n + 1) * sizeof *v->items);
	v->items[v->n++] = (struct vault_item){
		.is = { xstrdup(wanted->name), xstrdup(wanted->shape), wanted->bytes },
		.fd = fd,
		.fresh = true,
	};
	return 0;
}

int vault_hold(struct vault *v, const struct shared_list *wanted, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < wanted->n && r == 0; i++) {
		const struct shared *want = &wanted->items[i];
		const struct vault_item *old = find(v, want->name);

		if (!old)
			r = make(v, want, err);
		else if (strcmp(old->is.shape, want->shape) != 0 || old->is.bytes != want->bytes)
			r = err_set(err, -EBUSY,
			            "a restart is needed to change the shared memory \"%s\" from %s to %s, since an "
			            "earlier version of the app used it",
			            want->name, old->is.shape, want->shape);
	}
	return r;
}

static void drop(struct vault_item *item)
{
	free(item->is.name);
	free(item->is.shape);
	fd_close(&item->fd);
}

void vault_settle(struct vault *v, bool accepted)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < v->n; i++) {
		if (v->items[i].fresh && !accepted) {
			drop(&v->items[i]);
			continue;
		}
		v->items[i].fresh = false;
		v->items[kept++] = v->items[i];
	}
	v->n = kept;
}

void vault_fini(struct vault *v)
{
	for (unsigned i = 0; i < v->n; i++)
		drop(&v->items[i]);
	free(v->items);
	*v = (struct vault){ 0 };
}

void vault_share(const struct vault *v, const struct shared_list *wanted, struct vault_share *out)
{
	out->n = wanted->n;
	for (unsigned i = 0; i < wanted->n; i++) {
		const struct vault_item *item = find(v, wanted->items[i].name);

		out->fds[i] = item ? item->fd : -1;
	}
}

int vault_send(const struct vault *v, const struct shared_list *wanted, int control)
{
	struct vault_share share;

	vault_share(v, wanted, &share);
	return ctl_send_fds(control, CTL_SHARED, share.fds, share.n);
}

int vault_share_take(struct vault_share *s, struct ctl_msg *m)
{
	if (m->value == 0)
		vault_share_close(s);
	return ctl_take_fds(m, s->fds, &s->n, SHARED_MAX);
}

void vault_share_close(struct vault_share *s)
{
	for (unsigned i = 0; i < s->n; i++)
		fd_close(&s->fds[i]);
	s->n = 0;
}
