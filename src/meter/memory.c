#include "meter/memory.h"

#include <stdint.h>
#include <sys/mman.h>

static const size_t huge_page = (size_t)2 << 20;

static size_t whole_pages(size_t octets)
{
	return (octets + huge_page - 1) & ~(huge_page - 1);
}

void *memory_reserve(size_t octets)
{
	const size_t size = whole_pages(octets);
	uint8_t *at = mmap(NULL, size + huge_page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	uint8_t *aligned = at + (-(uintptr_t)at & (huge_page - 1));
	const size_t before = (size_t)(aligned - at);

	if (before > 0)
		munmap(at, before);
	if (before < huge_page)
		munmap(aligned + size, huge_page - before);
	if (size > huge_page) /* only advice: without it all works, slower */
		madvise(aligned + huge_page, size - huge_page, MADV_HUGEPAGE);
	return aligned;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

void memory_make_huge(void *memory)
{
	if (madvise(memory, huge_page, MADV_HUGEPAGE) == 0)
		madvise(memory, huge_page,
			MADV_COLLAPSE); /* what is there already; later, on older kernels */
}

void memory_release(void *memory, size_t octets)
{
	if (memory)
		munmap(memory, whole_pages(octets));
}
