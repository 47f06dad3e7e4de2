#include "web/exposition.h"

#include <math.h>
#include <stdio.h>

void exposition_family(struct text *out, const char *name, const char *type, const char *help)
{
	text_string(out, "# HELP ");
	text_string(out, name);
	text_char(out, ' ');
	for (const char *c = help; *c; c++) {
		if (*c == '\\' || *c == '\n')
			text_string(out, *c == '\n' ? "\\n" : "\\\\");
		else
			text_char(out, *c);
	}
	text_string(out, "\n# TYPE ");
	text_string(out, name);
	text_char(out, ' ');
	text_string(out, type);
	text_char(out, '\n');
}

/* The format knows three escapes; other control characters would only confuse people. */
static void put_value(struct text *out, const char *value)
{
	for (const char *c = value; *c; c++) {
		switch (*c) {
		case '\\': text_string(out, "\\\\"); break;
		case '"': text_string(out, "\\\""); break;
		case '\n': text_string(out, "\\n"); break;
		default: text_char(out, (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
		}
	}
}

static void put_head(struct text *out, const char *name, const struct label *labels)
{
	text_string(out, name);
	if (labels && labels->name) {
		char before = '{';

		for (const struct label *l = labels; l->name; l++) {
			text_char(out, before);
			text_string(out, l->name);
			text_string(out, "=\"");
			put_value(out, l->value);
			text_char(out, '"');
			before = ',';
		}
		text_char(out, '}');
	}
	text_char(out, ' ');
}

void exposition_sample(struct text *out, const char *name, const struct label *labels, uint64_t value)
{
	put_head(out, name, labels);
	text_unsigned(out, value);
	text_char(out, '\n');
}

void exposition_seconds(struct text *out, const char *name, const struct label *labels, double value)
{
	char number[48];

	snprintf(number, sizeof number, "%.3f", isfinite(value) ? value : 0.0);
	put_head(out, name, labels);
	text_string(out, number);
	text_char(out, '\n');
}

static bool is_allowed(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void exposition_name(struct text *out, const char *prefix, const char *name, const char *suffix)
{
	text_string(out, prefix);
	for (const char *c = name; *c; c++)
		text_char(out, is_allowed(*c) ? *c : '_');
	text_string(out, suffix);
}
