/* t/unit/test_timer.c — timers fire at their tick, in order of their due time, as a naive list of them would. */
#include "loop/timer.c"

#include "tap.h"

#include <assert.h>
#include <stdlib.h>

enum { MANY = 100000, MODEL = 300, MODEL_STEPS = 20000 };

static struct loop loop; /* only its clock and its wheel are used: time is what the test says */
static uint32_t random_state = 1;

static uint64_t some(uint64_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 4) % below;
}

static void begin(uint64_t now)
{
	loop.now_ms = now;
	timer_wheel_init(&loop.wheel, now);
}

static void advance_to(uint64_t now)
{
	loop.now_ms = now;
	timer_wheel_advance(&loop.wheel, now);
}

/* Goes to the next time the wheel names, as the loop does. */
static bool step(void)
{
	uint64_t at = timer_wheel_next(&loop.wheel);

	if (at)
		advance_to(at);
	return at != 0;
}

/* A span whose order of magnitude is random, up to some days. */
static uint64_t some_span(void)
{
	return some(1ULL << (1 + some(29)));
}

/* ---- many --------------------------------------------------------------------------------------------------------- */

static struct timer many[MANY];
static uint64_t last_due;
static unsigned fired, disorder, wrong_tick;

static void on_one_of_many(struct timer *t)
{
	fired++;
	disorder += t->due_ms < last_due;
	wrong_tick += t->due_ms != loop.now_ms;
	last_due = t->due_ms;
	assert(!timer_is_set(t));
}

static void fires_many_in_order(uint64_t start)
{
	unsigned steps = 0;

	begin(start);
	fired = disorder = wrong_tick = 0;
	last_due = 0;
	for (unsigned i = 0; i < MANY; i++) {
		timer_init(&many[i], on_one_of_many);
		timer_set(&loop, &many[i], 1 + some_span());
	}
	while (step())
		steps++;
	ok(fired == MANY && disorder == 0 && wrong_tick == 0,
	   "%u timers from %llu: in order, each at its tick (%u turns)", fired, (unsigned long long)start, steps);
}

static void catches_up_in_order(void)
{
	begin(1234567);
	fired = disorder = 0;
	last_due = 0;
	for (unsigned i = 0; i < MANY; i++) {
		timer_init(&many[i], on_one_of_many);
		timer_set(&loop, &many[i], some(100000));
	}
	advance_to(loop.now_ms + 100001);
	ok(fired == MANY && disorder == 0, "a loop that was held up for long fires all in order");
	ok(timer_wheel_next(&loop.wheel) == 0, "and nothing is left");
}

/* ---- against a model ------------------------------------------------------------------------------------------------ */

struct modelled {
	struct timer t;
	uint64_t due; /* what the model says; 0: not set */
};

static struct modelled modelled[MODEL];
static unsigned wrong;

/* Callbacks set and delete, themselves and others. */
static void on_modelled(struct timer *t)
{
	struct modelled *m = LS_CONTAINER_OF(t, struct modelled, t);
	struct modelled *other = &modelled[some(MODEL)];

	wrong += m->due == 0 || m->due > loop.now_ms || timer_is_set(t);
	m->due = 0;
	if (some(3) == 0) {
		uint64_t after = some_span();

		timer_set(&loop, t, after);
		m->due = loop.now_ms + LS_MAX(after, (uint64_t)1);
	}
	if (some(3) == 0) {
		timer_del(&loop, &other->t);
		other->due = 0;
	} else if (some(3) == 0) {
		timer_set(&loop, &other->t, 5);
		other->due = loop.now_ms + 5;
	}
}

static void model_step(void)
{
	struct modelled *m = &modelled[some(MODEL)];
	uint64_t after = some_span();

	switch (some(4)) {
	case 0:
		timer_del(&loop, &m->t);
		m->due = 0;
		break;
	case 1:
		advance_to(loop.now_ms + some(some(100) ? 50 : 1 << 20));
		break;
	default:
		timer_set(&loop, &m->t, after);
		m->due = loop.now_ms + LS_MAX(after, (uint64_t)1);
		break;
	}
}

/* Nothing that is due may be left; the wheel must not sleep past the first. */
static void model_check(void)
{
	uint64_t next = timer_wheel_next(&loop.wheel), first = UINT64_MAX;

	for (unsigned i = 0; i < MODEL; i++) {
		struct modelled *m = &modelled[i];

		wrong += timer_is_set(&m->t) != (m->due != 0);
		wrong += m->due && m->due != m->t.due_ms;
		/* Set within this tick: it fires in the next. */
		wrong += m->due && m->due < loop.now_ms;
		if (m->due)
			first = LS_MIN(first, m->due);
	}
	wrong += first != UINT64_MAX && (next == 0 || next > first);
	wrong += first == UINT64_MAX && next != 0;
}

