#include "policy/compile.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "observe/rules.h"

enum { SNAP_OCTETS = 128, PRIORITY = 10 };

/* Frames that keep an IPv6 link going, whoever may talk to whom: multicast listener and neighbour discovery,
 * and packet too big for what connection tracking does not know. */
static const int essential_types[] = {2, 130, 131, 132, 133, 134, 135, 136, 143};

static const char *const sides[] = {"ingress", "egress"};

enum { ANY_VERSION };

struct compiler {
	const struct policy *policy;
	json_t *commands;
	bool failed;
};

/* ---- small pieces ---- */

bool policy_command(json_t *commands, const char *verb, const char *what, json_t *object)
{
	return json_array_append_new(commands, json_pack("{s:{s:o}}", verb, what, object)) == 0;
}

static void add(struct compiler *c, const char *what, json_t *object)
{
	c->failed |= !policy_command(c->commands, "add", what, object);
}

static void append(struct compiler *c, json_t *list, json_t *one)
{
	c->failed |= json_array_append_new(list, one) != 0;
}

static json_t *match(const char *operator, json_t * left, json_t *right)
{
	return json_pack("{s:{s:s,s:o,s:o}}", "match", "op", operator, "left", left, "right", right);
}

static json_t *payload(const char *protocol, const char *field)
{
	return json_pack("{s:{s:s,s:s}}", "payload", "protocol", protocol, "field", field);
}

static json_t *key(const char *of, const char *name)
{
	return json_pack("{s:{s:s}}", of, "key", name);
}

static json_t *prefix_json(const struct policy_prefix *p)
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(p->family, p->address, address, sizeof address);
	return policy_prefix_is_host(p)
		       ? json_string(address)
		       : json_pack("{s:{s:s,s:i}}", "prefix", "addr", address, "len", p->length);
}

static json_t *in_table(const char *name)
{
	return json_pack("{s:s,s:s,s:s}", "family", "inet", "table", POLICY_TABLE, "name", name);
}

static json_t *table_json(void)
{
	return json_pack("{s:s,s:s}", "family", "inet", "name", POLICY_TABLE);
}

static void add_rule(struct compiler *c, const char *chain, json_t *expressions)
{
	add(c, "rule",
	    json_pack("{s:s,s:s,s:s,s:o}", "family", "inet", "table", POLICY_TABLE, "chain", chain, "expr",
		      expressions));
}

/* ---- counters, verdicts ---- */

static void count(struct compiler *c, json_t *rule, const char *action, const char *name, unsigned side)
{
	char counter[RULE_NAME_MAX];

	snprintf(counter, sizeof counter, "%s/%s/%s", action, name, sides[side]);
	append(c, rule, json_pack("{s:s}", "counter", counter));
}

static void add_counter(struct compiler *c, const char *action, const char *name)
{
	for (unsigned side = 0; side < 2; side++) {
		char counter[RULE_NAME_MAX];

		snprintf(counter, sizeof counter, "%s/%s/%s", action, name, sides[side]);
		add(c, "counter", in_table(counter));
	}
}

static void pass(struct compiler *c, json_t *rule, const char *action, const char *name, unsigned side)
{
	count(c, rule, action, name, side);
	append(c, rule, json_pack("{s:n}", "return"));
}

static void refuse(struct compiler *c, json_t *rule, const char *action, const char *name, unsigned side)
{
	char prefix[RULE_NAME_MAX];

	snprintf(prefix, sizeof prefix, "%s:%s", action, name);
	count(c, rule, action, name, side);
	append(c, rule,
	       json_pack("{s:{s:s,s:i,s:i}}", "log", "prefix", prefix, "group", c->policy->nflog_group,
			 "snaplen", SNAP_OCTETS));
	append(c, rule, json_pack("{s:n}", "drop"));
}

/* ---- conditions of a rule ---- */

static const char *ip_of(int version)
{
	return version == AF_INET6 ? "ip6" : "ip";
}

