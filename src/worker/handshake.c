#include "worker/handshake.h"

#include "lua/bind.h"
#include "proto/ws_deflate.h"
#include "proto/ws_shake.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>

enum { FORBIDDEN = 403, UPGRADE_REQUIRED = 426 };

static bool has_handler(const struct request *r, enum settings_event event)
{
	return app_handler(r->worker->app, r->port->index, event) != LUA_NOREF;
}

/* What is not a page's connection has no Origin (§10.2). */
static bool origin_is_welcome(const struct request *r)
{
	const struct settings_list *welcome = &r->port->websocket_origins;
	struct str origin = http_head_find(&r->view, LS_STR("origin"));

	for (unsigned i = 0; i < welcome->count; i++)
		if (str_ieq(origin, str_from(welcome->items[i])))
			return true;
	return welcome->count == 0 || !origin.p;
}

static void refuse(struct request *r, int status)
{
	if (status == UPGRADE_REQUIRED) {
		(void)response_field(r, LS_STR("Upgrade"), LS_STR("websocket"), false);
		(void)response_field(r, LS_STR("Sec-WebSocket-Version"), LS_STR("13"), false);
	}
	response_refuse(r, status);
}

static int check(const struct request *r)
{
	int status = r->view.head->flags & HTTP_UPGRADE ? ws_shake_check(&r->view) : 400;

	return status == 0 && !origin_is_welcome(r) ? FORBIDDEN : status;
}

bool handshake_take(struct request *r)
{
	int status;

	if (r->port->protocol != PROTOCOL_WEBSOCKET)
		return false;
	if (!ws_shake_is_asked(&r->view)) {
		if (has_handler(r, EVENT_request))
			return false;
		refuse(r, UPGRADE_REQUIRED);
		return true;
	}
	status = check(r);
	if (status) {
		refuse(r, status);
		return true;
	}
	r->handshake = true;
	r->status = 101;
	if (!has_handler(r, EVENT_handshake))
		handshake_accept(r);
	else
		(void)request_call(r, EVENT_handshake);
	return true;
}

/* One that the client offers, unless the app has chosen. */
static int add_subprotocol(struct request *r)
{
	const struct settings_list *ours = &r->port->websocket_subprotocol;

	for (unsigned i = 0; i < ours->count && !fields_has(&r->head, LS_STR("sec-websocket-protocol")); i++)
		if (ws_shake_offers(&r->view, str_from(ours->items[i])))
			return response_field(r, LS_STR("Sec-WebSocket-Protocol"), str_from(ours->items[i]), false);
	return 0;
}

/* The reactor speaks what this field says, so it is ours alone. */
static int add_extensions(struct request *r)
{
	struct str name = LS_STR("Sec-WebSocket-Extensions");
	char text[WS_TERMS_TEXT_MAX];
	struct ws_terms terms;

	fields_remove(&r->head, name);
	return ws_terms_choose(&r->view, r->port, &terms) ? response_field(r, name, ws_terms_text(&terms, text), false)
	                                                  : 0;
}

static int add_fields(struct request *r)
{
	char accept[WS_ACCEPT_LENGTH];
	int code = response_field(r, LS_STR("Upgrade"), LS_STR("websocket"), false);

	if (code == 0)
		code = response_field(r, LS_STR("Sec-WebSocket-Accept"), ws_shake_accept(&r->view, accept), false);
	if (code == 0)
		code = add_subprotocol(r);
	return code == 0 ? add_extensions(r) : code;
}

void handshake_accept(struct request *r)
{
	if (r->aborted || r->finished)
		return;
	if (add_fields(r) < 0) {
		response_refuse(r, 500);
		return;
	}
	request_hold(r); /* until OPEN or ABORT */
	response_complete(r);
}

int handshake_finish(struct request *r, lua_State *L, bool end)
{
	if (!end)
		return bind_fail(L, CODE_WRONG_OPERATION, "an answer with status 101 has no body");
	r->accepted = true;
	/* The handler's end accepts; where that is over already, nobody else will. */
	if (!r->running)
		handshake_accept(r);
	else
		r->detached = false;
	lua_pushboolean(L, 1);
	return 1;
}
