/* Faults against the collector and its loader: the program that collector_faults.py drives.
 *
 * collector_fault kill FOLDER SEED COUNT          kills at random moments, of all processes, the receiver,
 * the loader collector_fault loader FOLDER SEED STEP         a kill and each errno at every STEPth system
 * call of the loader collector_fault sites FOLDER SEED COUNT SKIP    the same at each distinct call of each
 * process of the collector collector_fault limit FOLDER SEED COUNT         files that may not grow beyond a
 * random size collector_fault run STORE BOOK SEED             a collector and its sender, until it is killed
 * collector_fault mark STORE BOOK                 write into the book what is accepted
 * collector_fault check STORE BOOK                judge
 *
 * The first four do it all by themselves in FOLDER and end with 0 when nothing was lost and nothing doubled;
 * the last line that starts with "=" says what was done. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector_fault.h"

enum {
	EPOCH = 20,      /* kills of one store, then a new one */
	LIFE_MS = 160,   /* at most */
	EVERY = 6,       /* every so many judgements restart a second time */
	END_MS = 40000,  /* a collector may take to end */
	SERVED_MS = 250, /* with faults at its calls */
};

struct bench {
	char store[PATH_LONG];
	struct book *book;
	uint64_t random;
	uint32_t faults;                    /* put in */
	uint32_t in_partition, in_manifest; /* kills that left such a step half done */
	uint32_t loaders;                   /* kills of the loader alone before */
};

static void bench_open(struct bench *b, const char *folder, const char *seed)
{
	char path[PATH_LONG];

	*b = (struct bench){.random = strtoull(seed, NULL, 10)};
	snprintf(path, sizeof path, "%s/book", folder);
	b->book = book_map(path);
	snprintf(b->store, sizeof b->store, "%s/store", folder);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void fresh(struct bench *b)
{
	remove_store(b->store);
	book_clear(b->book);
}

static void pause_us(uint32_t us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L}, NULL);
}

/* The process below `pid`, `depth` generations on. 0: there is none. */
static pid_t descendant(pid_t pid, int depth)
{
	while (depth-- > 0 && pid > 0) {
		char path[64];
		int child = 0;

		snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
		FILE *file = fopen(path, "re");
		if (!file || fscanf(file, "%d", &child) != 1)
			child = 0;
		if (file)
			fclose(file);
		pid = child;
	}
	return pid;
}

/* Kill. */

static void kill_loader(struct bench *b, pid_t collector)
{
	const pid_t loader = descendant(collector, 2);

	if (loader > 0 && kill(loader, SIGKILL) == 0) {
		b->loaders++;
		pause_us(random_below(&b->random, 200000)); /* it is started again meanwhile */
	}
}

static bool stopped(pid_t pid)
{
	int status;

	kill(-pid, SIGSTOP);
	return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
}

static bool kill_once(struct bench *b, bool look)
{
	const uint32_t way = random_below(&b->random, 5), begun = atomic_load(&b->book->next);
	const bool late = random_below(&b->random, 3) > 0;
	struct victim v = {.store = b->store,
			   .book = b->book,
			   .seed = random_next(&b->random),
			   .tcp = random_below(&b->random, 2) == 0,
			   .port = free_port()};
	const pid_t collector = collector_begin(&v), sender = sender_begin(&v);
	bool good = true;

	for (int i = 0; late && i < 1000 && atomic_load(&b->book->next) < begun + 20; i++)
		pause_us(2000); /* on a busy machine it takes its time to begin */
	pause_us(random_below(&b->random, LIFE_MS * 1000));
	if (way == 0)
		kill_loader(b, collector);
	/* Standing still at that moment, so that what was accepted is known; then it dies there. */
	if (!stopped(collector)) {
		say("# the collector ended by itself");
		good = false;
	}
	mkdir(b->store, 0750); /* killed before it could */
	good = good && witness(b->store, b->book);
	kill(way == 1 ? collector : -collector, SIGKILL); /* 1: the others have to notice */
	kill(-collector, SIGCONT);
	kill(sender, SIGKILL);
	if (!wait_for_all(END_MS)) {
		say("# processes stay");
		good = false;
	}
	b->faults++;
	const int half = unfinished(b->store);
	b->in_partition += half & 1;
	b->in_manifest += half >> 1 & 1;
	return good && (!look || glance(b->store, b->book, true));
}

