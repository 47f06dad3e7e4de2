#include "store/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/time.h"
#include "store/folder.h"
#include "store/keep.h"
#include "store/lift.h"
#include "store/loader_state.h"
#include "store/options.h"
#include "store/row_source.h"

enum {
	LIST_TEXT = 1 << 20,
	PLAN_FIELDS_MAX = 1 << 17,
	WIDE_RECORDS = 1000000, /* in smaller row groups: with more, the footer gets too long */
};

/* Sessions. */

static struct peer **bucket_of(const struct loader *l, const struct input_peer *key)
{
	return &l->buckets[XXH3_64bits_withSeed(key, sizeof *key, l->options.seed) & (PEER_BUCKETS - 1)];
}

static void use_unlink(struct loader *l, struct peer *p)
{
	*(p->newer ? &p->newer->older : &l->newest) = p->older;
	*(p->older ? &p->older->newer : &l->oldest) = p->newer;
}

static void use_link(struct loader *l, struct peer *p)
{
	p->newer = NULL;
	p->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = p;
	l->newest = p;
}

static void end_peer(struct loader *l, struct peer *p)
{
	struct peer **at = bucket_of(l, &p->key);

	while (*at != p)
		at = &(*at)->chain;
	*at = p->chain;
	use_unlink(l, p);
	l->peer_count--;
	waiting_drop(&l->waiting, p);
	ledger_forget(&l->forgotten, p);
	l->totals.sessions_forgotten++;
	l->templates_changed |= p->template_count > 0;
	peer_free(p);
}

struct peer *loader_peer(struct loader *l, const struct input_peer *from)
{
	const struct session_limits limits = session_limits_default(l->options.seed);
	struct input_peer key = *from;
	struct peer *p;

	if (l->options.ignore_port && key.transport == INPUT_UDP)
		key.port = 0;
	for (p = *bucket_of(l, &key); p; p = p->chain) {
		if (memcmp(&p->key, &key, sizeof key) == 0) {
			if (p != l->newest) {
				use_unlink(l, p);
				use_link(l, p);
			}
			return p;
		}
	}
	if (l->peer_count >= l->options.peers) {
		if (l->oldest->epoch == l->epoch)
			return NULL; /* all have records in the batch */
		end_peer(l, l->oldest);
	}
	if (peer_new(&p, &key, &limits) != OK)
		return NULL;
	p->chain = *bucket_of(l, &key);
	*bucket_of(l, &key) = p;
	use_link(l, p);
	l->peer_count++;
	return p;
}

/* What a session hands out. */

static void on_template(void *arg, const struct message_header *header, const struct template_record *record,
			enum template_outcome outcome, const struct template *t)
{
	struct loader *l = arg;

	l->templates_changed |= peer_template_note(l->peer, header, record, outcome, l->now_ms);
}

static void on_undecoded(void *arg, const struct message_header *header, const struct set *set)
{
	struct loader *l = arg;

	waiting_put(&l->waiting, l->peer, header, set, l->now_ms);
}

static enum status place(struct loader *l, struct plan *plan, struct origin *origin,
			 const struct message_header *header, const struct template_store *store,
			 struct span records, uint32_t count)
{
	struct rows *batches = l->rows[plan->template->scope_count > 0];
	enum status s = ERR_LIMIT;

	for (unsigned i = 0; s == ERR_LIMIT && i < BATCHES; i++) {
		s = rows_add(&batches[i], plan, origin, header, l->now_ms, records, count, &l->printer,
			     store);
		l->full |= s == ERR_LIMIT;
	}
	return s;
}

static void on_data(void *arg, const struct message_header *header, const struct template *t,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct loader *l = arg;
	struct origin *origin = peer_origin(l->peer, header->domain);

	if (origin && t->scope_count)
		options_understand(origin, &l->elements, t, records, l->printer.places);

	struct plan *plan = origin ? peer_plan(l->peer, t, &l->elements, &l->plan_fields) : NULL;
	if (!plan || place(l, plan, origin, header, store, records, count) != OK) {
		l->totals.unplaced += count;
		return;
	}
	l->peer->epoch = l->epoch;
	if (!l->begun_ms)
		l->begun_ms = l->now_ms;
}

