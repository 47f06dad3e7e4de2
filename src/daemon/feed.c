#include "daemon/feed.h"

#include <stdlib.h>

enum { TURN = 256 }; /* messages of one worker before the next one's */

struct feed {
	struct journal_reader *reader[JOURNAL_WORKERS];
	uint32_t count;
	uint32_t at;   /* whose turn it is */
	uint32_t left; /* of the turn */
};

enum status feed_open(struct feed **out, const char *store, uint32_t workers,
		      const struct journal_position from[JOURNAL_WORKERS], bool accepted_only,
		      struct error *err)
{
	uint32_t list[JOURNAL_WORKERS], count = 0, next = 0;
	struct feed *f = calloc(1, sizeof *f);
	enum status st = f ? journal_list_workers(store, list, &count, err)
			   : error_set(err, ERR_MEMORY, "journal: no memory");

	for (uint32_t i = 0; st == OK && i < JOURNAL_WORKERS; i++) {
		while (next < count && list[next] < i)
			next++;
		if (i >= workers && (next == count || list[next] != i))
			continue;

		const struct journal_position p = {i, from[i].segment, from[i].offset};
		st = journal_reader_open(&f->reader[f->count], store, p, accepted_only, err);
		if (st == OK)
			f->count++;
	}
	if (st != OK) {
		feed_close(f);
		return st;
	}
	f->left = TURN;
	*out = f;
	return OK;
}

void feed_close(struct feed *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->count; i++)
		journal_reader_close(f->reader[i]);
	free(f);
}

enum status feed_next(struct feed *f, struct journal_entry *out, struct error *err)
{
	for (uint32_t empty = 0; empty < f->count;) {
		const enum status st = f->left ? journal_read(f->reader[f->at], out, err) : END;

		if (st == OK || st == ERR_FORMAT) {
			f->left--;
			return st;
		}
		if (st != END) { /* the next call asks another one */
			f->at = (f->at + 1) % f->count;
			return st;
		}
		empty = f->left ? empty + 1 : 0;
		f->at = (f->at + 1) % f->count;
		f->left = TURN;
	}
	return END;
}
