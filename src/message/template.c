#include "message/template.h"

#include <stdlib.h>

#include "ie/value.h"

static const struct {
	const char *name, *text;
} outcomes[TEMPLATE_OUTCOME_COUNT] = {
#define OUTCOME(constant, name, text) [TEMPLATE_##constant] = {name, text},
	TEMPLATE_OUTCOMES(OUTCOME)
#undef OUTCOME
};

const char *template_outcome_name(enum template_outcome outcome)
{
	return outcomes[outcome].name;
}

const char *template_outcome_text(enum template_outcome outcome)
{
	return outcomes[outcome].text;
}

/* Set 2 and 3 in, records out. */

enum { SPECIFIER_LENGTH = 4, ENTERPRISE_LENGTH = 4, ENTERPRISE_BIT = 0x8000 };

struct template_reader template_reader_over(const struct set *set)
{
	return (struct template_reader){
		.at = set->records.data,
		.end = set->records.data + set->records.length,
		.options = set->id == SET_OPTIONS_TEMPLATE,
	};
}

/* Octets of the field specifier at `at`, 0 when it is cut. */
static size_t specifier_length(const uint8_t *at, const uint8_t *end)
{
	const size_t left = (size_t)(end - at);

	if (left < SPECIFIER_LENGTH)
		return 0;
	if (!(get_be16(at) & ENTERPRISE_BIT))
		return SPECIFIER_LENGTH;
	return left < SPECIFIER_LENGTH + ENTERPRISE_LENGTH ? 0 : SPECIFIER_LENGTH + ENTERPRISE_LENGTH;
}

enum status template_next(struct template_reader *r, struct template_record *out)
{
	if (r->end - r->at < 4)
		return END;
	*out = (struct template_record){
		.id = get_be16(r->at), .field_count = get_be16(r->at + 2), .options = r->options};
	if (out->id == 0 && out->field_count == 0)
		return END; /* zeros that pad the set: id 0 is no template */
	r->at += 4;
	if (out->field_count == 0)
		return OK;
	if (out->options) {
		if (r->end - r->at < 2)
			return ERR_FORMAT;
		out->scope_count = get_be16(r->at);
		r->at += 2;
	}

	const uint8_t *first = r->at;
	for (uint32_t i = 0; i < out->field_count; i++) {
		const size_t length = specifier_length(r->at, r->end);

		if (length == 0)
			return ERR_FORMAT;
		r->at += length;
	}
	out->fields = span_of(first, (size_t)(r->at - first));
	return OK;
}

/* One field specifier; returns what follows it. */
static const uint8_t *read_specifier(const uint8_t *at, struct template_field *f)
{
	const uint16_t word = get_be16(at);

	f->id = word & (uint16_t)~ENTERPRISE_BIT;
	f->length = get_be16(at + 2);
	f->pen = 0;
	at += SPECIFIER_LENGTH;
	if (word & ENTERPRISE_BIT) {
		f->pen = get_be32(at);
		at += ENTERPRISE_LENGTH;
	}
	return at;
}

/* The store: a hash table with chains. Templates of one domain also hang in a ring, so that a withdrawal of
 * all touches nothing else; the ring's head is an entry with id 0. */

struct template_store {
	enum template_rules rules;
	struct template_limits limits;
	struct template **buckets;
	uint32_t mask;
	uint32_t entries; /* templates and heads */
	uint32_t count;
	uint32_t fields;
	struct template *retired; /* by chain */
};

enum { BUCKETS_FIRST = 16 };

static uint64_t mix(uint64_t key, uint64_t seed)
{
	key ^= seed;
	key *= 0x9e3779b97f4a7c15u;
	key ^= key >> 32;
	key *= 0xd6e8feb86659fd93u;
	return key ^ key >> 29;
}

static struct template **bucket_of(const struct template_store *s, uint32_t domain, uint16_t id)
{
	return &s->buckets[mix((uint64_t)domain << 16 | id, s->limits.seed) & s->mask];
}

static struct template *find(const struct template_store *s, uint32_t domain, uint16_t id)
{
	struct template *t = *bucket_of(s, domain, id);

	while (t && (t->domain != domain || t->id != id))
		t = t->chain;
	return t;
}