static enum status try_late(void *arg, const struct waiting_set *w)
{
	struct loader *l = arg;
	const struct set set = {.id = w->set_id, .records = span_of(w->octets, w->length)};
	const int64_t now = l->now_ms;

	l->now_ms = w->received_ms;
	const enum status s = session_late_set(l->peer->session, &w->header, &set, &l->sink);
	l->now_ms = now;
	return s;
}

static bool is_full(const struct loader *l)
{
	uint64_t records = 0, octets = 0;
	bool wide = false;

	for (unsigned i = 0; i < 2 * BATCHES; i++) {
		const struct rows *r = &l->rows[i / BATCHES][i % BATCHES];

		records += r->records;
		octets += r->octets;
		wide |= r->schema.count > PARTITION_WIDE && r->records >= WIDE_RECORDS;
	}
	return l->full || wide || records >= l->options.flush_records || octets >= l->options.flush_octets ||
	       l->plan_fields > PLAN_FIELDS_MAX;
}

/* Once a minute of receipt: templates of sessions over UDP that nobody has given again. */
static void expire_templates(struct loader *l, int64_t now_ms)
{
	if (now_ms - l->expired_ms < EXPIRE_EVERY_MS || l->options.template_lifetime_ms < 0)
		return;
	l->expired_ms = now_ms;
	for (struct peer *p = l->newest; p; p = p->older)
		if (peer_rules(p->key.transport) == TEMPLATE_RULES_DATAGRAM &&
		    peer_expire(p, now_ms - l->options.template_lifetime_ms))
			l->templates_changed = true;
}

/* What of the ledger has a time. */
static void hear(struct loader *l, struct span message, const struct session_stats *before)
{
	const struct session_stats *now = session_stats(l->peer->session);
	struct peer *p = l->peer;

	if (message.length < IPFIX_HEADER_LENGTH || now->messages == before->messages)
		return;
	const uint32_t domain = get_be32(message.data + 12);
	for (uint32_t i = 0; i < p->origin_count; i++) {
		struct origin *o = p->origins[(p->origin_last + i) % p->origin_count];

		if (o->domain != domain)
			continue;
		hearing_note(&l->hearing, o, get_be32(message.data + 4),
			     (int64_t)(now->sequence.lost - before->sequence.lost),
			     now->options_records > before->options_records);
		return;
	}
}

enum status loader_take(struct loader *l, const struct input_message *m)
{
	const int64_t now_ms = wall_ms(m->received);

	if (is_full(l))
		return AGAIN;
	l->peer = loader_peer(l, &m->peer);
	if (!l->peer) {
		if (l->peer_count >= l->options.peers) {
			l->full = true;
			return AGAIN;
		}
		l->totals.unplaced++;
	} else {
		const struct session_stats before = *session_stats(l->peer->session);

		l->now_ms = now_ms;
		l->peer->news = false;
		session_message(l->peer->session, m->octets, now_ms, &l->sink);
		hear(l, m->octets, &before);
		if (l->peer->news && l->peer->waiting.sets)
			waiting_retry(&l->waiting, l->peer, try_late, l);
		if (l->waiting.first)
			waiting_expire(&l->waiting, now_ms - l->waiting.limits.patience_ms);
		expire_templates(l, now_ms);
	}
	l->positions[m->next.worker % INPUT_WORKERS_MAX] = m->next;
	l->taken = true;
	return OK;
}

