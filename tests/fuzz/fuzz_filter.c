/* Any text as a filter: refused at a place inside the text, or SQL that stays the same when the filter is
 * printed and read again, and in which every quote is closed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "query/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(const uint8_t *data, size_t size, const struct filter_error *err)
{
	char caret[512];

	if (err->at > size || err->length > size - err->at || err->text[0] == '\0')
		abort();
	filter_error_caret(caret, sizeof caret, (const char *)data, size, err);
	for (const char *c = caret; *c; c++)
		if ((unsigned char)*c < ' ' && *c != '\n')
			abort(); /* nothing of the text moves a cursor */
}

/* Outside of quotes there are only characters that our own SQL has. */
static void check_quotes(const char *sql)
{
	char quote = '\0';

	for (; *sql; sql++) {
		if (quote)
			quote = *sql == quote ? '\0' : quote;
		else if (*sql == '"' || *sql == '\'')
			quote = *sql;
		else if (strchr(";\\\n-", *sql) && !strchr("- ", *sql))
			abort();
	}
	if (quote)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter *filter = NULL, *again = NULL;
	struct filter_error err;
	struct sql sql, printed, sql_again;
	enum status s = filter_parse(&filter, (const char *)data, size, 1763805600000, &err);

	if (s != OK) {
		if (s == ERR_USAGE)
			refused(data, size, &err);
		return 0;
	}
	sql_init(&sql);
	sql_init(&printed);
	sql_init(&sql_again);
	filter_sql(&sql, filter, NULL);
	filter_print(&printed, filter);
	if (sql.failed || printed.failed)
		abort();
	check_quotes(sql.text);
	/* Parentheses of its own may make a filter at the bound too long to be read back. */
	if (filter_parse(&again, printed.text, printed.length, 1763805600000, &err) == OK) {
		filter_sql(&sql_again, again, NULL);
		if (strcmp(sql.text, sql_again.text) != 0)
			abort();
	} else if (printed.length < FILTER_LENGTH_MAX && !strstr(err.text, "flatter")) {
		abort();
	}
	filter_free(filter);
	filter_free(again);
	sql_fini(&sql);
	sql_fini(&printed);
	sql_fini(&sql_again);
	return 0;
}
