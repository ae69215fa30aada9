/* res: the answer a handler gives. */
#pragma once

#include "lua/bind.h"

const struct bind_kind *api_res_kind(void);
