/* t/unit/test_http_head.c — images are built and read back; a hostile one is never read beyond its end. */
#include "proto/http_head.c"

#include "tap.h"

#include <stdio.h>

enum { HOSTILE_IMAGES = 300000 };

/* The image as one block from malloc, so that ASan sees every step outside. */
static struct str image_of(struct http_head_builder *b)
{
	struct str parts[3];
	size_t len = 0;
	char *image, *p;

	http_head_parts(b, parts);
	for (int i = 0; i < 3; i++)
		len += parts[i].len;
	p = image = xalloc(len);
	for (int i = 0; i < 3; i++)
		if (parts[i].len)
			p = mempcpy(p, parts[i].p, parts[i].len);
	return str_make(image, len);
}

static void fill(struct http_head_builder *b)
{
	http_head_begin(b);
	b->head.status = 200;
	http_head_text(b, LS_STR("GET"), &b->head.method_name);
	http_head_text(b, LS_STR("/a?b"), &b->head.target);
	b->head.path = (struct http_span){ b->head.target.at, 2 };
	b->head.query = (struct http_span){ b->head.target.at + 3, 1 };
	http_head_add(b, LS_STR("host"), LS_STR("example"));
	http_head_add(b, LS_STR("empty"), LS_STR(""));
	http_head_add(b, LS_STR("Two"), LS_STR("1"));
	http_head_add(b, LS_STR("two"), LS_STR("2"));
}

static void comes_back_as_built(void)
{
	struct http_head_builder b = { 0 };
	struct http_view v;

	for (int i = 0; i < 2; i++) {
		fill(&b);
		struct str image = image_of(&b);

		ok(http_head_check(image, &v) == 0 && v.head->n_fields == 4 && v.head->size == image.len,
		   "an image is sound");
		ok(str_eq(http_head_str(&v, v.head->query), LS_STR("b")), "the query is there");
		ok(str_eq(http_head_find(&v, LS_STR("HOST")), LS_STR("example")), "a field is found whatever its case");
		ok(str_eq(http_head_find(&v, LS_STR("two")), LS_STR("1")), "the first of two");
		ok(http_head_find(&v, LS_STR("empty")).p && !http_head_find(&v, LS_STR("none")).p,
		   "empty is not absent");
		free((char *)image.p);
	}
	http_head_fini(&b);
}

static void is_bounded(void)
{
	struct http_head_builder b = { 0 };
	struct http_span span;
	size_t len = HTTP_HEAD_MAX;
	char *text = xzalloc(len);
	int n = 0;

	http_head_begin(&b);
	while (http_head_add(&b, LS_STR("a"), LS_STR("b")) == 0)
		n++;
	ok(n == HTTP_HEAD_FIELDS_MAX, "%d fields at most", n);
	http_head_begin(&b);
	ok(http_head_text(&b, str_make(text, len), &span) == -EMSGSIZE, "text over 1 MiB is refused");
	ok(http_head_text(&b, str_make(text, len - sizeof b.head), &span) == 0, "up to it, not");
	ok(http_head_add(&b, LS_STR("a"), LS_STR("b")) == -EMSGSIZE, "but then it is full");
	http_head_begin(&b);
	ok(http_head_add(&b, LS_STR("a"), str_make(text, len - sizeof b.head - 8)) == -EMSGSIZE && b.text_len == 0,
	   "what does not fit leaves no trace");
	struct str image = image_of(&b);
	struct http_view v;

	ok(http_head_check(image, &v) == 0 && v.head->n_fields == 0, "an empty head is sound");
	free((char *)image.p);
	free(text);
	http_head_fini(&b);
}

static unsigned touch(struct str s)
{
	unsigned sum = 0;

	for (size_t i = 0; i < s.len; i++)
		sum += (unsigned char)s.p[i];
	return sum;
}

/* Flips words of a sound image; whatever passes the check is read in full. */
static void survives_hostile_images(void)
{
	struct http_head_builder b = { 0 };
	unsigned sound = 0, sum = 0;

	srand(7);
	for (int i = 0; i < HOSTILE_IMAGES; i++) {
		struct http_view v;
		struct str image;
		char *bytes;

		fill(&b);
		image = image_of(&b);
		bytes = (char *)image.p;
		for (int k = rand() % 4; k >= 0; k--) {
			uint32_t word = rand() % 2 ? (uint32_t)rand() % 200 : (uint32_t)rand() << 1;

			memcpy(bytes + (size_t)rand() % (image.len / 4) * 4, &word, sizeof word);
		}
		if (rand() % 4 == 0)
			image.len = (size_t)rand() % (image.len + 1);
		if (http_head_check(image, &v) == 0) {
			sound++;
			sum += touch(http_head_str(&v, v.head->target)) + touch(http_head_str(&v, v.head->path));
			sum += touch(http_head_str(&v, v.head->query)) + touch(http_head_str(&v, v.head->method_name));
			for (unsigned f = 0; f < v.head->n_fields; f++)
				sum += touch(http_head_str(&v, v.fields[f].name)) +
				       touch(http_head_str(&v, v.fields[f].value));
			sum += (unsigned)http_head_find(&v, LS_STR("two")).len;
		}
		free(bytes);
	}
	ok(sound > 1000 && sound < HOSTILE_IMAGES && sum, "%u of %d hostile images pass, none is read beyond its end",
	   sound, HOSTILE_IMAGES);
	http_head_fini(&b);
}

static void refuses_what_is_crooked(void)
{
	struct http_head_builder b = { 0 };
	struct http_view v;
	struct str image;
	char *shifted;

	fill(&b);
	image = image_of(&b);
	shifted = xalloc(image.len + 4);
	memcpy(shifted + 4, image.p, image.len);
	ok(http_head_check(str_make(shifted + 4, image.len), &v) == -EBADMSG,
	   "an image that is not aligned is refused");
	ok(http_head_check(str_make(image.p, image.len - 1), &v) == -EBADMSG, "so is one that is cut");
	ok(http_head_check(str_make(image.p, 8), &v) == -EBADMSG, "or shorter than its head");
	free(shifted);
	free((char *)image.p);
	http_head_fini(&b);
}

int main(void)
{
	comes_back_as_built();
	is_bounded();
	survives_hostile_images();
	refuses_what_is_crooked();
	return tap_done();
}
