/* req: the request a handler sees. */
#pragma once

#include "lua/bind.h"

const struct bind_kind *api_req_kind(void);