static void insert(struct template_store *s, struct template *t)
{
	struct template **bucket = bucket_of(s, t->domain, t->id);

	t->chain = *bucket;
	*bucket = t;
	s->entries++;
}

static void unchain(struct template_store *s, const struct template *t)
{
	struct template **at = bucket_of(s, t->domain, t->id);

	while (*at != t)
		at = &(*at)->chain;
	*at = t->chain;
	s->entries--;
}

/* Twice the buckets. Without memory the table stays as it is and only gets slower. */
static void grow(struct template_store *s)
{
	struct template **old = s->buckets;
	const uint32_t old_count = s->mask + 1;

	struct template **more = calloc(2 * (size_t)old_count, sizeof *more);
	if (!more)
		return;
	s->buckets = more;
	s->mask = 2 * old_count - 1;
	s->entries = 0;
	for (uint32_t i = 0; i < old_count; i++) {
		for (struct template *t = old[i], *next; t; t = next) {
			next = t->chain;
			insert(s, t);
		}
	}
	free(old);
}

enum status template_store_new(struct template_store **out, enum template_rules rules,
			       const struct template_limits *limits)
{
	struct template_store *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s)
		return ERR_MEMORY;
	s->rules = rules;
	s->limits = *limits;
	s->mask = BUCKETS_FIRST - 1;
	s->buckets = calloc(BUCKETS_FIRST, sizeof(struct template *));
	if (!s->buckets) {
		free(s);
		return ERR_MEMORY;
	}
	*out = s;
	return OK;
}

struct template_store *template_store_free(struct template_store *s)
{
	if (!s)
		return NULL;
	template_store_settle(s);
	for (uint32_t i = 0; i <= s->mask; i++) {
		for (struct template *t = s->buckets[i], *next; t; t = next) {
			next = t->chain;
			free(t);
		}
	}
	free(s->buckets);
	free(s);
	return NULL;
}

void template_store_settle(struct template_store *s)
{
	for (struct template *t = s->retired, *next; t; t = next) {
		next = t->chain;
		free(t);
	}
	s->retired = NULL;
}

/* Take a template out of the table and keep it until settle; the head goes with the last of its domain. */
static void retire(struct template_store *s, struct template *t)
{
	struct template *head = NULL;

	unchain(s, t);
	s->count--;
	s->fields -= t->field_count;
	t->before->after = t->after;
	t->after->before = t->before;
	if (t->before == t->after && t->before->id == 0)
		head = t->before;
	t->chain = s->retired;
	s->retired = t;
	if (head) {
		unchain(s, head);
		free(head);
	}
}

/* Put a template that is in no table where it belongs. ERR_MEMORY: it could not be. */
static enum status add(struct template_store *s, struct template *t)
{
	struct template *head = find(s, t->domain, 0);

	if (!head) {
		head = calloc(1, sizeof *head);
		if (!head)
			return ERR_MEMORY;
		head->domain = t->domain;
		head->before = head->after = head;
		insert(s, head);
	}
	t->before = head->before;
	t->after = head;
	t->before->after = t;
	head->before = t;
	insert(s, t);
	s->count++;
	s->fields += t->field_count;
	if (s->entries > s->mask)
		grow(s);
	return OK;
}

/* Learning. */

static bool is_options(const struct template *t)
{
	return t->scope_count > 0;
}

static bool same_layout(const struct template *t, const struct template_record *r)
{
	const uint8_t *at = r->fields.data;

	if (t->field_count != r->field_count || t->scope_count != r->scope_count)
		return false;
	for (uint32_t i = 0; i < t->field_count; i++) {
		struct template_field f;

		at = read_specifier(at, &f);
		if (f.id != t->fields[i].id || f.pen != t->fields[i].pen || f.length != t->fields[i].length)
			return false;
	}
	return true;
}

/* Join fields with the same element into chains, scope fields apart from the others. `last` is a table of
 * `size` (a power of two above the field count) indices + 1, all 0. */
