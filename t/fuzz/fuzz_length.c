/* Length-field framing with every letter. */
#include "fuzz.h"

static void prepare(uint8_t option)
{
	fuzz_port.package_length_type = "cCsSnNvVlLqQJP"[option % 14];
	fuzz_port.package_length_offset = option / 14 % 4;
	fuzz_port.package_body_offset = option / 56 * 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_twice(&proto_length, data, size, prepare);
	return 0;
}
