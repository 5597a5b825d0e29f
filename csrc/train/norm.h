/* norm.h -- the norm of a gradient out of the sums of squares of its chunks, whatever its size */
#ifndef FM_NORM_H
#define FM_NORM_H

#include "engine.h"

#include <limits.h>
#include <math.h>

/* The sum of all parts, in their order. */
static inline fm_squares fm_add_squares(const fm_squares *part, size_t count)
{
    fm_squares all = {0, INT_MIN};
    for (size_t i = 0; i < count; i++)
        if (part[i].sum != 0 && part[i].exponent > all.exponent) all.exponent = part[i].exponent;
    if (all.exponent == INT_MIN) all.exponent = 0;
    for (size_t i = 0; i < count; i++)
        all.sum += ldexp(part[i].sum, 2 * (part[i].exponent - all.exponent));
    return all;
}

/* The root, infinite where it is beyond the range of double */
static inline double fm_norm(fm_squares s) { return ldexp(sqrt(s.sum), s.exponent); }

/* 2^exponent limit / (norm + 1e-6) */
static inline double fm_clip_factor(fm_squares s, double limit)
{
    return limit / (sqrt(s.sum) + ldexp(1e-6, -s.exponent));
}

#endif
