/* t/unit/test_mime.c — types by names. */
#include "proto/mime.c"

#include "tap.h"

int main(void)
{
	static const char *const cases[][2] = { { "a.html", "text/html" },
		                                { "a/b.c/d.PNG", "image/png" },
		                                { "a.tar.gz", "application/gzip" },
		                                { ".css", "text/css" },
		                                { "html", "application/octet-stream" },
		                                { "a.html/b", "application/octet-stream" },
		                                { "a.", "application/octet-stream" },
		                                { "", "application/octet-stream" } };

	for (size_t i = 0; i < LS_COUNT(cases); i++)
		ok(str_eq(mime_of(str_from(cases[i][0])), str_from(cases[i][1])), "\"%s\" is %s", cases[i][0],
		   cases[i][1]);
	return tap_done();
}
