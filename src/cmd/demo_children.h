/* demo_children.h: the processes that a demo starts: each in a namespace, none left when it ends.
 *
 * No shell: a line is split at spaces. Every child is in a session of its own, so that a Ctrl-C at the
 * terminal reaches only us, and is reaped by the loop. Services die with this process, whatever kills it. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"

struct child;

struct children {
	uv_loop_t *loop;
	int home;         /* descriptor of our own network namespace */
	const bool *stop; /* set when the user wants to leave: waiting ends early */
	struct child *first;
};

/* Told once, when it is gone: exit status, or the number of the signal. The child is freed afterwards. */
typedef void child_ended(void *arg, int64_t status, int signal);

struct child_order {
	int netns;          /* descriptor; -1: our own */
	const char *line;   /* program and words, split at spaces */
	bool service;       /* meant to run until it is stopped */
	int in, out;        /* descriptors for its standard input and output; 0 and 0: /dev/null */
	child_ended *ended; /* NULL: nobody asks */
	void *arg;
};

/* ERR_SYSTEM when it cannot be started. `*out` may be NULL. */
MUST_CHECK enum status children_start(struct children *all, const struct child_order *order,
				      struct child **out, struct error *err);

/* Start and wait. ERR_SYSTEM with what it wrote on standard error when it fails; END when *stop came first.
 */
MUST_CHECK enum status children_run(struct children *all, const struct child_order *order, struct error *err);

/* Ask it to end; it is still told to `ended`. NULL and a child that is gone already are fine. */
void child_stop(struct children *all, struct child *child);

/* The last line that a running child wrote on standard error, without control characters. */
void child_said(const struct child *child, char *out, size_t size);

/* End all that are left: SIGTERM, after `patience_ms` SIGKILL. Returns when every one is reaped. */
void children_end(struct children *all, uint64_t patience_ms);
