/* Requests: whatever is sent, however it is cut, the worker sees the same, every image is sound and nothing is left. */
#include "fuzz.h"

static void prepare(uint8_t option)
{
	fuzz_port.http_request_body = option & 1 ? REQUEST_BODY_STREAM : REQUEST_BODY_BUFFER;
	fuzz_port.http_body_max_size = option & 2 ? 100 : 0;
	fuzz_port.http_keepalive_requests = option & 4 ? 2 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_twice(&proto_http1, data, size, prepare);
	return 0;
}
