/* vec.h -- the vector type of one instruction set and precision, and the few operations on it
 *
 * A stub (avx512_f32.c, ...) sets FM_VECTOR_BYTES and FM_DOUBLE and includes kernels.h. Arithmetic
 * is that of the compiler's vector extension; only what it cannot say (max, sqrt, select) has a
 * branch here.
 */
#ifndef FM_KERNELS_VEC_H
#define FM_KERNELS_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && FM_VECTOR_BYTES >= 16
#include <immintrin.h>
#endif

#if FM_DOUBLE
typedef double real;
typedef int64_t real_bits;
#define REAL(x) x
#define REAL_LARGEST __DBL_MAX__
#else
typedef float real;
typedef int32_t real_bits;
#define REAL(x) x##f
#define REAL_LARGEST __FLT_MAX__
#endif

typedef real vec __attribute__((vector_size(FM_VECTOR_BYTES)));
typedef real_bits vbits __attribute__((vector_size(FM_VECTOR_BYTES)));
typedef real vec_in_memory __attribute__((vector_size(FM_VECTOR_BYTES), may_alias));

#define INLINE static inline __attribute__((always_inline))
/* what is rare, so that it takes no registers from what is not */
#define NOINLINE __attribute__((noinline))
/* Loops that are unrolled so many times at most: macros that .clang-format knows to be loops */
#define UNROLL_FOR(...) _Pragma("GCC unroll 16") for (__VA_ARGS__)
#define UNROLL_FOR_2(...) _Pragma("GCC unroll 2") for (__VA_ARGS__)
#define UNROLL_FOR_4(...) _Pragma("GCC unroll 4") for (__VA_ARGS__)
#define UNROLL_FOR_32(...) _Pragma("GCC unroll 32") for (__VA_ARGS__)
/* i over the first lanes of the vectors of an array of `count` elements */
#define FOR_VECTORS(i, count) for (size_t i = 0; i < (count); i += LANES)

enum {
    LANES = FM_VECTOR_BYTES / sizeof(real), /* elements of a vector */
    BLOCK = 64 / sizeof(real),              /* columns of a column block: one cache line */
    BLOCK_VECS = BLOCK / LANES,             /* vectors of a column block */
};

/* Prefetches a cache line that will be written. One that another core has read must be taken from
 * it before a store retires: 11 ns on a Zen 5, which stores do not overlap. */
INLINE void prefetch_to_write(const void *p)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw (%0)" : : "r"(p));
#else
    __builtin_prefetch(p, 1, 3);
#endif
}

