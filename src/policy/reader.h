/* reader.h: one reading of a policy (read.c), and what its parts share. */
#pragma once

#include "config/document.h"
#include "config/lexer.h"
#include "policy/policy.h"

enum { SHOWN = 48, TEXT_MAX = 128, PROPERTIES_MAX = 8 };

struct reader {
	struct policy *policy;
	struct document document;
	struct error *err;
	char where[64]; /* "Rules[3]." */
};

/* ERR_USAGE with place and text. fail_value: "what was seen; `allowed` allowed". */
enum status reader_fail(const struct reader *r, size_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum status reader_fail_value(const struct reader *r, const struct member *m, const char *name,
			      const char *allowed);
/* A list that is there and empty: would it mean all, or nobody? */
enum status reader_fail_empty(const struct reader *r, const struct member *m, const char *name);
enum status reader_no_memory(const struct reader *r);

/* A string without control characters into `out`, cut never: false when it is none, or too long. */
bool reader_text(const struct reader *r, const struct token *t, size_t end, char out[TEXT_MAX]);

/* A whole number in 0 … most. */
bool reader_number(const struct reader *r, const struct member *m, double most, uint32_t *out);

typedef enum status take_value(struct reader *r, const struct member *m, void *arg);

/* A value, or each of a list of them. */
enum status reader_each(struct reader *r, const struct member *m, take_value *take, void *arg);

/* The members of an object by the place of their name in `names`; those that are not there are zero. */
enum status reader_members(struct reader *r, size_t at, const char *const *names,
			   struct member out[PROPERTIES_MAX]);

/* Room for one more in an array that grows by doubling. */
bool reader_grow(void *array, uint32_t count, size_t size);

/* Addresses, prefixes and names of peers as a run of the policy's prefixes. */
enum status reader_prefixes(struct reader *r, const struct member *m, const char *name,
			    struct prefix_run *out);

/* The number of a requirement; -1: there is none of this name. */
int reader_trust(const struct policy *p, const char *name);

/* One element of Rules: a take_value. */
enum status reader_rule(struct reader *r, const struct member *m, void *arg);
