/* weir policy: a policy of our own for hosts that have none. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/command.h"
#include "policy/own_session.h"
#include "policy/show.h"
#include "policy/table.h"

enum { OPT_YES, OPT_EXPIRES, OPT_COMPILED };

static const struct command_option options[] = {
	[OPT_YES] = {'y', "yes", NULL, "apply also what cuts off the caller's own session"},
	[OPT_EXPIRES] = {0, "expires", "DURATION",
			 "trust add: 90s, 15m, 8h, 7d from now on (default: until it is removed)"},
	[OPT_COMPILED] = {0, "compiled", NULL, "show: the commands for nft -j instead of a table"},
	{0},
};

enum { WORDS_MAX = 4, SECONDS_MAX = 366 * 24 * 3600 };

struct request {
	struct invocation *invocation;
	bool yes, compiled;
	uint32_t expires; /* seconds; 0: it stays */
	uint32_t count;
	const char *word[WORDS_MAX];
};

static int failed(enum status status, const struct error *err)
{
	fprintf(stderr, "weir policy: %s\n", err->text);
	return status == ERR_USAGE ? EXIT_WRONG_USAGE : EXIT_RUN_FAILED;
}

/* What is wrong in a file is told as `weir check` does: the place first. */
static int bad_file(enum status status, const struct error *err)
{
	fprintf(stderr, "%s\n", err->text);
	return status == ERR_USAGE || status == ERR_LIMIT ? EXIT_WRONG_USAGE : EXIT_RUN_FAILED;
}

static bool read_duration(const char *text, uint32_t *seconds)
{
	static const char units[] = "smhd";
	static const uint32_t of[] = {1, 60, 3600, 86400};
	char *end;
	const unsigned long number = strtoul(text, &end, 10);
	const char *unit = *end && !end[1] ? strchr(units, *end) : NULL;

	if (!isdigit((unsigned char)text[0]) || !unit || number == 0 ||
	    number > SECONDS_MAX / of[unit - units])
		return false;
	*seconds = (uint32_t)number * of[unit - units];
	return true;
}

/* ---- apply ---- */

static bool agrees(const struct policy_frame *session, const struct policy_verdict *verdict, bool yes)
{
	char client[64], server[64], answer[16] = "";

	policy_prefix_text(&session->source, client, sizeof client);
	policy_prefix_text(&session->destination, server, sizeof server);
	fprintf(stderr,
		"weir policy: your own session, from %s to %s port %u over the overlay, would be cut off by "
		"%s '%s'\n",
		client, server, session->port, verdict->trust ? "the trust requirement" : "the rule",
		verdict->name);
	if (yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, "weir policy: nothing was changed; --yes applies it all the same\n");
		return false;
	}
	fprintf(stderr, "Apply it all the same? [y/N] ");
	if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	fprintf(stderr, "weir policy: nothing was changed\n");
	return false;
}

static bool may_apply(const struct policy *policy, const struct trust_members *members, bool yes)
{
	struct policy_frame session;

	if (!own_session_find(&session) || !own_session_is_over(policy, &session))
		return true;
	const struct policy_verdict verdict = policy_judge(policy, members, &session);
	return verdict.allowed || agrees(&session, &verdict, yes);
}

static int apply_locked(const struct request *r, const struct policy *policy)
{
	struct trust_members members = {0};
	struct error err;
	json_t *before = NULL;
	enum status status = policy_table_list(&before, &err);
	int result = EXIT_RUN_FAILED;

	if (status == OK)
		status = policy_list_members(before, &members, &err);
	if (status != OK) {
		result = failed(status, &err);
	} else if (may_apply(policy, &members, r->yes)) {
		status = policy_table_send(policy_compile(policy, &members), &err);
		result = status == OK ? EXIT_DONE : failed(status, &err);
	}
	free(members.member);
	json_decref(before);
	return result;
}

static int apply(const struct request *r)
{
	struct policy *policy;
	struct error err;
	enum status status = policy_load(&policy, r->word[1], &err);

	if (status != OK)
		return bad_file(status, &err);
	int hold = -1, result;
	status = policy_lock(&hold, &err);
	result = status == OK ? apply_locked(r, policy) : failed(status, &err);
	close_fd(&hold);
	policy_free(policy);
	return result;
}

/* ---- show, remove ---- */

static int print_json(json_t *json)
{
	const bool good = json && json_dumpf(json, stdout, JSON_INDENT(1)) == 0 && putchar('\n') != EOF;

	json_decref(json);
	return good && fflush(stdout) == 0 ? EXIT_DONE : EXIT_RUN_FAILED;
}

/* Of a file: what it would send. */
static int show_file(const struct request *r)
{
	struct policy *policy;
	struct error err;
	const enum status status = policy_load(&policy, r->word[1], &err);

	if (status != OK)
		return bad_file(status, &err);
	json_t *commands = policy_compile(policy, NULL);
	policy_free(policy);
	return print_json(commands);
}

static int show(const struct request *r)
{
	struct error err;
	json_t *list = NULL;

	if (r->count > 1)
		return show_file(r);
	enum status status = policy_table_list(&list, &err);
	if (status != OK)
		return failed(status, &err);
	if (!list) {
		fprintf(stderr, "weir policy: none is applied here\n");
		return EXIT_RUN_FAILED;
	}
	if (r->compiled)
		return print_json(list);
	status = policy_show(list, stdout, &err);
	json_decref(list);
	if (status != OK)
		return failed(status, &err);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_RUN_FAILED;
}

