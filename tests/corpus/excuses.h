/* excuses.h: captures whose reference we do not match, each with the reason. */
#pragma once

static const struct excuse {
	const char *path;   /* part of the capture's path; NULL: by link type */
	unsigned link_type; /* LINKTYPE_… that observe/capture does not support */
	const char *reason;
} excuses[] = {
	{NULL, 8, "link type 8, SLIP: no overlay"},
};

enum { EXCUSE_COUNT = sizeof excuses / sizeof excuses[0] };
