/* The rules of a policy, from text. */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/reader.h"

enum of_rule { NAME, ALLOW, SENDERS, RECEIVERS, PROTOCOL, PORTS, NEEDS, OF_RULE_COUNT };
static const char *const rule_names[] = {
	[NAME] = "Name",         [ALLOW] = "Allow", [SENDERS] = "Senders", [RECEIVERS] = "Receivers",
	[PROTOCOL] = "Protocol", [PORTS] = "Ports", [NEEDS] = "Trust",     [OF_RULE_COUNT] = NULL};

static enum status take_need(struct reader *r, const struct member *m, void *arg)
{
	struct policy_rule *rule = arg;
	char name[TEXT_MAX];
	const int number = reader_text(r, &m->first, m->end, name) ? reader_trust(r->policy, name) : -1;

	if (number < 0)
		return reader_fail_value(r, m, rule_names[NEEDS], "a name that TrustRequirements has");
	rule->trust |= 1ULL << number;
	return OK;
}

static enum status take_protocol(struct reader *r, const struct member *m, void *arg)
{
	static const struct {
		const char *word;
		uint8_t number;
	} known[] = {
		{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}, {"gre", IPPROTO_GRE}};
	struct policy_rule *rule = arg;
	char word[TEXT_MAX] = "";
	uint32_t number = UINT32_MAX;

	if (!reader_number(r, m, 255, &number))
		(void)!reader_text(r, &m->first, m->end, word);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(known[i].word, word) == 0)
			number = known[i].number;
	if (strcmp(word, "icmp") == 0) {
		rule->icmp = true;
		return OK;
	}
	if (number > 255)
		return reader_fail_value(
			r, m, rule_names[PROTOCOL],
			"\"tcp\", \"udp\", \"icmp\" (of both IP versions), \"sctp\", \"gre\" or 0 to "
			"255");
	if (memchr(rule->protocol, (int)number, rule->protocol_count))
		return OK;
	if (rule->protocol_count == POLICY_PROTOCOLS_MAX)
		return reader_fail(r, m->first.begin, "%sProtocol: more than %d seen", r->where,
				   POLICY_PROTOCOLS_MAX);
	rule->protocol[rule->protocol_count++] = (uint8_t)number;
	return OK;
}

static enum status take_port(struct reader *r, const struct member *m, void *arg)
{
	static const char allowed[] = "a port, 0 to 65535, or a range \"8000-8100\"";
	struct policy_rule *rule = arg;
	uint32_t first, last;
	char text[TEXT_MAX], more;

	if (reader_number(r, m, 65535, &first))
		last = first;
	else if (!reader_text(r, &m->first, m->end, text) ||
		 sscanf(text, "%5" SCNu32 "-%5" SCNu32 "%c", &first, &last, &more) != 2 || first > last ||
		 last > 65535)
		return reader_fail_value(r, m, rule_names[PORTS], allowed);
	if (rule->port_count == POLICY_PORTS_MAX)
		return reader_fail(r, m->first.begin, "%sPorts: more than %d seen", r->where,
				   POLICY_PORTS_MAX);
	rule->port[rule->port_count++] = (struct port_range){(uint16_t)first, (uint16_t)last};
	return OK;
}

static int compare_ports(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;

	return x->first != y->first ? x->first - y->first : x->last - y->last;
}

/* Ascending and apart, as nftables wants the elements of a set. */
static void join_ports(struct policy_rule *rule)
{
	unsigned kept = 0;

	qsort(rule->port, rule->port_count, sizeof rule->port[0], compare_ports);
	for (unsigned i = 0; i < rule->port_count; i++) {
		struct port_range *last = kept ? &rule->port[kept - 1] : NULL;

		if (last && rule->port[i].first <= last->last + 1)
			last->last = rule->port[i].last > last->last ? rule->port[i].last : last->last;
		else
			rule->port[kept++] = rule->port[i];
	}
	rule->port_count = (uint8_t)kept;
}

/* ---- rules ---- */

static bool has_family(const struct policy *p, struct prefix_run list, int family)
{
	for (uint32_t i = 0; i < list.count; i++)
		if (p->prefix[list.first + i].family == family)
			return true;
	return list.count == 0;
}

static bool has_ports(const struct policy_rule *rule)
{
	static const uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
					     IPPROTO_UDPLITE};

	for (unsigned i = 0; i < rule->protocol_count; i++)
		if (!memchr(with_ports, rule->protocol[i], sizeof with_ports))
			return false;
	return rule->protocol_count > 0 && !rule->icmp;
}

