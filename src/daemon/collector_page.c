/* The page and what it asks for. */
#include <inttypes.h>
#include <string.h>

#include "daemon/collector_state.h"
#include "ie/value.h"
#include "web/page.h"
#ifdef WEIR_STORE
#include "web/api.h"
#endif

/* Browsers ask for it by themselves. */
static const char nothing[] =
	"weir collect: this build has no page (npm was not there when it was built); it has "
	"/metrics, /healthz and /api/v1/\n";

void collector_get_page(void *arg, const struct web_request *request, struct web_answer *out)
{
	for (const struct page_file *f = page_files; f->path; f++) {
		if (strcmp(f->path, request->path) != 0)
			continue;
		if (!request->gzip) {
			out->status = 406;
			text_string(&out->body, "the page is compressed: ask with Accept-Encoding: gzip\n");
			return;
		}
		out->type = f->type;
		out->fixed = f->gzip;
		out->gzipped = true;
		out->max_age_s = f->lasting ? 31536000 : 0;
		return;
	}
	out->status = page_files[0].path ? 404 : 200;
	text_string(&out->body, page_files[0].path ? "there is nothing here\n" : nothing);
}

#ifdef WEIR_STORE
/* What only the collector knows: whether anything comes in, and whether it is well. */
static void put_status(void *arg, struct text *t)
{
	const struct collector *c = arg;
	const struct role_board *loader = &c->board->role[ROLE_LOADER];
	const uint32_t listens = c->receiver ? c->options->receiver.listens : 0;
	uint64_t messages = 0, drops = 0, refused = 0;
	char why[FAULT_MAX];
	const char *fault = collector_fault(c, why);

	for (uint32_t i = 0; i < listens; i++) {
		struct receiver_statistics s;

		receiver_statistics_read(c->receiver, i, &s);
		messages += s.count[RECEIVED_MESSAGES];
		drops += s.count[KERNEL_DROPS];
		refused += s.count[REFUSED_SHORT] + s.count[REFUSED_NETFLOW_V5] +
			   s.count[REFUSED_NETFLOW_V9] + s.count[REFUSED_VERSION] + s.count[REFUSED_LENGTH];
	}
	text_string(t, ",\"messages\":");
	text_unsigned(t, messages);
	text_string(t, ",\"kernel_drops\":");
	text_unsigned(t, drops);
	text_string(t, ",\"refused\":");
	text_unsigned(t, refused);
	text_string(t, ",\"last_received\":");
	text_signed(t, atomic_load(&loader->last_received_ms));
	text_string(t, ",\"lag_s\":");
	text_signed(t, (int64_t)collector_lag(c, ROLE_LOADER));
	text_string(t, ",\"fault\":");
	if (fault)
		value_print_string(t, span_of(fault, strlen(fault)));
	else
		text_string(t, "null");
	text_string(t, ",\"retain_ms\":");
	text_signed(t, c->options->retain_ms);
	text_string(t, ",\"folder\":");
	value_print_string(t, span_of(c->store, strlen(c->store)));
	text_string(t, ",\"listens\":[");
	for (uint32_t i = 0; i < listens; i++) {
		const struct listen_address *l = &c->options->receiver.listen[i];

		text_string(t, i ? ",\"" : "\"");
		text_string(t, listener_scheme(l->type));
		text_string(t, "/:");
		text_unsigned(t, receiver_port(c->receiver, i));
		text_char(t, '"');
	}
	text_char(t, ']');
}

void collector_get_api(void *arg, const struct web_request *request, struct web_answer *out)
{
	struct collector *c = arg;
	const struct api api = {.requests = c->board->role[ROLE_ASKER].wanted ? c->context.requests[0] : -1,
				.asking = &c->board->asking,
				.status = put_status,
				.arg = c};

	api_get(&api, request, out);
}
#else
void collector_get_api(void *arg, const struct web_request *request, struct web_answer *out)
{
	out->status = 503;
	text_string(&out->body, "this weir was built without DuckDB: there is nothing to ask\n");
}
#endif
