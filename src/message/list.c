#include "message/list.h"

enum { ENTERPRISE_BIT = 0x8000, BLOCK_HEADER = 4 };

const char *list_semantic_name(uint8_t semantic)
{
	static const char *const names[] = {"noneOf", "exactlyOneOf", "oneOrMoreOf", "allOf", "ordered"};

	return semantic < sizeof names / sizeof names[0] ? names[semantic]
	       : semantic == 255                         ? "undefined"
							 : NULL;
}

static enum status open_basic(struct list *l, struct span o)
{
	struct template_field *f = &l->element;

	if (o.length < 5)
		return ERR_FORMAT;
	f->id = get_be16(o.data + 1);
	f->length = get_be16(o.data + 3);
	l->at = o.data + 5;
	if (f->id & ENTERPRISE_BIT) {
		if (o.length < 9)
			return ERR_FORMAT;
		f->id &= (uint16_t)~ENTERPRISE_BIT;
		f->pen = get_be32(l->at);
		l->at += 4;
	}
	f->reverse = f->pen == REVERSE_PEN && ie_find(0, f->id);
	f->ie = f->reverse ? ie_find(0, f->id) : ie_find(f->pen, f->id);
	return f->length == 0 && l->at < l->end ? ERR_FORMAT : OK;
}

enum status list_open(struct list *l, enum ie_type type, struct span o)
{
	*l = (struct list){0};
	if (o.length < 1)
		return ERR_FORMAT;
	l->semantic = o.data[0];
	l->at = o.data + 1;
	l->end = o.data + o.length;
	if (type == IE_BASIC_LIST)
		return open_basic(l, o);
	if (type == IE_SUB_TEMPLATE_LIST) {
		if (o.length < 3)
			return ERR_FORMAT;
		l->template_id = get_be16(l->at);
		l->at += 2;
	}
	return OK;
}

enum status list_next_element(struct list *l, struct span *out)
{
	size_t left = (size_t)(l->end - l->at), length = l->element.length, header = 0;

	if (left == 0)
		return END;
	if (length == FIELD_VARIABLE) {
		length = l->at[0];
		header = 1;
		if (length == 255) {
			if (left < 3)
				return ERR_FORMAT;
			length = get_be16(l->at + 1);
			header = 3;
		}
	}
	if (length > left - header)
		return ERR_FORMAT;
	*out = span_of(l->at + header, length);
	l->at += header + length;
	return OK;
}

enum status list_next_block(struct list *l, uint16_t *template_id, struct span *records)
{
	const size_t left = (size_t)(l->end - l->at);

	if (left == 0)
		return END;
	if (left < BLOCK_HEADER)
		return ERR_FORMAT;

	size_t length = get_be16(l->at + 2);
	if (length == 0)
		length = BLOCK_HEADER;
	if (length < BLOCK_HEADER || length > left)
		return ERR_FORMAT;
	*template_id = get_be16(l->at);
	*records = span_of(l->at + BLOCK_HEADER, length - BLOCK_HEADER);
	l->at += length;
	return OK;
}
