#include "export/record_selection.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ie/ie.h"

enum { VALUES_MAX = 16, NAME_MAX_OCTETS = 64, V4_OCTETS = 4, V6_OCTETS = 16, BITS = 8 };

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_OR_EQUAL, MORE, MORE_OR_EQUAL };

struct value {
	uint64_t number;
	uint8_t address[V6_OCTETS];
	uint8_t prefix; /* bits */
};

/* ELEMENT OP VALUE,… */
struct match {
	const struct information_element *ie;
	enum comparison comparison;
	bool address;
	uint32_t count;
	struct value value[VALUES_MAX];
};

/* Where a record of a layout has the element. */
struct place {
	uint16_t offset;
	uint8_t size; /* 0: nowhere */
	bool swapped; /* a number in network byte order */
};

struct record_selector {
	struct selector selector;
	uint32_t id;
	uint64_t threshold; /* probability, of 2^32 */
	struct match match;
	struct place place[FLOW_LAYOUT_ALLOWED];
	uint64_t observed, selected;
	uint64_t random;
	uint32_t position, wanted; /* in the present `of` records; of the rest of them */
};

struct record_selection {
	uint32_t count;
	struct record_selector of[CHAIN_MAX];
};

/* ---- reading ---- */

/* Longer ones first: "<" is the beginning of "<=". */
static const struct {
	const char *text;
	enum comparison comparison;
} operators[] = {{"!=", NOT_EQUAL}, {"<=", LESS_OR_EQUAL}, {">=", MORE_OR_EQUAL},
		 {"=", EQUAL},      {"<", LESS},           {">", MORE}};

static bool is_address(const struct information_element *ie)
{
	return ie->type == IE_IPV4_ADDRESS || ie->type == IE_IPV6_ADDRESS;
}

static uint8_t address_octets(const struct information_element *ie)
{
	return ie->type == IE_IPV4_ADDRESS ? V4_OCTETS : V6_OCTETS;
}

/* Numbers of a record, whatever they count: times are in it as numbers, too. */
static bool is_number(const struct information_element *ie)
{
	return (ie->type >= IE_UNSIGNED8 && ie->type <= IE_UNSIGNED64) ||
	       ie->type == IE_DATE_TIME_MILLISECONDS;
}

static bool read_number(uint64_t *out, const char *text)
{
	*out = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		const uint64_t digit = (uint64_t)(*text - '0');

		if (!isdigit((unsigned char)*text) || *out > (UINT64_MAX - digit) / 10)
			return false;
		*out = *out * 10 + digit;
	}
	return true;
}

static bool read_address(struct value *out, const struct information_element *ie, char *text)
{
	const uint8_t bits = (uint8_t)(address_octets(ie) * BITS);
	char *slash = strchr(text, '/');
	uint64_t prefix = bits;

	if (slash) {
		if (!read_number(&prefix, slash + 1) || prefix > bits)
			return false;
		*slash = 0;
	}
	out->prefix = (uint8_t)prefix;
	return inet_pton(ie->type == IE_IPV4_ADDRESS ? AF_INET : AF_INET6, text, out->address) == 1;
}

static enum status read_values(struct match *m, char *text, struct error *err)
{
	char *rest = text;

	for (char *one; (one = strsep(&rest, ","));) {
		struct value *v = &m->value[m->count];

		if (m->count == VALUES_MAX)
			return error_set(err, ERR_USAGE, "at most %d values", VALUES_MAX);
		if (!(m->address ? read_address(v, m->ie, one) : read_number(&v->number, one)))
			return error_set(err, ERR_USAGE, "\"%.64s\" is no value of %s: %s", one, m->ie->name,
					 m->address ? "an address or prefix is expected"
						    : "a whole number is expected");
		m->count++;
	}
	if (m->count > 1 && m->comparison > NOT_EQUAL)
		return error_set(err, ERR_USAGE, "several values go with = and != only");
	if (m->address && m->comparison > NOT_EQUAL)
		return error_set(err, ERR_USAGE, "addresses go with = and != only");
	return OK;
}

static enum status match_parse(struct match *m, const char *text, struct error *err)
{
	char name[NAME_MAX_OCTETS], values[SELECTOR_TEXT_MAX];
	const size_t length = strcspn(text, "=!<>");
	const char *at = text + length;
	size_t i = 0;

	*m = (struct match){0};
	while (i < sizeof operators / sizeof operators[0] &&
	       strncmp(at, operators[i].text, strlen(operators[i].text)) != 0)
		i++;
	if (length == 0 || length >= sizeof name || i == sizeof operators / sizeof operators[0])
		return error_set(err, ERR_USAGE, "ELEMENT=VALUE,… is expected, or != < <= > >=");
	memcpy(name, text, length);
	name[length] = 0;
	m->comparison = operators[i].comparison;
	m->ie = ie_find_name(name);
	if (!m->ie || m->ie->pen || !(is_address(m->ie) || is_number(m->ie)))
		return error_set(err, ERR_USAGE,
				 "%s is none of IANA's elements that are numbers or addresses", name);
	m->address = is_address(m->ie);
	snprintf(values, sizeof values, "%s", at + strlen(operators[i].text));
	return read_values(m, values, err);
}

static bool places_of(struct record_selector *s, const struct layout layout[static FLOW_LAYOUT_COUNT])
{
	bool any = false;

	for (uint32_t n = 0; n < FLOW_LAYOUT_ALLOWED; n++) {
		for (uint32_t i = 0; i < layout[n].field_count; i++) {
			const struct field *f = &layout[n].field[i];

			if (f->pen || f->element != s->match.ie->id || f->form == FORM_TEXT)
				continue;
			/* An address may be the beginning of a longer member. */
			s->place[n] =
				(struct place){.offset = f->offset,
					       .size = (uint8_t)(s->match.address ? f->length : f->size),
					       .swapped = f->form == FORM_OCTETS};
			any = true;
		}
	}
	return any;
}

