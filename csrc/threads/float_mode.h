/* float_mode.h -- the processor's floating-point mode while kernels run: subnormals count as 0
 *
 * They take a processor longer, and they stay: the mean of gradients that are 0 for good shrinks
 * to the smallest of them within some 800 steps, where rounding keeps it.
 */
#ifndef FM_FLOAT_MODE_H
#define FM_FLOAT_MODE_H

#ifdef __SSE2__
#include <xmmintrin.h>
#endif
#ifdef __aarch64__
#include <stdint.h>
#endif

/* The whole mode is set, rounding and traps too: every thread computes alike whatever mode it
 * started in, and no exception that the caller has unmasked ends the process. */
#if defined(__SSE2__)
typedef unsigned fm_float_mode;
enum { FM_ALL_MASKED = 0x1f80, FM_FLUSH_RESULTS = 1 << 15, FM_FLUSH_OPERANDS = 1 << 6 };
static inline void fm_float_mode_restore(fm_float_mode mode) { _mm_setcsr(mode); }
static inline fm_float_mode fm_float_mode_enter(void)
{
    const fm_float_mode before = _mm_getcsr();
    _mm_setcsr(FM_ALL_MASKED | FM_FLUSH_RESULTS | FM_FLUSH_OPERANDS);
    return before;
}
#elif defined(__aarch64__)
typedef uint64_t fm_float_mode;
enum { FM_FLUSH = 1 << 24 };
static inline void fm_float_mode_restore(fm_float_mode mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
static inline fm_float_mode fm_float_mode_enter(void)
{
    fm_float_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    fm_float_mode_restore(FM_FLUSH);
    return before;
}
#else
typedef int fm_float_mode;
static inline void fm_float_mode_restore(fm_float_mode mode) { (void)mode; }
static inline fm_float_mode fm_float_mode_enter(void) { return 0; }
#endif

#endif
