#include "observe/drop_reasons.h"

#include <string.h>

/* The packet filter's rules have names that other sources tell, so no name is made up for them here. */
const struct drop_reason drop_reasons[] = {
	{"NETFILTER_DROP", REASON_DROPPED, CLASS_OTHER, ""},
	{"IP_RPFILTER", REASON_SOURCE_CHECK, CLASS_OTHER, "kernel/IP_RPFILTER"},
	{"XFRM_POLICY", REASON_DROPPED, CLASS_OTHER, "kernel/XFRM_POLICY"},
	{"SECURITY_HOOK", REASON_DROPPED, CLASS_OTHER, "kernel/SECURITY_HOOK"},
	{"BPF_CGROUP_EGRESS", REASON_DROPPED, CLASS_OTHER, "kernel/BPF_CGROUP_EGRESS"},
	{"TC_INGRESS", REASON_DROPPED, CLASS_OTHER, "kernel/TC_INGRESS"},
	{"TC_EGRESS", REASON_DROPPED, CLASS_OTHER, "kernel/TC_EGRESS"},
	{"XDP", REASON_DROPPED, CLASS_OTHER, "kernel/XDP"},
	{NULL, 0, 0, NULL},
};

const struct drop_reason *drop_reason_find(const char *name)
{
	static const char before[] = "SKB_DROP_REASON_";

	if (strncmp(name, before, sizeof before - 1) == 0)
		name += sizeof before - 1;
	for (const struct drop_reason *r = drop_reasons; r->name; r++)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}