/* Any record there is, of any form. */
static bool is_in_records(struct record_selector *s)
{
	static const uint32_t forms[] = {0, FORMS_ALL};
	struct layout *layout = malloc(FLOW_LAYOUT_COUNT * sizeof *layout);
	bool any = !layout;

	for (size_t i = 0; layout && i < sizeof forms / sizeof forms[0]; i++) {
		layout_make_flows(layout, forms[i]);
		any |= places_of(s, layout);
	}
	free(layout);
	return any;
}

enum status record_match_check(const char *text, struct error *err)
{
	struct record_selector s = {0};
	const enum status st = match_parse(&s.match, text, err);

	if (st == OK && !is_in_records(&s))
		return error_set(err, ERR_USAGE, "no record has %s", s.match.ie->name);
	return st;
}

enum status record_selection_new(struct record_selection **out, const struct selector_chain *chain,
				 const struct layout layout[static FLOW_LAYOUT_COUNT], uint32_t first_id,
				 uint64_t seed, struct error *err)
{
	struct record_selection *r = calloc(1, sizeof *r);
	enum status st = OK;

	if (!r)
		return error_set(err, ERR_MEMORY, "no memory for the selection of records");
	for (uint32_t i = 0; i < chain->count && st == OK; i++) {
		struct record_selector *s = &r->of[r->count++];

		s->selector = chain->selector[i];
		s->id = first_id + i;
		s->threshold = (uint64_t)(s->selector.probability * 0x1p32);
		s->random = seed + i;
		if (s->selector.algorithm != SELECTOR_FILTER)
			continue;
		st = match_parse(&s->match, s->selector.text, err);
		if (st == OK)
			places_of(s, layout);
	}
	if (st == OK)
		*out = r;
	else
		record_selection_free(r);
	return st;
}

void record_selection_free(struct record_selection *r)
{
	free(r);
}

/* ---- records ---- */

static uint64_t load(const uint8_t *from, const struct place *p)
{
	uint64_t value = 0;
	uint16_t u16;
	uint32_t u32;

	if (p->swapped) {
		for (uint8_t i = 0; i < p->size; i++)
			value = value << BITS | from[i];
		return value;
	}
	switch (p->size) {
	case sizeof(uint8_t): return *from;
	case sizeof u16: memcpy(&u16, from, sizeof u16); return u16;
	case sizeof u32: memcpy(&u32, from, sizeof u32); return u32;
	default: memcpy(&value, from, sizeof value); return value;
	}
}

static bool in_prefix(const uint8_t *address, const struct value *v)
{
	const uint8_t octets = v->prefix / BITS, bits = v->prefix % BITS;

	return memcmp(address, v->address, octets) == 0 &&
	       (bits == 0 || (address[octets] ^ v->address[octets]) >> (BITS - bits) == 0);
}

static bool is_one_of(const struct match *m, const uint8_t *at, uint64_t number)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->address ? in_prefix(at, &m->value[i]) : number == m->value[i].number)
			return true;
	return false;
}

static bool matches(const struct record_selector *s, uint32_t number, const struct flow_record *record)
{
	const struct place *p = &s->place[number];
	const uint8_t *at = (const uint8_t *)record + p->offset;

	if (p->size == 0)
		return false;

	const uint64_t value = s->match.address ? 0 : load(at, p);
	const uint64_t bound = s->match.value[0].number;

	switch (s->match.comparison) {
	case EQUAL: return is_one_of(&s->match, at, value);
	case NOT_EQUAL: return !is_one_of(&s->match, at, value);
	case LESS: return value < bound;
	case LESS_OR_EQUAL: return value <= bound;
	case MORE: return value > bound;
	case MORE_OR_EQUAL: return value >= bound;
	}
	return false;
}

/* The first `take` of each `of` records. */
static bool count_takes(struct record_selector *s)
{
	const bool take = s->position < s->selector.take;

	s->position = (s->position + 1) % s->selector.of;
	return take;
}

/* Knuth's selection: each of the rest has the chance (still wanted / still to come). */
static bool random_takes(struct record_selector *s)
{
	if (s->position == 0)
		s->wanted = s->selector.take;

	const bool take = random_below(&s->random, s->selector.of - s->position) < s->wanted;

	s->wanted -= take;
	s->position = (s->position + 1) % s->selector.of;
	return take;
}

static bool takes(struct record_selector *s, uint32_t number, const struct flow_record *record)
{
	switch ((enum selector_algorithm)s->selector.algorithm) {
	case SELECTOR_COUNT: return count_takes(s);
	case SELECTOR_RANDOM: return random_takes(s);
	case SELECTOR_PROBABILITY: return random_next(&s->random) >> 32 < s->threshold;
	case SELECTOR_FILTER: return matches(s, number, record);
	case SELECTOR_TIME: break; /* of packets only */
	}
	return true;
}

bool record_selection_takes(struct record_selection *r, uint32_t number, const struct flow_record *record)
{
	if (number >= FLOW_LAYOUT_ALLOWED)
		return true;
	for (uint32_t i = 0; i < r->count; i++) {
		r->of[i].observed++;
		if (!takes(&r->of[i], number, record))
			return false;
		r->of[i].selected++;
	}
	return true;
}

bool record_selection_item(const struct record_selection *r, uint32_t index, struct record_selector_item *out)
{
	if (!r || index >= r->count)
		return false;
	*out = (struct record_selector_item){.id = r->of[index].id,
					     .selector = &r->of[index].selector,
					     .observed = r->of[index].observed,
					     .selected = r->of[index].selected};
	return true;
}
