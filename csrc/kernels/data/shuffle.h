/* shuffle.h -- a random order of the rows; a kernel because the random numbers come in vectors */
#ifndef FM_KERNELS_SHUFFLE_H
#define FM_KERNELS_SHUFFLE_H

#include "base/random.h"

/* Places [from, to), from a multiple of 64, of Fisher and Yates's shuffle of order (n,), by draws
 * (i / 4, 0, purpose, epoch). A draw times the range, shifted down, is uniform to range / 2^32. */
static void shuffle(uint32_t *order, size_t n, size_t from, size_t to, uint64_t seed,
                    uint32_t epoch)
{
    enum { DRAWS = 4 * FM_PHILOX_BATCH };
    uint32_t word[4][FM_PHILOX_BATCH], step[DRAWS];
    for (size_t first = from; first < to && first + 1 < n; first += DRAWS) {
        const size_t count = n - 1 - first < DRAWS ? n - 1 - first : DRAWS;
        fm_philox(word, (uint32_t)(first / 4), 0, fm_draw_purpose(FM_DRAW_SHUFFLE, 0), epoch, seed);
        for (size_t i = 0; i < DRAWS; i++)
            step[i] = (uint32_t)((uint64_t)word[i % 4][i / 4] * (n - first - i) >> 32);
        for (size_t i = first; i < first + count; i++) {
            const size_t j = i + step[i - first];
            const uint32_t swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
    }
}

#endif
