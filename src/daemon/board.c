#include "daemon/board.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

const char *const role_names[ROLE_COUNT] = {
	[ROLE_LOADER] = "loader", [ROLE_PRINTER] = "printer", [ROLE_ASKER] = "asker"};

struct board *board_new(void)
{
	struct board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return b == MAP_FAILED ? NULL : b;
}

void board_free(struct board *b)
{
	if (b)
		munmap(b, sizeof *b);
}

void page_put(struct page *p, const char *text, size_t length)
{
	const uint32_t next = atomic_load(&p->serial) + 1;

	if (length > PAGE_MAX)
		length = 0; /* half a metric would be worse than none */
	memcpy(p->text[next & 1], text, length);
	p->length[next & 1] = (uint32_t)length;
	atomic_store(&p->serial, next);
}

void page_get(const struct page *p, struct text *out)
{
	const size_t before = out->used;

	for (int tries = 0; tries < 8; tries++) {
		const uint32_t serial = atomic_load(&p->serial);
		const uint32_t length = p->length[serial & 1];

		out->used = before;
		text_put(out, p->text[serial & 1], length <= PAGE_MAX ? length : 0);
		if (atomic_load(&p->serial) == serial)
			return;
	}
	out->used = before;
}

void role_failing(struct role_board *r, const char *fault)
{
	snprintf(r->fault, sizeof r->fault, "%s", fault);
	atomic_store(&r->failing, true);
}

void role_well(struct role_board *r)
{
	atomic_store(&r->failing, false);
}
