#include "proto/http_head.h"

#include "base/bits.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FIRST_FIELDS = 32, FIRST_TEXT = 2048 };

static_assert(sizeof(struct http_head) % 8 == 0, "fields follow aligned");
static_assert(sizeof(struct http_field) == 16, "fields are shared by two processes");

void http_head_begin(struct http_head_builder *b)
{
	b->head = (struct http_head){ 0 };
	b->text_len = 0;
}

static size_t image_size(const struct http_head_builder *b, size_t more_fields, size_t more_text)
{
	size_t fields = b->head.n_fields + more_fields;

	return sizeof b->head + fields * sizeof *b->fields + b->text_len + more_text;
}

static int room_for_field(struct http_head_builder *b)
{
	uint32_t cap;
	void *p;

	if (b->head.n_fields < b->fields_cap)
		return 0;
	cap = b->fields_cap ? b->fields_cap * 2 : FIRST_FIELDS;
	p = try_realloc(b->fields, cap * sizeof *b->fields);
	if (!p)
		return -ENOMEM;
	b->fields = p;
	b->fields_cap = cap;
	return 0;
}

static int room_for_text(struct http_head_builder *b, size_t len)
{
	size_t cap;
	void *p;

	if (len <= b->text_cap - b->text_len)
		return 0;
	cap = pow2_up(LS_MAX(b->text_len + len, (size_t)FIRST_TEXT));
	p = try_realloc(b->text, cap);
	if (!p)
		return -ENOMEM;
	b->text = p;
	b->text_cap = (uint32_t)cap;
	return 0;
}

int http_head_text(struct http_head_builder *b, struct str text, struct http_span *out)
{
	int r = image_size(b, 0, text.len) > HTTP_HEAD_MAX ? -EMSGSIZE : room_for_text(b, text.len);

	if (r < 0)
		return r;
	*out = (struct http_span){ b->text_len, (uint32_t)text.len };
	if (text.len)
		memcpy(b->text + b->text_len, text.p, text.len);
	b->text_len += (uint32_t)text.len;
	return 0;
}

int http_head_add_spans(struct http_head_builder *b, struct http_span name, struct http_span value)
{
	int r;

	if (b->head.n_fields >= HTTP_HEAD_FIELDS_MAX || image_size(b, 1, 0) > HTTP_HEAD_MAX)
		return -EMSGSIZE;
	r = room_for_field(b);
	if (r < 0)
		return r;
	b->fields[b->head.n_fields++] = (struct http_field){ name, value };
	return 0;
}

int http_head_add(struct http_head_builder *b, struct str name, struct str value)
{
	uint32_t before = b->text_len;
	struct http_field field;
	int r = http_head_text(b, name, &field.name);

	if (r == 0)
		r = http_head_text(b, value, &field.value);
	if (r == 0)
		r = http_head_add_spans(b, field.name, field.value);
	if (r < 0)
		b->text_len = before;
	return r;
}

void http_head_parts(struct http_head_builder *b, struct str parts[3])
{
	b->head.size = (uint32_t)image_size(b, 0, 0);
	parts[0] = str_make(&b->head, sizeof b->head);
	parts[1] = str_make(b->fields, b->head.n_fields * sizeof *b->fields);
	parts[2] = str_make(b->text, b->text_len);
}

void http_head_fini(struct http_head_builder *b)
{
	free(b->fields);
	free(b->text);
	*b = (struct http_head_builder){ 0 };
}

static bool inside(struct http_span s, uint32_t text_len)
{
	return s.at <= text_len && s.len <= text_len - s.at;
}

int http_head_view(struct str image, struct http_view *out)
{
	const struct http_head *head = (const void *)image.p;
	size_t fixed;

	if (image.len < sizeof *head || image.len > HTTP_HEAD_MAX || (uintptr_t)image.p % 8 != 0)
		return -EBADMSG;
	fixed = sizeof *head + head->n_fields * sizeof(struct http_field);
	if (head->size != image.len || head->n_fields > HTTP_HEAD_FIELDS_MAX || fixed > image.len)
		return -EBADMSG;

	*out = (struct http_view){
		.head = head,
		.fields = (const void *)(image.p + sizeof *head),
		.text = image.p + fixed,
		.text_len = (uint32_t)(image.len - fixed),
	};
	return 0;
}

int http_head_check(struct str image, struct http_view *out)
{
	struct http_view v;

	if (http_head_view(image, &v) < 0)
		return -EBADMSG;
	if (!inside(v.head->target, v.text_len) || !inside(v.head->path, v.text_len))
		return -EBADMSG;
	if (!inside(v.head->query, v.text_len) || !inside(v.head->method_name, v.text_len))
		return -EBADMSG;
	for (unsigned i = 0; i < v.head->n_fields; i++)
		if (!inside(v.fields[i].name, v.text_len) || !inside(v.fields[i].value, v.text_len))
			return -EBADMSG;
	*out = v;
	return 0;
}

struct str http_head_find(const struct http_view *v, struct str name)
{
	for (unsigned i = 0; i < v->head->n_fields; i++)
		if (v->fields[i].name.len == name.len && str_ieq(http_head_str(v, v->fields[i].name), name))
			return http_head_str(v, v->fields[i].value);
	return (struct str){ 0 };
}