enum status loader_pull(struct loader *l, const struct input *input, uint64_t limit, struct error *err)
{
	while (limit--) {
		struct input_message m;
		enum status s;

		if (is_full(l))
			return AGAIN;
		s = input->next(input->arg, &m, err);
		if (s == ERR_FORMAT) {
			l->totals.input_damaged++;
			log_warn(l->options.log, "store %s: %s", l->store, err ? err->text : "damaged input");
			continue;
		}
		if (s != OK)
			return s;
		s = loader_take(l, &m);
		if (s == AGAIN && l->options.read_only)
			return AGAIN;
		if (s == AGAIN) { /* more sessions than are kept: write, then there is room */
			s = loader_flush(l, wall_ms(wall_now()), err);
			if (s == OK)
				s = loader_take(l, &m);
		}
		if (s != OK)
			return s;
	}
	return OK;
}

bool loader_due(const struct loader *l, int64_t now_ms)
{
	return is_full(l) || (l->begun_ms && now_ms - l->begun_ms >= l->options.flush_age_ms);
}

/* Writing. */

/* The columns of the file: without those that have one value. */
static enum status schema_of_file(struct loader *l, struct rows *r, uint32_t number, struct schema *out,
				  struct constants *lifted, struct error *err)
{
	char function[32];
	enum status s = OK;

	snprintf(function, sizeof function, "rows_%u", number);
	if (r->records >= l->options.lift_records)
		s = lift_constants(lifted, r, l->duck.connection, function, err);
	for (uint32_t i = 0; s == OK && i < r->schema.count; i++) {
		const struct column *c = &r->schema.columns[i];

		if (!constants_find(lifted, c->name) &&
		    schema_add(out, c->name, (enum column_kind)c->kind, UINT32_MAX) < 0)
			s = error_set(err, ERR_MEMORY, "no memory for %u columns", r->schema.count);
	}
	return s;
}

static enum status write_columns(struct loader *l, struct rows *r, uint32_t number, struct partition *p,
				 struct constants *lifted, struct error *err)
{
	struct batch_source batch = {0};
	struct schema schema = {0};
	enum status s = schema_of_file(l, r, number, &schema, lifted, err);

	if (s == OK && batch_source_init(&batch, r, &schema) != OK)
		s = error_set(err, ERR_MEMORY, "no memory for %u columns", schema.count);
	if (s == OK)
		s = partition_write(l->store, &schema, &batch.source, p, err);
	batch_source_fini(&batch);
	schema_fini(&schema);
	return s;
}

static enum status write_rows(struct loader *l, struct rows *r, bool options, uint32_t number,
			      struct error *err)
{
	struct partition p = {.options = options, .records = r->records};
	struct constants lifted = {0};
	int32_t layout;

	rows_seal(r);
	manifest_name(&l->manifest, options, r->received_last_ms, p.path);
	enum status s = write_columns(l, r, number, &p, &lifted, err);
	if (s == OK && manifest_set_constants(&l->manifest, &p, &lifted) != OK)
		s = error_set(err, ERR_MEMORY, "store %s: no memory for its manifest", l->store);
	constants_fini(&lifted);
	if (s != OK)
		return s;
	p.first_ms = r->first_ms;
	p.last_ms = r->last_ms;
	p.received_first_ms = r->received_first_ms;
	p.received_last_ms = r->received_last_ms;
	layout = manifest_layout(&l->manifest, &r->schema);
	if (layout < 0)
		return error_set(err, ERR_MEMORY, "store %s: no memory for its manifest", l->store);
	p.layout = (uint32_t)layout;
	return manifest_add(&l->manifest, &p);
}

enum faults { FAULTS_FORGET, FAULTS_BOOK, FAULTS_TAKE_BACK };

/* What is counted while the batch is written: into the ledger, or out of it again when that is not saved. */
static void each_fault(struct loader *l, enum faults what)
{
	for (struct peer *p = l->newest; p; p = p->older) {
		for (uint32_t i = 0; p->epoch == l->epoch && i < p->origin_count; i++) {
			struct origin *o = p->origins[i];

			for (unsigned k = 0; k < VALUE_FAULT_COUNT; k++) {
				if (what == FAULTS_FORGET)
					o->batch_faults[k] = 0;
				else if (what == FAULTS_BOOK)
					o->faults[k] += o->batch_faults[k];
				else
					o->faults[k] -= o->batch_faults[k];
			}
		}
	}
}