static void join_repeated(struct template *t, uint16_t *last, uint32_t size, uint64_t seed)
{
	for (uint16_t i = 0; i < t->field_count; i++) {
		struct template_field *f = &t->fields[i];
		const bool scope = i < t->scope_count;
		uint64_t slot = mix((uint64_t)f->pen << 17 | (uint64_t)f->id << 1 | scope, seed);

		for (;; slot++) {
			const uint16_t seen = last[slot & (size - 1)];
			struct template_field *earlier = seen ? &t->fields[seen - 1] : NULL;

			if (earlier && (earlier->pen != f->pen || earlier->id != f->id ||
					(seen - 1 < t->scope_count) != scope))
				continue;
			if (earlier) {
				earlier->next = i;
				f->again = true;
			}
			last[slot & (size - 1)] = (uint16_t)(i + 1);
			break;
		}
	}
}

/* Read the specifiers into `t`; TEMPLATE_NEW when the template can be used. */
static enum template_outcome fill(struct template *t, const struct template_record *r)
{
	const uint8_t *at = r->fields.data;
	uint32_t length = 0, empty = 0;

	for (uint32_t i = 0; i < r->field_count; i++) {
		struct template_field *f = &t->fields[i];

		at = read_specifier(at, f);
		f->offset = (uint16_t)length;
		t->variable |= f->length == FIELD_VARIABLE;
		empty += f->length == 0;
		length += f->length == FIELD_VARIABLE ? 1 : f->length;
		if (length > IPFIX_MESSAGE_MAX - IPFIX_HEADER_LENGTH - IPFIX_SET_HEADER_LENGTH)
			return TEMPLATE_TOO_LONG;
	}
	t->min_length = (uint16_t)length;
	if (length == 0)
		return TEMPLATE_EMPTY;
	return empty > TEMPLATE_EMPTY_FIELDS_MAX ? TEMPLATE_EMPTY_FIELDS : TEMPLATE_NEW;
}

static size_t key_room(size_t length)
{
	return (length + TEMPLATE_KEY_STEP - 1) / TEMPLATE_KEY_STEP * TEMPLATE_KEY_STEP;
}

static void resolve(struct template_field *f)
{
	const struct information_element *forward = f->pen == REVERSE_PEN ? ie_find(0, f->id) : NULL;

	f->reverse = forward != NULL;
	f->ie = forward ? forward : ie_find(f->pen, f->id);
}

/* The JSON key of a field, with its quotes and colon; returns its length. */
static uint8_t make_key(const struct template_field *f, char key[TEMPLATE_KEY_MAX])
{
	struct text text = {.data = key, .capacity = TEMPLATE_KEY_MAX};

	text_char(&text, '"');
	value_print_name(&text, f->ie, f->pen, f->id);
	text_put(&text, "\":", 2);
	return (uint8_t)text.used;
}

/* Write the keys behind the fields; `t` was made with room for them. */
static void fill_keys(struct template *t, char *at)
{
	for (uint32_t i = 0; i < t->field_count; i++) {
		struct template_field *f = &t->fields[i];
		char key[TEMPLATE_KEY_MAX];

		resolve(f);
		f->key_length = make_key(f, key);
		f->key = at;
		memcpy(at, key, f->key_length);
		at += key_room(f->key_length);
	}
}

/* Octets that the keys of a template record need. */
static size_t keys_length(const struct template_record *r)
{
	const uint8_t *at = r->fields.data;
	size_t length = 0;

	for (uint32_t i = 0; i < r->field_count; i++) {
		struct template_field f;
		char key[TEMPLATE_KEY_MAX];

		at = read_specifier(at, &f);
		resolve(&f);
		length += key_room(make_key(&f, key));
	}
	return length;
}

/* A new template that is in no table; NULL and the reason in *outcome when it is refused. */
static struct template *build(const struct template_store *s, uint32_t domain,
			      const struct template_record *r, enum template_outcome *outcome)
{
	struct template *t;
	uint32_t size = 16;

	while (size <= r->field_count)
		size *= 2;

	const size_t fields = sizeof *t + r->field_count * sizeof t->fields[0];
	t = calloc(1, fields + keys_length(r));
	uint16_t *last = calloc(size, sizeof *last);
	*outcome = TEMPLATE_NO_ROOM;
	if (t && last) {
		t->domain = domain;
		t->id = r->id;
		t->field_count = r->field_count;
		t->scope_count = r->scope_count;
		*outcome = fill(t, r);
		fill_keys(t, (char *)t + fields);
		if (*outcome == TEMPLATE_NEW)
			join_repeated(t, last, size, s->limits.seed);
	}
	free(last);
	if (*outcome != TEMPLATE_NEW) {
		free(t);
		return NULL;
	}
	return t;
}

