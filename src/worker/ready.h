/* Something to start once the links have been drained: what a process dies of must have been taken off its ring. */
#pragma once

#include "base/list.h"

struct ready {
	struct list link;
	void (*run)(struct ready *ready);
};
