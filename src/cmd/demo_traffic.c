#include "cmd/demo_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADA, BOB, CYD };
enum { NAME_PORT = 53, SNMP_PORT = 161, SYSLOG_PORT = 514 };

/* Programs that run again and again. {m} is the number of the system they speak to. */
static const struct talk_row {
	int from, to;
	const char *line;
	uint64_t pause_ms; /* before the first run, and between two */
} talk_rows[] = {
	{ADA, BOB, "ping -n -q -c 4 -i 0.4 10.77.0.{m}", 300},
	{BOB, CYD, "ping -n -q -c 3 -i 0.5 10.77.0.{m}", 1700},
	{CYD, ADA, "ping -n -q -c 4 -i 0.4 fd77::{m}", 600},
	{ADA, CYD, "ping -n -q -c 3 -i 0.5 fd77::{m}", 2300},
	{ADA, BOB, "iperf3 -c 10.77.0.{m} -p 5201 -t 2 -b 8M", 500},
	{CYD, BOB, "iperf3 -c fd77::{m} -p 5202 -t 3 -b 4M -R", 900},
	{BOB, CYD, "iperf3 -c 10.77.0.{m} -p 5201 -u -t 2 -b 2M", 700},
	{ADA, CYD, "iperf3 -c fd77::{m} -p 5202 -u -t 2 -b 1M", 1300},
};

static const struct {
	int host;
	const char *line;
} server_rows[] = {
	{BOB, "iperf3 -s -p 5201"},
	{BOB, "iperf3 -s -p 5202"},
	{CYD, "iperf3 -s -p 5201"},
	{CYD, "iperf3 -s -p 5202"},
};

/* Questions, and what the policy of ada refuses: coming in by a rule, going out by a trust requirement. */
static const struct {
	int from, family;
	const char *to;
	int port;
} asker_rows[] = {
	{BOB, AF_INET, "10.77.0.1", NAME_PORT}, {BOB, AF_INET6, "fd77::1", NAME_PORT},
	{BOB, AF_INET, "10.77.0.1", SNMP_PORT}, {CYD, AF_INET, "10.77.0.1", NAME_PORT},
	{CYD, AF_INET6, "fd77::1", NAME_PORT},  {ADA, AF_INET6, "fd77::3", SYSLOG_PORT},
};

enum {
	TALKS = sizeof talk_rows / sizeof talk_rows[0],
	SERVERS = sizeof server_rows / sizeof server_rows[0],
	ASKERS = sizeof asker_rows / sizeof asker_rows[0],
	ASK_EVERY_MS = 300,
	QUESTION_OCTETS = 40,
	ANSWER_OCTETS = 120,
};

struct talk {
	struct traffic *traffic;
	const struct talk_row *row;
	uv_timer_t pause;
	struct child *child; /* NULL between two runs */
};

struct traffic {
	struct lab *lab;
	bool stopping;
	struct talk talk[TALKS];
	uv_udp_t answerer;
	uv_udp_t asker[ASKERS];
	uv_timer_t ask;
	unsigned turn; /* whose question is next */
};

static void on_talk_ended(void *arg, int64_t status, int signal)
{
	struct talk *talk = arg;

	talk->child = NULL;
	if (!talk->traffic->stopping)
		uv_timer_again(&talk->pause);
}

static void on_pause_over(uv_timer_t *timer)
{
	struct talk *talk = timer->data;
	struct lab *lab = talk->traffic->lab;
	char line[256];
	struct error unused;

	uv_timer_stop(timer);
	if (lab_fill(lab, talk->row->from, talk->row->to, talk->row->line, line, sizeof line) < 0)
		return;
	const struct child_order order = {
		.netns = lab->host[talk->row->from].netns,
		.line = line,
		.service = true, /* it must not outlive us either */
		.ended = on_talk_ended,
		.arg = talk,
	};
	if (children_start(lab->children, &order, &talk->child, &unused) != OK)
		uv_timer_again(timer);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	/* Askers do not look at answers, the answerer looks at nothing but who asked. */
	static const size_t size = 512;

	*out = uv_buf_init(malloc(size), (unsigned)size);
}

static void on_question(uv_udp_t *handle, ssize_t got, const uv_buf_t *buffer, const struct sockaddr *from,
			unsigned flags)
{
	char answer[ANSWER_OCTETS] = "an answer";
	const uv_buf_t octets = uv_buf_init(answer, sizeof answer);

	if (got > 0 && from)
		uv_udp_try_send(handle, &octets, 1, from);
	free(buffer->base);
}

