/* top_curses.h: ncurses without its macro OK, which is a word of ours too (base/status.h) and the same
 * number. */
#pragma once

#define NCURSES_NOMACROS 1
#include <curses.h>
#undef OK
