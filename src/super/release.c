#include "super/release.h"

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/shm.h"

#include <errno.h>
#include <stdlib.h>

static int thaw(struct settings *s, int fd, struct err *err)
{
	struct shm map;
	int r;

	if (!shm_is_sealed(fd, true))
		return err_set(err, -EPERM, "the settings came in memory that could still be changed");
	r = shm_map(fd, false, &map);
	if (r < 0)
		return err_set(err, r, "the settings cannot be mapped: %s", strerror(-r));
	r = settings_thaw(s, str_make(map.p, map.size), err);
	shm_unmap(&map);
	return r;
}

struct release *release_new(int settings_fd, int image_fd, struct err *err)
{
	struct release *r = xzalloc(sizeof *r);

	r->refs = 1;
	r->settings_fd = settings_fd;
	r->image_fd = image_fd;
	if (thaw(&r->settings, settings_fd, err) < 0) {
		fd_close(&r->settings_fd);
		fd_close(&r->image_fd);
		free(r);
		return NULL;
	}
	r->epoch = r->settings.generation;
	return r;
}

struct release *release_ref(struct release *r)
{
	r->refs++;
	return r;
}

void release_unref(struct release *r)
{
	if (!r || --r->refs)
		return;
	settings_fini(&r->settings);
	fd_close(&r->settings_fd);
	fd_close(&r->image_fd);
	free(r);
}

int release_refreeze(struct release *r, struct err *err)
{
	char *blob;
	size_t len;
	int fd = settings_freeze(&r->settings, &blob, &len);

	if (fd == 0) {
		fd = shm_freeze("luaserv-settings", str_make(blob, len));
		free(blob);
	}
	if (fd < 0)
		return err_set(err, fd, "the settings cannot be frozen: %s", strerror(-fd));
	fd_close(&r->settings_fd);
	r->settings_fd = fd;
	r->epoch = r->settings.generation;
	return 0;
}