/* p is aligned to the vector: every array of the arena starts and strides in whole cache lines. */
INLINE vec v_load(const real *p) { return (vec) * (const vec_in_memory *)p; }
INLINE vec v_load_unaligned(const real *p)
{
    vec x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE void v_store(real *p, vec x) { *(vec_in_memory *)p = x; }
/* x, held in a register: one load for all uses, where a compiler would rather give each its own. */
INLINE vec v_held(vec x)
{
#if defined(__x86_64__) && FM_VECTOR_BYTES >= 16
    __asm__("" : "+v"(x));
#elif defined(__aarch64__) && FM_VECTOR_BYTES == 16
    __asm__("" : "+w"(x));
#endif
    return x;
}
INLINE vec v_splat(real x) { return x - (vec){0}; }
INLINE vec v_zero(void) { return (vec){0}; }

/* Lanes of a where the mask (a comparison's result) is set, else lanes of b. */
INLINE vec v_select(vbits mask, vec a, vec b)
{
    return (vec)((mask & (vbits)a) | (~mask & (vbits)b));
}

#if FM_VECTOR_BYTES == 64 && FM_DOUBLE
INLINE vec v_max(vec a, vec b) { return (vec)_mm512_max_pd((__m512d)a, (__m512d)b); }
INLINE vec v_min(vec a, vec b) { return (vec)_mm512_min_pd((__m512d)a, (__m512d)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm512_sqrt_pd((__m512d)a); }
#elif FM_VECTOR_BYTES == 64
INLINE vec v_max(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec v_min(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm512_sqrt_ps((__m512)a); }
#elif FM_VECTOR_BYTES == 32 && FM_DOUBLE
INLINE vec v_max(vec a, vec b) { return (vec)_mm256_max_pd((__m256d)a, (__m256d)b); }
INLINE vec v_min(vec a, vec b) { return (vec)_mm256_min_pd((__m256d)a, (__m256d)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm256_sqrt_pd((__m256d)a); }
#elif FM_VECTOR_BYTES == 32
INLINE vec v_max(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec v_min(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm256_sqrt_ps((__m256)a); }
#else
INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
INLINE vec v_min(vec a, vec b) { return v_select(a < b, a, b); }
INLINE vec v_sqrt(vec a)
{
    real lanes[LANES];
    memcpy(lanes, &a, sizeof lanes);
    for (int i = 0; i < LANES; i++)
#if FM_DOUBLE
        lanes[i] = __builtin_sqrt(lanes[i]);
#else
        lanes[i] = __builtin_sqrtf(lanes[i]);
#endif
    memcpy(&a, lanes, sizeof lanes);
    return a;
}
#endif

/* An estimate of 1 / x, good to 11 bits or more, where the processor has one: single precision
 * alone */
#if FM_VECTOR_BYTES == 64 && !FM_DOUBLE
#define V_HAS_RECIPROCAL 1
INLINE vec v_reciprocal_estimate(vec a) { return (vec)_mm512_rcp14_ps((__m512)a); }
#elif FM_VECTOR_BYTES == 32 && !FM_DOUBLE
#define V_HAS_RECIPROCAL 1
INLINE vec v_reciprocal_estimate(vec a) { return (vec)_mm256_rcp_ps((__m256)a); }
#else
#define V_HAS_RECIPROCAL 0
#endif

INLINE vec v_abs(vec x) { return (vec)((vbits)x & ~(vbits)v_splat(REAL(-0.0))); }
INLINE vec v_negate(vec x) { return (vec)((vbits)x ^ (vbits)v_splat(REAL(-0.0))); }
/* The magnitude of x under the sign of s. */
INLINE vec v_copysign(vec x, vec s)
{
    vbits sign = (vbits)v_splat(REAL(-0.0));
    return (vec)(((vbits)x & ~sign) | ((vbits)s & sign));
}
/* 1 under the sign of x; 0 for 0 and NaN for NaN */
INLINE vec v_sign(vec x) { return v_select((x < 0) | (x > 0), v_copysign(v_splat(1), x), x); }
/* The first `count` <= LANES elements at p, unaligned, the other lanes 0; and their way back */
#if FM_VECTOR_BYTES == 64 && FM_DOUBLE
INLINE vec v_load_part(const real *p, size_t count)
{
    return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
}
INLINE void v_store_part(real *p, vec x, size_t count)
{
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)x);
}
#elif FM_VECTOR_BYTES == 64
INLINE vec v_load_part(const real *p, size_t count)
{
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}
INLINE void v_store_part(real *p, vec x, size_t count)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)x);
}
#elif FM_VECTOR_BYTES == 32
/* All bits of the first `count` lanes. */
INLINE __m256i v_first_lanes(size_t count)
{
    vbits lane, limit = (vbits){0} + (real_bits)count;
    UNROLL_FOR (int i = 0; i < LANES; i++) lane[i] = i;
    return (__m256i)(lane < limit);
}
#if FM_DOUBLE
INLINE vec v_load_part(const real *p, size_t count)
{
    return (vec)_mm256_maskload_pd(p, v_first_lanes(count));
}
INLINE void v_store_part(real *p, vec x, size_t count)
{
    _mm256_maskstore_pd(p, v_first_lanes(count), (__m256d)x);
}
#else
INLINE vec v_load_part(const real *p, size_t count)
{
    return (vec)_mm256_maskload_ps(p, v_first_lanes(count));
}
INLINE void v_store_part(real *p, vec x, size_t count)
{
    _mm256_maskstore_ps(p, v_first_lanes(count), (__m256)x);
}
#endif
#else
INLINE vec v_load_part(const real *p, size_t count)
{
    vec x = {0};
    if (count == LANES)
        memcpy(&x, p, sizeof x);
    else {
        real lanes[LANES] = {0};
        for (size_t i = 0; i < count; i++) lanes[i] = p[i];
        memcpy(&x, lanes, sizeof x);
    }
    return x;
}
INLINE void v_store_part(real *p, vec x, size_t count)
{
    real lanes[LANES];
    memcpy(lanes, &x, sizeof x);
    for (size_t i = 0; i < count; i++) p[i] = lanes[i];
}
#endif
/* 0, 1, 2, ... from the first lane on. */
INLINE vec v_iota(void)
{
    vec x;
    real lanes[LANES];
    for (int i = 0; i < LANES; i++) lanes[i] = (real)i;
    memcpy(&x, lanes, sizeof x);
    return x;
}

