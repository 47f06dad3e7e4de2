/* weir query: ask the store. */
#include "query/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/command.h"
#include "query/when.h"

enum option { STORE, BY, TOP, ORDER, COLUMNS, LIMIT, LAST, FROM, TO, OUTPUT, SQL, COVERAGE, WIDE, WORDS };

static const struct command_option options[] = {
	[STORE] = {'s', "store", "FOLDER", "the store that weir collect writes; default /var/lib/weir"},
	[BY] = {0, "by", "F,…", "sum up by these words or elements; 'time 5m' is a step of time"},
	[TOP] = {0, "top", "N", "with --by: so many rows; default 20; 0 is all"},
	[ORDER] = {0, "order", "WORD",
		   "largest first by octets, packets or flows, or by time; default octets"},
	[COLUMNS] = {0, "columns", "F,…", "without --by: these columns instead of the usual ones"},
	[LIMIT] = {0, "limit", "N", "without --by: so many records, the newest; default 50; 0 is all"},
	[LAST] = {0, "last", "DURATION", "flows of the last 30s, 5m, 1h, 7d"},
	[FROM] = {0, "from", "TIME", "flows from then on: 2026-11-22T10:00:00Z, or 1h for an hour ago"},
	[TO] = {0, "to", "TIME", "flows before then"},
	[OUTPUT] = {'o', "output", "FORMAT",
		    "table, json (one object a line), csv or parquet; default table"},
	[SQL] = {0, "sql", "SELECT", "one SELECT of your own over the views flows, options and ledger"},
	[COVERAGE] = {0, "coverage", NULL,
		      "also print how complete the answer is, with the ledger of losses"},
	[WIDE] = {0, "wide", NULL, "do not fit the table into the terminal"},
	[WORDS] = {0, "words", NULL, "print the words of filters and of --by, and end"},
	{0},
};

struct request {
	struct query query;
	char store[FOLDER_MAX];
	const char *by, *columns;
	int64_t now_ms, top, limit;
	bool top_given, limit_given, order_given, words;
};

static int wrong(struct invocation *v, const char *what, const char *text, const struct filter_error *err)
{
	char caret[512];

	filter_error_caret(caret, sizeof caret, text, strlen(text), err);
	fprintf(stderr, "weir query: %s: character %zu: %s\n%s\n", what, err->at + 1, err->text, caret);
	return EXIT_WRONG_USAGE;
}

static bool read_count(int64_t *out, const char *text)
{
	char *end;

	if (text[0] < '0' || text[0] > '9' || strlen(text) > 12)
		return false;
	*out = strtoll(text, &end, 10);
	if (*out == 0)
		*out = -1;
	return *end == '\0';
}

static bool read_order(uint8_t *out, const char *text)
{
	static const struct {
		const char *word;
		uint8_t order;
	} orders[] = {{"octets", ORDER_OCTETS},
		      {"bytes", ORDER_OCTETS},
		      {"packets", ORDER_PACKETS},
		      {"flows", ORDER_FLOWS},
		      {"time", ORDER_TIME}};

	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
		if (strcmp(orders[i].word, text) == 0) {
			*out = orders[i].order;
			return true;
		}
	return false;
}

/* The option's value into the request. False: it is wrong, and *expected says what is right. */
static bool take_option(void *to, int option, const char *value, const char **expected)
{
	struct request *r = to;
	struct ask *ask = &r->query.ask;
	int64_t ms;

	switch ((enum option)option) {
	case STORE: r->query.store = command_folder(r->store, value); return true;
	case BY: r->by = value; return true;
	case COLUMNS: r->columns = value; return true;
	case SQL: r->query.sql = value; return true;
	case TOP:
		r->top_given = true;
		*expected = "a number";
		return read_count(&r->top, value);
	case LIMIT:
		r->limit_given = true;
		*expected = "a number";
		return read_count(&r->limit, value);
	case ORDER:
		r->order_given = true;
		*expected = "octets, packets, flows or time";
		return read_order(&ask->order, value);
	case LAST:
		*expected = "a duration with its unit, as 30s, 5m, 1h, 7d";
		if (!duration_parse(&ms, value, strlen(value)))
			return false;
		ask->from_ms = r->now_ms - ms;
		return true;
	case FROM:
		*expected = "a time, as 2026-11-22T10:00:00Z, or 1h for an hour ago";
		return when_parse(&ask->from_ms, value, strlen(value), r->now_ms);
	case TO:
		*expected = "a time, as 2026-11-22T10:00:00Z, or 1h for an hour ago";
		return when_parse(&ask->to_ms, value, strlen(value), r->now_ms);
	case OUTPUT:
		*expected = "table, json, csv or parquet";
		r->query.show = show_type_named(value);
		return r->query.show != NULL;
	case COVERAGE: r->query.coverage = true; return true;
	case WIDE: r->query.wide = true; return true;
	case WORDS: r->words = true; return true;
	}
	return false;
}

