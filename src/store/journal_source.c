#include "store/journal_source.h"

#include <stdlib.h>
#include <string.h>

#include "collect/journal_reader.h"

_Static_assert((int)INPUT_WORKERS_MAX == (int)JOURNAL_WORKERS, "one position for each worker");
_Static_assert((int)INPUT_UDP == (int)JOURNAL_UDP && (int)INPUT_FILE == (int)JOURNAL_FILE &&
		       (int)INPUT_DTLS_SCTP == (int)JOURNAL_DTLS_SCTP,
	       "transports have the journal's numbers");

struct journal_source {
	char *store;
	bool accepted_only;
	struct input_position positions[INPUT_WORKERS_MAX];
	struct journal_reader *readers[INPUT_WORKERS_MAX];
	uint32_t workers[INPUT_WORKERS_MAX];
	uint32_t count;
	uint32_t at;   /* which of them is read */
	uint32_t idle; /* so many in a row had nothing */
};

/* Readers for the workers that have none yet. */
static enum status find_workers(struct journal_source *s, struct error *err)
{
	uint32_t workers[JOURNAL_WORKERS], count = 0;
	enum status status = journal_list_workers(s->store, workers, &count, err);

	for (uint32_t i = 0; status == OK && i < count; i++) {
		const uint32_t w = workers[i];
		const struct input_position *p = w < INPUT_WORKERS_MAX ? &s->positions[w] : NULL;

		if (!p || s->readers[w])
			continue;
		status = journal_reader_open(&s->readers[w], s->store,
					     (struct journal_position){w, p->segment, p->offset},
					     s->accepted_only, err);
		if (status == OK)
			s->workers[s->count++] = w;
	}
	return status;
}

static void fill(struct input_message *out, const struct journal_entry *e)
{
	const struct journal_session *session = e->session;

	*out = (struct input_message){.octets = e->octets,
				      .received = e->received,
				      .peer = {.address = session->address,
					       .number = session->number,
					       .scope = session->scope,
					       .port = session->port,
					       .local_port = session->local_port,
					       .transport = session->transport},
				      .next = {e->next.worker, e->next.segment, e->next.offset}};
}

static enum status source_next(void *arg, struct input_message *out, struct error *err)
{
	struct journal_source *s = arg;

	if (s->idle >= s->count) {
		const enum status status = find_workers(s, err);

		if (status != OK)
			return status;
		s->idle = 0;
	}
	while (s->idle < s->count) {
		struct journal_entry entry;
		const enum status status = journal_read(s->readers[s->workers[s->at]], &entry, err);

		if (status == OK) {
			s->idle = 0;
			fill(out, &entry);
			return OK;
		}
		if (status != END)
			return status;
		s->idle++;
		s->at = (s->at + 1) % s->count;
	}
	return END;
}

static enum status source_release(void *arg, struct input_position p, struct error *err)
{
	const struct journal_source *s = arg;

	return journal_release(s->store, (struct journal_position){p.worker, p.segment, p.offset}, NULL, err);
}

enum status journal_source_open(struct journal_source **out, struct input *input, const char *store,
				const struct input_position positions[INPUT_WORKERS_MAX], bool accepted_only,
				struct error *err)
{
	struct journal_source *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s || !(s->store = strdup(store))) {
		free(s);
		return error_set(err, ERR_MEMORY, "journal of %s: no memory", store);
	}
	s->accepted_only = accepted_only;
	memcpy(s->positions, positions, sizeof s->positions);

	const enum status status = find_workers(s, err);
	if (status != OK) {
		journal_source_close(s);
		return status;
	}
	*input = (struct input){.arg = s, .next = source_next, .release = source_release};
	*out = s;
	return OK;
}

void journal_source_close(struct journal_source *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		journal_reader_close(s->readers[s->workers[i]]);
	free(s->store);
	free(s);
}
