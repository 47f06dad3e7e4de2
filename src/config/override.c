/* override.c: one property from the command line, judged by the same table as a profile's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/property.h"

static bool read_number(const struct property *p, const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return false;
	return (*out == 0 && p->zero) || (*out >= p->minimum && *out <= p->maximum);
}

static bool read_word(const struct property *p, const char *text, int64_t *out)
{
	for (const struct property_word *w = p->words; w->word; w++) {
		*out = w - p->words;
		if (strcmp(w->word, text) == 0)
			return true;
	}
	return false;
}

enum status settings_set(struct settings *settings, const char *name, const char *text, struct error *err)
{
	const struct property *p = property_find(name);
	char allowed[160];
	int64_t value;

	if (!p || (p->type != PROPERTY_NUMBER && p->type != PROPERTY_WORD))
		return error_set(err, ERR_USAGE, "%s is not a property with one value", name);
	if (p->type == PROPERTY_NUMBER ? read_number(p, text, &value) : read_word(p, text, &value)) {
		property_set(p, settings, value);
		return OK;
	}
	property_allowed(p, allowed, sizeof allowed);
	return error_set(err, ERR_USAGE, "'%.60s' seen; %s allowed", text, allowed);
}
