/* t/unit/test_http_out.c — numbers, phrases and canned answers. */
#include "proto/http_out.c"

#include "tap.h"

#include <stdio.h>

static const char *text_of(char *start, char *end)
{
	*end = '\0';
	return start;
}

static void writes_numbers(void)
{
	static const uint64_t values[] = { 0,         1, 9, 10, 99, 100, 4095, 4096, 65535, UINT32_MAX, UINT64_MAX - 1,
		                           UINT64_MAX };
	char got[32], want[32];
	bool same = true;

	for (size_t i = 0; i < LS_COUNT(values); i++) {
		snprintf(want, sizeof want, "%llu", (unsigned long long)values[i]);
		same &= strcmp(text_of(got, http_out_decimal(got, values[i])), want) == 0;
		snprintf(want, sizeof want, "%llx", (unsigned long long)values[i]);
		same &= strcmp(text_of(got, http_out_hex(got, values[i])), want) == 0;
	}
	ok(same, "numbers are written as printf would");
}

static void knows_phrases(void)
{
	ok(!strcmp(http_reason(200), "OK") && !strcmp(http_reason(431), "Request Header Fields Too Large"), "phrases");
	ok(!strcmp(http_reason(299), "Unknown") && !strcmp(http_reason(-1), "Unknown") &&
	           !strcmp(http_reason(9999), "Unknown"),
	   "and what has none");
}

static void writes_canned_answers(void)
{
	static const int all[] = { 400, 408, 413, 414, 417, 431, 500, 501, 502, 503, 505 };
	bool sound = true;

	for (size_t i = 0; i < LS_COUNT(all); i++)
		for (int k = 0; k < 8; k++) {
			struct chain out = { 0 };
			struct iovec iov;
			char text[1024], want[128];

			http_out_canned(&out, all[i], k & 1, k & 2, k & 4, 1000);
			chain_iov(&out, &iov, 1);
			memcpy(text, iov.iov_base, iov.iov_len);
			text[iov.iov_len] = '\0';
			snprintf(want, sizeof want, "HTTP/1.1 %d %s\r\n", all[i], http_reason(all[i]));
			sound &= strncmp(text, want, strlen(want)) == 0;
			sound &= !strstr(text, "Connection: close\r\n") == !(k & 1) &&
			         !strstr(text, "Server:") == !(k & 4);
			snprintf(want, sizeof want, "%d %s\n", all[i], http_reason(all[i]));
			sound &= (k & 2) ? str_ends(str_from(text), LS_STR("\r\n\r\n"))
			                 : str_ends(str_from(text), str_from(want));
			snprintf(text, sizeof text, "Content-Length: %zu\r\n", strlen(want));
			sound &= memmem(iov.iov_base, iov.iov_len, text, strlen(text)) != NULL;
			chain_clear(&out);
		}
	ok(sound, "canned answers are whole");
}

int main(void)
{
	writes_numbers();
	knows_phrases();
	writes_canned_answers();
	chain_trim();
	return tap_done();
}
