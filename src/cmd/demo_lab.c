#include "cmd/demo_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { LINE_OCTETS = 512, READY_TRIES = 100, READY_MS = 50 };

static const char *const host_names[LAB_HOSTS] = {"ada", "bob", "cyd"};

/* How often a step is done and where. */
enum step_scope { ONCE_IN_FABRIC, PER_HOST_IN_FABRIC, PER_HOST, PER_PAIR };

struct step {
	enum step_scope scope;
	const char *line;
};

static const struct step underlay_steps[] = {
	{ONCE_IN_FABRIC, "ip link set lo up"},
	{ONCE_IN_FABRIC, "ip link add br0 type bridge"},
	{ONCE_IN_FABRIC, "ip address add " LAB_COLLECTOR "/24 dev br0"},
	{ONCE_IN_FABRIC, "ip link set br0 up"},
	{PER_HOST_IN_FABRIC, "ip link add p{n} type veth peer name eth0 netns {ns}"},
	{PER_HOST_IN_FABRIC, "ip link set p{n} master br0 up"},
	{PER_HOST, "ip link set lo up"},
	{PER_HOST, "ip address add 198.51.100.{n}/24 dev eth0"},
	{PER_HOST, "ip link set eth0 up"},
};

static const struct step overlay_steps[] = {
	{PER_HOST, "wg set {dev} listen-port 51820 private-key {key}"},
	{PER_PAIR,
	 "wg set {dev} peer {peer} endpoint 198.51.100.{m}:51820 allowed-ips 10.77.0.{m}/32,fd77::{m}/128"},
	{PER_HOST, "ip address add 10.77.0.{n}/24 dev {dev}"},
	{PER_HOST, "ip address add fd77::{n}/64 dev {dev} nodad"},
	{PER_HOST, "ip link set {dev} up"},
};

/* What stands for a {word}; NULL: there is no such word. */
static const char *word_value(const struct lab *lab, int host, int other, const char *word, size_t length,
			      char *room, size_t size)
{
	const struct lab_host *h = &lab->host[host];
	const struct {
		const char *word, *value;
		int number; /* where value is NULL */
		bool path;  /* the number is a descriptor of ours, meant as a path */
	} words[] = {
		{"n", NULL, host + 1, false},
		{"m", NULL, other + 1, false},
		{"name", h->name, 0, false},
		{"dev", h->device, 0, false},
		{"peer", lab->host[other].public_key, 0, false},
		{"ns", NULL, h->netns, true},
		{"key", NULL, h->key, true},
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strlen(words[i].word) != length || memcmp(words[i].word, word, length) != 0)
			continue;
		if (words[i].value)
			return words[i].value;
		if (words[i].path)
			snprintf(room, size, "/proc/%d/fd/%d", (int)getpid(), words[i].number);
		else
			snprintf(room, size, "%d", words[i].number);
		return room;
	}
	return NULL;
}

int lab_fill(const struct lab *lab, int host, int other, const char *line, char *out, size_t size)
{
	size_t used = 0;

	while (*line) {
		char room[64];
		const char *end = *line == '{' ? strchr(line, '}') : NULL;
		const char *value = end ? word_value(lab, host, other, line + 1, (size_t)(end - line) - 1,
						     room, sizeof room)
					: NULL;
		const size_t length = value ? strlen(value) : 1;

		if (used + length >= size)
			return -1;
		memcpy(out + used, value ? value : line, length);
		used += length;
		line = value ? end + 1 : line + 1;
	}
	out[used] = 0;
	return 0;
}

static enum status run_step(struct lab *lab, const struct step *step, int host, int other, struct error *err)
{
	char line[LINE_OCTETS];
	const bool in_fabric = step->scope == ONCE_IN_FABRIC || step->scope == PER_HOST_IN_FABRIC;

	if (lab_fill(lab, host, other, step->line, line, sizeof line) < 0)
		return error_set(err, ERR_LIMIT, "'%s' grows too long", step->line);
	const struct child_order order = {.netns = in_fabric ? lab->fabric : lab->host[host].netns,
					  .line = line};
	return children_run(lab->children, &order, err);
}

static enum status run_steps(struct lab *lab, const struct step *steps, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		const int hosts = steps[i].scope == ONCE_IN_FABRIC ? 1 : LAB_HOSTS;
		const int others = steps[i].scope == PER_PAIR ? LAB_HOSTS : 1;

		for (int host = 0; host < hosts; host++) {
			for (int other = 0; other < others; other++) {
				if (steps[i].scope == PER_PAIR && host == other)
					continue;
				const enum status status = run_step(lab, &steps[i], host, other, err);
				if (status != OK)
					return status;
			}
		}
	}
	return OK;
}

/* A new network namespace that has no name: the descriptor holds it. */
static enum status make_namespace(int home, int *out, struct error *err)
{
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, "a network namespace");
	*out = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	const int saved = errno;
	if (setns(home, CLONE_NEWNET) < 0)
		return error_errno(err, "the way back from a network namespace");
	errno = saved;
	return *out >= 0 ? OK : error_errno(err, "/proc/thread-self/ns/net");
}

int lab_socket(const struct lab *lab, int netns, int family, int type)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		return -1;
	const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int saved = errno;
	if (setns(lab->home, CLONE_NEWNET) < 0)
		abort();
	errno = saved;
	return fd;
}

