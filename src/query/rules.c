#include "query/rules.h"

#include <inttypes.h>

/* RULE_ALLOW of observe/rules.h, as docs/wire.md has it. */
static const char told[] =
	"WITH told AS (SELECT {exporterAddress} AS exporter, {observationDomainId} AS domain, "
	"{ruleName} AS rule, {flowDirection} AS direction, {ruleCountSource} AS source, "
	"{packetTotalCount} AS packets, {octetTotalCount} AS octets, "
	"coalesce({observationTimeMilliseconds}::TIMESTAMP, {receiveTime}::TIMESTAMP) AS told "
	"FROM options WHERE {ruleAction} = 1), "
	"steps AS (SELECT *, lag(packets) OVER w AS packets_before, lag(octets) OVER w AS octets_before "
	"FROM told WINDOW w AS (PARTITION BY exporter, domain, rule, direction, source "
	"ORDER BY told, packets)), "
	"grown AS (SELECT *, CASE WHEN packets >= packets_before THEN packets - packets_before ELSE packets "
	"END AS more_packets, CASE WHEN packets >= packets_before AND octets >= octets_before THEN octets - "
	"octets_before ELSE octets END AS more_octets FROM steps) ";

static const char summed[] =
	"SELECT rule, CASE direction WHEN 1 THEN 'egress' ELSE 'ingress' END AS dir, "
	"sum(more_packets)::UBIGINT AS packets, sum(more_octets)::UBIGINT AS octets, "
	"strftime(max(told) FILTER (WHERE more_packets > 0), '%Y-%m-%dT%H:%M:%SZ') AS \"last met\", "
	"CASE source WHEN 2 THEN 'trace: at least' ELSE 'counter' END AS source, exporter, domain FROM grown";

enum status rules_sql(const struct ask *ask, const struct schema *schema, struct sql *sql)
{
	const char *joint = " WHERE ";

	word_sql(sql, told, schema);
	sql_put(sql, summed);
	if (ask->from_ms) {
		sql_format(sql, "%stold >= make_timestamp(%" PRId64 ")", joint, ask->from_ms * 1000);
		joint = " AND ";
	}
	if (ask->to_ms)
		sql_format(sql, "%stold < make_timestamp(%" PRId64 ")", joint, ask->to_ms * 1000);
	sql_put(sql, " GROUP BY ALL ORDER BY packets DESC, rule, dir, exporter, domain, source");
	return sql->failed ? ERR_MEMORY : OK;
}
