/* A profile, from a file to text. */
#include <string.h>

#include "base/cleanup.h"
#include "config/document.h"
#include "config/settings.h"

_Static_assert((int)PROFILE_OCTETS_MAX == (int)DOCUMENT_OCTETS_MAX, "one limit, two names");

enum status settings_load(struct settings *settings, const char *path, struct error *err)
{
	auto_free char *text = NULL;
	size_t length = 0;
	const enum status status = document_read(path, &text, &length, err);

	if (status != OK)
		return status;
	return settings_parse(settings, strcmp(path, "-") == 0 ? "standard input" : path, text, length, err);
}
