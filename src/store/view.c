#include "store/view.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ie/ie_ids.h"
#include "store/duck.h"
#include "store/sql.h"

/* Elements that people ask for in every store: there as NULL where nobody has sent them. */
static const uint16_t usual[] = {
	IE_sourceIPv4Address,       IE_destinationIPv4Address,
	IE_sourceIPv6Address,       IE_destinationIPv6Address,
	IE_sourceTransportPort,     IE_destinationTransportPort,
	IE_protocolIdentifier,      IE_tcpControlBits,
	IE_ipClassOfService,        IE_icmpTypeCodeIPv4,
	IE_icmpTypeCodeIPv6,        IE_octetDeltaCount,
	IE_packetDeltaCount,        IE_octetTotalCount,
	IE_packetTotalCount,        IE_flowStartMilliseconds,
	IE_flowEndMilliseconds,     IE_flowStartSeconds,
	IE_flowEndSeconds,          IE_flowStartMicroseconds,
	IE_flowEndMicroseconds,     IE_flowStartNanoseconds,
	IE_flowEndNanoseconds,      IE_flowStartSysUpTime,
	IE_flowEndSysUpTime,        IE_ingressInterface,
	IE_egressInterface,         IE_flowDirection,
	IE_flowEndReason,           IE_flowId,
	IE_observationPointId,      IE_forwardingStatus,
	IE_firewallEvent,           IE_droppedOctetDeltaCount,
	IE_droppedPacketDeltaCount, IE_sourceMacAddress,
	IE_destinationMacAddress,   IE_vlanId,
	IE_bgpSourceAsNumber,       IE_bgpDestinationAsNumber,
	IE_interfaceName,           IE_ipVersion,
};

static const struct column usual_derived[] = {
	{"octetDeltaCount_scaled", COLUMN_UNSIGNED64}, {"packetDeltaCount_scaled", COLUMN_UNSIGNED64},
	{"flowStartSysUpTime_time", COLUMN_TIME_MS},   {"flowEndSysUpTime_time", COLUMN_TIME_MS},
	{"ingressInterface_name", COLUMN_STRING},      {"egressInterface_name", COLUMN_STRING},
};

static void add_all(struct schema *to, const struct schema *from)
{
	for (uint32_t i = 0; i < from->count; i++)
		(void)schema_add(to, from->columns[i].name, (enum column_kind)from->columns[i].kind,
				 UINT32_MAX);
}

/* Every column that a part has. */
static void union_columns(const struct view_source *s, struct schema *out)
{
	const struct manifest *m = s->manifest;
	uint32_t last = UINT32_MAX;

	for (uint32_t i = 0; i < BASE_COLUMN_COUNT; i++)
		(void)schema_add(out, base_columns[i].name, (enum column_kind)base_columns[i].kind,
				 UINT32_MAX);
	for (uint32_t i = 0; i < s->partition_count; i++) {
		const uint32_t layout = m->partitions[s->partitions[i]].layout;

		if (layout != last)
			add_all(out, &m->layouts[layout]);
		last = layout;
	}
	for (unsigned i = 0; i < s->tail_count; i++)
		add_all(out, s->tail[i].schema);
}

static void add_usual(struct schema *out)
{
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
		const struct information_element *ie = ie_find(0, usual[i]);

		if (ie)
			(void)schema_add(out, ie->name, column_kind_of((enum ie_type)ie->type), UINT32_MAX);
	}
	for (size_t i = 0; i < sizeof usual_derived / sizeof usual_derived[0]; i++)
		(void)schema_add(out, usual_derived[i].name, (enum column_kind)usual_derived[i].kind,
				 UINT32_MAX);
}

/* What flows has beside its records' columns. The first of several times that is there counts. The class of a
 * forwardingStatus is in the two high bits of its lowest octet, 2 is dropped. */
#define TIME(name) "\"" name "\"::TIMESTAMP"
static const struct {
	struct column column;
	const char *sql;
} derived[] = {
	{{"sourceAddress", COLUMN_STRING}, "address_text(\"sourceIPv4Address\", \"sourceIPv6Address\")"},
	{{"destinationAddress", COLUMN_STRING},
	 "address_text(\"destinationIPv4Address\", \"destinationIPv6Address\")"},
	{{"flowStart", COLUMN_TIME_US},
	 "coalesce(" TIME("flowStartMilliseconds") "," TIME("flowStartMicroseconds") "," TIME(
		 "flowStartNanoseconds") "," TIME("flowStartSeconds") "," TIME("flowStartSysUpTime_time") ")"},
	{{"flowEnd", COLUMN_TIME_US},
	 "coalesce(" TIME("flowEndMilliseconds") "," TIME("flowEndMicroseconds") "," TIME(
		 "flowEndNanoseconds") "," TIME("flowEndSeconds") "," TIME("flowEndSysUpTime_time") ")"},
	{{"denied", COLUMN_BOOLEAN},
	 "coalesce(\"firewallEvent\" = 3, false) OR "
	 "coalesce((\"forwardingStatus\" >> 6) & 3 = 2, false)"},
};
#undef TIME

enum { DERIVED = sizeof derived / sizeof derived[0] };

const char *view_derived_sql(const char *name)
{
	for (size_t i = 0; i < DERIVED; i++)
		if (strcasecmp(derived[i].column.name, name) == 0)
			return derived[i].sql;
	return NULL;
}

