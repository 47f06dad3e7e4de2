/* Answers to the page, with sums out of the columns and by statements: the same, letter for letter. */
#include "query/part.h"
#include "records.h"

/* Words and their values, each with its zero. */
struct asked {
	const char *path, *words;
	bool only_duckdb; /* the columns alone do not answer it */
};

static const struct asked questions[] = {
	{"timeline", "n=5"},
	{"timeline", "by=dstport&time=1&steps=40&n=6"},
	{"timeline", "by=proto&time=1&order=flows&filter=ipv4 and not denied"},
	{"timeline", "by=src&time=1&n=9&order=packets&steps=7"},
	{"timeline", "by=dst&n=200&filter=ipv6"},
	{"matrix", "by=src,dst&n=30"},
	{"matrix", "by=src,dstport,dst&n=12&order=flows&filter=dst net 10.1.0.0/20"},
	{"matrix", "by=interfaceName,vlanId&n=20"},
	{"matrix", "by=exporter,if&time=1&n=3"},
	{"top", "by=src&n=40"},
	{"top", "by=src,dst,dstport&n=1000&order=packets"},
	{"top", "by=interfaceName&order=flows"},
	{"top", "by=denied,reason,proto"},
	{"top", "by=natEvent"},
	{"flows", "limit=70&filter=ipv4"},
	{"flows", "limit=30&offset=5&up=1&filter=host 10.0.3.77"},
	{"flows", "limit=50&order=octets&columns=src,octets&filter=dstport 443 and ipv4"},
	{"flows", "limit=2000&filter=proto 255"},
	{"denied", "limit=40&only=denied&columns=end,src,dst&filter=ipv4"},
	{"view", "part=a:cube&a.by=proto&a.time=1&part=b:cube&b.by=dst&b.time=1&b.n=4&part=c:top&c.by=src"
		 "&part=d:list&d.columns=end,src&d.limit=30&part=e:complete&e.word=dstport&e.prefix=4"
		 "&filter=octets > 1k and ipv4"},
	{"view", "part=a:cube&a.by=proto&a.time=1&part=b:top&b.by=src&from=@1700000300&to=@1700000360"},
	{"complete", "word=src&prefix=10.0.3"},
	{"complete", "word=peer&prefix="},
	{"complete", "word=peer&prefix=fd00&filter=ipv6"},
	{"complete", "word=port&prefix=4"},
	{"complete", "word=exporter&prefix=1"},
	{"complete", "word=proto&prefix="},
	{"complete", "word=interfaceName&prefix=PORT-00"},
	{"complete", "word=denied&prefix=t"},
	{"complete", "word=flags&prefix=1"},
	{"top", "by=bps&filter=dst 10.1.0.7", true},
	{"timeline", "by=src&time=1&filter=interfaceName ~ port-00", true},
};

/* `more` records than there are: worth threads. */
static char *answer(const char *folder, const struct asked *asked, uint64_t more, bool by_database,
		    bool *by_columns)
{
	struct question q = {.path = asked->path};
	char *pairs = strdup(asked->words), *rest = NULL, *text = NULL, *end;
	struct filter_error wrong = {0};
	struct error err = {0};
	struct reply r = {.by_database = by_database};
	const char *which = "";
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (char *word = strtok_r(pairs, "&", &rest); word; word = strtok_r(NULL, "&", &rest)) {
		q.words[q.count].name = word;
		*strchr(word, '=') = 0;
		q.words[q.count++].value = word + strlen(word) + 1;
	}
	/* Where it has no time of its own; of what stands twice the first counts. */
	q.words[q.count].name = "from";
	q.words[q.count++].value = "@1699999000";
	q.words[q.count].name = "to";
	q.words[q.count++].value = "@1700003000";
	enum status s = reply_open(&r, &q, folder, out, &which, &wrong, &err);
	r.coverage.records += more;
	if (s == OK)
		s = reply_answer(&r, &err);
	if (s != OK)
		fail_msg("%s: status %d: %s %s %s", asked->words, (int)s, err.text, which, wrong.text);
	*by_columns = !r.pass->by_database;
	reply_close(&r);
	store_close(r.store);
	duck_close(&(struct duck){.database = r.engine.database, .connection = r.engine.connection});
	fclose(out);
	end = strstr(text, ",\"took_ms\":");
	assert_non_null(end);
	*end = 0;
	if ((end = strstr(text, ",\"now\":"))) /* the clock's */
		memset(end, ' ', strcspn(end + 1, "}") + 1);
	free(pairs);
	return text;
}

/* `full`: the store has all kinds of records, so the question goes the way that it should. */
static void compare(const char *folder, const struct asked *asked, uint64_t more, bool full)
{
	bool columns, statements;
	char *mine = answer(folder, asked, more, false, &columns);
	char *theirs = answer(folder, asked, more, true, &statements);
	size_t same = 0;

	while (mine[same] && mine[same] == theirs[same])
		same++;
	if (mine[same] != theirs[same]) {
		same = same > 100 ? same - 100 : 0;
		fail_msg("%s %s:\n%.400s\nby statements:\n%.400s", asked->path, asked->words, mine + same,
			 theirs + same);
	}
	if (statements || (full && columns == asked->only_duckdb))
		fail_msg("%s %s: not the way it should be", asked->path, asked->words);
	free(mine);
	free(theirs);
}

static void ask_all(const char *folder, uint64_t more, bool full)
{
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
		compare(folder, &questions[i], more, full);
}

/* Each word as a key, by itself. */
static void ask_words(const char *folder)
{
	for (size_t i = 0; i < word_count; i++) {
		struct filter_error wrong;
		char text[256];
		struct ask ask = {0};

		if (ask_keys(&ask, words[i].name, false, &wrong) != OK)
			continue;
		snprintf(text, sizeof text,
			 "part=a:complete&a.word=%s&a.prefix=1&part=b:top&b.by=%s&b.n=1000&b.order=flows"
			 "&part=c:cube&c.by=%s&c.time=1&c.n=3&c.order=flows",
			 words[i].name, words[i].name, words[i].name);
		compare(folder, &(struct asked){"view", text}, 0, false);
	}
}

static void the_same_both_ways(void **state)
{
	struct bench t;

	bench_begin(&t);
	ask_all(t.folder, 0, false);
	append_and_load(&t, A_MESSAGE); /* of one kind: most columns are NULL in every record */
	ask_words(t.folder);
	append_and_load(&t, 125000);
	append_and_load(&t, 700);
	append_many(&t, 70000);
	ask_all(t.folder, 0, true);
	ask_all(t.folder, 100000000, true);
	ask_words(t.folder);
	bench_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_both_ways)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