/* The low or the high halves of a and b, interleaved lane by lane */
#if FM_VECTOR_BYTES / (4 + 4 * FM_DOUBLE) == 16
INLINE vec v_zip_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE vec v_zip_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}
#define v_rotate(x, n)                                                                            \
    __builtin_shufflevector(x, x, n, (n + 1) % 16, (n + 2) % 16, (n + 3) % 16, (n + 4) % 16,      \
                            (n + 5) % 16, (n + 6) % 16, (n + 7) % 16, (n + 8) % 16, (n + 9) % 16, \
                            (n + 10) % 16, (n + 11) % 16, (n + 12) % 16, (n + 13) % 16,           \
                            (n + 14) % 16, (n + 15) % 16)
#define V_REDUCE(x, op)                                                               \
    (x = op(x, v_rotate(x, 8)), x = op(x, v_rotate(x, 4)), x = op(x, v_rotate(x, 2)), \
     op(x, v_rotate(x, 1)))
#elif FM_VECTOR_BYTES / (4 + 4 * FM_DOUBLE) == 8
INLINE vec v_zip_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
INLINE vec v_zip_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
#define v_rotate(x, n)                                                                   \
    __builtin_shufflevector(x, x, n, (n + 1) % 8, (n + 2) % 8, (n + 3) % 8, (n + 4) % 8, \
                            (n + 5) % 8, (n + 6) % 8, (n + 7) % 8)
#define V_REDUCE(x, op) \
    (x = op(x, v_rotate(x, 4)), x = op(x, v_rotate(x, 2)), op(x, v_rotate(x, 1)))
#elif FM_VECTOR_BYTES / (4 + 4 * FM_DOUBLE) == 4
INLINE vec v_zip_low(vec a, vec b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
INLINE vec v_zip_high(vec a, vec b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#define v_rotate(x, n) __builtin_shufflevector(x, x, n, (n + 1) % 4, (n + 2) % 4, (n + 3) % 4)
#define V_REDUCE(x, op) (x = op(x, v_rotate(x, 2)), op(x, v_rotate(x, 1)))
#elif FM_VECTOR_BYTES / (4 + 4 * FM_DOUBLE) == 2
INLINE vec v_zip_low(vec a, vec b) { return __builtin_shufflevector(a, b, 0, 2); }
INLINE vec v_zip_high(vec a, vec b) { return __builtin_shufflevector(a, b, 1, 3); }
#define v_rotate(x, n) __builtin_shufflevector(x, x, n, (n + 1) % 2)
#define V_REDUCE(x, op) op(x, v_rotate(x, 1))
#else
/* One lane: a "vector" of the scalar build. */
INLINE vec v_zip_low(vec a, vec b) { return (void)b, a; }
INLINE vec v_zip_high(vec a, vec b) { return (void)b, a; }
#define V_REDUCE(x, op) (x)
#endif

INLINE vec v_plus(vec a, vec b) { return a + b; }
INLINE real v_first(vec x)
{
    real first;
    memcpy(&first, &x, sizeof first);
    return first;
}
/* Bit i says whether lane i is not 0. */
#if FM_VECTOR_BYTES == 64 && FM_DOUBLE
INLINE unsigned v_active(vec x)
{
    return _mm512_cmp_pd_mask((__m512d)x, _mm512_setzero_pd(), _CMP_NEQ_UQ);
}
#elif FM_VECTOR_BYTES == 64
INLINE unsigned v_active(vec x)
{
    return _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
#elif FM_VECTOR_BYTES == 32 && FM_DOUBLE
INLINE unsigned v_active(vec x) { return (unsigned)_mm256_movemask_pd((__m256d)(x != 0)); }
#elif FM_VECTOR_BYTES == 32
INLINE unsigned v_active(vec x) { return (unsigned)_mm256_movemask_ps((__m256)(x != 0)); }
#else
INLINE unsigned v_active(vec x)
{
    real lanes[LANES];
    unsigned bits = 0;
    memcpy(lanes, &x, sizeof lanes);
    for (int i = 0; i < LANES; i++) bits |= (unsigned)(lanes[i] != 0) << i;
    return bits;
}
#endif

/* Is the mask set in every lane? */
INLINE bool v_all(vbits mask)
{
    uint64_t words[(FM_VECTOR_BYTES + 7) / 8], all = UINT64_MAX;
    memset(words, 255, sizeof words);
    memcpy(words, &mask, sizeof mask);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) all &= words[i];
    return all == UINT64_MAX;
}

/* Sum and maximum over the lanes. */
INLINE real v_sum(vec x) { return v_first(V_REDUCE(x, v_plus)); }
INLINE real v_max_lane(vec x) { return v_first(V_REDUCE(x, v_max)); }

#endif
