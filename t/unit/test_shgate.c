/* t/unit/test_shgate.c — mutex, rwlock, spin and sem between processes; what the dead held comes back. */
#include "ipc/shgate.c"

#include "shared_stub.h"
#include "tap.h"

enum { ROUNDS = 3000, KILLS = 500, PATIENCE = 10000 };

static int fd;
static int told[2];

static struct shgate join(enum shgate_kind kind, unsigned permits)
{
	struct shgate g = { .kind = kind, .permits = permits };

	if (segment_open(&g.segment, fd, sizeof(struct shgate_area) + 64) < 0)
		_exit(1);
	g.area = g.segment.map.p;
	return g;
}

struct hold {
	enum shgate_kind kind;
	enum shgate_way way;
	unsigned permits;
};

static void hold(void *ctx)
{
	struct hold *h = ctx;
	struct shgate g = join(h->kind, h->permits);

	if (shgate_wait(&g, h->way, PATIENCE) >= 0 && write(told[1], "x", 1) == 1)
		pause();
}

static pid_t start_holder(struct hold h)
{
	pid_t pid = start_child(hold, &h);
	char byte;

	return read(told[0], &byte, 1) == 1 ? pid : -1;
}

static void test_mutex(void)
{
	struct shgate g = join(SHGATE_MUTEX, 1), other = join(SHGATE_MUTEX, 1);
	pid_t pid;

	ok(shgate_try(&g, SHGATE_WRITE) == 0 && shgate_try(&other, SHGATE_WRITE) == -EAGAIN, "mutex: one has it");
	ok(shgate_try(&g, SHGATE_WRITE) == -EAGAIN, "mutex: not twice");
	ok(shgate_release(&other) == -EPERM && shgate_count(&g) == 1, "mutex: others cannot give it back");
	ok(shgate_wait(&other, SHGATE_WRITE, 20) == -ETIMEDOUT, "mutex: time-out");
	ok(shgate_release(&g) == 0 && shgate_release(&g) == -EPERM && shgate_count(&g) == 0, "mutex: given back");
	pid = start_holder((struct hold){ .kind = SHGATE_MUTEX });
	ok(shgate_try(&g, SHGATE_WRITE) == -EAGAIN, "mutex: a child has it");
	kill_child(pid);
	ok(shgate_wait(&g, SHGATE_WRITE, PATIENCE) == SHGATE_INHERITED, "mutex: its death is told");
	ok(shgate_release(&g) == 0 && shgate_try(&other, SHGATE_WRITE) == 0, "mutex: once");
	shgate_release(&other);
	segment_close(&g.segment);
	segment_close(&other.segment);
}

static void test_rwlock(void)
{
	struct shgate a = join(SHGATE_RWLOCK, 1), b = join(SHGATE_RWLOCK, 1);
	pid_t pid;

	ok(shgate_try(&a, SHGATE_READ) == 0 && shgate_try(&b, SHGATE_READ) == 0 && shgate_try(&b, SHGATE_READ) == 0 &&
	           shgate_count(&a) == 3,
	   "rwlock: three readers");
	ok(shgate_try(&a, SHGATE_WRITE) == -EAGAIN, "rwlock: no writer beside them");
	shgate_want(&a);
	ok(shgate_try(&b, SHGATE_READ) == -EAGAIN, "rwlock: one who wants to write keeps new readers out");
	shgate_unwant(&a);
	shgate_release(&a);
	shgate_release(&b);
	ok(shgate_release(&b) == 0 && shgate_try(&a, SHGATE_WRITE) == 0, "rwlock: writer after the last reader");
	ok(shgate_try(&b, SHGATE_READ) == -EAGAIN, "rwlock: no reader beside it");
	shgate_release(&a);
	pid = start_holder((struct hold){ .kind = SHGATE_RWLOCK, .way = SHGATE_READ });
	ok(shgate_try(&a, SHGATE_WRITE) == -EAGAIN, "rwlock: a child reads");
	kill_child(pid);
	ok(shgate_wait(&a, SHGATE_WRITE, PATIENCE) == 0, "rwlock: dead readers are in nobody's way, and broke nothing");
	shgate_release(&a);
	segment_close(&a.segment);
	segment_close(&b.segment);
}

static void test_sem(void)
{
	struct shgate a = join(SHGATE_SEM, 3);
	struct hold h = { .kind = SHGATE_SEM, .permits = 3 };
	pid_t one = start_holder(h), two = start_holder(h);

	ok(shgate_try(&a, SHGATE_WRITE) == 0 && shgate_try(&a, SHGATE_WRITE) == -EAGAIN, "sem: three permits");
	kill_child(one);
	kill_child(two);
	ok(shgate_try(&a, SHGATE_WRITE) == 0 && shgate_try(&a, SHGATE_WRITE) == 0 &&
	           shgate_try(&a, SHGATE_WRITE) == -EAGAIN,
	   "sem: those of the dead come back");
	for (int i = 0; i < 3; i++)
		shgate_release(&a);
	segment_close(&a.segment);
}

/* A number behind the area, which only the holder changes, and not in one step. */
static volatile uint64_t *guarded(const struct shgate *g)
{
	return (volatile uint64_t *)(void *)(g->area + 1);
}

static void count(void *ctx)
{
	struct shgate g = join(*(enum shgate_kind *)ctx, 1);

	for (int i = 0; i < ROUNDS; i++) {
		if (shgate_wait(&g, SHGATE_WRITE, PATIENCE) < 0)
			_exit(1);
		*guarded(&g) = *guarded(&g) + 1;
		shgate_release(&g);
	}
}

static void test_exclusion(enum shgate_kind kind)
{
	struct shgate g = join(kind, 1);
	pid_t pids[3];

	*guarded(&g) = 0;
	for (int i = 0; i < 3; i++)
		pids[i] = start_child(count, &kind);
	for (int i = 0; i < 3; i++)
		wait_child(pids[i]);
	ok(*guarded(&g) == 3 * ROUNDS, "%s: three processes count to %d", shgate_kind_name(kind), 3 * ROUNDS);
	segment_close(&g.segment);
}

static void count_forever(void *ctx)
{
	for (;;)
		count(ctx);
}

static void test_kills(enum shgate_kind kind)
{
	struct shgate g = join(kind, 1);
	int lost = 0;

	for (int i = 0; i < KILLS; i++) {
		pid_t one = start_child(count_forever, &kind), two = start_child(count_forever, &kind);

		let_run(2000);
		kill_child(one);
		kill_child(two);
		lost += shgate_wait(&g, SHGATE_WRITE, PATIENCE) < 0;
		lost += shgate_release(&g) < 0 || shgate_count(&g) != 0;
	}
	ok(lost == 0, "%s: %d times two killed, always usable", shgate_kind_name(kind), KILLS);
	segment_close(&g.segment);
}

int main(void)
{
	fd = shm_create("test", sizeof(struct shgate_area) + 64);
	ok(pipe(told) == 0, "pipe");
	test_mutex();
	test_rwlock();
	test_sem();
	for (int kind = SHGATE_MUTEX; kind <= SHGATE_SEM; kind++)
		test_exclusion((enum shgate_kind)kind);
	test_kills(SHGATE_MUTEX);
	test_kills(SHGATE_RWLOCK);
	ok(shgate_kind_find("sem") == SHGATE_SEM && shgate_kind_find("file") == -1, "kinds by name");
	fd_close(&fd);
	return tap_done();
}
