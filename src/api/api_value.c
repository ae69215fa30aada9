#include "api/api_value.h"

#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>

int api_value_pack(lua_State *L, int idx, const char *name, struct packed *out)
{
	static struct pack buffer; /* of this process: one value is packed at a time */
	struct err err = { 0 };
	int r = pack_value(&buffer, L, idx, name, worker_current()->o.settings->message_max_size, out, &err);

	if (r == -EINVAL)
		state_error(L, "%s", err.text);
	return r == 0 ? 0 : r == -E2BIG ? CODE_TOO_LARGE : CODE_NO_MEMORY;
}
