/* weir top: who talks now, and what is refused, in a terminal. */

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/command.h"
#include "cmd/top_ask.h"
#include "cmd/top_curses.h"
#include "cmd/top_draw.h"
#include "query/filter.h"
#include "query/when.h"
#include "store/store.h"

enum option { STORE, LAST, EVERY };

static const struct command_option options[] = {
	[STORE] = {'s', "store", "FOLDER", "the store that weir collect writes; default /var/lib/weir"},
	[LAST] = {0, "last", "DURATION", "flows of the last 30s, 5m, 1h, 7d; default 5m; + and - change it"},
	[EVERY] = {0, "every", "DURATION", "ask the store so often: 1s to 1h; default 2s"},
	{0},
};

enum { ROWS_MOST = 200, SECOND_MS = 1000, MINUTE_MS = 60000, HOUR_MS = 3600000 };

struct top {
	struct top_screen screen;
	char store[FOLDER_MAX];
	struct top_asker asker;
	int64_t every_ms;
	struct mono_ns next; /* when to ask again */
	json_t *answer;
	struct error fault;
	unsigned rows;
	bool end;
};

static void ask(struct top *t)
{
	char last[32], rows[16];
	const struct top_screen *s = &t->screen;
	struct top_question q = {.words = {{"last", last},
					   {"filter", s->filter},
					   {"part", "t:cube"},
					   {"t.time", "1"},
					   {"t.steps", "60"},
					   {"part", "g:top"},
					   {"g.by", top_words(s)},
					   {"g.order", s->view == TOP_DENIED && s->measure == TOP_OCTETS
							       ? "flows"
							       : top_measures[s->measure]},
					   {"g.n", rows},
					   {"only", "denied"}},
				 .count = s->view == TOP_DENIED ? 10 : 9};

	snprintf(last, sizeof last, "%llds", (long long)(s->span_ms / SECOND_MS));
	snprintf(rows, sizeof rows, "%d", ROWS_MOST);
	t->next.ns = mono_now().ns + t->every_ms * NS_PER_MS;
	if (top_ask(&t->asker, &q, &t->fault) != OK)
		t->screen.fault = t->fault.text;
}

static void hear(struct top *t)
{
	json_t *answer;
	struct error err = {0};
	const enum status s = top_hear(&t->asker, &answer, &err);

	if (s == AGAIN)
		return;
	if (s == OK) {
		json_decref(t->answer);
		t->screen.answer = t->answer = answer;
		t->screen.fault = NULL;
		if (top_asker_ready(&t->asker, &err) == OK) /* warm for the next question */
			return;
	}
	t->fault = err;
	t->screen.fault = t->fault.text;
}

/* What a question is about changes: ask now. */
static void change(struct top *t)
{
	t->screen.first = 0;
	ask(t);
}

static void change_span(struct top *t, bool wider)
{
	static const int64_t spans[] = {MINUTE_MS,   5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS,
					6 * HOUR_MS, 24 * HOUR_MS,  168LL * HOUR_MS};
	const size_t count = sizeof spans / sizeof spans[0];
	int64_t to = t->screen.span_ms;

	for (size_t i = 0; i < count && wider && to == t->screen.span_ms; i++)
		if (spans[i] > to)
			to = spans[i];
	for (size_t i = count; i-- > 0 && !wider && to == t->screen.span_ms;)
		if (spans[i] < to)
			to = spans[i];
	if (to == t->screen.span_ms)
		return;
	t->screen.span_ms = to;
	change(t);
}

static void scroll_by(struct top *t, int rows)
{
	const int to = (int)t->screen.first + rows, last = t->rows ? (int)t->rows - 1 : 0;

	t->screen.first = (unsigned)(to < 0 ? 0 : to > last ? last : to);
}

static void show_view(struct top *t, enum top_view view)
{
	if (t->screen.view == view)
		return;
	t->screen.view = (uint8_t)view;
	t->screen.answer = NULL; /* of the other view */
	change(t);
}

static void order_by(struct top *t, int measure)
{
	if (measure < 0 || measure >= TOP_MEASURES)
		return;
	t->screen.measure = (uint8_t)measure;
	change(t);
}

static void take_key(struct top *t, int key)
{
	struct top_screen *s = &t->screen;
	const int page = LINES > 8 ? LINES - 7 : 1;

	switch (key) {
	case 'q':
	case 'Q': t->end = true; break;
	case 'n': show_view(t, TOP_NOW); break;
	case 'd': show_view(t, TOP_DENIED); break;
	case '\t': show_view(t, s->view == TOP_NOW ? TOP_DENIED : TOP_NOW); break;
	case 'o': order_by(t, TOP_OCTETS); break;
	case 'p': order_by(t, TOP_PACKETS); break;
	case 'f': order_by(t, TOP_FLOWS); break;
	case KEY_LEFT: order_by(t, s->measure - 1); break;
	case KEY_RIGHT: order_by(t, s->measure + 1); break;
	case 'g':
		s->grouping = (uint8_t)((s->grouping + 1) % TOP_GROUPINGS);
		if (s->view == TOP_NOW)
			change(t);
		break;
	case '+':
	case '=': change_span(t, true); break;
	case '-': change_span(t, false); break;
	case ' ': s->held = !s->held; break;
	case 'r': ask(t); break;
	case KEY_UP:
	case 'k': scroll_by(t, -1); break;
	case KEY_DOWN:
	case 'j': scroll_by(t, 1); break;
	case KEY_PPAGE: scroll_by(t, -page); break;
	case KEY_NPAGE: scroll_by(t, page); break;
	case KEY_HOME: s->first = 0; break;
	default: break; /* KEY_RESIZE too: it is drawn anew */
	}
}

