/* Delimiter framing. */
#include "fuzz.h"

static void prepare(uint8_t option)
{
	static const struct str delimiters[] = { { "\r\n", 2 }, { "\n", 1 }, { "\0\0\0", 3 }, { "abababab", 8 } };

	fuzz_port.package_eof = delimiters[option % 4];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_twice(&proto_eof, data, size, prepare);
	return 0;
}
