#include "policy/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "observe/rules.h"
#include "policy/run.h"

enum { LOCK_TRIES = 200, LOCK_PAUSE_MS = 50 };

/* An abstract socket address is a lock that the kernel lets go with the process, whatever ends it; and it is
 * one of the network namespace, as the table is. */
enum status policy_lock(int *hold, struct error *err)
{
	static const char name[] = "weir/policy";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_fd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*hold = -1;
	if (fd < 0)
		return error_errno(err, "a lock for the policy");
	memcpy(address.sun_path + 1, name, sizeof name - 1);
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (bind(fd, (struct sockaddr *)&address,
			 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof name)) == 0) {
			*hold = take_fd(&fd);
			return OK;
		}
		if (errno != EADDRINUSE)
			return error_errno(err, "a lock for the policy");
		(void)poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return error_set(err, ERR_LIMIT, "another 'weir policy' has been at work for ten seconds");
}

static enum status list(const char *const *words, json_t **out, struct error *err)
{
	auto_free char *text = NULL;
	const enum status status = nft_run(words, NULL, 0, &text, err);
	json_error_t fault;

	*out = NULL;
	if (status != OK)
		return status;
	json_t *root = json_loads(text, 0, &fault);
	*out = json_incref(json_object_get(root, "nftables"));
	json_decref(root);
	if (!json_is_array(*out)) {
		json_decref(*out);
		*out = NULL;
		return error_set(err, ERR_FORMAT, "nft: a list expected, something else seen: %s",
				 fault.text);
	}
	return OK;
}

/* The object of this kind at `index`; NULL: it is of another. */
static const json_t *object_at(const json_t *list, size_t index, const char *kind)
{
	return json_object_get(json_array_get(list, index), kind);
}

static const char *name_of(const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "name"));

	return name ? name : "";
}

/* nft has no status of its own for a table that is not there, so its list is asked. */
enum status policy_table_list(json_t **out, struct error *err)
{
	static const char *const tables[] = {"nft", "-j", "list", "tables", "inet", NULL};
	static const char *const table[] = {"nft", "-j", "list", "table", "inet", POLICY_TABLE, NULL};
	json_t *all;
	bool there = false;
	enum status status = list(tables, &all, err);

	*out = NULL;
	if (status != OK)
		return status;
	for (size_t i = 0; i < json_array_size(all); i++)
		there = there || strcmp(name_of(object_at(all, i, "table")), POLICY_TABLE) == 0;
	json_decref(all);
	return there ? list(table, out, err) : OK;
}

enum status policy_table_send(json_t *commands, struct error *err)
{
	static const char *const words[] = {"nft", "-j", "-f", "-", NULL};
	auto_free char *text = commands ? json_dumps(commands, JSON_COMPACT) : NULL;

	json_decref(commands);
	if (!text)
		return error_set(err, ERR_MEMORY, "no memory for the rules");
	return nft_run(words, text, strlen(text), NULL, err);
}

/* ---- reading a list ---- */

/* "trust/NAME/4" -> NAME. */
static bool set_name(const json_t *set, const char *kind, char out[POLICY_NAME_MAX])
{
	const char *name = name_of(set);
	const size_t front = strlen(kind), length = strlen(name);

	if (length < front + 3 || length - front - 2 >= POLICY_NAME_MAX || strncmp(name, kind, front) != 0)
		return false;
	snprintf(out, POLICY_NAME_MAX, "%.*s", (int)(length - front - 2), name + front);
	return true;
}

/* "10.0.0.1", or {"prefix": …}. */
static bool read_prefix(const json_t *value, struct policy_prefix *out)
{
	const json_t *prefix = json_object_get(value, "prefix");
	char text[INET6_ADDRSTRLEN + 8];

	if (json_is_string(value))
		return policy_prefix_parse(out, json_string_value(value));
	if (!json_is_string(json_object_get(prefix, "addr")))
		return false;
	snprintf(text, sizeof text, "%.46s/%d", json_string_value(json_object_get(prefix, "addr")),
		 (int)json_integer_value(json_object_get(prefix, "len")));
	return policy_prefix_parse(out, text);
}

/* An element that ends this second would stay for ever if it were given no time. */
static bool read_member(const json_t *value, const char *trust, struct trust_member *out)
{
	const json_t *element = json_object_get(value, "elem");
	const json_int_t left = json_integer_value(json_object_get(element, "expires"));

	*out = (struct trust_member){0};
	snprintf(out->trust, sizeof out->trust, "%s", trust);
	if (json_object_get(element, "expires"))
		out->seconds = left > 0 ? (uint32_t)left : 1;
	return read_prefix(element ? json_object_get(element, "val") : value, &out->peer);
}

static bool add_member(struct trust_members *all, const struct trust_member *one)
{
	struct trust_member *more = realloc(all->member, (all->count + 1) * sizeof *more);

	if (!more)
		return false;
	all->member = more;
	more[all->count++] = *one;
	return true;
}

enum status policy_list_members(const json_t *list, struct trust_members *out, struct error *err)
{
	*out = (struct trust_members){0};
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *set = object_at(list, i, "set"), *elements = json_object_get(set, "elem");
		char trust[POLICY_NAME_MAX];

		if (!set_name(set, "trust/", trust))
			continue;
		for (size_t k = 0; k < json_array_size(elements); k++) {
			struct trust_member m;

			if (read_member(json_array_get(elements, k), trust, &m) && !add_member(out, &m))
				return error_set(err, ERR_MEMORY, "no memory for members of sets");
		}
	}
	return OK;
}

bool policy_list_has_trust(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		char trust[POLICY_NAME_MAX];

		if (set_name(object_at(list, i, "set"), "trust/", trust) && strcmp(trust, name) == 0)
			return true;
	}
	return false;
}

uint32_t policy_list_peer(const json_t *list, const char *name, struct policy_prefix *out, uint32_t room,
			  bool *wide)
{
	uint32_t count = 0;

	*wide = false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *set = object_at(list, i, "set"), *elements = json_object_get(set, "elem");
		char peer[POLICY_NAME_MAX];

		if (!set_name(set, "peer/", peer) || strcmp(peer, name) != 0)
			continue;
		for (size_t k = 0; k < json_array_size(elements) && count < room; k++) {
			const bool good = read_prefix(json_array_get(elements, k), &out[count]);

			*wide = *wide || !good || !policy_prefix_is_host(&out[count]);
			count += good;
		}
	}
	return count;
}

bool policy_list_next_counter(const json_t *list, size_t *index, struct rule_count *out)
{
	while (*index < json_array_size(list)) {
		const json_t *counter = object_at(list, (*index)++, "counter");

		if (!counter || !rule_counter_parse(out, name_of(counter)))
			continue;
		out->packets = (uint64_t)json_integer_value(json_object_get(counter, "packets"));
		out->octets = (uint64_t)json_integer_value(json_object_get(counter, "bytes"));
		return true;
	}
	return false;
}