/* The batch is in the store: begin another. */
static void begin_batch(struct loader *l)
{
	for (unsigned i = 0; i < 2 * BATCHES; i++)
		rows_reset(&l->rows[i / BATCHES][i % BATCHES]);
	if (l->plan_fields > PLAN_FIELDS_MAX) {
		for (struct peer *p = l->newest; p; p = p->older)
			peer_drop_plans(p);
		l->plan_fields = 0;
	}
	l->epoch++;
	l->begun_ms = 0;
	l->full = false;
	l->taken = false;
}

/* What a failed step added to the manifest in memory goes again; names are not used twice. When the manifest
 * was tried, it may be the one on disk all the same, and name the files: then they go after the next that
 * succeeds. */
static void take_back(struct loader *l, uint32_t partitions, bool tried, int64_t now_ms)
{
	struct manifest *m = &l->manifest;

	while (m->partition_count > partitions) {
		const char *name = m->partitions[--m->partition_count].path;
		char path[STORE_PATH_MAX];

		if (tried)
			(void)!manifest_leave(m, name, now_ms);
		else if (path_format(path, "%s/%s", l->store, name) == OK)
			unlink(path);
	}
}

static enum status flush_all(struct loader *l, struct error *err)
{
	for (unsigned i = 0; i < 2 * BATCHES; i++) {
		struct rows *r = &l->rows[i / BATCHES][i % BATCHES];
		enum status s;

		if (r->records == 0)
			continue;
		l->totals.columns_left_out += r->columns_left_out;
		r->columns_left_out = 0;
		s = write_rows(l, r, i / BATCHES == 1, i, err);
		if (s != OK)
			return s;
	}
	return OK;
}

enum status loader_flush(struct loader *l, int64_t now_ms, struct error *err)
{
	const uint32_t partitions = l->manifest.partition_count;
	bool tried = false;

	if (!l->taken) {
		keep_house(l, now_ms);
		return OK;
	}
	waiting_expire(&l->waiting, now_ms - l->waiting.limits.patience_ms);

	each_fault(l, FAULTS_FORGET);
	enum status s = flush_all(l, err);
	if (s == OK) {
		each_fault(l, FAULTS_BOOK);
		memcpy(l->manifest.positions, l->positions, sizeof l->positions);
		s = loader_save(l, err);
		tried = s == OK;
		if (tried)
			s = manifest_commit(&l->manifest, l->store, err);
		if (s != OK)
			each_fault(l, FAULTS_TAKE_BACK);
	}
	if (s != OK) {
		take_back(l, partitions, tried, now_ms);
		return error_prefix(err, s, "store %s", l->store);
	}
	begin_batch(l);
	keep_house(l, now_ms);
	return OK;
}

/* Beginning and end. */

static enum status take_lock(struct loader *l, struct error *err)
{
	char path[STORE_PATH_MAX];

	if (path_format(path, "%s/.loader", l->store) != OK)
		return error_set(err, ERR_LIMIT, "%s: the name is too long", l->store);
	l->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->lock < 0)
		return error_errno(err, "%s", path);
	if (flock(l->lock, LOCK_EX | LOCK_NB) == 0)
		return OK;
	return errno == EWOULDBLOCK
		       ? error_set(err, ERR_USAGE, "store %s: another process loads into it", l->store)
		       : error_errno(err, "%s: lock", path);
}

static enum status prepare_writer(struct loader *l, struct error *err)
{
	enum status s = folder_make(l->store, err);

	if (s == OK)
		s = take_lock(l, err);
	if (s == OK)
		s = duck_open(&l->duck, l->store, err);
	for (unsigned i = 0; s == OK && i < 2 * BATCHES; i++) {
		char name[32];

		snprintf(name, sizeof name, "rows_%u", i);
		s = rows_register(&l->rows[i / BATCHES][i % BATCHES], l->duck.connection, name, err);
	}
	return s;
}

