/* One worker process under supervision, from the request for its descriptors to the end of its process.
 *
 *   OPENING → LOADING → READY → ATTACHING → SERVING → DRAINING → (freed)
 *
 * It tells its slot what happens to it (slot_on_*); the slot decides what to do.  The supervisor's thread.
 */
#pragma once

#include "base/list.h"
#include "ipc/chan.h"
#include "super/control.h"
#include "sys/spawn.h"

struct slot;

enum ward_state { WARD_OPENING, WARD_LOADING, WARD_READY, WARD_ATTACHING, WARD_SERVING, WARD_DRAINING };

struct ward {
	struct list link; /* slot's draining ones */
	struct slot *slot;
	uint64_t generation;
	uint64_t epoch; /* of the release it runs */
	enum ward_state state;
	bool started;      /* START was sent or is not needed: it existed before us */
	bool unwanted;     /* it was told to leave, or killed by us: its end is no death */
	bool retires;      /* it asks to be replaced */
	bool starting;     /* holds one of super's start permits */
	bool ended;        /* the process is gone or never was */
	uint64_t ready_ms; /* 0: was never ready */
	struct child child;
	struct control control;
	struct watch pid_watch;
	struct timer deadline; /* to be ready, or to have drained */
	struct timer abort;    /* SIGABRT was sent: SIGKILL next */
	struct timer orphan;   /* it has ended and cannot be reaped here: its status may come by message */
	struct chan board;     /* its up segment, read-only */
	uint64_t lua_run;      /* of its board, as it was at the last check */
	uint64_t busy_ms;      /* how long it has been seen in that run */
	bool has_board;
	unsigned handles;   /* of the loop: not yet closed */
	char failure[1024]; /* what it said before it left; "": nothing */
};

/* A new process for the slot, from release `epoch`; it must be ready after `start_ms`. */
struct ward *ward_new(struct slot *slot, uint64_t epoch, uint64_t start_ms);
/* Asks for its descriptors; the answer may come before this returns, and with it the end of `w`. */
void ward_open(struct ward *w, bool canary);
/* A process that a supervisor before us started.  The descriptors are taken. */
struct ward *ward_adopt(struct slot *slot, uint64_t generation, uint64_t epoch, const struct child *child, int control,
                        int up);
/* Answer to super_ops.open: our end of its control socket, the child's end, the up segment; all taken. */
void ward_opened(struct ward *w, int control, int child_end, int up);
void ward_refused(struct ward *w, const char *text);

/* Asks the reactors to use it; slot_on_attached() follows. */
void ward_attach(struct ward *w);
void ward_attached(struct ward *w);
/* Lets it accept (base mode). */
void ward_start(struct ward *w);
/* Asks it to finish within `wait_ms`; a second later it is killed. One that was not ready yet is killed at
 * once. `last`: no process takes over, the whole server stops. */
void ward_stop(struct ward *w, uint64_t wait_ms, bool last);
void ward_kill(struct ward *w);
void ward_send(struct ward *w, const struct ctl_msg *m);
/* Its end, by whoever could reap it. */
void ward_exited(struct ward *w, int status);
/* Puts it down when it has been seen in one run of Lua for more than `limit_ms`.  `passed_ms`: since the last check. */
void ward_check(struct ward *w, uint64_t passed_ms, uint64_t limit_ms);
