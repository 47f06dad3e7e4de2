/* Messages one behind the other, through framing, session, records and JSON, under the rules that the first
 * octet picks. What is kept may not outgrow what came in. */
#include <stdlib.h>

#include "collect/session.h"
#include "message/file.h"
#include "message/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drop(void *arg, const char *text, size_t length)
{
	*(uint64_t *)arg += length + (text[0] == 0);
}

static void on_data(void *arg, const struct message_header *header, const struct template *t,
		    const struct template_store *store, struct span records, uint32_t count)
{
	if (count > records.length)
		abort();
	json_print_set(arg, header, t, store, records);
}

static void on_template(void *arg, const struct message_header *header, const struct template_record *record,
			enum template_outcome outcome, const struct template *t)
{
	json_print_template(arg, header, record, outcome, t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct session_limits limits = {.templates = {.templates = 64, .fields = 4096, .seed = size}};
	char buffer[4096];
	uint64_t printed = 0;
	struct text text = {.data = buffer, .capacity = sizeof buffer, .flush = drop, .flush_arg = &printed};
	struct json_printer json;
	struct session *session;
	struct frame_reader frames = {0};
	struct span part;
	enum frame_result result;

	if (size == 0 || json_printer_init(&json, &text) != OK ||
	    session_new(&session, (enum template_rules)(data[0] % 3), &limits) != OK)
		return 0;
	const struct session_sink sink = {.arg = &json, .template = on_template, .data = on_data};
	frame_more(&frames, data + 1, size - 1, true);
	while ((result = frame_next(&frames, &part)) == FRAME_MESSAGE || result == FRAME_DAMAGE)
		session_message(session, part, 0, &sink);
	text_flush(&text);
	session_free(session);
	json_printer_fini(&json);
	return 0;
}
