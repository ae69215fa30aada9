#include "api/modules.h"

#include "api/api_client.h"
#include "api/api_co.h"
#include "api/api_event.h"
#include "api/api_http.h"
#include "api/api_process.h"
#include "api/api_program.h"
#include "api/api_server.h"
#include "api/api_shared.h"
#include "api/api_time.h"

#include <stddef.h>

const struct lua_module modules[] = {
	{ "luaserv.core.server", api_server_open },   { "luaserv.core.http", api_http_open },
	{ "luaserv.core.time", api_time_open },       { "luaserv.core.co", api_co_open },
	{ "luaserv.core.event", api_event_open },     { "luaserv.core.client", api_client_open },
	{ "luaserv.core.process", api_process_open }, { "luaserv.core.program", api_program_open },
	{ "luaserv.core.shared", api_shared_open },   { NULL, NULL },
};
