/* parameters.h -- what goes through all parameters, or gradients, whatever tile they belong to */
#ifndef FM_KERNELS_PARAMETERS_H
#define FM_KERNELS_PARAMETERS_H

#include "kernels/product/layout.h"
#include "kernels/updates.h"

static void update(void *params, const void *gradient, size_t first, size_t count,
                   const fm_update *u)
{
    update_run(params, (const real *)gradient + first, first, count, u);
}

/* Limits the norm of a vector of units, weights w (n_in, width), whose squares may leave the
 * range. `plain` units, whose squares do not, are left alone. */
static NOINLINE void limit_scaled(real *w, size_t width, size_t n_in, real limit, vbits plain)
{
    vec largest = v_zero(), square = v_zero();
    for (size_t i = 0; i < n_in; i++) largest = v_max(largest, v_abs(v_load(w + i * width)));
    for (size_t i = 0; i < n_in; i++) {
        vec part = v_load(w + i * width) / largest;
        square += part * part;
    }
    const vec root = v_sqrt(square), scaled_limit = limit / root;
    const vbits within = plain | ~(root > limit / largest); /* not a number, or infinite, too */
    for (size_t i = 0; i < n_in; i++) {
        vec x = v_load(w + i * width);
        v_store(w + i * width, v_select(within, x, x / largest * scaled_limit));
    }
}

/* The same for a vector of units whose weights may be any. */
INLINE void limit_units(real *w, size_t width, size_t n_in, real limit)
{
    const real least = FM_DOUBLE ? (real)0x1p-450 : (real)0x1p-40; /* its square keeps its digits */
    vec square = v_zero();
    for (size_t i = 0; i < n_in; i++) {
        vec x = v_load(w + i * width);
        square += x * x;
    }
    const vec norm = v_sqrt(square);
    const vbits plain = (square <= REAL_LARGEST) & (v_splat(limit) >= least);
    if (!v_all(plain)) limit_scaled(w, width, n_in, limit, plain);
    const vec factor = v_select(plain & (norm > limit), limit / norm, v_splat(1));
    for (size_t i = 0; i < n_in; i++) v_store(w + i * width, v_load(w + i * width) * factor);
}

/* Limits the norm of each unit's weights in panels [p0, p1), counted over all layers. */
static void max_norm(const fm_net *net, double limit, size_t p0, size_t p1)
{
    size_t before = 0;
    for (size_t l = 1; l < net->n_layers; l++) {
        const fm_layer *layer = &net->layer[l];
        for (size_t p = 0; p < panels_of(layer->n_out); p++, before++) {
            if (before < p0 || before >= p1) continue;
            const size_t width = panel_width(layer->n_out, p);
            real *panel = (real *)net->params + layer->offset + p * (layer->n_in + 1) * PANEL;
            FOR_VECTORS (v, width) limit_units(panel + v, width, layer->n_in, (real)limit);
        }
    }
}

/* The sum in which the largest number is scaled to 1, or nearly. */
static NOINLINE fm_squares sum_scaled_squares(const real *x, size_t count)
{
    enum { MOST = FM_DOUBLE ? 1000 : 100 }; /* 2^-MOST is a normal number */
    double largest = 0, sum = 0;
    int exponent = 0;
    for (size_t i = 0; i < count; i++) {
        const double size = __builtin_fabs((double)x[i]);
        if (size > largest) largest = size;
    }
    if (largest > 0 && largest <= (double)REAL_LARGEST) __builtin_frexp(largest, &exponent);
    if (exponent > MOST) exponent = MOST;
    const double scale = __builtin_ldexp(1, -exponent);
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * scale * ((double)x[i] * scale);
    return (fm_squares){sum, exponent};
}

static fm_squares sum_squares(const void *values, size_t count)
{
    const double least =
        FM_DOUBLE ? 0x1p-900 : 0x1p-60; /* beside it, what underflows does not count */
    const real *x = values;
    double sum = 0;
    for (size_t i = 0; i < count; i += BLOCK) {
        vec square = v_zero();
        for (size_t v = i; v < i + BLOCK; v += LANES) square += v_load(x + v) * v_load(x + v);
        sum += (double)v_sum(square);
    }
    if (sum >= least && sum <= __DBL_MAX__) return (fm_squares){sum, 0};
    return sum_scaled_squares(x, count);
}

/* to += from */
static void add(void *to, const void *from, size_t count)
{
    real *x = to;
    const real *y = from;
    FOR_VECTORS (i, count) v_store(x + i, v_load(x + i) + v_load(y + i));
}

/* values 2^-exponent factor */
static void scale(void *values, size_t count, double factor, int exponent)
{
    real *x = values;
    const real power = (real)__builtin_ldexp(1, -exponent);
    if (power != 1)
        FOR_VECTORS (i, count) v_store(x + i, v_load(x + i) * power);
    FOR_VECTORS (i, count) v_store(x + i, v_load(x + i) * (real)factor);
}

static void fill(void *values, size_t count, double value)
{
    for (size_t i = 0; i < count; i += LANES) v_store((real *)values + i, v_splat((real)value));
}

static void average(void *averages, const void *params, size_t first, size_t count, double decay)
{
    update_average((real *)averages + first, (const real *)params + first, count, (real)decay);
}

static bool all_finite(const void *values, size_t count)
{
    vec bad = v_zero();
    for (size_t i = 0; i < count; i += LANES) bad += v_load((const real *)values + i) * 0;
    return v_sum(bad) == 0;
}

/* Sum of values (count,), each times its weight where there are weights, in a fixed order */
static double total(const void *values, const void *row_weights, size_t count)
{
    const real *x = values, *w = row_weights;
    double sum[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; !w && i + 4 <= count; i += 4)
        UNROLL_FOR (size_t j = 0; j < 4; j++) sum[j] += (double)x[i + j];
    for (; i < count; i++) sum[i % 4] += (double)x[i] * (w ? (double)w[i] : 1.0);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#endif
