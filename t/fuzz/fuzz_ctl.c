/* t/fuzz/fuzz_ctl.c — whatever a child sends, the control message check stays inside its bytes. */
#include "ipc/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_msg m;
	volatile char last = 0;

	if (size < 2 || ctl_parse(str_make(data + 2, size - 2), data[0], data[1], &m) < 0)
		return 0;
	if (m.text.len)
		last = m.text.p[m.text.len - 1];
	return last && 0;
}
