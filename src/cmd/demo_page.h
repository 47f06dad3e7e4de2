/* demo_page.h: the demo's page: a `weir collect` of its own with a store that goes with it, fed with a copy
 * of every message that the demo's collector gets. */
#pragma once

#include "cmd/demo_children.h"

struct demo_page {
	struct child *child; /* NULL: there is none, or it has ended */
	int socket;          /* to its UDP port; -1: none */
	bool asked;          /* the user named the address: then it must not fail */
	bool ending;
	bool *broken;
	char store[64];   /* "": none */
	char address[64]; /* of the page, "127.0.0.1:8080" */
};

/* `http`: ADDR:PORT, "none", or NULL: 127.0.0.1:8080, or another port where that is taken. Says where the
 * page is, or why there is none. Set *broken when a page that was asked for ends by itself. ERR_SYSTEM.
 * demo_page_close in every case, after its child has ended. */
MUST_CHECK enum status demo_page_open(struct demo_page *page, struct children *children, const char *http,
				      bool *broken, struct error *err);

/* A message as it was received. */
void demo_page_copy(const struct demo_page *page, const void *message, size_t length);

/* How to look at it, for people; nothing without a page. */
void demo_page_tell(const struct demo_page *page);
void demo_page_close(struct demo_page *page);
