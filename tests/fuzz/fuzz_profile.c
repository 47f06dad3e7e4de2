/* Any text as a profile: refused with a place and a reason, or read and printed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/property.h"
#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings settings;
	struct error err = {0};
	char printed[16384];

	settings_init(&settings);
	if (settings_parse(&settings, "fuzz", (const char *)data, size, &err) != OK) {
		if (strncmp(err.text, "fuzz:", 5) != 0 || strchr(err.text, '\n'))
			abort(); /* every refusal is one line that names the file */
		return 0;
	}
	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];
		const int64_t value = p->size ? property_get(p, &settings) : 0;

		if (p->type == PROPERTY_NUMBER && !(value == 0 && p->zero) &&
		    (value < p->minimum || value > p->maximum))
			abort(); /* nothing out of range gets through */
	}
	FILE *out = fmemopen(printed, sizeof printed, "w");
	if (out) {
		settings_print(&settings, out);
		fclose(out);
	}
	return 0;
}
