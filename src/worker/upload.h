/* The body of a request that is a form with files (multipart/form-data), taken apart as it comes: fields stay in memory, files go to
 * upload_tmp_dir and are removed when the request ends, unless the app has moved them. */
#pragma once

#include "base/list.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct request;

/* A field or a file, in the order in which they came. */
struct upload_item {
	struct list link;
	struct str name;
	struct str filename; /* p == NULL: it is a field */
	struct str type;
	char *path; /* of a file; NULL: none was chosen */
	uint64_t size;
	struct buf *value; /* of a field */
};

struct upload;

/* NULL: the body is of another kind, or is left as it is (http_parse_files). */
struct upload *upload_new(struct request *r);
/* NULL is ignored. */
void upload_free(struct upload *u);
/* The next bytes, `end`: the last.  0, or the status that the request is answered with; what is wrong with the disk is in the log. */
int upload_feed(struct upload *u, struct str bytes, bool end);
/* struct upload_item, all of them. */
const struct list *upload_items(const struct upload *u);
