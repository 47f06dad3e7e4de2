#include "cmd/help.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_help(const struct command *c)
{
	printf("usage: weir %s %s\n\n%s\n\n", c->name, c->synopsis, c->summary);
	for (const struct command_option *o = c->options; o->name; o++) {
		char left[64], letter[8] = "    ";

		if (o->letter)
			snprintf(letter, sizeof letter, "-%c, ", o->letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
			 o->argument ? o->argument : "");
		printf("  %-28s %s\n", left, o->help);
	}
	printf("  %-28s %s\n", "-h, --help", "this text");
	if (c->notes)
		printf("\n%s\n", c->notes);
}

int command_run(const struct command *command, int argc, char **argv)
{
	struct invocation invocation = {.command = command, .argc = argc, .argv = argv, .next = 1};

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help(command);
			return EXIT_DONE;
		}
	}
	return command->run(&invocation);
}

int command_usage_error(const struct invocation *invocation, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "weir %s: ", invocation->command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see 'weir %s --help'\n", invocation->command->name);
	return EXIT_WRONG_USAGE;
}

/* The row that a word names: "-x", "--name" or "--name=value". */
static int find_option(const struct invocation *v, const char *word, size_t name_length)
{
	const struct command_option *options = v->command->options;

	for (int i = 0; options[i].name; i++) {
		if (word[1] == '-' ? strlen(options[i].name) == name_length &&
					     strncmp(options[i].name, word + 2, name_length) == 0
				   : options[i].letter && options[i].letter == word[1])
			return i;
	}
	return -1;
}

int command_next(struct invocation *v, const char **value)
{
	*value = NULL;
	if (v->next >= v->argc)
		return -1;

	const char *word = v->argv[v->next];
	if (word[0] != '-' || word[1] == 0) {
		*value = word;
		return -1;
	}
	if (strcmp(word, "--") == 0) {
		v->next++;
		*value = v->next < v->argc ? v->argv[v->next] : NULL;
		return -1;
	}

	const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
	const size_t name_length = word[1] == '-' ? (equals ? (size_t)(equals - word) : strlen(word)) - 2 : 1;
	const int found = find_option(v, word, name_length);
	if (found < 0) {
		command_usage_error(v, "no option '%s'", word);
		return -2;
	}
	v->next++;

	const struct command_option *o = &v->command->options[found];
	const char *attached = word[1] == '-' ? (equals ? equals + 1 : NULL) : (word[2] ? word + 2 : NULL);
	if (!o->argument) {
		if (attached) {
			command_usage_error(v, "option '%s' takes no argument", word);
			return -2;
		}
	} else if (attached) {
		*value = attached;
	} else if (v->next < v->argc) {
		*value = v->argv[v->next++];
	} else {
		command_usage_error(v, "option '%s' needs an argument: %s", word, o->argument);
		return -2;
	}
	return found;
}

const char *command_folder(char out[FOLDER_MAX], const char *given)
{
	const char *as_given = given;
	char here[FOLDER_MAX];

	if (given[0] == '\0' || given[0] == '/')
		return given;
	while (given[0] == '.' && given[1] == '/')
		for (given++; *given == '/'; given++)
			;
	if (strcmp(given, ".") == 0)
		given = "";
	if (!getcwd(here, sizeof here))
		return as_given;
	const int length = snprintf(out, FOLDER_MAX, "%s%s%s", here, *given ? "/" : "", given);
	return length > 0 && length < FOLDER_MAX ? out : as_given;
}

const char *command_operand(struct invocation *v)
{
	return v->next < v->argc ? v->argv[v->next++] : NULL;
}

static bool add_word(char **words, const char *word)
{
	char *joined = NULL;

	if (asprintf(&joined, "%s%s%s", *words ? *words : "", *words ? " " : "", word) < 0)
		return false;
	free(*words);
	*words = joined;
	return true;
}

int command_read_words(struct invocation *v,
		       bool (*take)(void *to, int option, const char *value, const char **expected), void *to,
		       char **words)
{
	const char *value, *expected = "";

	for (bool options_end = false;;) {
		const int option = options_end ? -1 : command_next(v, &value);

		if (option == -2)
			return EXIT_WRONG_USAGE;
		if (option == -1) {
			options_end = options_end || (v->next > 1 && strcmp(v->argv[v->next - 1], "--") == 0);
			value = command_operand(v);
			if (!value)
				return 0;
			if (!add_word(words, value))
				return EXIT_RUN_FAILED;
		} else if (!take(to, option, value, &expected)) {
			return command_usage_error(v, "--%s '%s': %s expected",
						   v->command->options[option].name, value, expected);
		}
	}
}
