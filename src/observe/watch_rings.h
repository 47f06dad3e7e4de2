/* watch_rings.h: the rings of a watch, one for each lane. Private to watch.c and watch_rings.c. */
#pragma once

#include "observe/watch.h"

/* Room for them, none open. False: out of memory. */
MUST_CHECK bool watch_make_rings(const struct watcher *s, struct watch *w);

/* Open all of them; when that fails try again in a while. The first failure is told. */
void watch_open_rings_or_wait(struct watcher *s, struct watch *w, bool first);
void watch_close_rings(const struct watcher *s, struct watch *w);

/* From now on nothing comes into them. */
void watch_deafen(const struct watcher *s, struct watch *w);

/* Clear the errors of their sockets. True: the interface no longer exists. */
bool watch_lost_device(const struct watcher *s, struct watch *w);

/* Nothing is left to read in any of them; or, where the kernel had its time to show it, nothing is seen. */
bool watch_is_drained(const struct watcher *s, struct watch *w, bool overdue);
