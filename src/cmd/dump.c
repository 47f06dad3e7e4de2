/* weir dump: IPFIX in a file or a capture -> JSON Lines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/command.h"
#include "cmd/dump_report.h"
#include "collect/capture_input.h"
#include "message/file.h"
#include "message/json.h"
#include "transport/packed.h"

enum { WINDOW = 1 << 20, OUTPUT = 1 << 18, MAGIC = 4 };

struct dump {
	struct dump_report report;
	bool templates;
	struct text text;
	struct json_printer json;
	struct session_sink sink;
	/* The input: what was read to look at its kind, then the rest. */
	FILE *in;
	struct unpacker *unpacker; /* over it */
	const char *fault;         /* of reading; NULL: none */
	uint8_t magic[MAGIC];
	size_t magic_length, magic_at;
};

static void write_out(void *arg, const char *data, size_t length)
{
	FILE *out = arg;

	fwrite(data, 1, length, out); /* the error stays in the stream and is looked at in the end */
}

static void on_data(void *arg, const struct message_header *header, const struct template *t,
		    const struct template_store *store, struct span records, uint32_t count)
{
	struct dump *d = arg;

	json_print_set(&d->json, header, t, store, records);
}

static void on_template(void *arg, const struct message_header *header, const struct template_record *record,
			enum template_outcome outcome, const struct template *t)
{
	struct dump *d = arg;

	json_print_template(&d->json, header, record, outcome, t);
}

static ssize_t read_file(void *arg, void *to, size_t size)
{
	const struct dump *d = arg;
	const size_t n = fread(to, 1, size, d->in);

	return n || !ferror(d->in) ? (ssize_t)n : -1;
}

/* The file, unpacked. What is wrong with it is told in the end. */
static ssize_t read_on(struct dump *d, void *to, size_t size)
{
	const ssize_t n = unpacker_read(d->unpacker, to, size);

	if (n < 0)
		d->fault = errno == EBADMSG
				   ? "what it is compressed with is damaged or cut off; read to there"
				   : "it cannot be read to its end";
	return n > 0 ? n : 0;
}

/* What fopencookie calls: the magic again, then the file. */
static ssize_t read_again(void *arg, char *to, size_t size)
{
	struct dump *d = arg;
	const size_t left = d->magic_length - d->magic_at;
	const size_t again = left < size ? left : size;

	if (!again)
		return read_on(d, to, size);
	memcpy(to, d->magic + d->magic_at, again);
	d->magic_at += again;
	return (ssize_t)again;
}

static int dump_capture(struct dump *d, const struct session_limits *limits)
{
	struct capture_input *capture;
	struct error err = {0};
	FILE *file = fopencookie(d, "r", (cookie_io_functions_t){.read = read_again});

	d->report.kind = DUMP_CAPTURE;
	if (!file)
		return dump_fail(&d->report, "no memory");
	if (capture_input_open(&capture, file, d->report.name, limits, &err) != OK) {
		fprintf(stderr, "weir dump: %s\n", err.text);
		return EXIT_RUN_FAILED;
	}

	const enum status status = capture_input_run(capture, &d->sink, &err);
	d->report.capture = *capture_input_stats(capture);
	capture_input_sessions(capture, &d->report.session);
	capture_input_close(capture);
	return status == OK ? EXIT_DONE : dump_fail(&d->report, "%s", err.text);
}

/* Take all messages out of the window. */
static void take_messages(struct dump *d, struct session *session, struct frame_reader *frames)
{
	struct span part;

	for (;;) {
		const enum frame_result result = frame_next(frames, &part);

		if (result == FRAME_MESSAGE) {
			session_message(session, part, 0, &d->sink);
			d->report.damage_open = false;
		} else if (result == FRAME_DAMAGE) {
			dump_damage(&d->report, part.length);
		} else {
			break;
		}
		d->report.offset += part.length;
	}
}

