#include "config/document.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "config/lexer.h"

enum { NAME_SHOWN_MAX = 200 };

static ssize_t read_all(int fd, char *text)
{
	size_t used = 0;

	while (used <= DOCUMENT_OCTETS_MAX) {
		const ssize_t n = read(fd, text + used, DOCUMENT_OCTETS_MAX + 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

enum status document_read(const char *path, char **text, size_t *length, struct error *err)
{
	const bool standard_input = strcmp(path, "-") == 0;
	auto_fd opened = standard_input ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const int fd = standard_input ? STDIN_FILENO : opened;
	struct stat status;

	*text = NULL;
	if (fd < 0 || fstat(fd, &status) != 0)
		return error_errno(err, "%s", path);
	if (S_ISDIR(status.st_mode))
		return error_set(err, ERR_SYSTEM, "%s: is a folder; a file expected", path);

	auto_free char *room = malloc(DOCUMENT_OCTETS_MAX + 1);
	if (!room)
		return error_set(err, ERR_MEMORY, "%s: no memory", path);
	const ssize_t n = read_all(fd, room);
	if (n < 0)
		return error_errno(err, "%s", path);
	*length = (size_t)n;
	*text = room;
	room = NULL;
	return OK;
}

enum status document_vfail(const struct document *d, struct error *err, size_t at, const char *format,
			   va_list args)
{
	const struct position position = position_of(d->text, d->length, at);
	const size_t length = strlen(d->name);
	const bool cut = length > NAME_SHOWN_MAX;
	char text[sizeof err->text];

	vsnprintf(text, sizeof text, format, args);
	return error_set(err, ERR_USAGE, "%s%s:%u:%u: %s", cut ? "…" : "",
			 cut ? d->name + length - NAME_SHOWN_MAX : d->name, position.line, position.column,
			 text);
}

enum status document_fail(const struct document *d, struct error *err, size_t at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	document_vfail(d, err, at, format, args);
	va_end(args);
	return ERR_USAGE;
}

/* Where the word begins that holds the octet at `at`. */
static size_t word_begin(const struct document *d, size_t at)
{
	struct lexer lexer = members_of(d->text, d->length, 0);
	struct token t;

	do
		t = lexer_next(&lexer);
	while (t.kind != TOKEN_END && t.end <= at);
	return t.begin;
}

/* jansson says whether it is JSON; where it says no, find the place and a hint. */
static enum status judge(const struct document *d, const char *kind, const char *example, struct error *err)
{
	struct lexer lexer = members_of(d->text, d->length, 0);
	struct json_fault fault;
	json_error_t error;
	json_t *json = json_loadb(d->text, d->length,
				  JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
	const bool object = json_is_object(json);

	json_decref(json);
	if (object)
		return OK;
	if (json)
		return document_fail(d, err, lexer_next(&lexer).begin, "a %s is one object: %s", kind,
				     example);
	if (json_error_code(&error) == json_error_out_of_memory)
		return error_set(err, ERR_MEMORY, "%s: no memory", d->name);
	if (json_fault_find(d->text, d->length, &fault))
		return document_fail(d, err, fault.at, "%s", fault.text);
	return document_fail(d, err, word_begin(d, error.position > 0 ? (size_t)error.position - 1 : 0),
			     "%.160s", error.text);
}

enum status document_judge(struct document *d, const char *kind, const char *example, struct error *err)
{
	const char *text = d->text;

	if (d->length > DOCUMENT_OCTETS_MAX)
		return error_set(err, ERR_LIMIT, "%s: larger than %d octets; this is no %s", d->name,
				 DOCUMENT_OCTETS_MAX, kind);
	if (d->length >= 2 &&
	    (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 || (!text[0] != !text[1])))
		return document_fail(d, err, 0, "this is UTF-16; save the file as UTF-8");
	if (d->length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		d->text += 3; /* some editors put a byte order mark in front; it says nothing in UTF-8 */
		d->length -= 3;
	}
	struct lexer lexer = {.text = d->text, .length = d->length};
	if (lexer_next(&lexer).kind == TOKEN_END)
		return document_fail(d, err, 0, "the file is empty; %s expected", example);
	return judge(d, kind, example, err);
}
