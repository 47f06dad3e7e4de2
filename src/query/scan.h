/* scan.h: all records of a store's last look, once through, by as many threads as there are processors: those
 * that pass a filter are given to whoever sums them up or picks from them. No database has a part in it. */
#pragma once

#include <stdatomic.h>

#include "query/ask.h"
#include "query/sieve.h"
#include "store/reading.h"

enum { SCAN_THREADS_MAX = 8 };

/* What is done with the records: `count` copies of it, one for each thread. */
struct scan_taker {
	void *arg;
	/* Behind the rows that could pass: `bits` a bit a row, `passed` of them set, at least one. */
	enum status (*take)(void *arg, const struct columns *columns, const uint64_t *bits, uint32_t passed,
			    struct error *err);
	/* No row of these can be of interest any more: they are not read. NULL: all are. */
	bool (*skip)(void *arg, const struct columns *columns);
};

struct scan {
	const struct store *store;
	const struct ask *ask;       /* filter and times */
	const struct wanted *wanted; /* with all that the takers' expressions ask for */
	uint64_t records;            /* about how many there are */
	const atomic_bool *stop;     /* NULL: never */
};

/* How many takers such a scan will use, at most SCAN_THREADS_MAX. */
uint32_t scan_threads(const struct scan *scan);

/* ERR_UNSUPPORTED: something in the store or the filter is for DuckDB to read; ERR_SYSTEM "interrupted"; what
 * reading.h and the takers answer. */
MUST_CHECK enum status scan_run(const struct scan *scan, const struct scan_taker *takers, uint32_t count,
				struct error *err);
