/* worker_drain() */
#pragma once

struct worker;

/* Before a worker can drain. */
void leaving_init(struct worker *w);
