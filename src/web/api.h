/* api.h: /api/v1: questions of the page, handed to processes that answer them (query/worker.h). What needs no
 * store (words, whether a filter is right) is answered here. */
#pragma once

#include <stdatomic.h>

#include "web/server.h"

struct api {
	int requests;              /* to the workers; -1: there is no store to ask */
	const atomic_uint *asking; /* questions that are being answered now, as their keeper counts */
	void (*status)(void *arg,
		       struct text *out); /* members of a JSON object, each with a comma in front */
	void *arg;
};

/* A route's handler; `api` is what it needs. */
void api_get(const struct api *api, const struct web_request *request, struct web_answer *out);
