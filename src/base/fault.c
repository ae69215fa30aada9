#include "base/fault.h"

#ifdef LS_FAULTS

#include "base/bits.h"
#include "base/str.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {
#define FAULT_POINT(name, doc) #name,
#include "base/faults.def"
#undef FAULT_POINT
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t every[FAULT_POINTS]; /* 0: off */
static _Thread_local uint64_t calls[FAULT_POINTS];

static int find(struct str name)
{
	for (int i = 0; i < FAULT_POINTS; i++)
		if (str_eq(name, str_from(names[i])))
			return i;
	return -1;
}

static void read_environment(void)
{
	struct str rest = str_from(getenv("LS_FAULTS"));

	while (rest.len > 0) {
		struct str rate = str_split(&rest, ','), name = str_split(&rate, '=');
		uint64_t n = 1;
		int point = find(name);

		if (point < 0 || (rate.len > 0 && (str_to_u64(rate, &n) < 0 || n == 0))) {
			fprintf(stderr, "LS_FAULTS: \"%.*s\" is no fault point, or its rate is no number from 1 up\n",
			        LS_STR_ARG(name));
			exit(2);
		}
		every[point] = n;
	}
}

bool fault_hits(enum fault_point point)
{
	pthread_once(&once, read_environment);
	return every[point] && ++calls[point] % every[point] == 0;
}

#endif
