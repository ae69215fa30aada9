/* Whatever a producer gone mad leaves in its shared memory: the consumer stays inside, and the link above hands on only
 * frames that keep the rules.  The input is a list of pokes into the words and data, with drains between them. */
#include "fuzz.h"
#include "ipc/link_ring.h"
#include "ipc/ring.h"

enum { CAP = 1024, WHOLE_MAX = 3000, DRAINS = 16 };

struct ring_memory {
	struct ring_head head;
	struct ring_tail tail;
	uint8_t *data; /* of its own size, so that ASan sees steps outside */
};

static uint64_t touched;

static int on_frame(void *ctx, const struct frame *f, struct str payload)
{
	(void)ctx;
	fuzz_check(frame_check(f, FRAME_UP) == 0 && payload.len == f->len && f->len <= WHOLE_MAX);
	for (size_t i = 0; i < payload.len; i++)
		touched += (uint8_t)payload.p[i];
	return touched % 97 == 0 ? -EBADMSG : 0;
}

static void poke(struct ring_memory *s, const uint8_t *op)
{
	uint16_t a, b;

	memcpy(&a, op + 1, sizeof a);
	memcpy(&b, op + 3, sizeof b);
	switch (op[0] % 5) {
	case 0: /* the head moves on by any step */
		atomic_fetch_add(&s->head.head, a % (2 * CAP));
		break;
	case 1: /* or anywhere */
		atomic_store(&s->head.head, (uint64_t)a << (op[0] >> 2));
		break;
	case 2: { /* a header at a place where the consumer may look */
		struct frame f = { .len = b % (CAP + 64),
			           .type = op[0] & 64 ? 0xffff : op[0] >> 3,
			           .flags = op[3] & 63 };

		memcpy(s->data + a % (CAP / 32) * 32, &f, sizeof f);
		break;
	}
	case 3:
		s->data[a % CAP] = (uint8_t)b;
		break;
	default: /* a sound frame, published */
		s->head.want = b & 1;
		atomic_fetch_add(&s->head.head, 32u * (1 + a % 8));
		break;
	}
}

/* The walk that looks at a dead peer's ring uses the same words from the other side. */
static bool on_untaken(void *ctx, const struct frame *f, struct str payload)
{
	(void)ctx;
	fuzz_check(payload.len == f->len && f->len <= CAP);
	for (size_t i = 0; i < payload.len; i++)
		touched += (uint8_t)payload.p[i];
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ring_memory up, down; /* the fake stack of gcc's ASan does not keep 64-byte alignment */
	_Atomic uint32_t asleep = 0;

	up = (struct ring_memory){ .data = calloc(1, CAP) };
	down = (struct ring_memory){ .data = calloc(1, CAP) };

	struct link *l = link_ring_new(&(struct link_ring_opts){
		.tx = { .own = &down.head, .peer = &down.tail, .data = down.data, .cap = CAP },
		.rx = { .own = &up.tail, .peer = &up.head, .data = up.data, .cap = CAP },
		.peer_bell = -1,
		.peer_asleep = &asleep,
		.receives = FRAME_UP,
		.backlog_max = 4096,
		.whole_max = WHOLE_MAX,
	});
	struct frame f = { .type = FRAME_DATA };

	l->on_frame = on_frame;
	for (size_t at = 0; at + 5 <= size; at += 5) {
		struct str payload = str_make(data + at, size - at < 300 ? size - at : 300);

		poke(&up, data + at);
		if (data[at] & 128)
			atomic_store(&down.tail.tail, atomic_load(&up.head.head));
		if (at % 2)
			link_send(l, &f, &payload, 1);
		if (at % 15 == 0)
			for (int i = 0; i < DRAINS && link_drain(l) == 1; i++)
				;
		link_may_sleep(l);
		if (at % 25 == 0)
			link_ring_each_untaken(l, on_untaken, NULL);
	}
	link_close(l);
	free(up.data);
	free(down.data);
	return 0;
}
