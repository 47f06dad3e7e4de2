/* exposition.h: counters in the text format that Prometheus reads (version 0.0.4). No I/O. */
#pragma once

#include "ie/text.h"

enum { LABELS_MAX = 4 };

struct label {
	const char *name;
	const char *value; /* any octets; escaped here */
};

/* Begin a family: its samples must follow before the next one begins. `type`: "counter", "gauge". */
void exposition_family(struct text *out, const char *name, const char *type, const char *help);

/* `labels` ends with a row without a name; NULL: none. */
void exposition_sample(struct text *out, const char *name, const struct label *labels, uint64_t value);
void exposition_seconds(struct text *out, const char *name, const struct label *labels, double value);

/* The name with every octet that a metric may not have as an underscore. */
void exposition_name(struct text *out, const char *prefix, const char *name, const char *suffix);
