#include "parquet/page.h"

#include "parquet/thrift_read.h"
#include "parquet/types.h"

static void parse_dictionary(struct page *p, struct thrift_reader *r, unsigned type)
{
	struct thrift_field f = {0};

	if (!thrift_get_struct(r, type))
		return;
	while (thrift_next(r, &f))
		switch (f.id) {
		case 1: p->values = thrift_get_number(r, f.type); break;
		case 2: p->encoding = thrift_get_number(r, f.type); break;
		default: thrift_skip(r, f.type); break;
		}
}

static void parse_data(struct page *p, struct thrift_reader *r, unsigned type)
{
	struct thrift_field f = {0};

	if (!thrift_get_struct(r, type))
		return;
	while (thrift_next(r, &f))
		switch (f.id) {
		case 1: p->values = thrift_get_number(r, f.type); break;
		case 2: p->nulls = thrift_get_number(r, f.type); break;
		case 3: p->rows = thrift_get_number(r, f.type); break;
		case 4: p->encoding = thrift_get_number(r, f.type); break;
		case 5: p->levels = thrift_get_number(r, f.type); break;
		case 6: p->repetitions = thrift_get_number(r, f.type); break;
		case 7: p->compressed = thrift_get_bool(r, f.type); break;
		default: thrift_skip(r, f.type); break;
		}
}

bool page_parse(struct page *p, const uint8_t *from, size_t length)
{
	struct thrift_reader r = thrift_read(from, length);
	struct thrift_field f = {0};

	*p = (struct page){-1, -1, -1, -1, -1, -1, -1, -1, -1, true, NULL};
	while (thrift_next(&r, &f))
		switch (f.id) {
		case 1: p->type = thrift_get_number(&r, f.type); break;
		case 2: p->unpacked = thrift_get_number(&r, f.type); break;
		case 3: p->packed = thrift_get_number(&r, f.type); break;
		case 7: parse_dictionary(p, &r, f.type); break;
		case 8: parse_data(p, &r, f.type); break;
		default: thrift_skip(&r, f.type); break;
		}
	p->content = r.at;
	return !r.bad && (p->type == PAGE_DICTIONARY || p->type == PAGE_DATA_V2) && p->unpacked >= 0 &&
	       p->unpacked <= INT32_MAX && p->packed >= 0 && p->packed <= r.end - r.at && p->values >= 0 &&
	       p->encoding >= 0;
}