static void print_words(void)
{
	for (size_t i = 0; i < word_count; i++) {
		char left[64];

		snprintf(left, sizeof left, "%s%s%s%s",
			 words[i].sided ? (words[i].type == WORD_INTERFACE ? "[in|out] " : "[src|dst] ") : "",
			 words[i].name, words[i].also ? ", " : "", words[i].also ? words[i].also : "");
		printf("  %-30s  %s\n", left, words[i].help);
	}
	printf("\nEvery name of an element is a word too: sourceTransportPort in {80, 443}\n");
}

/* What does not go together. NULL: all is well. */
static const char *contradiction(const struct request *r, const char *filter)
{
	const struct ask *ask = &r->query.ask;

	if (r->query.sql &&
	    (*filter || r->by || r->columns || r->top_given || r->limit_given || r->order_given))
		return "--sql stands alone: write filter, groups and limit into the SELECT";
	if (r->by && (r->columns || r->limit_given))
		return "--columns and --limit are for lists without --by; --by goes with --top";
	if (!r->by && r->top_given)
		return "--top needs --by; a list of records has --limit";
	if (ask->from_ms && ask->to_ms && ask->from_ms >= ask->to_ms)
		return "the time range is empty: --from is not before --to";
	return NULL;
}

/* Two questions that have a name: the word alone, without groups or columns of the user's own. */
static bool take_report(struct request *r, const char *filter)
{
	static const char denied[] = "dir,rule,reason,peer,proto,dst port";
	const bool plain = !r->by && !r->columns && !r->query.sql && !r->limit_given;

	if (plain && strcmp(filter, "denied") == 0) {
		r->by = denied;
		if (!r->order_given)
			r->query.ask.order = ORDER_PACKETS;
	}
	r->query.rules = plain && !r->top_given && !r->order_given && strcmp(filter, "rules") == 0;
	return r->query.rules;
}

static int ask_store(struct invocation *v, struct request *r, const char *text)
{
	struct ask *ask = &r->query.ask;
	struct filter_error err;
	struct filter *filter = NULL;

	ask->grouped = r->by != NULL;
	ask->limit = r->by ? r->top : r->limit;
	if (r->by && ask_keys(ask, r->by, true, &err) != OK)
		return wrong(v, "--by", r->by, &err);
	if (r->columns && ask_keys(ask, r->columns, false, &err) != OK)
		return wrong(v, "--columns", r->columns, &err);
	if (!r->by && !r->columns)
		ask_default_keys(ask);

	const enum status s = filter_parse(&filter, text, strlen(text), r->now_ms, &err);
	if (s == ERR_USAGE)
		return wrong(v, "filter", text, &err);
	if (s != OK) {
		fprintf(stderr, "weir query: no memory\n");
		return EXIT_RUN_FAILED;
	}
	ask->filter = *text ? filter : NULL;
	const int status = query_run(&r->query, stdout);
	filter_free(filter);
	return status;
}

static int run(struct invocation *invocation)
{
	struct request r = {.query = {.store = "/var/lib/weir", .show = &show_table},
			    .now_ms = wall_ms(wall_now())};
	auto_free char *filter = NULL;
	const int wrong_words = command_read_words(invocation, take_option, &r, &filter);

	if (wrong_words)
		return wrong_words;
	if (r.words) {
		print_words();
		return fflush(stdout) == 0 ? EXIT_DONE : EXIT_RUN_FAILED;
	}
	if (take_report(&r, filter ? filter : ""))
		return query_run(&r.query, stdout);

	const char *why = contradiction(&r, filter ? filter : "");

	return why ? command_usage_error(invocation, "%s", why)
		   : ask_store(invocation, &r, filter ? filter : "");
}

const struct command command_query = {
	.name = "query",
	.summary = SUMMARY_QUERY,
	.synopsis = "-s STORE [OPTION]… [FILTER]",
	.notes = "FILTER is written as in: src net 10.0.0.0/8 and dst port 443 and not proto icmp\n"
		 "'denied' alone: what was refused, by rule, peer and port. 'rules': allow rules and what "
		 "they let\n"
		 "through, those that nobody needed too.\n"
		 "--words lists its words; weir-query(1) tells more.\n"
		 "Exit status: 0 answered, 1 failed, 2 wrong usage, 130 interrupted.",
	.options = options,
	.run = run,
};
