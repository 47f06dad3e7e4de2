/* cleanup.h: what a function holds is let go when it returns, whatever the way out. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define auto_fd   __attribute__((cleanup(close_fd))) int
#define auto_free __attribute__((cleanup(free_pointer)))
#define auto_file __attribute__((cleanup(close_file))) FILE *

/* Hand a descriptor out of an auto_fd: the caller owns it now. */
static inline int take_fd(int *fd)
{
	const int taken = *fd;

	*fd = -1;
	return taken;
}
