/* What the files of the master share.  The master's main thread. */
#pragma once

#include "loop/post.h"
#include "net/listen.h"
#include "role/fleet.h"
#include "role/run_master.h"
#include "super/admin.h"
#include "super/control.h"
#include "super/evaluate.h"
#include "super/rundir.h"

enum master_state { MASTER_EVALUATES, MASTER_STARTS, MASTER_SERVES, MASTER_DRAINS, MASTER_STOPS, MASTER_ENDS };

struct master {
	const struct run_master_opts *opts;
	enum master_state state;
	struct loop loop;
	struct mailbox mailbox;
	struct watch signals;
	struct evaluate *evaluate; /* at start */
	struct release *release;   /* the first one: listeners point into it */
	struct ports ports;
	struct taskbox taskbox;
	struct activation given; /* sockets that were handed over */
	struct keeper keeper;
	bool has_keeper;
	struct fleet *fleet;
	struct listener *listeners[SETTINGS_PORTS_MAX];
	struct admin *admin;
	struct rundir_entry *entry; /* NULL: not registered */
	int pidfile;
	int access_log;   /* the one the keeper handed out; -1: none */
	uint64_t refused; /* connections over max_connection */
	uint64_t started_ms;
	struct timer quiet; /* shutdown.c */
	struct timer deadline;
	unsigned quiet_turns;
	uint64_t stop_at;
	struct control daemon; /* to the command line that started us, until we serve */
	int code;              /* exit code */
};

/* ---- boot.c --------------------------------------------------------------------------------- */

/* Logs, pid file, ports, admin socket, privileges.  What was opened stays in `m`, also on failure. */
int boot_open(struct master *m, struct err *err);

/* ---- shutdown.c ------------------------------------------------------------------------------ */

void shutdown_init(struct master *m);
/* Finish what is under way, then end; a second time: end now. */
void shutdown_begin(struct master *m);
/* No worker is left. */
void shutdown_finish(struct master *m);

/* As `luaserv reload`; tag 0: nobody waits for the answer. */
void command_reload(struct master *m, uint64_t tag, bool tasks_only);

/* ---- status.c -------------------------------------------------------------------------------- */

/* The figures as JSON or as text for people; malloc'ed. */
char *status_json(const struct master *m);
char *status_text(const struct master *m);
/* Where it listens: "http on 127.0.0.1:80, tcp on …", and the ready line. */
void status_write_ports(const struct master *m, FILE *to);
char *status_ready_line(const struct master *m);

/* ---- command.c ------------------------------------------------------------------------------- */

/* Requests of the admin socket; ctx is the master. */
void command_on_request(void *ctx, uint64_t id, struct str line);
void command_on_reloaded(void *ctx, uint64_t tag, bool done, const char *text);
void command_reopen(struct master *m);