static void agrees_with_a_naive_model(void)
{
	begin(1 << 20);
	for (unsigned i = 0; i < MODEL; i++)
		timer_init(&modelled[i].t, on_modelled);
	for (unsigned i = 0; i < MODEL_STEPS && wrong == 0; i++) {
		model_step();
		model_check();
	}
	ok(wrong == 0, "%d steps of setting, deleting and waiting are as a list of timers would do them", MODEL_STEPS);
}

/* ---- one by one --------------------------------------------------------------------------------------------------------- */

static unsigned count;
static struct timer one, other;

static void on_count(struct timer *t LS_UNUSED)
{
	count++;
}

static void on_delete_other(struct timer *t LS_UNUSED)
{
	count++;
	timer_del(&loop, &other);
}

static void on_again(struct timer *t)
{
	count++;
	if (count < 5)
		timer_set(&loop, t, 0);
}

static void deletes_within_a_callback(void)
{
	begin(1000);
	count = 0;
	timer_init(&one, on_delete_other);
	timer_init(&other, on_count);
	timer_set(&loop, &one, 7);
	timer_set(&loop, &other, 7);
	advance_to(1010);
	ok(count == 1, "a timer deleted in the callback of one due at the same tick does not fire");
	timer_del(&loop, &other);
	ok(!timer_is_set(&other) && timer_wheel_next(&loop.wheel) == 0, "deleting it again is harmless");
}

static void sets_itself_again(void)
{
	begin(1000);
	count = 0;
	timer_init(&one, on_again);
	timer_set(&loop, &one, 0);
	advance_to(1000);
	ok(count == 0, "0 does not fire within the turn");
	advance_to(1001);
	ok(count == 1, "but in the next tick, once");
	while (step())
		;
	ok(count == 5 && loop.now_ms == 1005, "a timer that sets itself with 0 moves on tick by tick");
}

static void moves_when_set_again(void)
{
	begin(5000);
	count = 0;
	timer_init(&one, on_count);
	timer_set(&loop, &one, 10);
	timer_set(&loop, &one, 100000);
	advance_to(5100);
	ok(count == 0, "a timer that was moved later does not fire at its old time");
	timer_set(&loop, &one, 3);
	advance_to(5102);
	ok(count == 0, "nor before its new one");
	advance_to(5103);
	ok(count == 1, "but then");
}

static void reaches_the_far_future(void)
{
	static const uint64_t spans[] = { 1ULL << 24, 90ULL * 86400000, 1ULL << 40, UINT64_MAX / 2, UINT64_MAX };
	bool early = false, found = true;

	for (unsigned i = 0; i < LS_COUNT(spans); i++) {
		begin(987654321);
		count = 0;
		timer_init(&one, on_count);
		timer_set(&loop, &one, spans[i]);
		found &= timer_wheel_next(&loop.wheel) != 0;
		advance_to(987654321 + LS_MIN(spans[i] - 1, 1ULL << 45));
		early |= count > 0;
		if (spans[i] > 1ULL << 45)
			continue;
		advance_to(987654321 + spans[i]);
		found &= count == 1;
	}
	ok(found && !early, "days, years and the largest number: never early, never forgotten");
}

/* The wheel's clock stands still while nothing is due; a timer set long after must not be late or early. */
static void sets_after_a_long_rest(void)
{
	bool held = true;

	for (uint64_t rest = 1; rest < 1ULL << 36; rest *= 3) {
		uint64_t due = 777 + rest + 20;

		begin(777);
		count = 0;
		timer_init(&one, on_count);
		loop.now_ms += rest;
		timer_set(&loop, &one, 20);
		while (timer_wheel_next(&loop.wheel) < due)
			advance_to(LS_MAX(timer_wheel_next(&loop.wheel), loop.now_ms));
		held &= count == 0 && timer_wheel_next(&loop.wheel) == due;
		advance_to(due);
		held &= count == 1;
	}
	ok(held, "after any rest");
}

int main(void)
{
	fires_many_in_order(1);
	fires_many_in_order(63);
	fires_many_in_order((1ULL << 36) - 5);
	catches_up_in_order();
	agrees_with_a_naive_model();
	deletes_within_a_callback();
	sets_itself_again();
	moves_when_set_again();
	reaches_the_far_future();
	sets_after_a_long_rest();
	return tap_done();
}