/* What makes no sense together. */
static enum status check_rule(struct reader *r, const struct policy_rule *rule,
			      const struct member m[PROPERTIES_MAX])
{
	const struct policy *p = r->policy;

	if (rule->port_count && !has_ports(rule))
		return reader_fail(
			r, m[PORTS].key.begin,
			"%sPorts: seen without Protocol \"tcp\", \"udp\" or \"sctp\" alone; others have "
			"none",
			r->where);
	if (rule->trust && !rule->allow)
		return reader_fail(r, m[NEEDS].key.begin,
				   "%sTrust: seen with Allow false; only what is allowed can depend on trust",
				   r->where);
	if (!(has_family(p, rule->senders, AF_INET) && has_family(p, rule->receivers, AF_INET)) &&
	    !(has_family(p, rule->senders, AF_INET6) && has_family(p, rule->receivers, AF_INET6)))
		return reader_fail(
			r, m[RECEIVERS].key.begin,
			"%sReceivers: not one has the IP version of a sender; no frame could match",
			r->where);
	return OK;
}

static enum status read_name(struct reader *r, const struct member *m, size_t at, struct policy_rule *rule)
{
	const struct policy *p = r->policy;
	char name[TEXT_MAX];

	if (!m->key.end)
		return reader_fail(r, at, "%sName: missing; each rule has a name, which records carry",
				   r->where);
	if (!reader_text(r, &m->first, m->end, name) || !policy_name_is_good(name))
		return reader_fail_value(r, m, rule_names[NAME],
					 "a letter, then letters, digits, '-', '_' and '.', 47 at most,");
	if (strcmp(name, POLICY_DEFAULT_RULE) == 0)
		return reader_fail(r, m->first.begin,
				   "%sName: \"%s\" seen; that is what no rule matches, choose another",
				   r->where, name);
	for (uint32_t i = 0; i < p->rule_count; i++)
		if (strcmp(p->rule[i].name, name) == 0)
			return reader_fail(r, m->first.begin,
					   "%sName: \"%s\" seen a second time; Rules[%u] has it", r->where,
					   name, i);
	memcpy(rule->name, name, strlen(name) + 1);
	return OK;
}

static enum status read_conditions(struct reader *r, const struct member m[PROPERTIES_MAX],
				   struct policy_rule *rule)
{
	enum status status = OK;

	if (m[SENDERS].key.end)
		status = reader_prefixes(r, &m[SENDERS], rule_names[SENDERS], &rule->senders);
	if (status == OK && m[RECEIVERS].key.end)
		status = reader_prefixes(r, &m[RECEIVERS], rule_names[RECEIVERS], &rule->receivers);
	if (status == OK && m[PROTOCOL].key.end)
		status = reader_each(r, &m[PROTOCOL], take_protocol, rule);
	if (status == OK && m[PORTS].key.end)
		status = reader_each(r, &m[PORTS], take_port, rule);
	if (status == OK && m[NEEDS].key.end)
		status = reader_each(r, &m[NEEDS], take_need, rule);
	if (status != OK)
		return status;
	if (m[PROTOCOL].key.end && rule->protocol_count == 0 && !rule->icmp)
		return reader_fail_empty(r, &m[PROTOCOL], rule_names[PROTOCOL]);
	if (m[PORTS].key.end && rule->port_count == 0)
		return reader_fail_empty(r, &m[PORTS], rule_names[PORTS]);
	return m[NEEDS].key.end && rule->trust == 0 ? reader_fail_empty(r, &m[NEEDS], rule_names[NEEDS]) : OK;
}

enum status reader_rule(struct reader *r, const struct member *m, void *arg)
{
	struct policy *p = r->policy;
	struct policy_rule rule = {.allow = true};
	struct member members[PROPERTIES_MAX];
	enum status status;

	snprintf(r->where, sizeof r->where, "Rules[%u].", p->rule_count);
	if (m->first.kind != '{') {
		r->where[0] = 0;
		return reader_fail_value(r, m, "Rules", "a list of objects { … }");
	}
	if (p->rule_count == POLICY_RULES_MAX)
		return reader_fail(r, m->first.begin, "Rules: more than %d seen", POLICY_RULES_MAX);
	status = reader_members(r, m->first.begin, rule_names, members);
	if (status == OK)
		status = read_name(r, &members[NAME], m->first.begin, &rule);
	if (status != OK)
		return status;
	if (members[ALLOW].key.end) {
		const char *at = r->document.text + members[ALLOW].first.begin;

		if (members[ALLOW].first.kind != TOKEN_WORD || *at == 'n')
			return reader_fail_value(r, &members[ALLOW], rule_names[ALLOW], "true or false");
		rule.allow = *at == 't';
	}
	status = read_conditions(r, members, &rule);
	if (status == OK)
		status = check_rule(r, &rule, members);
	if (status != OK)
		return status;
	join_ports(&rule);
	if (!reader_grow(&p->rule, p->rule_count, sizeof *p->rule))
		return reader_no_memory(r);
	p->rule[p->rule_count++] = rule;
	r->where[0] = 0;
	return OK;
}
