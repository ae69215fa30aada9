/* t/unit/test_length.c — every letter, offsets, and lengths that lie. */
#include "proto/length.c"

#include "proto_stub.h"
#include "tap.h"

enum { STREAMS = 20000 };

/* Writes `value` as the letter wants it; returns its size. */
static size_t put_field(int letter, char *p, uint64_t value)
{
	size_t size = field_size(letter);
	bool big = strchr("nNJ", letter) || (strchr("cCsSlLqQ", letter) && __BYTE_ORDER == __BIG_ENDIAN);

	for (size_t i = 0; i < size; i++)
		p[big ? size - 1 - i : i] = (char)(value >> 8 * i);
	return size;
}

static struct proto_conn *open_letter(int letter, uint64_t offset, uint64_t body_offset)
{
	struct proto_conn *pc = stub_open(&proto_length);

	stub_port.package_length_type = letter;
	stub_port.package_length_offset = offset;
	stub_port.package_body_offset = body_offset;
	return pc;
}

static void knows_every_letter(void)
{
	for (const char *letter = "cCsSnNvVlLqQJP"; *letter; letter++) {
		char in[64] = { 'h', 'd' };
		size_t size = put_field(*letter, in + 2, 5), header = 2 + size;
		struct proto_conn *pc = open_letter(*letter, 2, header);
		ssize_t left;

		memcpy(in + header, "hello+", 6);
		left = stub_feed(pc, str_make(in, header + 6), 1);
		ok(left == 1 && str_ends(str_make(stub.log, stub.len), LS_STR("hello\n")) && stub.len == 5 + header + 6,
		   "%c: a message of %zu bytes, one byte left", *letter, header + 5);
		stub_close(pc);

		pc = open_letter(*letter, 0, 0);
		put_field(*letter, in, size + 3);
		ok(stub_feed(pc, str_make(in, size + 3), 1) == 0, "%c: the length may count the whole message",
		   *letter);
		stub_close(pc);
	}
}

static void refuses_lies(void)
{
	static const struct {
		int letter;
		uint64_t value, body_offset;
		ssize_t result;
	} lies[] = {
		{ 'c', 0xff, 1, -EBADMSG },
		{ 's', 0xffff, 2, -EBADMSG },
		{ 'l', 0x80000000, 4, -EBADMSG },
		{ 'q', UINT64_MAX, 8, -EBADMSG },
		{ 'Q', UINT64_MAX, 8, -EBADMSG },
		{ 'J', 1ULL << 63, 8, -EBADMSG },
		{ 'P', INT64_MAX, 65535, -EMSGSIZE },
		{ 'N', 0xffffffff, 4, -EMSGSIZE },
		{ 'n', 0, 0, -EBADMSG },
		{ 'n', 1, 0, -EBADMSG },
		{ 'N', 3, 0, -EBADMSG },
		{ 'N', 0, 3, -EBADMSG },
		{ 'N', 997, 4, -EMSGSIZE },
	};

	for (size_t i = 0; i < LS_COUNT(lies); i++) {
		struct proto_conn *pc = open_letter(lies[i].letter, 0, lies[i].body_offset);
		char in[8];
		size_t size = put_field(lies[i].letter, in, lies[i].value);

		stub_port.package_max_length = 1000;
		ok(stub_feed(pc, str_make(in, size), 1) == lies[i].result && pc->close_reason && !stub.len,
		   "%c %llx + %llu is refused", lies[i].letter, (unsigned long long)lies[i].value,
		   (unsigned long long)lies[i].body_offset);
		stub_close(pc);
	}
}

static void takes_what_is_just_right(void)
{
	struct proto_conn *pc = open_letter('N', 0, 4);
	char in[1000] = { 0 };

	stub_port.package_max_length = 1000;
	put_field('N', in, 996);
	ok(stub_feed(pc, str_make(in, 1000), 0) == 0, "a message of package_max_length is taken");
	put_field('N', in, 0);
	ok(stub_feed(pc, str_make(in, 4), 0) == 0, "so is an empty body");
	ok(pc->state == NULL, "no state is made");
	stub_close(pc);
}

/* Messages of random lengths, cut at random, with a sink that refuses now and then. */
static void cut_anywhere(void)
{
	static char in[2048], want[8192];
	bool same = true;

	srand(5);
	for (int i = 0; i < STREAMS && same; i++) {
		struct proto_conn *pc = open_letter('n', 1, 3);
		size_t len = 0, n = 0;
		ssize_t left;

		stub.random = (uint32_t)i;
		stub.refuse = (unsigned)(i % 4) * 2;
		for (int k = rand() % 5; k >= 0; k--) {
			size_t body = (size_t)rand() % 50;

			in[len] = 'm';
			put_field('n', in + len + 1, body);
			memset(in + len + 3, 'a' + rand() % 26, body);
			n += (size_t)snprintf(want + n, sizeof want - n, "DATA ");
			memcpy(want + n, in + len, body + 3);
			n += body + 3;
			want[n++] = '\n';
			len += body + 3;
		}
		left = stub_feed(pc, str_make(in, len), (size_t)(i % 3));
		same = left == 0 && str_eq(str_make(want, n), str_make(stub.log, stub.len));
		stub_close(pc);
	}
	ok(same, "%d streams give the same messages however they are cut", STREAMS);
}

int main(void)
{
	knows_every_letter();
	refuses_lies();
	takes_what_is_just_right();
	cut_anywhere();
	return tap_done();
}
