/* memory.h: large arrays that grow without moving.
 *
 * Address space for the largest size is set aside at once; a page costs memory when it is first touched. */
#pragma once

#include <stddef.h>

/* Zeroed, aligned to 2 MiB, in huge pages (where the kernel grants them) after the first 2 MiB, so that a
 * small table stays small and a large one does not miss the TLB at every packet. NULL: out of memory. */
void *memory_reserve(size_t octets);

/* The first 2 MiB will be used in full: make a huge page of them, too. */
void memory_make_huge(void *memory);

void memory_release(void *memory, size_t octets);
