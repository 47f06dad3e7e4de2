/* page.h: the files of the page, as the build has put them into the program (web/embed.py), compressed. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

struct page_file {
	const char *path; /* "/", "/assets/index-1a2b.js" */
	const char *type;
	struct span gzip;
	bool lasting; /* its name changes with its content */
};

/* Ends with a row without a path. Empty in a build without npm. */
extern const struct page_file page_files[];