/* An element alone stands for itself, several are a set. */
static json_t *one_or_set(json_t *list)
{
	if (json_array_size(list) != 1)
		return json_pack("{s:o}", "set", list);
	json_t *only = json_incref(json_array_get(list, 0));
	json_decref(list);
	return only;
}

/* False: nobody of this version is in the list. */
static bool put_addresses(struct compiler *c, json_t *rule, struct prefix_run list, int version,
			  const char *field)
{
	json_t *set = json_array();

	for (uint32_t i = 0; i < list.count; i++) {
		const struct policy_prefix *p = &c->policy->prefix[list.first + i];

		if (p->family == version)
			append(c, set, prefix_json(p));
	}
	if (json_array_size(set) == 0) {
		json_decref(set);
		return list.count == 0;
	}
	append(c, rule, match("==", payload(ip_of(version), field), one_or_set(set)));
	return true;
}

static void put_protocol(struct compiler *c, json_t *rule, const struct policy_rule *of, int version)
{
	json_t *set = json_array();

	for (unsigned i = 0; i < of->protocol_count; i++)
		append(c, set, json_integer(of->protocol[i]));
	if (of->icmp && version != AF_INET6)
		append(c, set, json_integer(IPPROTO_ICMP));
	if (of->icmp && version != AF_INET)
		append(c, set, json_integer(IPPROTO_ICMPV6));
	if (json_array_size(set) > 0)
		append(c, rule, match("==", key("meta", "l4proto"), one_or_set(set)));
	else
		json_decref(set);
}

static void put_ports(struct compiler *c, json_t *rule, const struct policy_rule *of)
{
	json_t *set = json_array();

	for (unsigned i = 0; i < of->port_count; i++) {
		const struct port_range *p = &of->port[i];

		append(c, set,
		       p->first == p->last ? json_integer(p->first)
					   : json_pack("{s:[i,i]}", "range", p->first, p->last));
	}
	if (of->port_count > 0)
		append(c, rule, match("==", payload("th", "dport"), one_or_set(set)));
	else
		json_decref(set);
}

/* NULL: no frame of this version can match. */
static json_t *conditions(struct compiler *c, const struct policy_rule *rule, int version)
{
	json_t *list = json_array();
	bool possible = true;

	if (version != ANY_VERSION) {
		if (rule->senders.count == 0 && rule->receivers.count == 0)
			append(c, list,
			       match("==", key("meta", "nfproto"),
				     json_string(version == AF_INET6 ? "ipv6" : "ipv4")));
		possible = put_addresses(c, list, rule->senders, version, "saddr") &&
			   put_addresses(c, list, rule->receivers, version, "daddr");
	}
	if (!possible) {
		json_decref(list);
		return NULL;
	}
	put_protocol(c, list, rule, version);
	put_ports(c, list, rule);
	return list;
}

/* ---- rules ---- */

static void trust_set(char *out, size_t size, const char *name, int version)
{
	snprintf(out, size, "trust/%s/%c", name, version == AF_INET6 ? '6' : '4');
}

/* The peer is the far end: who sends what comes in, who receives what goes out. */
static void add_requirements(struct compiler *c, const struct policy_rule *rule, int version, unsigned side,
			     json_t *when)
{
	for (uint32_t i = 0; i < c->policy->trust_count; i++) {
		char set[RULE_NAME_MAX] = "@";

		if (!(rule->trust >> i & 1))
			continue;
		trust_set(set + 1, sizeof set - 1, c->policy->trust[i], version);
		json_t *expressions = json_copy(when);
		append(c, expressions,
		       match("!=", payload(ip_of(version), side ? "daddr" : "saddr"), json_string(set)));
		refuse(c, expressions, "trust", c->policy->trust[i], side);
		add_rule(c, sides[side], expressions);
	}
}

static void add_policy_rule(struct compiler *c, const struct policy_rule *rule, int version, unsigned side)
{
	json_t *expressions = conditions(c, rule, version);

	if (!expressions)
		return;
	if (rule->trust)
		add_requirements(c, rule, version, side, expressions);
	if (rule->allow)
		pass(c, expressions, "allow", rule->name, side);
	else
		refuse(c, expressions, "acl", rule->name, side);
	add_rule(c, sides[side], expressions);
}

