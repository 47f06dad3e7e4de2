/* The loader's process: journal -> records -> partitions. Reads the journal, writes the store, knows no
 * network. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "daemon/roles.h"

#ifdef WEIR_STORE
#include "daemon/ledger_page.h"
#include "store/journal_source.h"
#include "store/loader.h"
#include "store/manifest.h"

enum {
	PULL = 2048,      /* messages in a turn */
	IDLE_MS = 50,     /* until the journal is looked at again */
	RETRY_MS = 1000,  /* after a failure */
	HOUSE_MS = 30000, /* retention, when nothing comes */
	METRICS_MS = 1000,
	NICENESS = 5, /* who receives goes first: the journal waits, the network does not */
};

struct loading {
	const struct role_context *context;
	struct role_board *board;
	struct loader *loader;
	struct journal_source *source;
	struct input journal, input; /* as it is; counted */
	struct ledger_page *page;
	uint64_t kernel_drops; /* that the loader knows of */
	struct mono_ns metrics, house;
};

static enum status next_message(void *arg, struct input_message *out, struct error *err)
{
	struct loading *l = arg;
	const enum status st = l->journal.next(l->journal.arg, out, err);

	if (st == OK)
		role_read(l->board,
			  (struct journal_position){out->next.worker, out->next.segment, out->next.offset},
			  out->octets.length, wall_ms(out->received));
	return st;
}

/* What lies in partitions needs no journal any more. */
static void release(struct loading *l)
{
	const struct manifest *m = loader_manifest(l->loader);
	struct error err;

	for (uint32_t i = 0; i < JOURNAL_WORKERS; i++) {
		const struct input_position p = m->positions[i];

		if (p.segment == 0)
			continue;
		atomic_store(&l->board->kept[i], board_position(p.segment, p.offset));
		if (l->journal.release(l->journal.arg, p, &err) != OK)
			log_warn(l->context->options->log, "journal: %s", err.text);
	}
}

static enum status flush(struct loading *l, struct error *err)
{
	const enum status st = loader_flush(l->loader, wall_ms(wall_now()), err);

	l->house = mono_now();
	if (st != OK) {
		if (!atomic_load(&l->board->failing))
			log_error(l->context->options->log, "%s; tried again each second", err->text);
		atomic_fetch_add(&l->board->flush_failures, 1);
		role_failing(l->board, err->text);
		return st;
	}
	if (atomic_load(&l->board->failing))
		log_info(l->context->options->log, "the loader writes partitions again");
	atomic_fetch_add(&l->board->flushes, 1);
	role_well(l->board);
	release(l);
	return OK;
}

static void tell(struct loading *l, bool now)
{
	const uint64_t drops = atomic_load(&l->context->board->kernel_drops);

	if (!now && mono_now().ns - l->metrics.ns < METRICS_MS * NS_PER_MS)
		return;
	l->metrics = mono_now();
	if (drops > l->kernel_drops)
		loader_add_kernel_drops(l->loader, drops - l->kernel_drops);
	l->kernel_drops = drops;
	ledger_page_make(l->page, l->loader, l->context->options->log, &l->board->metrics);
}

static void pause_ms(int64_t ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};

	nanosleep(&t, NULL);
}

/* Nothing waits to be written, and the house was not looked after for a while. */
static bool house_is_due(const struct loading *l)
{
	uint64_t records = 0;

	for (uint32_t i = 0; loader_rows(l->loader, false, i); i++)
		records +=
			loader_rows(l->loader, false, i)->records + loader_rows(l->loader, true, i)->records;
	return records == 0 && mono_now().ns - l->house.ns >= HOUSE_MS * NS_PER_MS;
}

/* True: go on. */
static bool turn(struct loading *l)
{
	const bool finish = atomic_load(&l->context->board->finish);
	struct error err = {""};
	enum status st = loader_pull(l->loader, &l->input, PULL, &err);

	role_beat(l->board);
	if (st != OK && st != END && st != AGAIN) {
		if (!atomic_load(&l->board->failing))
			log_error(l->context->options->log, "the loader cannot read on: %s", err.text);
		role_failing(l->board, err.text);
		pause_ms(RETRY_MS);
	}
	if (st == AGAIN || loader_due(l->loader, wall_ms(wall_now())) || (st == END && house_is_due(l))) {
		if (flush(l, &err) != OK) {
			if (finish)
				return false; /* it stays in the journal */
			pause_ms(RETRY_MS);
		}
		st = OK;
	}
	tell(l, false);
	if (st != END)
		return true;
	if (finish)
		return false;
	pause_ms(IDLE_MS);
	return true;
}

static enum status open_loading(struct loading *l, struct error *err)
{
	const struct collector_options *o = l->context->options;
	const struct loader_options options = {
		.store = l->context->store,
		.flush_records = o->flush_records,
		.flush_age_ms = o->flush_age_ms,
		.lift_records = o->lift_records,
		.ignore_port = o->ignore_port,
		.seed = l->context->seed,
		.retain_ms = o->retain_ms,
		.retain_octets = o->retain_octets,
		.log = o->log,
	};
	struct input_position from[INPUT_WORKERS_MAX];
	enum status st = loader_open(&l->loader, &options, err);

	if (st != OK)
		return st;
	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++) {
		const struct input_position p = loader_position(l->loader, i);
		from[i] = p;
		atomic_store(&l->board->read[i], board_position(p.segment, p.offset));
		atomic_store(&l->board->kept[i], board_position(p.segment, p.offset));
	}
	st = journal_source_open(&l->source, &l->journal, l->context->store, from, true, err);
	if (st == OK && !(l->page = ledger_page_new()))
		st = error_set(err, ERR_MEMORY, "loader: no memory");
	return st;
}

int loader_role(void *arg)
{
	struct loading l = {.context = arg, .input = {.next = next_message}};
	struct error err = {""};
	int status = 1;

	l.board = &l.context->board->role[ROLE_LOADER];
	l.input.arg = &l;
	(void)!setpriority(PRIO_PROCESS, 0, NICENESS);
	loader_keep_memory();
	if (open_loading(&l, &err) == OK) {
		role_well(l.board);
		tell(&l, true); /* what comes from now on is news for the log */
		while (turn(&l))
			;
		tell(&l, true);
		status = flush(&l, &err) == OK ? 0 : 1;
		tell(&l, true);
	} else {
		log_error(l.context->options->log, "%s", err.text);
		role_failing(l.board, err.text);
	}
	journal_source_close(l.source);
	loader_close(l.loader);
	ledger_page_free(l.page);
	return status;
}

#else

int loader_role(void *arg)
{
	return 0;
}

#endif
