/* Any bytes as the value of each setting, and as frozen settings with a right checksum. */
#include "base/codec.h"
#include "conf/settings.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s;
	char *blob = malloc(size + 64);
	int len = snprintf(blob, size + 64, "luaserv settings 1\n%.*s", (int)size, (const char *)data);

	len += snprintf(blob + len, 32, "end %016lx\n", codec_hash(str_make(blob, (size_t)len)));
	if (settings_thaw(&s, str_make(blob, (size_t)len), NULL) < 0)
		settings_init(&s);
	for (unsigned i = 0; i < settings_row_count; i++)
		settings_set(&s, NULL, settings_rows[i].name, str_make(data, size), LAYER_SCRIPT, NULL);
	settings_resolve(&s, NULL);
	settings_check(&s, NULL);
	settings_fini(&s);
	free(blob);
	return 0;
}
