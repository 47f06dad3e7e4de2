/* ledger_page.h: the loader's ledger as metrics and as log lines.
 *
 * One family for each counter, one series for each exporter (address and transport) and observation domain:
 * sessions of one exporter are added up, so that a port that changes makes no new series. No more than
 * LEDGER_SERIES pairs of exporter and domain have series of their own; the rest is `exporter="other"`. */
#pragma once

#include "base/log.h"
#include "daemon/board.h"
#include "store/loader.h"

enum { LEDGER_SERIES = 256 };

struct ledger_page;

/* NULL: no memory. */
struct ledger_page *ledger_page_new(void);
void ledger_page_free(struct ledger_page *page);

/* Put the present ledger on the page; what grew among the losses goes to the log: a line for each kind, at
 * most one a minute. */
void ledger_page_make(struct ledger_page *page, struct loader *loader, const struct logger *log,
		      struct page *out);
