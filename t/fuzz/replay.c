/* Runs a fuzz driver once over the inputs that the tree keeps for it: what was found stays mended. */
#include "tap.h"

#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Each input has memory of its own size, so that the sanitizer sees a read past its end. */
static bool replay_file(const char *path)
{
	FILE *in = fopen(path, "rb");
	uint8_t *whole = malloc(INPUT_MAX);
	bool read = false;

	if (in && whole) {
		size_t len = fread(whole, 1, INPUT_MAX, in);
		uint8_t *input = malloc(len ? len : 1);

		if (input && !ferror(in)) {
			memcpy(input, whole, len);
			LLVMFuzzerTestOneInput(input, len);
			read = true;
		}
		free(input);
	}
	free(whole);
	if (in)
		fclose(in);
	return read;
}

static void replay_folder(const char *kind)
{
	char folder[1024], path[2048];
	unsigned inputs = 0;

	snprintf(folder, sizeof folder, "%s/%s/%s", REPLAY_ROOT, kind, REPLAY_DECODER);

	DIR *dir = opendir(folder);

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (!replay_file(path))
			ok(false, "%s cannot be read", path);
		inputs++;
	}
	if (dir)
		closedir(dir);
	ok(true, "%s of %s: %u inputs", kind, REPLAY_DECODER, inputs);
}

int main(void)
{
	replay_folder("corpus");
	replay_folder("regress");
	return tap_done();
}