static bool mentions(const char *text, const char *name)
{
	struct sql quoted;
	bool found;

	if (!text)
		return false;
	sql_init(&quoted);
	sql_name(&quoted, name);
	found = quoted.failed || strstr(text, quoted.text);
	sql_fini(&quoted);
	return found;
}

/* The columns made of others that are asked for; NULL asks for all. Each has a comma in front. */
static void put_derived(struct sql *sql, const char *asked)
{
	for (size_t i = 0; i < DERIVED; i++) {
		if (asked && !mentions(asked, derived[i].column.name))
			continue;
		sql_format(sql, ", %s AS ", derived[i].sql);
		sql_name(sql, derived[i].column.name);
	}
}

enum status view_create(duckdb_connection connection, const char *name, const struct view_source *s,
			bool flows, struct error *err)
{
	struct schema all = {0};
	struct sql sql;
	enum status status;

	sql_init(&sql);
	union_columns(s, &all);
	if (flows)
		add_usual(&all);
	sql_put(&sql, "CREATE OR REPLACE TEMP VIEW ");
	sql_name(&sql, name);
	sql_put(&sql, " AS SELECT *");
	if (flows)
		put_derived(&sql, NULL);
	sql_put(&sql, " FROM (");
	view_select_rows(&sql, s, &all);
	sql_put(&sql, ") AS records");
	status = sql.failed ? error_set(err, ERR_MEMORY, "view %s: no memory", name)
			    : duck_run(connection, sql.text, "views of the store", err);
	sql_fini(&sql);
	schema_fini(&all);
	return status;
}

void view_columns(const struct view_source *s, struct schema *out)
{
	union_columns(s, out);
	for (size_t i = 0; i < DERIVED; i++)
		(void)schema_add(out, derived[i].column.name, (enum column_kind)derived[i].column.kind,
				 UINT32_MAX);
}

void view_inline(struct sql *sql, const struct view_source *s, const char *statement)
{
	struct schema all = {0}, needed = {0};
	struct sql made;

	sql_init(&made);
	put_derived(&made, statement);
	union_columns(s, &all);
	add_usual(&all);
	for (uint32_t i = 0; i < all.count; i++)
		if (mentions(statement, all.columns[i].name) || mentions(made.text, all.columns[i].name))
			(void)schema_add(&needed, all.columns[i].name, (enum column_kind)all.columns[i].kind,
					 UINT32_MAX);
	if (needed.count == 0) /* rows without a column there are not */
		(void)schema_add(&needed, base_columns[BASE_RECEIVE_TIME].name, COLUMN_TIME_MS, UINT32_MAX);
	sql_put(sql, "(SELECT *");
	sql_put(sql, made.text ? made.text : "");
	sql_put(sql, " FROM (");
	view_select_rows(sql, s, &needed);
	sql_put(sql, ") AS records)");
	sql->failed |= made.failed;
	sql_fini(&made);
	schema_fini(&needed);
	schema_fini(&all);
}

/* address_text. */

static bool is_valid(const uint64_t *validity, idx_t row)
{
	return !validity || (validity[row / 64] >> row % 64 & 1);
}

static void address_text(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	const idx_t count = duckdb_data_chunk_get_size(input);
	duckdb_vector v4 = duckdb_data_chunk_get_vector(input, 0);
	duckdb_vector v6 = duckdb_data_chunk_get_vector(input, 1);
	const uint32_t *four = duckdb_vector_get_data(v4);
	const duckdb_hugeint *six = duckdb_vector_get_data(v6);
	const uint64_t *four_there = duckdb_vector_get_validity(v4);
	const uint64_t *six_there = duckdb_vector_get_validity(v6);
	char text[INET6_ADDRSTRLEN];

	for (idx_t i = 0; i < count; i++) {
		uint8_t octets[16];

		if (is_valid(four_there, i)) {
			put_be32(octets, four[i]);
			inet_ntop(AF_INET, octets, text, sizeof text);
		} else if (is_valid(six_there, i)) {
			put_be64(octets, (uint64_t)six[i].upper ^ UINT64_C(1) << 63);
			put_be64(octets + 8, six[i].lower);
			inet_ntop(AF_INET6, octets, text, sizeof text);
		} else {
			duckdb_vector_ensure_validity_writable(output);
			duckdb_validity_set_row_invalid(duckdb_vector_get_validity(output), i);
			continue;
		}
		duckdb_vector_assign_string_element(output, i, text);
	}
}

enum status view_address_function(duckdb_connection connection, struct error *err)
{
	duckdb_scalar_function f = duckdb_create_scalar_function();
	duckdb_logical_type four = duckdb_create_logical_type(DUCKDB_TYPE_UINTEGER);
	duckdb_logical_type six = duckdb_create_logical_type(DUCKDB_TYPE_UUID);
	duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);

	duckdb_scalar_function_set_name(f, "address_text");
	duckdb_scalar_function_add_parameter(f, four);
	duckdb_scalar_function_add_parameter(f, six);
	duckdb_scalar_function_set_return_type(f, text);
	duckdb_scalar_function_set_special_handling(f);
	duckdb_scalar_function_set_function(f, address_text);

	const duckdb_state state = duckdb_register_scalar_function(connection, f);
	duckdb_destroy_scalar_function(&f);
	duckdb_destroy_logical_type(&four);
	duckdb_destroy_logical_type(&six);
	duckdb_destroy_logical_type(&text);
	return state == DuckDBSuccess
		       ? OK
		       : error_set(err, ERR_SYSTEM, "DuckDB refuses the function address_text");
}