static void add_policy_rules(struct compiler *c, unsigned side)
{
	for (uint32_t i = 0; i < c->policy->rule_count; i++) {
		const struct policy_rule *rule = &c->policy->rule[i];

		if (rule->trust || rule->senders.count || rule->receivers.count) {
			add_policy_rule(c, rule, AF_INET, side);
			add_policy_rule(c, rule, AF_INET6, side);
		} else {
			add_policy_rule(c, rule, ANY_VERSION, side);
		}
	}
}

/* Answers pass, and errors that ICMP tells of what passed. Frames in the direction in which a connection was
 * opened are asked for each time, so that each is counted and a rule that is taken away ends what it let in.
 */
static void add_answers(struct compiler *c, unsigned side)
{
	json_t *answers = json_array(), *related = json_array(), *essential = json_array();
	json_t *types = json_array();

	append(c, answers, match("in", key("ct", "state"), json_pack("[s,s]", "established", "related")));
	append(c, answers, match("==", key("ct", "direction"), json_string("reply")));
	pass(c, answers, "pass", "answers", side);
	add_rule(c, sides[side], answers);

	append(c, related, match("in", key("ct", "state"), json_string("related")));
	append(c, related,
	       match("==", key("meta", "l4proto"),
		     json_pack("{s:[i,i]}", "set", IPPROTO_ICMP, IPPROTO_ICMPV6)));
	pass(c, related, "pass", "answers", side);
	add_rule(c, sides[side], related);

	for (size_t i = 0; i < sizeof essential_types / sizeof essential_types[0]; i++)
		append(c, types, json_integer(essential_types[i]));
	append(c, essential, match("==", payload("icmpv6", "type"), json_pack("{s:o}", "set", types)));
	pass(c, essential, "pass", "ipv6-essentials", side);
	add_rule(c, sides[side], essential);
}

static void add_side(struct compiler *c, unsigned side)
{
	json_t *rest = json_array();

	add_answers(c, side);
	add_policy_rules(c, side);
	refuse(c, rest, "acl", POLICY_DEFAULT_RULE, side);
	add_rule(c, sides[side], rest);
}

/* ---- the table ---- */

static void add_hook(struct compiler *c, const char *hook)
{
	add(c, "chain",
	    json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "family", "inet", "table", POLICY_TABLE, "name", hook,
		      "type", "filter", "hook", hook, "prio", PRIORITY, "policy", "accept"));
}

static void add_jump(struct compiler *c, const char *hook, unsigned side)
{
	json_t *names = json_array(), *expressions = json_array();

	for (uint32_t i = 0; i < c->policy->interface_count; i++)
		append(c, names, json_string(c->policy->interface[i]));
	append(c, expressions, match("==", key("meta", side ? "oifname" : "iifname"), one_or_set(names)));
	append(c, expressions, json_pack("{s:{s:s}}", "jump", "target", sides[side]));
	add_rule(c, hook, expressions);
}

static json_t *member_json(const struct trust_member *m)
{
	json_t *address = prefix_json(&m->peer);

	return m->seconds
		       ? json_pack("{s:{s:o,s:I}}", "elem", "val", address, "timeout", (json_int_t)m->seconds)
		       : address;
}

static void add_set(struct compiler *c, const char *name, int version, const char *flag, json_t *elements)
{
	json_t *set = in_table(name);

	c->failed |= json_object_set_new(set, "type",
					 json_string(version == AF_INET6 ? "ipv6_addr" : "ipv4_addr")) != 0 ||
		     json_object_set_new(set, "flags", json_pack("[s]", flag)) != 0;
	if (json_array_size(elements) > 0)
		c->failed |= json_object_set_new(set, "elem", elements) != 0;
	else
		json_decref(elements);
	add(c, "set", set);
}