static int run_kill(struct bench *b, uint32_t count)
{
	uint64_t accepted = 0;
	bool good = true;

	for (uint32_t i = 0; good && i < count; i++) {
		if (i % EPOCH == 0)
			fresh(b);
		good = kill_once(b, i % 5 == 4); /* nothing that is lost comes back */
		if (good && (i % EPOCH == EPOCH - 1 || i + 1 == count)) {
			good = judge(b->store, b->book, true, true);
			for (uint32_t m = 0; m < MESSAGES; m++)
				accepted += b->book->accepted[m];
		}
		if ((i + 1) % 1000 == 0)
			say("# %u kills", i + 1);
	}
	say("= %u runs: %u kills, %u more of the loader alone, %u amid a partition, %u amid a manifest, %llu "
	    "accepted records looked for",
	    b->faults, b->faults, b->loaders, b->in_partition, b->in_manifest,
	    (unsigned long long)accepted * RECORDS);
	return good ? 0 : 1;
}

/* Every call of the loader. */

/* A journal with something in it for some steps of the loader, and a store with some partitions. */
static bool prepare(struct bench *b)
{
	struct victim v = {.store = b->store,
			   .book = b->book,
			   .seed = random_next(&b->random),
			   .tcp = true,
			   .port = free_port()};
	const pid_t collector = collector_begin(&v);
	const pid_t sender = sender_begin(&v);

	for (int i = 0; i < 4000 && atomic_load(&b->book->next) < 60; i++)
		pause_us(1000);
	kill(descendant(collector, 2), SIGKILL); /* what follows is for the next loader */
	for (int i = 0; i < 4000 && atomic_load(&b->book->next) < 130; i++)
		pause_us(1000);
	pause_us(20000);
	const bool good = stopped(collector) && witness(b->store, b->book);
	kill(-collector, SIGKILL);
	kill(sender, SIGKILL);
	return wait_for_all(END_MS) && good;
}

static void copy_store(const char *from, const char *to)
{
	char command[4 * PATH_LONG];

	snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	if (system(command) != 0)
		_exit(2);
}

struct found {
	char sites[4096][SITE_MAX + 16]; /* where a fault went in, with the fault */
	uint32_t count;
	uint32_t ended_well, said_no; /* the victim's exit, after an errno */
};

static void found_add(struct found *f, const char *where, int fault)
{
	char name[32], text[SITE_MAX + 16];

	snprintf(text, sizeof text, "%.90s: %.20s", where, fault_name(fault, name));
	for (uint32_t i = 0; i < f->count; i++)
		if (strcmp(f->sites[i], text) == 0)
			return;
	if (f->count < 4096)
		memcpy(f->sites[f->count++], text, sizeof text);
}

static int found_say(const struct found *f, const struct bench *b, bool good)
{
	for (uint32_t i = 0; i < f->count; i++)
		say("@ %s", f->sites[i]);
	say("= %u runs: %u faults at %u distinct sites; after an errno %u ended well, %u gave up and said so",
	    b->faults, b->faults, f->count, f->ended_well, f->said_no);
	return good ? 0 : 1;
}

static void tell_broken(const char *where, int fault, uint32_t nth)
{
	char name[32];

	say("# %s at: %s (the %uth there)", fault_name(fault, name), where, nth);
}

/* A call of the loader's: where, and the how-manieth there. */
struct struck {
	struct site site;
	uint32_t occurrence;
};