static enum status prepare(struct loader *l, struct error *err)
{
	enum status s = OK;

	for (unsigned i = 0; i < 2 * BATCHES; i++)
		rows_init(&l->rows[i / BATCHES][i % BATCHES]);
	waiting_init(&l->waiting, &l->options.waiting);
	l->sink = (struct session_sink){
		.arg = l, .template = on_template, .data = on_data, .undecoded = on_undecoded};
	l->text = (struct text){.data = malloc(LIST_TEXT), .capacity = LIST_TEXT};
	l->buckets = calloc(PEER_BUCKETS, sizeof(struct peer *));
	l->epoch = 1;
	if (!l->text.data || !l->buckets || json_printer_init(&l->printer, &l->text) != OK)
		return error_set(err, ERR_MEMORY, "store %s: no memory", l->store);
	if (!l->options.read_only)
		s = prepare_writer(l, err);
	if (s == OK) {
		s = manifest_read(&l->manifest, l->store, err);
		s = s == END ? OK : s;
	}
	if (s == OK)
		s = loader_restore(l, err);
	if (s == OK && !l->options.read_only)
		s = keep_swept(l, err);
	return s;
}

enum status loader_open(struct loader **out, const struct loader_options *options, struct error *err)
{
	struct loader *l = calloc(1, sizeof *l);

	*out = NULL;
	if (!l || !(l->store = strdup(options->store))) {
		free(l);
		return error_set(err, ERR_MEMORY, "store %s: no memory", options->store);
	}
	l->options = *options;
	l->lock = -1;
	if (!l->options.flush_records)
		l->options.flush_records = FLUSH_RECORDS;
	if (!l->options.flush_octets)
		l->options.flush_octets = FLUSH_OCTETS;
	if (!l->options.flush_age_ms)
		l->options.flush_age_ms = FLUSH_AGE_MS;
	if (!l->options.template_lifetime_ms)
		l->options.template_lifetime_ms = TEMPLATE_LIFETIME_MS;
	if (!l->options.peers)
		l->options.peers = PEERS;
	if (!l->options.lift_records)
		l->options.lift_records = LIFT_RECORDS;
	if (!l->options.waiting.share)
		l->options.waiting = waiting_limits_default();

	const enum status s = prepare(l, err);
	if (s != OK) {
		loader_close(l);
		return s;
	}
	*out = l;
	return OK;
}

void loader_close(struct loader *l)
{
	if (!l)
		return;
	duck_close(&l->duck);
	for (unsigned i = 0; i < 2 * BATCHES; i++)
		rows_fini(&l->rows[i / BATCHES][i % BATCHES]);
	waiting_fini(&l->waiting);
	for (struct peer *p = l->newest, *older; p; p = older) {
		older = p->older;
		peer_free(p);
	}
	free(l->buckets);
	json_printer_fini(&l->printer);
	free(l->text.data);
	elements_fini(&l->elements);
	hearing_fini(&l->hearing);
	manifest_fini(&l->manifest);
	if (l->lock >= 0)
		close(l->lock);
	free(l->store);
	free(l);
}

void loader_keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

struct input_position loader_position(const struct loader *l, uint32_t worker)
{
	struct input_position p =
		worker < INPUT_WORKERS_MAX ? l->positions[worker] : (struct input_position){0};

	p.worker = worker;
	return p;
}

void loader_drop(struct loader *l)
{
	begin_batch(l);
}

void loader_add_kernel_drops(struct loader *l, uint64_t messages)
{
	l->totals.kernel_dropped += messages;
}

struct rows *loader_rows(struct loader *l, bool options, uint32_t i)
{
	return i < BATCHES ? &l->rows[options][i] : NULL;
}

const struct hearing *loader_hearing(const struct loader *l)
{
	return &l->hearing;
}

const struct manifest *loader_manifest(const struct loader *l)
{
	return &l->manifest;
}
