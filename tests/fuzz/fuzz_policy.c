/* Any text as a policy: refused with a place and a reason, or compiled and asked. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct policy *policy, bool egress)
{
	struct policy_frame frame = {.egress = egress, .protocol = IPPROTO_TCP, .port = 443};

	if (!policy_prefix_parse(&frame.source, "10.0.0.5") ||
	    !policy_prefix_parse(&frame.destination, "192.0.2.1"))
		abort();
	const struct policy_verdict v = policy_judge(policy, NULL, &frame);
	if (!policy_name_is_good(v.name) || (v.allowed && v.trust))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *policy;
	struct error err = {0};

	if (policy_parse(&policy, "fuzz", (const char *)data, size, &err) != OK) {
		if (policy || strncmp(err.text, "fuzz:", 5) != 0 || strchr(err.text, '\n'))
			abort(); /* every refusal is one line that names the file */
		return 0;
	}
	json_t *commands = policy_compile(policy, NULL);
	char *text = commands ? json_dumps(commands, JSON_COMPACT) : NULL;
	if (!text)
		abort(); /* all names and texts are UTF-8 */
	free(text);
	json_decref(commands);
	ask(policy, false);
	ask(policy, true);
	policy_free(policy);
	return 0;
}
