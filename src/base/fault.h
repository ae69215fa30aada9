/* Named fault points: places where a test build (LS_FAULTS) does on purpose what happens rarely. Compiled out of all others.
 *
 * The environment variable LS_FAULTS names those that are on and how often: "read_byte,no_memory=100" is each read, and one
 * allocation in a hundred.  An unknown name ends the process. (any thread)
 */
#pragma once

#include <stdbool.h>

enum fault_point {
#define FAULT_POINT(name, doc) FAULT_##name,
#include "base/faults.def"
#undef FAULT_POINT
	FAULT_POINTS,
};

#ifdef LS_FAULTS
bool fault_hits(enum fault_point point);
#define FAULT(name) fault_hits(FAULT_##name)
#else
#define FAULT(name) false
#endif