/* Until a key, an answer or the time says otherwise. */
static void turn(struct top *t, int signals)
{
	struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			     {.fd = signals, .events = POLLIN},
			     {.fd = t->asker.answer, .events = POLLIN}};
	const int64_t left = (t->next.ns - mono_now().ns) / NS_PER_MS;
	const bool waits = t->asker.answer < 0 && !t->screen.held;

	const int n = poll(p, 3, !waits ? SECOND_MS : left < 0 ? 0 : (int)left + 1);
	if (n < 0 && errno != EINTR)
		t->end = true;
	if (n > 0 && (p[1].revents || p[0].revents & (POLLHUP | POLLERR)))
		t->end = true;
	if (n > 0 && p[2].revents)
		hear(t);
	for (int key; (key = getch()) != ERR;)
		take_key(t, key);
	if (!t->end && t->asker.answer < 0 && !t->screen.held && mono_now().ns >= t->next.ns)
		ask(t);
}

static int show(struct top *t)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	const int signals = signalfd(-1, &set, SFD_CLOEXEC);
	SCREEN *screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		fprintf(stderr, "weir top: the terminal '%s' is not known; TERM names it\n",
			getenv("TERM") ? getenv("TERM") : "");
		return EXIT_RUN_FAILED;
	}
	top_colours();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	set_escdelay(50);
	for (ask(t); !t->end; turn(t, signals))
		top_draw(&t->screen, &t->rows);
	endwin();
	delscreen(screen);
	close(signals);
	return EXIT_DONE;
}

static int wrong_filter(const char *text, const struct filter_error *err)
{
	char caret[512];

	filter_error_caret(caret, sizeof caret, text, strlen(text), err);
	fprintf(stderr, "weir top: filter: character %zu: %s\n%s\n", err->at + 1, err->text, caret);
	return EXIT_WRONG_USAGE;
}

/* What would only be seen in a corner of the screen is said before it begins. */
static int check(struct invocation *v, const struct top *t)
{
	struct filter *filter = NULL;
	struct filter_error wrong;
	struct store *store;
	struct error err = {0};
	const enum status s = filter_parse(&filter, t->screen.filter, strlen(t->screen.filter),
					   wall_ms(wall_now()), &wrong);

	filter_free(filter);
	if (s == ERR_USAGE)
		return wrong_filter(t->screen.filter, &wrong);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return command_usage_error(v, "standard input and output must be a terminal; 'weir query' "
					      "answers without one");
	if (store_open(&store, t->screen.store, &err) != OK) {
		fprintf(stderr, "weir top: %s\n", err.text);
		return EXIT_RUN_FAILED;
	}
	store_close(store);
	return 0;
}

/* The option's value. False: it is wrong, and *expected says what is right. */
static bool take_option(void *to, int option, const char *value, const char **expected)
{
	struct top *t = to;

	switch ((enum option)option) {
	case STORE: t->screen.store = command_folder(t->store, value); return true;
	case LAST:
		*expected = "a duration with its unit, as 30s, 5m, 1h, 7d,";
		return duration_parse(&t->screen.span_ms, value, strlen(value)) &&
		       t->screen.span_ms >= SECOND_MS;
	case EVERY:
		*expected = "1s to 1h";
		return duration_parse(&t->every_ms, value, strlen(value)) && t->every_ms >= SECOND_MS &&
		       t->every_ms <= HOUR_MS;
	}
	return false;
}

static int run(struct invocation *v)
{
	struct top t = {.screen = {.store = "/var/lib/weir", .span_ms = 5 * MINUTE_MS},
			.every_ms = 2 * SECOND_MS};
	auto_free char *filter = NULL;
	int status;

	setlocale(LC_CTYPE, "");
	status = command_read_words(v, take_option, &t, &filter);
	if (status)
		return status;
	t.screen.filter = filter ? filter : "";
	status = check(v, &t);
	if (status)
		return status;
	top_asker_init(&t.asker, t.screen.store);
	status = show(&t);
	top_asker_fini(&t.asker);
	json_decref(t.answer);
	return status;
}

const struct command command_top = {
	.name = "top",
	.summary = SUMMARY_TOP,
	.synopsis = "[-s STORE] [OPTION]… [FILTER]",
	.notes = "Keys: q ends; n and d show what passed now and what was denied; o, p and f, or the arrows "
		 "to the "
		 "left and\nright, order by octets, packets or flows; g changes what rows are; + and - the "
		 "time; "
		 "space holds still.\n"
		 "FILTER is written as for weir query; weir-top(8) tells more.",
	.options = options,
	.run = run,
};
