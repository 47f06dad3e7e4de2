/* Prints what libfixbuf reads of an IPFIX file, or of what comes over UDP or TCP, as JSON Lines: the names
 * and values of each Data Record in the order of its template. Only for tests: a reader of the records that
 * is not ours.
 *
 *   fixbuf_reader file PATH
 *   fixbuf_reader udp|tcp HOST PORT     until it is ended */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fixbuf/public.h>

enum { RECORD_MAX = 1 << 17 };

struct reader {
	fbInfoModel_t *model;
	fbTemplate_t *of; /* the external template that `fields` describes */
	uint16_t id;
	fbTemplate_t *inner;
	uint8_t record[RECORD_MAX];
};

static void die(const char *what, GError *err)
{
	fprintf(stderr, "fixbuf_reader: %s: %s\n", what, err ? err->message : "?");
	fflush(stdout);
	_exit(1);
}

static void print_hex(const uint8_t *at, size_t length)
{
	printf("\"0x");
	for (size_t i = 0; i < length; i++)
		printf("%02x", at[i]);
	printf("\"");
}

static void print_string(const uint8_t *at, size_t length)
{
	putchar('"');
	for (size_t i = 0; i < length; i++) {
		if (at[i] < 0x20 || at[i] == '"' || at[i] == '\\')
			printf("\\u%04x", at[i]);
		else
			putchar(at[i]);
	}
	putchar('"');
}

/* libfixbuf has put integers, times and IPv4 addresses into host byte order, in the octets that they came in.
 */