static int dump_messages(struct dump *d, const struct session_limits *limits)
{
	auto_free uint8_t *window = malloc(WINDOW);
	struct frame_reader frames = {0};
	struct session *session = NULL;
	size_t length = 0;

	d->report.kind = DUMP_FILE;
	if (!window || session_new(&session, TEMPLATE_RULES_FILE, limits) != OK)
		return dump_fail(&d->report, "no memory");
	for (bool final = false; !final;) {
		size_t n = 1;

		while (n && length < WINDOW)
			length += n = (size_t)read_again(d, (char *)window + length, WINDOW - length);
		final = n == 0;
		frame_more(&frames, window, length, final);
		take_messages(d, session, &frames);
		length = frame_left(&frames);
		memmove(window, window + frames.at, length);
		d->report.session = *session_stats(session);
		dump_progress(&d->report);
	}
	session_free(session);
	return EXIT_DONE;
}

static bool is_capture(const uint8_t *magic, size_t length)
{
	static const uint32_t magics[] = {0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1,
					  0xa1b2cd34, 0x34cdb2a1, 0x0a0d0d0a};

	for (size_t i = 0; length >= 4 && i < sizeof magics / sizeof magics[0]; i++)
		if (get_be32(magic) == magics[i])
			return true;
	return false;
}

static int dump_by_kind(struct dump *d)
{
	struct session_limits limits;
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		return dump_fail(&d->report, "no random numbers");
	limits = session_limits_default(seed);
	for (ssize_t n = 1; n > 0 && d->magic_length < MAGIC; d->magic_length += (size_t)n)
		n = read_on(d, d->magic + d->magic_length, MAGIC - d->magic_length);

	const uint16_t version = d->magic_length >= 2 ? get_be16(d->magic) : 0;
	if (version == 5 || version == 9)
		return dump_fail(&d->report, "this is NetFlow version %u, not IPFIX", version);
	const int status =
		is_capture(d->magic, d->magic_length) ? dump_capture(d, &limits) : dump_messages(d, &limits);
	return d->fault ? dump_fail(&d->report, "%s", d->fault) : status;
}

static int dump_run(struct dump *d, bool stats)
{
	auto_free char *output = malloc(OUTPUT);
	int status, closing;

	d->text = (struct text){.data = output, .capacity = OUTPUT, .flush = write_out, .flush_arg = stdout};
	if (!output || json_printer_init(&d->json, &d->text) != OK ||
	    unpacker_new(&d->unpacker, read_file, d) != OK)
		return dump_fail(&d->report, "no memory");
	d->sink = (struct session_sink){
		.arg = d, .data = on_data, .template = d->templates ? on_template : NULL};
	d->report.values = d->json.faults;
	status = dump_by_kind(d);
	text_flush(&d->text);
	closing = dump_conclude(&d->report);
	if (stats)
		dump_stats(&d->report, stderr);
	json_printer_fini(&d->json);
	unpacker_free(d->unpacker);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "weir dump: standard output cannot be written\n");
		return EXIT_RUN_FAILED;
	}
	return status != EXIT_DONE ? status : closing;
}

static int run(struct invocation *invocation)
{
	struct dump d = {0};
	bool stats = false;
	const char *value;
	int option;

	while ((option = command_next(invocation, &value)) >= 0) {
		d.templates |= option == 0;
		stats |= option == 1;
	}
	if (option == -2)
		return EXIT_WRONG_USAGE;

	const char *name = command_operand(invocation);
	if (!name)
		return command_usage_error(invocation, "which file? '-' is standard input");
	if (command_operand(invocation))
		return command_usage_error(invocation, "one file at a time");
	d.report.name = strcmp(name, "-") == 0 ? "standard input" : name;

	auto_file file = strcmp(name, "-") == 0 ? NULL : fopen(name, "rb");
	if (!file && strcmp(name, "-") != 0)
		return dump_fail(&d.report, "%s", strerror(errno));
	d.in = file ? file : stdin;
	return dump_run(&d, stats);
}

static const struct command_option options[] = {
	{0, "templates", NULL, "also print each template record, as a line of its own"},
	{0, "stats", NULL, "in the end, print counts to standard error, as one JSON object"},
	{0},
};

const struct command command_dump = {
	.name = "dump",
	.summary = "decode IPFIX from a file or a capture to JSON Lines",
	.synopsis = "[--templates] [--stats] FILE|-",
	.notes =
		"FILE is an IPFIX File (RFC 5655), also compressed by bzip2 or gzip, or a capture (pcap, "
		"pcapng) with IPFIX over UDP or TCP, on "
		"any\n"
		"port; which one, its first octets say. What is damaged is passed over and told in the end;\n"
		"the exit status then is 1.",
	.options = options,
	.run = run,
};
