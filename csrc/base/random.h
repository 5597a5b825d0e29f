/* random.h -- Philox4x32-10: random numbers that are a function of a counter and a key
 *
 * J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3
 * (SC 2011).
 * A draw depends on (seed, purpose, layer, epoch, row, element) and on nothing that a thread does.
 */
#ifndef FM_RANDOM_H
#define FM_RANDOM_H

#include <stdint.h>

enum { FM_DRAW_DROPOUT, FM_DRAW_NOISE, FM_DRAW_MASK, FM_DRAW_AFFINE, FM_DRAW_SHUFFLE };
enum { FM_PHILOX_BATCH = 16 }; /* counters drawn together, so that the loops below become vectors */

/* out[word][counter]: words of the counters (c0 + 0, c1, c2, c3), (c0 + 1, c1, c2, c3), ... */
static inline void fm_philox(uint32_t out[4][FM_PHILOX_BATCH], uint32_t c0, uint32_t c1,
                             uint32_t c2, uint32_t c3, uint64_t seed)
{
    enum { N = FM_PHILOX_BATCH };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t x0[N], x1[N], x2[N], x3[N];
    for (int i = 0; i < N; i++) {
        x0[i] = c0 + (uint32_t)i;
        x1[i] = c1;
        x2[i] = c2;
        x3[i] = c3;
    }
    for (int round = 0; round < 10; round++) {
        uint64_t p0[N], p1[N];
        /* two loops, not unrolled: so the compilers make vectors of them */
        _Pragma("GCC unroll 1") for (int i = 0; i < N; i++)
        {
            p0[i] = (uint64_t)0xD2511F53u * x0[i];
            p1[i] = (uint64_t)0xCD9E8D57u * x2[i];
        }
        _Pragma("GCC unroll 1") for (int i = 0; i < N; i++)
        {
            x0[i] = (uint32_t)(p1[i] >> 32) ^ x1[i] ^ k0;
            x2[i] = (uint32_t)(p0[i] >> 32) ^ x3[i] ^ k1;
            x1[i] = (uint32_t)p1[i];
            x3[i] = (uint32_t)p0[i];
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < N; i++) {
        out[0][i] = x0[i];
        out[1][i] = x1[i];
        out[2][i] = x2[i];
        out[3][i] = x3[i];
    }
}

static inline uint32_t fm_draw_purpose(int purpose, uint32_t layer)
{
    return layer + 256u * (uint32_t)purpose;
}

#endif