static int remove_policy(const struct request *r)
{
	int hold = -1;
	struct error err;
	enum status status = policy_lock(&hold, &err);

	if (status == OK)
		status = policy_table_send(policy_compile_removal(), &err);
	close_fd(&hold);
	return status == OK ? EXIT_DONE : failed(status, &err);
}

/* ---- trust ---- */

enum { HOSTS_MAX = 256 };

/* The hosts that a word stands for. 0: nothing, and standard error has said why. */
static uint32_t hosts_of(const json_t *list, const char *peer, struct policy_prefix out[HOSTS_MAX])
{
	bool wide;

	if (policy_prefix_parse(out, peer)) {
		if (policy_prefix_is_host(out))
			return 1;
		fprintf(stderr, "weir policy: '%s' is a prefix; a requirement is met by hosts\n", peer);
		return 0;
	}
	const uint32_t count = policy_list_peer(list, peer, out, HOSTS_MAX, &wide);
	if (count == HOSTS_MAX) {
		fprintf(stderr, "weir policy: peer '%s' has more than %d hosts\n", peer, HOSTS_MAX - 1);
		return 0;
	}
	if (count == 0)
		fprintf(stderr, "weir policy: '%s' is neither an address nor a peer of the policy\n", peer);
	else if (wide)
		fprintf(stderr, "weir policy: peer '%s' has a prefix; a requirement is met by hosts\n", peer);
	return wide ? 0 : count;
}

static int trust_locked(const struct request *r, const json_t *list, bool add)
{
	struct policy_prefix host[HOSTS_MAX];
	struct trust_member member[HOSTS_MAX];
	struct trust_members members = {.member = member};
	struct error err;

	if (!list || !policy_list_has_trust(list, r->word[2])) {
		fprintf(stderr, "weir policy: %s%s%s\n",
			list ? "the policy that is applied has no trust requirement '"
			     : "none is applied here",
			list ? r->word[2] : "", list ? "'" : "");
		return EXIT_RUN_FAILED;
	}
	members.count = hosts_of(list, r->word[3], host);
	if (members.count == 0)
		return EXIT_RUN_FAILED;
	for (uint32_t i = 0; i < members.count; i++) {
		member[i] = (struct trust_member){.peer = host[i], .seconds = r->expires};
		snprintf(member[i].trust, sizeof member[i].trust, "%s", r->word[2]);
	}
	const enum status status = policy_table_send(policy_compile_members(&members, add), &err);
	return status == OK ? EXIT_DONE : failed(status, &err);
}

static int trust(const struct request *r)
{
	int hold = -1, result;
	struct error err;
	json_t *list = NULL;
	enum status status = policy_lock(&hold, &err);

	if (status == OK)
		status = policy_table_list(&list, &err);
	result = status == OK ? trust_locked(r, list, strcmp(r->word[1], "add") == 0) : failed(status, &err);
	json_decref(list);
	close_fd(&hold);
	return result;
}

/* ---- the command line ---- */

static const struct {
	const char *name;
	uint32_t least, most; /* words, with the name */
	int (*run)(const struct request *r);
} actions[] = {
	{"apply", 2, 2, apply},
	{"show", 1, 2, show},
	{"remove", 1, 1, remove_policy},
	{"trust", 4, 4, trust},
};

/* Options and words, in any order. False: wrong usage, and standard error has said what. */
static bool read_words(struct request *r)
{
	struct invocation *v = r->invocation;
	const char *value;

	for (;;) {
		const int option = command_next(v, &value);

		if (option == -2)
			return false;
		if (option == OPT_YES)
			r->yes = true;
		if (option == OPT_COMPILED)
			r->compiled = true;
		if (option == OPT_EXPIRES && !read_duration(value, &r->expires)) {
			command_usage_error(v, "--expires '%s': 90s, 15m, 8h or 7d expected, a year at most",
					    value);
			return false;
		}
		if (option != -1)
			continue;
		value = command_operand(v);
		if (!value)
			return true;
		if (r->count == WORDS_MAX) {
			command_usage_error(v, "'%s' is one word too many", value);
			return false;
		}
		r->word[r->count++] = value;
	}
}

static int run(struct invocation *invocation)
{
	struct request r = {.invocation = invocation};

	if (!read_words(&r))
		return EXIT_WRONG_USAGE;
	for (size_t i = 0; r.count > 0 && i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(actions[i].name, r.word[0]) != 0)
			continue;
		if (r.count < actions[i].least || r.count > actions[i].most)
			break;
		const bool add = strcmp(r.word[0], "trust") == 0 && strcmp(r.word[1], "add") == 0;
		if (strcmp(r.word[0], "trust") == 0 && !add && strcmp(r.word[1], "remove") != 0)
			break;
		if (r.expires && !add)
			return command_usage_error(invocation, "--expires goes with 'trust add'");
		return actions[i].run(&r);
	}
	return command_usage_error(invocation, "apply FILE, show [FILE], remove, or trust add|remove NAME "
					       "PEER expected");
}

const struct command command_policy = {
	.name = "policy",
	.summary = "an access policy for hosts that have none: who may talk to whom over the overlay",
	.synopsis = "apply FILE | show [FILE] | remove | trust add|remove NAME PEER",
	.notes = "FILE is JSON, '-' is standard input; weir-policy(8) tells its properties.\n"
		 "show FILE prints what apply would send to the kernel. PEER is an address or a name of "
		 "Peers.\n"
		 "Exit status: 0 done, 1 failed or not agreed to, 2 wrong usage or file.",
	.options = options,
	.run = run,
};
