/* Counters and heartbeats that others may read: blocks with one writer each.
 *
 * A reactor's block stands in the master's shared segment (or, in base mode, in the worker's own), a worker's block in the
 * segment that only that worker writes.  All words are relaxed atomics: a reader sees each value whole, not all of them at
 * one instant.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t board_word;

enum {
	BOARD_PORTS = 64,     /* SETTINGS_PORTS_MAX, which this floor does not know */
	BOARD_SENDERS = 1024, /* processes whose progress a process notes at a time */
};

struct board_reactor {
	alignas(64) _Atomic uint32_t asleep; /* workers ring its bell only if set */
	alignas(64) board_word accepted;
	board_word closed;
	board_word requests;
	board_word bytes_in;
	board_word bytes_out;
	board_word refused;         /* connections over a limit */
	board_word refused_address; /* those of them over a limit of their address */
	board_word proxy_refused;   /* without a sound PROXY protocol header */
	board_word limited;         /* messages over message_rate */
	board_word published;       /* to groups that have a member here */
	board_word publish_skipped; /* members that were too slow for it */
	board_word turns;
	board_word packets;                  /* datagrams received */
	board_word packets_dropped;          /* of those and of those to be sent */
	board_word connections[BOARD_PORTS]; /* open now, by port index */
};

/* What a process gets from another one in numbered order. */
enum board_stream { BOARD_TASKS, BOARD_MESSAGES, BOARD_STREAMS };

/* How far a process has come with what another one sent it: everything up to that number has been begun. */
struct board_taken {
	board_word generation; /* of the sender; 0: free */
	board_word upto[BOARD_STREAMS];
};

enum board_state { BOARD_STARTING, BOARD_READY, BOARD_DRAINING, BOARD_STOPPED };

struct board_worker {
	alignas(64) _Atomic uint32_t asleep; /* reactors ring its bell only if set */
	alignas(64) board_word tick_ms;      /* monotonic time of the last loop turn */
	board_word busy_since_ms;            /* Lua runs without a break since then; 0: it does not run */
	board_word lua_run;                  /* odd: Lua runs; counts each time it is entered and left */
	board_word state;                    /* enum board_state */
	board_word pid;
	board_word requests; /* requests and messages begun */
	board_word in_flight;
	board_word sessions; /* raw connections known */
	board_word coroutines;
	board_word lua_bytes;
	board_word errors;            /* handlers that raised */
	board_word queued;            /* tasks that wait here to be begun */
	board_word fetched_asker;     /* of the task last taken from the queue: its asker's generation */
	board_word fetched_id;        /* and its number there */
	board_word fetched_outside;   /* tasks taken from the queue that no process of this server asked for */
	board_word ended_outside;     /* and how many of those have ended */
	struct board_reactor reactor; /* base mode: the embedded reactor's */
	struct board_taken taken[BOARD_SENDERS];
};

static inline void board_set(board_word *w, uint64_t v)
{
	atomic_store_explicit(w, v, memory_order_relaxed);
}

/* Only by its one writer. */
static inline void board_add(board_word *w, uint64_t n)
{
	atomic_store_explicit(w, atomic_load_explicit(w, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Sets a word that tells readers that others, set before, are valid. */
static inline void board_publish(board_word *w, uint64_t v)
{
	atomic_store_explicit(w, v, memory_order_release);
}

/* Reads such a word: the others are read after it. */
static inline uint64_t board_observe(const board_word *w)
{
	return atomic_load_explicit((board_word *)w, memory_order_acquire);
}

static inline uint64_t board_get(const board_word *w)
{
	return atomic_load_explicit((board_word *)w, memory_order_relaxed);
}