static enum template_outcome withdraw(struct template_store *s, uint32_t domain,
				      const struct template_record *r)
{
	const uint16_t all = r->options ? SET_OPTIONS_TEMPLATE : SET_TEMPLATE;

	if (r->id < TEMPLATE_ID_FIRST && r->id != all)
		return TEMPLATE_BAD_ID;
	if (s->rules == TEMPLATE_RULES_DATAGRAM)
		return TEMPLATE_WITHDRAWAL_IGNORED;
	if (r->id == all) {
		struct template *head = find(s, domain, 0);
		struct template *t = head ? head->after : NULL;
		uint32_t left = head ? s->count : 0; /* the ring ends at the latest then */

		while (left-- && t->id != 0) {
			struct template *next = t->after;
			const bool last = next->id == 0 && t->before->id == 0;

			if (is_options(t) == r->options)
				retire(s, t);
			if (last)
				break; /* the head is gone, or nothing is behind */
			t = next;
		}
		return TEMPLATE_WITHDRAWN_ALL;
	}

	struct template *t = find(s, domain, r->id);
	if (!t || is_options(t) != r->options)
		return TEMPLATE_WITHDRAWAL_UNKNOWN;
	retire(s, t);
	return TEMPLATE_WITHDRAWN;
}

static enum template_outcome replace(struct template_store *s, uint32_t domain,
				     const struct template_record *r, struct template **out)
{
	struct template *old = find(s, domain, r->id);
	const bool replaces = old != NULL;
	enum template_outcome outcome = TEMPLATE_NO_ROOM;

	if (old)
		retire(s, old);
	*out = NULL;
	if (r->options && (r->scope_count == 0 || r->scope_count > r->field_count))
		return TEMPLATE_BAD_SCOPE;
	if (s->count >= s->limits.templates || r->field_count > s->limits.fields - s->fields)
		return TEMPLATE_NO_ROOM;

	struct template *t = build(s, domain, r, &outcome);
	if (!t)
		return outcome;
	if (add(s, t) != OK) {
		free(t);
		return TEMPLATE_NO_ROOM;
	}
	*out = t;
	return replaces ? TEMPLATE_REPLACED : TEMPLATE_NEW;
}

enum template_outcome template_store_learn(struct template_store *s, const struct message_header *header,
					   const struct template_record *r, int64_t now,
					   const struct template **out)
{
	struct template *t = NULL;
	enum template_outcome outcome;

	if (r->field_count == 0) {
		outcome = withdraw(s, header->domain, r);
	} else if (r->id < TEMPLATE_ID_FIRST) {
		outcome = TEMPLATE_BAD_ID;
	} else {
		t = find(s, header->domain, r->id);
		outcome = t && same_layout(t, r) ? TEMPLATE_SAME : replace(s, header->domain, r, &t);
	}
	if (t) {
		t->export_time = header->export_time;
		t->learned = now;
	}
	if (out)
		*out = t;
	return outcome;
}

const struct template *template_store_find(const struct template_store *s, uint32_t domain, uint16_t id)
{
	return id < TEMPLATE_ID_FIRST ? NULL : find(s, domain, id);
}

uint32_t template_store_expire(struct template_store *s, int64_t before)
{
	uint32_t gone = 0;

	for (uint32_t i = 0; i <= s->mask; i++) {
		struct template *t = s->buckets[i];

		while (t) {
			if (t->id == 0 || t->learned >= before) {
				t = t->chain;
				continue;
			}
			retire(s, t);
			gone++;
			t = s->buckets[i]; /* retire may have taken the neighbour, a head, with it */
		}
	}
	return gone;
}

uint32_t template_store_count(const struct template_store *s)
{
	return s->count;
}

uint32_t template_store_fields(const struct template_store *s)
{
	return s->fields;
}