/* One run of a filter: `in` and `out` are memory files. */
static enum status run_filter(struct lab *lab, const char *line, int in, int out, struct error *err)
{
	const struct child_order order = {.netns = -1, .line = line, .in = in, .out = out};

	if (in > 0 && lseek(in, 0, SEEK_SET) < 0)
		return error_errno(err, "memory file");
	return children_run(lab->children, &order, err);
}

static enum status make_keys(struct lab *lab, struct lab_host *host, struct error *err)
{
	auto_fd public = memfd_create("public-key", MFD_CLOEXEC);

	host->key = memfd_create("private-key", MFD_CLOEXEC);
	if (host->key < 0 || public < 0 || fchmod(host->key, 0600) < 0)
		return error_errno(err, "memory file");
	enum status status = run_filter(lab, "wg genkey", 0, host->key, err);
	if (status == OK)
		status = run_filter(lab, "wg pubkey", host->key, public, err);
	if (status != OK)
		return status;
	const ssize_t n = pread(public, host->public_key, sizeof host->public_key - 1, 0);
	if (n <= 0)
		return error_set(err, ERR_SYSTEM, "'wg pubkey' gave no key");
	host->public_key[strcspn(host->public_key, "\n")] = 0;
	return OK;
}

/* wireguard-go is ready when its control socket is there. */
static enum status await_control(struct lab *lab, const char *path, struct error *err)
{
	struct stat seen;

	for (int i = 0; i < READY_TRIES && !*lab->children->stop; i++) {
		if (stat(path, &seen) == 0)
			return OK;
		uv_run(lab->children->loop, UV_RUN_NOWAIT);
		uv_sleep(READY_MS);
	}
	return *lab->children->stop ? END
				    : error_set(err, ERR_SYSTEM, "wireguard-go did not come up: no %s", path);
}

static void control_path(const struct lab_host *host, char *out, size_t size)
{
	snprintf(out, size, "/var/run/wireguard/%s.sock", host->device);
}

static void on_tunnel_ended(void *arg, int64_t status, int signal)
{
	const struct lab_host *host = arg;

	if (*host->lab->children->stop)
		return;
	fprintf(stderr, "weir demo: wireguard-go on %s ended with %s %d\n", host->name,
		signal ? "signal" : "exit status", signal ? signal : (int)status);
	*host->lab->broken = true;
}

static enum status make_device(struct lab *lab, int number, struct error *err)
{
	struct lab_host *host = &lab->host[number];
	char line[LINE_OCTETS], path[64];
	struct error unused;

	lab_fill(lab, number, 0, "ip link add {dev} type wireguard", line, sizeof line);
	const struct child_order kernel = {.netns = host->netns, .line = line};
	if (number == 0)
		lab->kernel_wireguard = children_run(lab->children, &kernel, &unused) == OK;
	else if (lab->kernel_wireguard)
		return children_run(lab->children, &kernel, err);
	if (lab->kernel_wireguard)
		return OK;

	lab_fill(lab, number, 0, "wireguard-go -f {dev}", line, sizeof line);
	const struct child_order user = {
		.netns = host->netns,
		.line = line,
		.service = true,
		.ended = on_tunnel_ended,
		.arg = host,
	};
	const enum status status = children_start(lab->children, &user, NULL, err);
	if (status != OK)
		return status;
	control_path(host, path, sizeof path);
	return await_control(lab, path, err);
}

static enum status make_host(struct lab *lab, int number, struct error *err)
{
	struct lab_host *host = &lab->host[number];

	host->name = host_names[number];
	snprintf(host->device, sizeof host->device, "wg%s%d", host->name, (int)getpid());
	return make_namespace(lab->home, &host->netns, err);
}

enum status lab_open(struct lab *lab, struct children *children, bool *broken, struct error *err)
{
	enum status status = OK;

	*lab = (struct lab){.children = children, .home = children->home, .fabric = -1, .broken = broken};
	for (int i = 0; i < LAB_HOSTS; i++)
		lab->host[i] = (struct lab_host){.lab = lab, .netns = -1, .key = -1};
	status = make_namespace(lab->home, &lab->fabric, err);
	for (int i = 0; status == OK && i < LAB_HOSTS; i++)
		status = make_host(lab, i, err);
	if (status == OK)
		status =
			run_steps(lab, underlay_steps, sizeof underlay_steps / sizeof underlay_steps[0], err);
	for (int i = 0; status == OK && i < LAB_HOSTS; i++)
		status = make_keys(lab, &lab->host[i], err);
	for (int i = 0; status == OK && i < LAB_HOSTS; i++)
		status = make_device(lab, i, err);
	if (status == OK)
		status = run_steps(lab, overlay_steps, sizeof overlay_steps / sizeof overlay_steps[0], err);
	return status;
}

void lab_close(struct lab *lab)
{
	for (int i = 0; i < LAB_HOSTS; i++) {
		struct lab_host *host = &lab->host[i];
		char path[64];

		if (!lab->kernel_wireguard && host->device[0]) {
			control_path(host, path, sizeof path);
			unlink(path); /* it stays when wireguard-go was killed */
		}
		if (host->key >= 0)
			close(host->key);
		if (host->netns >= 0)
			close(host->netns);
	}
	if (lab->fabric >= 0)
		close(lab->fabric);
}
