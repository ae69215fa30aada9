/* One worker slot: which process serves it, which one is being started for it, which ones still drain; and
 * how soon it gets another when they die. The supervisor's thread.
 */
#pragma once

#include "conf/crew.h"
#include "loop/timer.h"
#include "super/release.h"
#include "super/ward.h"

struct super;

/* What a reload learns of the slot that it rolls. */
enum slot_news {
	SLOT_HELD,     /* the canary is ready and waits for slot_admit() */
	SLOT_ATTACHED, /* the successor serves */
	SLOT_LOST,     /* the successor died before it served */
	SLOT_DRAINED,  /* an older process has left */
};

struct slot {
	struct super *super;
	unsigned id;
	enum crew_kind kind;
	const char *title;        /* "task worker": for messages */
	struct release *release;  /* what its next process runs */
	struct release *accepted; /* the same, but for a reload that is under way */
	struct ward *serving;     /* NULL: none */
	struct ward *next;        /* being started; NULL: none */
	struct list draining;     /* wards */
	unsigned n_draining;
	struct list waiting; /* on super->waiting: wants a start permit */
	struct timer retry;
	unsigned quick_deaths; /* in a row */
	bool failed;           /* it gets no process until a reload */
	bool resting;          /* nor then: its user process has ended, and its `restart` says so */
	bool rolling;          /* the reload waits for `next` */
	bool canary;           /* `next` is held when it is ready */
};

void slot_init(struct slot *s, struct super *super, unsigned id, struct release *release);
void slot_fini(struct slot *s);

/* It needs a process: one is started as soon as there is a permit. */
void slot_want(struct slot *s);
/* For super: the permit is there. */
void slot_begin(struct slot *s);

/* Starts a successor that runs `release`; reload_news() tells what becomes of it. */
void slot_roll(struct slot *s, struct release *release, bool canary);
void slot_admit(struct slot *s);
/* Drops the successor, if one was rolled, and goes on with what was accepted. */
void slot_unroll(struct slot *s);
/* What it runs is accepted. */
void slot_commit(struct slot *s);
/* Before any process: this one is accepted for the slot. */
void slot_accept(struct slot *s, struct release *release);

/* A slot that reloads pass by: its next process runs `release`, and it gets one now if it was given up. */
void slot_renew(struct slot *s, struct release *release);

/* It gets no process any more. */
void slot_rest(struct slot *s);

/* Takes a process that an earlier supervisor started. Called in the order of their generations: the last
 * one serves. */
void slot_adopt(struct slot *s, struct ward *w, uint64_t wait_ms);
/* Every process of the slot must leave within `wait_ms`. */
void slot_stop(struct slot *s, uint64_t wait_ms);
void slot_kill(struct slot *s);
bool slot_is_empty(const struct slot *s);
/* "task worker 3", "user process 4 (clock)".  Returns `out`. */
const char *slot_name(const struct slot *s, char *out, size_t cap);
/* Calls fn for each process of the slot. */
void slot_each(struct slot *s, void (*fn)(struct ward *w, void *arg), void *arg);

/* From its wards. slot_mourns: its end is a death that nobody wanted; one that a reload tries is the
 * reload's affair. */
bool slot_mourns(const struct slot *s, const struct ward *w);
void slot_on_ready(struct slot *s, struct ward *w);
void slot_on_attached(struct slot *s, struct ward *w);
void slot_on_retire(struct slot *s, struct ward *w);
void slot_on_exit(struct slot *s, struct ward *w, int status);
