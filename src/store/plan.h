/* plan.h: a template -> the columns of its records. One plan serves all sessions that have the same layout.
 */
#pragma once

#include "message/template.h"
#include "store/column.h"
#include "store/elements.h"

/* What is made from an element beside its own column, when the exporter has said what it takes (origin.h). */
enum derived {
	DERIVED_NONE,
	DERIVED_SCALED, /* octetDeltaCount, packetDeltaCount times the sampling rate: <name>_scaled UBIGINT */
	DERIVED_TIME,   /* flowStartSysUpTime, flowEndSysUpTime as wall time: <name>_time TIMESTAMP_MS */
	DERIVED_NAME,   /* ingressInterface, egressInterface by name: <name>_name VARCHAR */
};

struct plan_field {
	char name[COLUMN_NAME_MAX];
	uint8_t type;    /* enum ie_type that the octets are read as */
	uint8_t kind;    /* enum column_kind */
	uint8_t derived; /* enum derived */
	bool list;
	bool event_time; /* of the start or end of a flow: counts for the partition's time range */
	uint16_t list_index;
};

struct plan {
	uint32_t references;
	uint32_t generation;       /* of the elements that it was made with */
	uint16_t column_count;     /* of the first fields; more than COLUMNS_MAX have no column */
	uint16_t list_count;       /* fields that are lists */
	uint16_t selector;         /* index + 1 of selectorId or samplerId; 0: none */
	uint16_t init_time;        /* index + 1 of systemInitTimeMilliseconds in the record itself */
	struct template *template; /* a copy */
	uint64_t rows;             /* the batch of rows.h that knows it, and its number there */
	uint32_t rows_slot;
	struct plan_field fields[];
};

/* A plan with one reference. ERR_MEMORY. */
MUST_CHECK enum status plan_new(struct plan **out, const struct template *template,
				const struct elements *elements);
struct plan *plan_ref(struct plan *plan);
void plan_unref(struct plan *plan);

/* The records of `template` are laid out as those of the plan. */
bool plan_fits(const struct plan *plan, const struct template *template, const struct elements *elements);
