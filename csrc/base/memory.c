/* memory.c -- the one allocator: zeroed, aligned, on huge pages if large; tests can make it fail */
#include "fastmlp.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20, HUGE_FROM = 1 << 20 };

static atomic_long fail_in;

void fm_fail_allocation(long nth) { atomic_store(&fail_in, nth); }

void *fm_allocate(size_t bytes)
{
    void *memory = NULL;
    if (atomic_load(&fail_in) > 0 && atomic_fetch_sub(&fail_in, 1) == 1) return NULL;
    if (bytes > PTRDIFF_MAX - HUGE_PAGE) return NULL;
    if (bytes >= HUGE_FROM) bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (posix_memalign(&memory, bytes >= HUGE_FROM ? HUGE_PAGE : CACHE_LINE,
                       bytes ? bytes : CACHE_LINE))
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    /* rows of a wide layer lie pages apart: with 4 KB pages each costs an entry of the TLB */
    if (bytes >= HUGE_FROM) (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 0, bytes);
    return memory;
}

void fm_release(void *memory) { free(memory); }
