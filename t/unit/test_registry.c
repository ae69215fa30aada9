/* t/unit/test_registry.c — the list of protocols, names of reasons, and raw TCP, which is too small for a test of its own. */
#include "proto/registry.c"

#include "proto_stub.h"
#include "tap.h"

static void lists_protocols(void)
{
	for (int i = PROTOCOL_TCP; i <= PROTOCOL_LUA; i++) {
		struct port port = { .protocol = i };
		const struct proto *p = proto_of(&port);

		ok(p && p->name && p->doc && p->input && p->output && p->eof && p->timeout && p->idle && p->close &&
		           p->stateful == !p->fail,
		   "protocol %s is complete", p->name);
	}
}

static void names_reasons(void)
{
	bool all = true;

	for (unsigned i = 0; i < CLOSE_REASONS; i++)
		all &= close_reason_name(i) && strlen(close_reason_name(i)) > 1;
	ok(all && !strcmp(close_reason_name(CLOSE_REASONS), "?"), "every reason has a name");
}

static void cuts_long_reads(void)
{
	struct proto_conn *pc = stub_open(&proto_raw);

	stub_port.package_max_length = 4;
	ok(stub_feed(pc, LS_STR("123456789"), 100) == 0 && !strcmp(stub.log, "DATA 1234\nDATA 5678\nDATA 9\n"),
	   "raw: a read is a message, cut at package_max_length");
	stub.fail_with = -EAGAIN;
	ok(pc->proto->input(pc, LS_STR("x")) == 0, "raw: what is refused stays");
	pc->proto->eof(pc, LS_STR(""));
	ok(pc->close_when_sent, "raw: the peer's end closes");
	stub_close(pc);
}

int main(void)
{
	lists_protocols();
	names_reasons();
	cuts_long_reads();
	proto_trim();
	chain_trim();
	return tap_done();
}
