#include "cmd/demo_policy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { ADA };

static const char policy[] =
	"{\n"
	"  \"Interfaces\": [\"%s\"],\n"
	"  \"NflogGroup\": " DEMO_NFLOG_GROUP ",\n"
	"  \"Peers\": {\n"
	"    \"ada\": [\"10.77.0.1\", \"fd77::1\"],\n"
	"    \"bob\": [\"10.77.0.2\", \"fd77::2\"],\n"
	"    \"cyd\": [\"10.77.0.3\", \"fd77::3\"]\n"
	"  },\n"
	"  \"TrustRequirements\": [\"disk-encryption\"],\n"
	"  \"Rules\": [\n"
	"    { \"Name\": \"ping\", \"Protocol\": \"icmp\" },\n"
	"    { \"Name\": \"names\", \"Receivers\": \"ada\", \"Protocol\": \"udp\", \"Ports\": 53 },\n"
	"    { \"Name\": \"no-snmp\", \"Allow\": false, \"Receivers\": \"ada\", \"Protocol\": "
	"\"udp\", \"Ports\": 161 },\n"
	"    { \"Name\": \"logs\", \"Senders\": \"ada\", \"Receivers\": \"cyd\", \"Protocol\": "
	"\"udp\", \"Ports\": 514,\n"
	"      \"Trust\": \"disk-encryption\" },\n"
	"    { \"Name\": \"measure\", \"Senders\": \"ada\", \"Protocol\": [\"tcp\", \"udp\"], "
	"\"Ports\": \"5201-5202\" }\n"
	"  ]\n"
	"}\n";

enum status demo_policy_apply(struct lab *lab, struct error *err)
{
	char program[PATH_MAX], line[PATH_MAX + 64], text[sizeof policy + 32];
	const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	auto_fd file = memfd_create("policy", MFD_CLOEXEC);
	const int length = snprintf(text, sizeof text, policy, lab->host[ADA].device);

	if (n < 0 || file < 0 || write(file, text, (size_t)length) != length)
		return error_errno(err, "the policy");
	program[n] = 0;
	snprintf(line, sizeof line, "%s policy apply /proc/%d/fd/%d", program, (int)getpid(), file);
	const struct child_order order = {.netns = lab->host[ADA].netns, .line = line};
	return children_run(lab->children, &order, err);
}
