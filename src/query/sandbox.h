/* sandbox.h: a process that reads one folder and writes nowhere, for good. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct sandbox {
	bool landlock; /* files: only those in the folder, to read; links out of it lead nowhere */
	bool seccomp;  /* no opening for writing, no change of any name or mode, no socket, no program, no
			  signal */
	bool user;     /* root became nobody; it may still read what only root can, when landlock holds */
};

/* The calling process and what it starts from now on; it must have one thread. Descriptors that are open stay
 * open. ERR_SYSTEM: `folder` cannot be opened. ERR_UNSUPPORTED: neither Landlock nor seccomp is to be had. */
MUST_CHECK enum status sandbox_enter(struct sandbox *out, const char *folder, struct error *err);
