/* printer_sessions.h: the Transport Sessions of a process that decodes without a store: the newest
 * PRINTER_SESSIONS of them, and sums over those that made room. */
#pragma once

#include "collect/journal.h"
#include "collect/session.h"
#include "ie/text.h"

enum { PRINTER_SESSIONS = 1024 };

struct printer_sessions;

/* NULL: no memory. */
struct printer_sessions *printer_sessions_new(uint64_t seed);
void printer_sessions_free(struct printer_sessions *sessions);

/* Borrowed until the next call. NULL: no memory. */
struct session *printer_session(struct printer_sessions *sessions, const struct journal_session *key);

/* Sums over all, as metrics. */
void printer_sessions_print(const struct printer_sessions *sessions, struct text *out);
