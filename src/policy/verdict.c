#include "policy/verdict.h"

#include <arpa/inet.h>
#include <string.h>

#include "policy/prefix.h"

static bool in_list(const struct policy *p, struct prefix_run list, const struct policy_prefix *host)
{
	for (uint32_t i = 0; i < list.count; i++)
		if (policy_prefix_covers(&p->prefix[list.first + i], host))
			return true;
	return list.count == 0;
}

static bool has_protocol(const struct policy_rule *rule, const struct policy_frame *f)
{
	if (rule->protocol_count == 0 && !rule->icmp)
		return true;
	if (rule->icmp && f->protocol == (f->source.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return true;
	return memchr(rule->protocol, f->protocol, rule->protocol_count) != NULL;
}

static bool has_port(const struct policy_rule *rule, uint16_t port)
{
	for (unsigned i = 0; i < rule->port_count; i++)
		if (rule->port[i].first <= port && port <= rule->port[i].last)
			return true;
	return rule->port_count == 0;
}

static bool is_member(const struct trust_members *members, const char *trust,
		      const struct policy_prefix *peer)
{
	for (uint32_t i = 0; members && i < members->count; i++)
		if (strcmp(members->member[i].trust, trust) == 0 &&
		    policy_prefix_covers(&members->member[i].peer, peer))
			return true;
	return false;
}

struct policy_verdict policy_judge(const struct policy *p, const struct trust_members *members,
				   const struct policy_frame *f)
{
	for (uint32_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *rule = &p->rule[i];

		if (!in_list(p, rule->senders, &f->source) || !in_list(p, rule->receivers, &f->destination) ||
		    !has_protocol(rule, f) || !has_port(rule, f->port))
			continue;
		for (uint32_t t = 0; t < p->trust_count; t++)
			if (rule->trust >> t & 1 &&
			    !is_member(members, p->trust[t], f->egress ? &f->destination : &f->source))
				return (struct policy_verdict){.trust = true, .name = p->trust[t]};
		return (struct policy_verdict){.allowed = rule->allow, .name = rule->name};
	}
	return (struct policy_verdict){.name = POLICY_DEFAULT_RULE};
}