static uint64_t load(const uint8_t *at, size_t length)
{
	uint64_t value = 0;

	for (size_t i = length; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

static int64_t load_signed(const uint8_t *at, size_t length)
{
	const unsigned shift = (unsigned)(64 - 8 * length);

	return (int64_t)(load(at, length) << shift) >> shift;
}

static double load_float(const uint8_t *at, size_t length)
{
	float narrow;
	double wide;

	if (length == sizeof narrow) {
		memcpy(&narrow, at, sizeof narrow);
		return (double)narrow;
	}
	memcpy(&wide, at, sizeof wide);
	return wide;
}

static void print_address(const uint8_t *at, size_t length)
{
	char text[INET6_ADDRSTRLEN] = "";
	const uint32_t v4 = htonl((uint32_t)load(at, 4));

	if (length == 4)
		inet_ntop(AF_INET, &v4, text, sizeof text);
	else
		inet_ntop(AF_INET6, at, text, sizeof text);
	printf("\"%s\"", text);
}

static void print_value(unsigned type, const uint8_t *at, size_t length)
{
	switch (type) {
	case FB_UINT_8:
	case FB_UINT_16:
	case FB_UINT_32:
	case FB_UINT_64:
	case FB_DT_SEC:
	case FB_DT_MILSEC:
	case FB_DT_MICROSEC:
	case FB_DT_NANOSEC: printf("%" PRIu64, load(at, length)); break;
	case FB_INT_8:
	case FB_INT_16:
	case FB_INT_32:
	case FB_INT_64: printf("%" PRId64, load_signed(at, length)); break;
	case FB_FLOAT_32:
	case FB_FLOAT_64: printf("%.17g", load_float(at, length)); break;
	case FB_BOOL: printf("%s", at[0] == 1 ? "true" : at[0] == 2 ? "false" : "null"); break;
	case FB_IP4_ADDR:
	case FB_IP6_ADDR: print_address(at, length); break;
	case FB_STRING: print_string(at, length); break;
	default: print_hex(at, length); break;
	}
}

static void print_name(const fbInfoElement_t *ie, const fbInfoElement_t *known)
{
	const char *name = known && known->ref.name ? known->ref.name : "";

	/* Elements that libfixbuf does not know have one name, all of them. */
	if (*name && *name != '_')
		printf("\"%s%s\"",
		       ie->ent == FB_IE_PEN_REVERSE && strncmp(name, "reverse", 7) ? "reverse:" : "", name);
	else
		printf("\"e%u.%u\"", ie->ent, ie->num);
}

static void print_record(const struct reader *r)
{
	const uint32_t fields = fbTemplateCountElements(r->inner);
	const uint8_t *at = r->record;

	printf("{\"templateId\":%u,\"scopes\":%u,\"fields\":[", r->id, fbTemplateGetOptionsScope(r->of));
	for (uint32_t i = 0; i < fields; i++) {
		const fbInfoElement_t *ie = fbTemplateGetIndexedIE(r->inner, i);
		const fbInfoElement_t *known = fbInfoModelGetElementByID(r->model, ie->num, ie->ent);
		const unsigned type = known ? known->type : FB_OCTET_ARRAY;

		printf("%s[", i ? "," : "");
		print_name(ie, known);
		putchar(',');
		if (ie->len == FB_IE_VARLEN) {
			fbVarfield_t text;

			memcpy(&text, at, sizeof text);
			print_value(type, text.buf, text.len);
			at += sizeof text;
		} else {
			print_value(type, at, ie->len);
			at += ie->len;
		}
		putchar(']');
	}
	printf("]}\n");
	fflush(stdout);
}

/* Records are asked for as they came: an internal template that is the external one. */
static void follow(struct reader *r, fBuf_t *buffer, fbTemplate_t *of, uint16_t id)
{
	GError *err = NULL;

	if (r->of != of || r->id != id) {
		r->inner = fbTemplateAlloc(r->model);
		for (uint32_t i = 0; i < fbTemplateCountElements(of); i++) {
			fbInfoElement_t ie = *fbTemplateGetIndexedIE(of, i);

			ie.midx = 0; /* fbTemplateAppend numbers an element that comes again */
			if (!fbTemplateAppend(r->inner, &ie, &err))
				die("element of a template", err);
		}
		if (!fbSessionAddTemplate(fBufGetSession(buffer), TRUE, id, r->inner, &err))
			die("internal template", err);
		r->of = of;
		r->id = id;
	}
	if (!fBufSetInternalTemplate(buffer, id, &err))
		die("choosing the internal template", err);
}

/* Records of the present message, or with a file of all. False: the connection or the file has ended. */
static bool read_records(struct reader *r, fBuf_t *buffer)
{
	for (;;) {
		GError *err = NULL;
		uint16_t id = 0;
		size_t length = sizeof r->record;
		fbTemplate_t *of = fBufNextCollectionTemplate(buffer, &id, &err);

		if (of) {
			follow(r, buffer, of, id);
			if (fBufNext(buffer, r->record, &length, &err)) {
				print_record(r);
				continue;
			}
		}
		const bool end_of_message = g_error_matches(err, FB_ERROR_DOMAIN, FB_ERROR_EOM);
		const bool end = g_error_matches(err, FB_ERROR_DOMAIN, FB_ERROR_EOF);

		if (!end && !end_of_message)
			die("reading", err);
		g_clear_error(&err);
		return end_of_message;
	}
}

static void read_file(struct reader *r, const char *path)
{
	GError *err = NULL;
	fbCollector_t *collector = fbCollectorAllocFile(NULL, path, &err);

	if (!collector)
		die(path, err);
	fBuf_t *buffer = fBufAllocForCollection(fbSessionAlloc(r->model), collector);
	fBufSetAutomaticMode(buffer, TRUE);
	while (read_records(r, buffer))
		;
}

static void listen_for(struct reader *r, char **word)
{
	GError *err = NULL;
	fbConnSpec_t where = {
		.transport = strcmp(word[1], "udp") == 0 ? FB_UDP : FB_TCP, .host = word[2], .svc = word[3]};
	fbListener_t *listener = fbListenerAlloc(&where, fbSessionAlloc(r->model), NULL, NULL, &err);

	if (!listener)
		die("listening", err);
	fprintf(stderr, "listening\n");
	for (;;) {
		fBuf_t *buffer = fbListenerWait(listener, &err);

		if (!buffer)
			die("waiting", err);
		fBufSetAutomaticMode(buffer, FALSE);
		if (!read_records(r, buffer) && where.transport == FB_TCP) {
			fBufFree(buffer);
			r->of = NULL;
		}
	}
}

int main(int count, char **word)
{
	struct reader *r = calloc(1, sizeof *r);

	if (r)
		r->model = fbInfoModelAlloc();
	if (r && count == 3 && strcmp(word[1], "file") == 0) {
		read_file(r, word[2]);
		fflush(stdout);
		_exit(0); /* what the library keeps until the end is not looked for by a leak checker */
	}
	if (r && count == 4)
		listen_for(r, word);
	fprintf(stderr, "usage: fixbuf_reader file PATH | udp|tcp HOST PORT\n");
	return 2;
}