static void on_answer(uv_udp_t *handle, ssize_t got, const uv_buf_t *buffer, const struct sockaddr *from,
		      unsigned flags)
{
	free(buffer->base);
}

static void on_ask(uv_timer_t *timer)
{
	struct traffic *traffic = timer->data;
	char question[QUESTION_OCTETS] = "a question";
	const uv_buf_t octets = uv_buf_init(question, sizeof question);

	uv_udp_try_send(&traffic->asker[traffic->turn++ % ASKERS], &octets, 1, NULL);
}

/* Put `handle` over a socket in the namespace of a host. */
static int open_in(struct traffic *traffic, uv_udp_t *handle, int host, int family)
{
	uv_loop_t *loop = traffic->lab->children->loop;
	const int fd = lab_socket(traffic->lab, traffic->lab->host[host].netns, family, SOCK_DGRAM);

	uv_udp_init(loop, handle);
	handle->data = traffic;
	if (fd < 0)
		return -errno;
	const int answer = uv_udp_open(handle, fd);
	if (answer < 0)
		close(fd);
	return answer;
}

static int open_questions(struct traffic *traffic)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons(NAME_PORT)};
	int answer = open_in(traffic, &traffic->answerer, ADA, AF_INET6);

	if (answer == 0)
		answer = uv_udp_bind(&traffic->answerer, (const struct sockaddr *)&any, 0);
	if (answer == 0)
		answer = uv_udp_recv_start(&traffic->answerer, give_room, on_question);
	for (int i = 0; i < ASKERS; i++) {
		struct sockaddr_in6 to6;
		struct sockaddr_in to4;
		const struct sockaddr *to = (const struct sockaddr *)&to6;
		const int opened =
			open_in(traffic, &traffic->asker[i], asker_rows[i].from, asker_rows[i].family);

		answer = answer ? answer : opened;
		if (asker_rows[i].family == AF_INET) {
			to = (const struct sockaddr *)&to4;
			uv_ip4_addr(asker_rows[i].to, asker_rows[i].port, &to4);
		} else {
			uv_ip6_addr(asker_rows[i].to, asker_rows[i].port, &to6);
		}
		if (answer == 0)
			answer = uv_udp_connect(&traffic->asker[i], to);
		if (answer == 0)
			answer = uv_udp_recv_start(&traffic->asker[i], give_room, on_answer);
	}
	return answer;
}

enum status traffic_start(struct traffic **out, struct lab *lab, struct error *err)
{
	struct traffic *traffic = calloc(1, sizeof *traffic);
	uv_loop_t *loop = lab->children->loop;

	if (!traffic)
		return error_set(err, ERR_MEMORY, "no memory for the traffic");
	*out = traffic;
	traffic->lab = lab;
	for (int i = 0; i < TALKS; i++) {
		struct talk *talk = &traffic->talk[i];

		talk->traffic = traffic;
		talk->row = &talk_rows[i];
		uv_timer_init(loop, &talk->pause);
		talk->pause.data = talk;
		uv_timer_start(&talk->pause, on_pause_over, talk->row->pause_ms, talk->row->pause_ms);
	}
	uv_timer_init(loop, &traffic->ask);
	traffic->ask.data = traffic;
	uv_timer_start(&traffic->ask, on_ask, ASK_EVERY_MS, ASK_EVERY_MS);
	const int answer = open_questions(traffic);
	if (answer < 0)
		return error_set(err, ERR_SYSTEM, "sockets for questions and answers: %s",
				 uv_strerror(answer));
	for (int i = 0; i < SERVERS; i++) {
		const struct child_order order = {
			.netns = lab->host[server_rows[i].host].netns,
			.line = server_rows[i].line,
			.service = true,
		};
		const enum status status = children_start(lab->children, &order, NULL, err);
		if (status != OK)
			return status;
	}
	return OK;
}

void traffic_stop(struct traffic *traffic)
{
	if (!traffic || traffic->stopping)
		return;
	traffic->stopping = true;
	for (int i = 0; i < TALKS; i++) {
		child_stop(traffic->lab->children, traffic->talk[i].child);
		uv_close((uv_handle_t *)&traffic->talk[i].pause, NULL);
	}
	uv_close((uv_handle_t *)&traffic->ask, NULL);
	uv_close((uv_handle_t *)&traffic->answerer, NULL);
	for (int i = 0; i < ASKERS; i++)
		uv_close((uv_handle_t *)&traffic->asker[i], NULL);
}

void traffic_free(struct traffic *traffic)
{
	free(traffic);
}