/* Strike once. False: broken. */
static bool strike_loader(struct bench *b, struct calls *c, struct found *f, const char *work,
			  const struct struck *at, int fault)
{
	struct victim v = {.store = work, .book = b->book, .seed = 5};
	const char *where;
	bool good = true;

	calls_watch(c, &v, at ? at->site.name : NULL, at ? at->occurrence : 0, fault);
	const pid_t pid = loader_begin(&v);
	calls_serve(c, work);
	const int status = wait_for_worker(pid, END_MS);
	const bool hit = calls_end(c, &where);
	if (status == -1) {
		say("# the loader does not end");
		good = false;
	}
	if (hit) {
		b->faults++;
		found_add(f, where, fault);
		f->ended_well += fault != FAULT_KILL && status == 0;
		f->said_no += fault != FAULT_KILL && status != 0;
	}
	if (calls_synced_again(c)) {
		say("# a file was synced again after its sync had failed");
		good = false;
	}
	if (WIFSIGNALED(status) && fault != FAULT_KILL) {
		say("# the loader died of signal %d", WTERMSIG(status));
		good = false;
	}
	good = good && glance(work, b->book, true) && judge(work, b->book, true, b->faults % EVERY == 0);
	if (!good)
		tell_broken(where, fault, at ? at->occurrence : 0);
	return good;
}

static int run_loader(struct bench *b, uint32_t step, const char *match)
{
	char work[PATH_LONG + 8];
	struct calls *c = calls_new();
	struct found *f = calloc(1, sizeof *f);
	bool good;

	fresh(b);
	snprintf(work, sizeof work, "%s.work", b->store);
	good = f && prepare(b);
	copy_store(b->store, work);
	good = good && strike_loader(b, c, f, work, NULL, FAULT_NONE);
	const uint32_t calls = calls_seen(c);
	struct struck *at = calloc(calls + 1, sizeof *at);
	for (uint32_t i = 0; at && i < calls; i++) {
		const struct site *site = calls_site_at(c, i + 1, &at[i].occurrence);

		at[i].site = *site;
	}
	say("# the loader makes %u system calls", calls);
	for (uint32_t i = random_below(&b->random, step); good && at && i < calls; i += step) {
		const int *faults = calls_faults(at[i].site.call);

		for (int k = 0; good && strstr(at[i].site.name, match) && faults[k] != FAULT_NONE; k++) {
			copy_store(b->store, work);
			good = strike_loader(b, c, f, work, &at[i], faults[k]);
		}
	}
	free(at);
	return found_say(f, b, good);
}

/* Each distinct call of the whole collector. */

static bool strike_collector(struct bench *b, struct calls *c, struct found *f, const char *site,
			     uint32_t nth, int fault, bool *hit)
{
	struct victim v = {.store = b->store,
			   .book = b->book,
			   .seed = random_next(&b->random),
			   .tcp = random_below(&b->random, 2) == 0,
			   .port = free_port()};
	const char *where;
	bool good = true;
	int status;

	calls_watch(c, &v, site, nth, fault);
	const pid_t collector = collector_begin(&v);
	calls_serve(c, b->store);
	const pid_t sender = sender_begin(&v);
	pause_us(SERVED_MS * 1000);
	if (waitpid(collector, &status, WNOHANG) == 0) {
		mkdir(b->store, 0750);
		good = witness(b->store, b->book);
		kill(collector, SIGTERM);
		status = wait_for_end(collector, END_MS);
	}
	if (status == -1) {
		say("# the collector does not end");
		good = false;
	}
	kill(sender, SIGKILL);
	kill(-collector, SIGKILL);
	good = wait_for_all(END_MS) && good;
	*hit = calls_end(c, &where);
	b->faults += *hit;
	if (*hit) {
		found_add(f, where, fault);
		f->ended_well += fault != FAULT_KILL && status == 0;
		f->said_no += fault != FAULT_KILL && status != 0;
	}
	if (calls_synced_again(c)) {
		say("# a file was synced again after its sync had failed");
		good = false;
	}
	mkdir(b->store, 0750);
	good = good && witness(b->store, b->book) && judge(b->store, b->book, false, b->faults % EVERY == 0);
	if (!good)
		tell_broken(where, fault, nth);
	return good;
}

/* Events, timers and pipes have no disk that could fail. */
static bool is_possible(const struct site *site, int fault)
{
	return !(strstr(site->name, "anon_inode") || strstr(site->name, " pipe:")) ||
	       (fault != FAULT_ERRNO + EIO && fault != FAULT_ERRNO + ENOSPC);
}

