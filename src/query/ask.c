#include "query/ask.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "query/when.h"

enum { DEFAULT_TOP = 20, DEFAULT_LIST = 50 };

static enum status fail(struct filter_error *err, size_t at, size_t length, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static enum status fail(struct filter_error *err, size_t at, size_t length, const char *format, ...)
{
	va_list args;

	err->at = at;
	err->length = length;
	va_start(args, format);
	vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	return ERR_USAGE;
}

/* Up to three words of one key, borrowed. */
struct pieces {
	const char *at[3];
	size_t length[3];
	unsigned count; /* more than 3: too many */
};

static struct pieces split(const char *text, size_t length)
{
	struct pieces p = {.count = 0};

	for (size_t i = 0; i < length;) {
		size_t n = 0;

		while (i < length && isspace((unsigned char)text[i]))
			i++;
		while (i + n < length && !isspace((unsigned char)text[i + n]))
			n++;
		if (n && p.count < 3) {
			p.at[p.count] = text + i;
			p.length[p.count] = n;
		}
		p.count += n > 0;
		i += n;
	}
	return p;
}

static bool is(const struct pieces *p, unsigned i, const char *word)
{
	return i < p->count && p->length[i] == strlen(word) && strncasecmp(p->at[i], word, p->length[i]) == 0;
}

static enum side side_in_front(const struct pieces *p)
{
	const struct word *w = p->count == 2 ? word_find(p->at[1], p->length[1]) : NULL;

	if (!w || !w->sided)
		return SIDE_EITHER;
	if (w->type == WORD_INTERFACE)
		return is(p, 0, "in") ? SIDE_SOURCE : is(p, 0, "out") ? SIDE_DESTINATION : SIDE_EITHER;
	return is(p, 0, "src") || is(p, 0, "source")        ? SIDE_SOURCE
	       : is(p, 0, "dst") || is(p, 0, "destination") ? SIDE_DESTINATION
							    : SIDE_EITHER;
}

/* Whether one value a record is there to group by. */
static enum status check_key(const struct ask_key *k, bool buckets, size_t at, size_t length,
			     struct filter_error *err)
{
	if (k->type == WORD_BARE && strcmp(k->word->name, "denied") != 0)
		return fail(err, at, length, "'%s' seen; a word that has a value expected", k->word->name);
	if (k->word && k->word->sided && k->side == SIDE_EITHER && !k->word->group[0])
		return fail(err, at, length, "'%s' seen; a side expected: 'src %s' or 'dst %s'",
			    k->word->name, k->word->name, k->word->name);
	if (k->type == WORD_BUCKET && (!buckets || k->step_ms < 1000))
		return fail(err, at, length, "'time' seen; %s expected",
			    buckets ? "a step of a second or more: 'time 5m'" : "'start' or 'end'");
	return OK;
}

static enum status read_key(struct ask_key *k, const char *text, size_t at, size_t length, bool buckets,
			    struct filter_error *err)
{
	struct pieces p = split(text + at, length);
	enum word_type type;

	*k = (struct ask_key){.side = (uint8_t)side_in_front(&p)};
	if (p.count == 0 || p.count > 2)
		return fail(err, at, length, "%s seen; one word, or a side and a word, expected",
			    p.count ? "more words" : "nothing");

	const unsigned i = k->side != SIDE_EITHER;
	k->word = word_find(p.at[i], p.length[i]);
	if (k->word) {
		k->type = k->word->type;
		k->column.kind = k->word->kind;
	} else if (word_element(&k->column, &type, p.at[i], p.length[i])) {
		k->type = (uint8_t)type;
	} else {
		const char *near = word_nearest(p.at[i], p.length[i], NULL);

		return fail(err, (size_t)(p.at[i] - text), p.length[i],
			    "'%.*s' seen; a word or the name of an element expected%s%s%s",
			    (int)(p.length[i] < 60 ? p.length[i] : 60), p.at[i], near ? ", perhaps '" : "",
			    near ? near : "", near ? "'" : "");
	}
	if (k->type == WORD_BUCKET && p.count == 2) {
		if (!duration_parse(&k->step_ms, p.at[1], p.length[1]))
			k->step_ms = 0;
	} else if (p.count != i + 1) {
		return fail(err, at, length, "more words seen; one word, or a side and a word, expected");
	}
	const char *side = word_side_name(k->word, (enum side)k->side);
	snprintf(k->name, sizeof k->name, "%s%s%s", side, *side ? " " : "",
		 k->word ? k->word->name : k->column.name);
	return check_key(k, buckets, at, length, err);
}

enum status ask_keys(struct ask *out, const char *text, bool buckets, struct filter_error *err)
{
	*err = (struct filter_error){0};
	out->key_count = 0;
	for (size_t at = 0;;) {
		const size_t length = strcspn(text + at, ",");
		enum status s;

		if (out->key_count == ASK_KEYS_MAX)
			return fail(err, at, length, "more than %d words seen", ASK_KEYS_MAX);
		s = read_key(&out->keys[out->key_count], text, at, length, buckets, err);
		if (s != OK)
			return s;
		out->key_count++;
		at += length;
		if (text[at] == '\0')
			return OK;
		at++;
	}
}

void ask_default_keys(struct ask *ask)
{
	static const char usual[] =
		"start,duration,proto,src,srcport,dst,dstport,flags,dir,packets,octets,denied";
	struct filter_error err;

	if (ask_keys(ask, usual, false, &err) != OK)
		ask->key_count = 0;
}

enum cell_format ask_key_format(const struct ask_key *k)
{
	static const unsigned char of[WORD_TYPE_COUNT] = {
		[WORD_BARE] = CELL_YES,
		[WORD_ADDRESS] = CELL_ADDRESS,
		[WORD_IPV4] = CELL_IPV4,
		[WORD_IPV6] = CELL_IPV6,
		[WORD_PROTOCOL] = CELL_PROTOCOL,
		[WORD_FLAGS] = CELL_FLAGS,
		[WORD_DIRECTION] = CELL_DIRECTION,
		[WORD_DURATION] = CELL_DURATION,
		[WORD_BUCKET] = CELL_TIME,
	};

	if (k->word && strcmp(k->word->name, "octets") == 0)
		return CELL_OCTETS;
	if (k->word && strcmp(k->word->name, "packets") == 0)
		return CELL_COUNT;
	return (enum cell_format)of[k->type];
}

void ask_key_sql(struct sql *sql, const struct ask_key *k, unsigned second, const struct schema *schema)
{
	if (!k->word) {
		word_column_sql(sql, k->column.name, (enum column_kind)k->column.kind, schema);
	} else if (k->type == WORD_BUCKET) {
		sql_put(sql, "epoch_ms(");
		word_sql(sql, k->word->sql[0][0], schema);
		sql_format(sql, ") // %" PRId64 " * %" PRId64, k->step_ms, k->step_ms);
	} else if (k->side == SIDE_EITHER && k->word->group[second]) {
		word_sql(sql, k->word->group[second], schema);
	} else {
		word_sql(sql, k->word->sql[k->side == SIDE_DESTINATION][second], schema);
	}
}

static void select_keys(const struct ask *ask, const struct schema *schema, struct sql *sql,
			struct ask_column *columns)
{
	for (uint32_t i = 0; i < ask->key_count; i++) {
		const struct ask_key *k = &ask->keys[i];

		columns[i].format = (uint8_t)ask_key_format(k);
		snprintf(columns[i].name, sizeof columns[i].name, "%s", k->name);
		sql_put(sql, i ? ", " : "");
		ask_key_sql(sql, k, 0, schema);
		sql_format(sql, " AS k%u", i);
		if (columns[i].format == CELL_ADDRESS) {
			sql_put(sql, ", ");
			ask_key_sql(sql, k, 1, schema);
			sql_format(sql, " AS w%u", i);
		}
	}
}

static void timestamp(struct sql *sql, int64_t ms)
{
	sql_format(sql, "make_timestamp(%" PRId64 ")", ms * 1000);
}

#define NEWEST "coalesce({flowEnd}, {receiveTime})"

const char *ask_order_sql(enum ask_order order)
{
	switch (order) {
	case ORDER_OCTETS: return "{octetDeltaCount}";
	case ORDER_PACKETS: return "{packetDeltaCount}";
	default: return NEWEST;
	}
}

static void edge_where(const struct ask *ask, const struct schema *schema, struct sql *sql)
{
	const bool number = ask->order == ORDER_OCTETS || ask->order == ORDER_PACKETS;

	word_sql(sql, ask_order_sql((enum ask_order)ask->order), schema);
	sql_format(sql, number ? " %s %" PRId64 : " %s make_timestamp(%" PRId64 ")",
		   ask->upwards ? "<=" : ">=", ask->edge);
}

/* What a record has to pass, behind WHERE. `part`: of which side of `test`; -1: all of the filter. */
static void conditions(const struct ask *ask, const struct schema *schema, struct sql *sql, int part,
		       uint16_t test)
{
	const char *joint = " WHERE ";

	if (ask->from_ms) {
		sql_put(sql, joint);
		word_sql(sql, "coalesce({flowEnd}, {receiveTime}) >= ", schema);
		timestamp(sql, ask->from_ms);
		joint = " AND ";
	}
	if (ask->to_ms) {
		sql_put(sql, joint);
		word_sql(sql, "coalesce({flowStart}, {receiveTime}) < ", schema);
		timestamp(sql, ask->to_ms);
		joint = " AND ";
	}
	if (ask->filter) {
		sql_put(sql, joint);
		if (part < 0)
			filter_sql(sql, ask->filter, schema);
		else
			filter_sql_side(sql, ask->filter, schema, test, part);
		joint = " AND ";
	}
	if (ask->edged) {
		sql_put(sql, joint);
		edge_where(ask, schema, sql);
	}
}

void ask_where(const struct ask *ask, const struct schema *schema, struct sql *sql)
{
	conditions(ask, schema, sql, -1, 0);
}

/* The records that are asked about, as what stands behind FROM. */
static void put_from(const struct ask *ask, const struct schema *schema, struct sql *sql)
{
	uint16_t test;

	if (!ask->filter || !filter_has_sides(ask->filter, &test)) {
		sql_put(sql, "flows");
		conditions(ask, schema, sql, -1, 0);
		return;
	}
	sql_put(sql, "(SELECT * FROM flows");
	conditions(ask, schema, sql, 0, test);
	sql_put(sql, " UNION ALL SELECT * FROM flows");
	conditions(ask, schema, sql, 1, test);
	sql_put(sql, ")");
}

static void limit(int64_t asked, int64_t usual, struct sql *sql)
{
	const int64_t rows = asked ? asked : usual;

	if (rows > 0)
		sql_format(sql, " LIMIT %" PRId64, rows);
}

static bool is_timed(const struct ask *ask)
{
	for (uint32_t i = 0; i < ask->key_count; i++)
		if (ask->keys[i].type == WORD_BUCKET)
			return ask->order == ORDER_DEFAULT || ask->order == ORDER_TIME;
	return ask->order == ORDER_TIME;
}

static void add_sums(const struct ask *ask, struct ask_column *columns, uint32_t *column_count)
{
	static const struct ask_column sums[] = {
		{"octets", CELL_OCTETS}, {"packets", CELL_COUNT}, {"flows", CELL_COUNT}};

	memcpy(columns + ask->key_count, sums, sizeof sums);
	*column_count = ask->key_count + 3;
}

/* Time in front, then the other keys: one order for equals. */
static void order_groups(const struct ask *ask, struct sql *sql, const struct ask_column *columns)
{
	static const char *const orders[] = {
		[ORDER_OCTETS] = "octets", [ORDER_PACKETS] = "packets", [ORDER_FLOWS] = "flows"};
	const bool by_time = is_timed(ask);

	sql_put(sql, " ORDER BY ");
	if (!by_time)
		sql_format(sql, "%s DESC NULLS LAST, ",
			   orders[ask->order == ORDER_DEFAULT ? ORDER_OCTETS : ask->order]);
	for (unsigned pass = 0, put = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < ask->key_count; i++) {
			if ((ask->keys[i].type == WORD_BUCKET) != (pass == 0))
				continue;
			sql_format(sql, "%sk%u", put++ ? ", " : "", i);
			if (columns[i].format == CELL_ADDRESS)
				sql_format(sql, ", w%u", i);
		}
	limit(ask->limit, by_time ? -1 : DEFAULT_TOP, sql);
}

static void grouped_sql(const struct ask *ask, const struct schema *schema, struct sql *sql,
			struct ask_column *columns, uint32_t *column_count)
{
	select_keys(ask, schema, sql, columns);
	word_sql(sql,
		 ", sum({octetDeltaCount}) AS octets, sum({packetDeltaCount}) AS packets, count(*) AS flows "
		 "FROM ",
		 schema);
	add_sums(ask, columns, column_count);
	put_from(ask, schema, sql);
	sql_put(sql, " GROUP BY ALL");
	order_groups(ask, sql, columns);
}

/* What a key is in every record when no record has its column: a NULL of its type. Else out->text is empty.
 */
static void absent_key(struct sql *out, const struct ask_key *k, unsigned second, const struct schema *schema)
{
	sql_init(out);
	ask_key_sql(out, k, second, schema);
	if (out->text && strncmp(out->text, "CAST(NULL AS ", 13) != 0)
		sql_fini(out);
}

enum status ask_rows_sql(const struct ask *ask, const struct schema *schema, struct sql *sql)
{
	sql_put(sql, "SELECT ");
	for (uint32_t i = 0; i < ask->key_count; i++) {
		const unsigned halves = ask_key_format(&ask->keys[i]) == CELL_ADDRESS ? 2 : 1;

		for (unsigned second = 0; second < halves; second++) {
			struct sql absent;

			absent_key(&absent, &ask->keys[i], second, schema);
			if (!absent.text) {
				ask_key_sql(sql, &ask->keys[i], second, schema);
				sql_format(sql, " AS %c%u, ", second ? 'w' : 'k', i);
			}
			sql_fini(&absent);
		}
	}
	word_sql(sql, "{octetDeltaCount} AS octets, {packetDeltaCount} AS packets FROM ", schema);
	put_from(ask, schema, sql);
	return sql->failed ? ERR_MEMORY : OK;
}

enum status ask_groups_sql(const struct ask *ask, const struct schema *schema, const char *function,
			   struct sql *sql, struct ask_column *columns, uint32_t *column_count)
{
	sql_put(sql, "SELECT ");
	for (uint32_t i = 0; i < ask->key_count; i++) {
		columns[i].format = (uint8_t)ask_key_format(&ask->keys[i]);
		snprintf(columns[i].name, sizeof columns[i].name, "%s", ask->keys[i].name);
		for (unsigned second = 0; second < (columns[i].format == CELL_ADDRESS ? 2 : 1); second++) {
			struct sql absent;

			absent_key(&absent, &ask->keys[i], second, schema);
			if (absent.text)
				sql_format(sql, "%s AS ", absent.text);
			sql_format(sql, "%c%u, ", second ? 'w' : 'k', i);
			sql_fini(&absent);
		}
	}
	sql_format(sql, "octets, packets, flows FROM %s()", function);
	add_sums(ask, columns, column_count);
	order_groups(ask, sql, columns);
	return sql->failed ? ERR_MEMORY : OK;
}

uint64_t ask_newest(const struct ask *ask)
{
	const int64_t rows = ask->limit ? ask->limit : DEFAULT_LIST;

	if (ask->grouped || ask->upwards || rows < 0 || ask->order == ORDER_OCTETS ||
	    ask->order == ORDER_PACKETS)
		return 0;
	return (uint64_t)rows + (ask->offset > 0 ? (uint64_t)ask->offset : 0);
}

enum status ask_newest_sql(const struct ask *ask, const struct schema *schema, int64_t from_ms,
			   struct sql *sql)
{
	sql_put(sql, "SELECT count(*) FROM (SELECT 1 FROM (SELECT * FROM ");
	put_from(ask, schema, sql);
	word_sql(sql, ") WHERE " NEWEST " >= ", schema);
	timestamp(sql, from_ms);
	sql_format(sql, " LIMIT %" PRIu64 ")", ask_newest(ask));
	return sql->failed ? ERR_MEMORY : OK;
}

enum status ask_sql(const struct ask *ask, const struct schema *schema, struct sql *sql,
		    struct ask_column *columns, uint32_t *column_count)
{
	sql_put(sql, "SELECT ");
	if (ask->grouped) {
		grouped_sql(ask, schema, sql, columns, column_count);
	} else {
		select_keys(ask, schema, sql, columns);
		*column_count = ask->key_count;
		sql_put(sql, " FROM ");
		put_from(ask, schema, sql);
		sql_put(sql, " ORDER BY ");
		word_sql(sql, ask_order_sql((enum ask_order)ask->order), schema);
		sql_put(sql, ask->upwards ? " ASC NULLS LAST" : " DESC NULLS LAST");
		limit(ask->limit, DEFAULT_LIST, sql);
		if (ask->offset > 0)
			sql_format(sql, " OFFSET %" PRId64, ask->offset);
	}
	return sql->failed ? ERR_MEMORY : OK;
}