static void add_trust_set(struct compiler *c, const char *trust, int version,
			  const struct trust_members *members)
{
	json_t *elements = json_array();
	char name[RULE_NAME_MAX];

	for (uint32_t i = 0; members && i < members->count; i++)
		if (members->member[i].peer.family == version && strcmp(members->member[i].trust, trust) == 0)
			append(c, elements, member_json(&members->member[i]));
	trust_set(name, sizeof name, trust, version);
	add_set(c, name, version, "timeout", elements);
}

static void add_peer_set(struct compiler *c, const struct policy_peer *peer, int version)
{
	json_t *elements = json_array();
	char name[RULE_NAME_MAX];

	for (uint32_t i = 0; i < peer->prefixes.count; i++) {
		const struct policy_prefix *p = &c->policy->prefix[peer->prefixes.first + i];

		if (p->family == version)
			append(c, elements, prefix_json(p));
	}
	snprintf(name, sizeof name, "peer/%s/%c", peer->name, version == AF_INET6 ? '6' : '4');
	add_set(c, name, version, "interval", elements);
}

static void add_objects(struct compiler *c, const struct trust_members *members)
{
	const struct policy *p = c->policy;

	add_counter(c, "pass", "answers");
	add_counter(c, "pass", "ipv6-essentials");
	for (uint32_t i = 0; i < p->rule_count; i++)
		add_counter(c, p->rule[i].allow ? "allow" : "acl", p->rule[i].name);
	for (uint32_t i = 0; i < p->trust_count; i++) {
		add_counter(c, "trust", p->trust[i]);
		add_trust_set(c, p->trust[i], AF_INET, members);
		add_trust_set(c, p->trust[i], AF_INET6, members);
	}
	add_counter(c, "acl", POLICY_DEFAULT_RULE);
	for (uint32_t i = 0; i < p->peer_count; i++) {
		add_peer_set(c, &p->peer[i], AF_INET);
		add_peer_set(c, &p->peer[i], AF_INET6);
	}
}

static json_t *finish(json_t *commands, bool failed)
{
	json_t *all = failed ? NULL : json_pack("{s:O}", "nftables", commands);

	json_decref(commands);
	return all;
}

/* The table may be there or not: made if it is not, taken away in any case. */
static bool put_removal(json_t *commands)
{
	return policy_command(commands, "add", "table", table_json()) &&
	       policy_command(commands, "delete", "table", table_json());
}

json_t *policy_compile(const struct policy *policy, const struct trust_members *members)
{
	struct compiler c = {.policy = policy, .commands = json_array()};

	c.failed = !put_removal(c.commands);
	add(&c, "table", table_json());
	add_objects(&c, members);
	for (unsigned side = 0; side < 2; side++) {
		add(&c, "chain", in_table(sides[side]));
		add_side(&c, side);
	}
	add_hook(&c, "input");
	add_hook(&c, "forward");
	add_hook(&c, "output");
	add_jump(&c, "input", 0);
	add_jump(&c, "forward", 0);
	add_jump(&c, "forward", 1);
	add_jump(&c, "output", 1);
	return finish(c.commands, c.failed);
}

json_t *policy_compile_removal(void)
{
	json_t *commands = json_array();

	return finish(commands, !put_removal(commands));
}

static bool put_member(json_t *commands, const char *verb, const struct trust_member *m, bool with_end)
{
	char name[RULE_NAME_MAX];
	json_t *object;

	trust_set(name, sizeof name, m->trust, m->peer.family);
	object = in_table(name);
	return json_object_set_new(object, "elem",
				   json_pack("[o]", with_end ? member_json(m) : prefix_json(&m->peer))) ==
		       0 &&
	       policy_command(commands, verb, "element", object);
}

/* Added without an end (nothing if it is there), taken out, added: so it needs not be known whether it is
 * there. */
json_t *policy_compile_members(const struct trust_members *members, bool add_them)
{
	json_t *commands = json_array();
	bool good = true;

	for (uint32_t i = 0; good && i < members->count; i++) {
		const struct trust_member *m = &members->member[i];

		good = put_member(commands, "add", m, false) && put_member(commands, "delete", m, false) &&
		       (!add_them || put_member(commands, "add", m, true));
	}
	return finish(commands, !good);
}