static int run_sites(struct bench *b, uint32_t occurrences, uint32_t skip)
{
	struct calls *c = calls_new();
	struct found *f = calloc(1, sizeof *f);
	uint32_t runs = 0, turn = random_below(&b->random, skip);
	bool good = f, hit;

	fresh(b);
	for (int i = 0; good && i < 4; i++) /* which calls there are; a new store first, then an old one */
		good = strike_collector(b, c, f, NULL, 0, FAULT_NONE, &hit);
	for (uint32_t i = 0; good && calls_site(c, i); i++) {
		const struct site site = *calls_site(c, i);
		const int *faults = calls_faults(site.call);

		for (int k = 0; good && faults[k] != FAULT_NONE; k++)
			for (uint32_t n = 0; good && n < occurrences && n < site.most; n++) {
				/* The first, then any. */
				const uint32_t nth = n == 0 ? 1 : 1 + random_below(&b->random, site.most);

				if (!is_possible(&site, faults[k]) || turn++ % skip != 0)
					continue;
				if (runs++ % 8 == 0)
					fresh(b);
				good = strike_collector(b, c, f, site.name, nth, faults[k], &hit);
			}
	}
	return found_say(f, b, good);
}

/* Files that may not grow. */

static int run_limit(struct bench *b, uint32_t count)
{
	char work[PATH_LONG + 8];
	bool good;

	fresh(b);
	snprintf(work, sizeof work, "%s.work", b->store);
	good = prepare(b);
	for (uint32_t i = 0; good && i < count; i++) {
		rlim_t limit = 1 + random_below(&b->random, 12000);
		const struct victim v = {.store = work, .book = b->book, .seed = 5, .limit = &limit};

		copy_store(b->store, work);
		const int status = wait_for_worker(loader_begin(&v), END_MS);
		b->faults++;
		if (status == -1 || WIFSIGNALED(status)) {
			say("# the loader %s", status == -1 ? "does not end" : "died of a signal");
			good = false;
		}
		good = good && glance(work, b->book, true) && judge(work, b->book, true, i % EVERY == 0);
		if (!good)
			say("# no file may have more than %llu octets", (unsigned long long)limit);
	}
	say("= %u runs with limits", b->faults);
	return good ? 0 : 1;
}

/* For the power cuts: see collector_faults.py. */

static int run_until_killed(const char *store, const char *book, const char *seed)
{
	uint64_t random = strtoull(seed, NULL, 10);
	struct victim v = {.store = store,
			   .book = book_map(book),
			   .seed = random_next(&random),
			   .tcp = random_below(&random, 2)};

	v.port = free_port();
	setpgid(0, 0);
	const pid_t collector = collector_begin(&v);
	sender_begin(&v);
	say("P %d", collector); /* its group; the sender is in ours */
	return wait(NULL) > 0 ? 1 : 0;
}

static int check(const char *store, const char *path)
{
	struct book *book = book_map(path);

	mkdir(store, 0750);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return glance(store, book, false) && judge(store, book, false, true) ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct bench b;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && strcmp(what, "run") == 0)
		return run_until_killed(argv[2], argv[3], argv[4]);
	if (argc == 4 && strcmp(what, "mark") == 0) {
		mkdir(argv[2], 0750);
		return witness(argv[2], book_map(argv[3])) ? 0 : 1;
	}
	if (argc == 4 && strcmp(what, "check") == 0)
		return check(argv[2], argv[3]);
	if (argc < 5) {
		say("usage: collector_fault kill|loader|sites|limit FOLDER SEED N [SKIP|TEXT] | run STORE "
		    "BOOK "
		    "SEED | "
		    "mark|check STORE BOOK");
		return 2;
	}
	bench_open(&b, argv[2], argv[3]);
	const uint32_t n = (uint32_t)atol(argv[4]);
	if (strcmp(what, "kill") == 0)
		return run_kill(&b, n);
	if (strcmp(what, "loader") == 0)
		return run_loader(&b, n, argc > 5 ? argv[5] : "");
	if (strcmp(what, "sites") == 0)
		return run_sites(&b, n, argc > 5 ? (uint32_t)atol(argv[5]) : 1);
	return run_limit(&b, n);
}
