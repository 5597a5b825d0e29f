/* losses.h -- the loss of every row of the output, and the output error delta that goes back
 *
 * mse, mae, huber, poisson and quantile are means over the outputs, the others sums over them.
 * Cross-entropy and the perceptron loss are combined with their outputs: delta = a - y comes from
 * z, not by way of ln 0.
 */
#ifndef FM_KERNELS_LOSSES_H
#define FM_KERNELS_LOSSES_H

#include "kernels/activations.h"
#include "kernels/product/layout.h"

/* Does the loss want z of the output layer, not f(z)? */
INLINE bool output_is_combined(const fm_net *net)
{
    return net->loss == FM_LOSS_cross_entropy || net->loss == FM_LOSS_perceptron;
}

INLINE bool loss_is_mean(int loss)
{
    return loss != FM_LOSS_half_mse && loss != FM_LOSS_cross_entropy && loss != FM_LOSS_perceptron;
}

/* x y, and 0 where x is 0 whatever y is: a term that does not count may be infinite. */
INLINE vec v_times(vec x, vec y) { return v_select(x == 0, v_zero(), x * y); }

/* The loss of outputs a against targets t, and dC/da (dC/dz for the combined ones, which get z). */
INLINE vec loss_at(const int LOSS, vec a, vec z, vec t, real parameter, vec *slope)
{
    vec d = a - t;
    switch (LOSS) {
    case FM_LOSS_mse: *slope = 2 * d; return d * d;
    case FM_LOSS_half_mse: *slope = d; return REAL(0.5) * d * d;
    case FM_LOSS_mae:
        *slope = v_select(d == 0, v_zero(), v_copysign(v_splat(1), d));
        return v_abs(d);
    case FM_LOSS_huber: {
        vec size = v_abs(d);
        vbits near = size <= parameter;
        *slope = v_select(near, d, v_copysign(v_splat(parameter), d));
        return v_select(near, REAL(0.5) * d * d, parameter * (size - REAL(0.5) * parameter));
    }
    case FM_LOSS_poisson: { /* a is the logarithm of the rate */
        vec rate = v_exp(a);
        *slope = rate - t;
        return rate - t * a;
    }
    case FM_LOSS_quantile: { /* pinball loss of u = t - a */
        vec below = v_splat(parameter), above = v_splat(parameter - 1);
        *slope = v_select(d < 0, -below, v_select(d > 0, -above, v_zero()));
        return v_select(d < 0, -below * d, -above * d);
    }
    case FM_LOSS_cross_entropy: {
        /* t softplus(-z) + (1 - t) softplus(z), where softplus(|z|) = |z| + softplus(-|z|) */
        vec size = v_abs(z), wrong = v_select(z > 0, 1 - t, t);
        *slope = d;
        return v_log1p_unit(v_exp_negative(v_negate(size))) + v_times(wrong, size);
    }
    default: /* perceptron */ *slope = d; return v_times(d, z);
    }
}

typedef struct outputs {
    real *a, *d; /* (blocks, rows, BLOCK): z or a in, a out; f'(z) or nothing in, delta out */
    const real *targets; /* (blocks, rows, BLOCK), or NULL: labels */
    const real *labels;  /* [rows] */
    bool labels_only;
    size_t stride, k;                    /* block stride, outputs */
    real *row_loss, *row_sum, *row_mass; /* [rows] */
    const real *row_weight;
    real scale; /* of every delta */
    real parameter;
} outputs;

/* Targets of row r from output c on. */
INLINE vec target_at(const outputs *o, size_t r, size_t c)
{
    if (o->targets) return v_load(o->targets + c / BLOCK * o->stride + r * BLOCK + c % BLOCK);
    return v_select(v_iota() + (real)c == o->labels[r], v_splat(1), v_zero());
}
/* Lanes from output c on that are outputs, not padding. */
INLINE vbits valid_at(const outputs *o, size_t c) { return v_iota() + (real)c < (real)o->k; }

/* A loss that acts on each output alone. */
INLINE void loss_rows(const int LOSS, const bool SOFTMAX, const outputs *o, size_t r0, size_t r1)
{
    const bool combined = LOSS == FM_LOSS_cross_entropy || LOSS == FM_LOSS_perceptron;
    const real factor = loss_is_mean(LOSS) ? 1 / (real)o->k : 1;
    const size_t end = blocks_of(o->k) * BLOCK;
    for (size_t r = r0; r < r1; r++) {
        const real scale = o->scale * factor * (o->row_weight ? o->row_weight[r] : 1);
        vec total = v_zero(), along = v_zero();
        for (size_t c = 0; c < end; c += LANES) {
            size_t at = c / BLOCK * o->stride + r * BLOCK + c % BLOCK;
            vec a = v_load(o->a + at), z = a, t = target_at(o, r, c), slope;
            vbits valid = valid_at(o, c);
            if (LOSS == FM_LOSS_cross_entropy) {
                t = (1 - o->parameter) * t + REAL(0.5) * o->parameter;
                a = v_sigmoid(z);
            } else if (LOSS == FM_LOSS_perceptron)
                a = step_at(z, 0, &slope);
            if (combined) v_store(o->a + at, a);
            total += v_select(valid, loss_at(LOSS, a, z, t, o->parameter, &slope), v_zero());
            if (SOFTMAX)
                along += v_select(valid, slope * a, v_zero());
            else if (!combined)
                slope *= v_load(o->d + at);
            v_store(o->d + at, v_select(valid, SOFTMAX ? slope : slope * scale, v_zero()));
        }
        o->row_loss[r] = v_sum(total) * factor;
        if (SOFTMAX) { /* delta = a . (g - sum of g a): the softmax's Jacobian is not diagonal */
            real mean = v_sum(along);
            for (size_t c = 0; c < end; c += LANES) {
                size_t at = c / BLOCK * o->stride + r * BLOCK + c % BLOCK;
                vec delta = v_load(o->a + at) * (v_load(o->d + at) - mean) * scale;
                v_store(o->d + at, v_select(valid_at(o, c), delta, v_zero()));
            }
        }
    }
}

/* Logits z (k,) of one row, of which some are infinite: one alone takes all, several alike are NaN.
 * Logit c lies at z[c / BLOCK block_stride + c % BLOCK stride]; lower ones become -infinity. */
static NOINLINE void settle_infinite(real *z, size_t block_stride, size_t stride, size_t k)
{
    const real infinity = (real)__builtin_inff();
    size_t count = 0;
    for (size_t c = 0; c < k; c++)
        count += z[c / BLOCK * block_stride + c % BLOCK * stride] == infinity;
    for (size_t c = 0; count > 0 && c < k; c++) {
        real *at = z + c / BLOCK * block_stride + c % BLOCK * stride;
        if (count > 1)
            *at = (real)__builtin_nanf("");
        else if (*at == infinity)
            *at = 0;
        else if (*at == *at)
            *at = -infinity;
    }
}

/* The largest of z (k,) in a row, as it is. */
INLINE real row_high(const real *row, size_t stride, size_t k)
{
    const outputs o = {.k = k};
    vec high = v_splat(-(real)__builtin_inff());
    for (size_t c = 0; c < k; c += LANES)
        high = v_max(high,
                     v_select(valid_at(&o, c), v_load(row + c / BLOCK * stride + c % BLOCK), high));
    return v_max_lane(high);
}
/* The largest of z (k,) in a row, which is finite then, or NaN, or all are -infinity. */
INLINE real row_max(real *row, size_t stride, size_t k)
{
    real high = row_high(row, stride, k);
    if (high == (real)__builtin_inff()) {
        settle_infinite(row, stride, 1, k);
        high = row_high(row, stride, k);
    }
    return high;
}

/* The largest of each row of a tile z (k, LANES) of logits, as row_max has it. */
INLINE vec tile_high(const real *z, size_t k)
{
    vec high = v_splat(-(real)__builtin_inff());
    for (size_t c = 0; c < k; c++) high = v_max(high, v_load(z + c * LANES));
    return high;
}
INLINE vec tile_max(real *z, size_t k)
{
    vec high = tile_high(z, k);
    if (v_active(v_select(high == (real)__builtin_inff(), v_splat(1), v_zero()))) {
        for (size_t i = 0; i < LANES; i++) settle_infinite(z + i, BLOCK * LANES, LANES, k);
        high = tile_high(z, k);
    }
    return high;
}

/* a = e^(z - largest) / sum in place; gives the sum */
INLINE real softmax_row(real *row, size_t stride, size_t k, real largest)
{
    const outputs o = {.k = k};
    const size_t end = blocks_of(k) * BLOCK;
    vec total = v_zero();
    for (size_t c = 0; c < end; c += LANES) {
        real *at = row + c / BLOCK * stride + c % BLOCK;
        vec e = v_select(valid_at(&o, c), v_exp_negative(v_load(at) - largest), v_zero());
        total += e;
        v_store(at, e);
    }
    const real sum = v_sum(total);
    vec inverse = 1 / v_splat(sum);
    for (size_t c = 0; c < end; c += LANES) {
        real *at = row + c / BLOCK * stride + c % BLOCK;
        v_store(at, v_load(at) * inverse);
    }
    return sum;
}

/* The columns of a tile of outputs: to (k padded, LANES) from the first rows of a column block. */
INLINE void outputs_by_column(real *to, const real *from, size_t k, size_t rows)
{
    if (k <= FEW)
        transpose_tile(FEW, to, LANES, from, BLOCK, rows);
    else
        for (size_t c = 0; c < k; c += LANES)
            transpose_tile(LANES, to + c * LANES, LANES, from + c, BLOCK, rows);
}

/* And back, with zeros behind the k columns. */
INLINE void outputs_by_row(real *to, const real *from, size_t k, size_t rows)
{
    for (size_t c = 0; c < BLOCK; c += LANES) {
        const size_t columns = k > c ? k - c : 0;
        real tile[LANES * LANES] __attribute__((aligned(64)));
        if (rows >= LANES)
            transpose_tile(LANES, to + c, BLOCK, from + c * LANES, LANES, columns);
        else {
            transpose_tile(LANES, tile, LANES, from + c * LANES, LANES, columns);
            for (size_t i = 0; i < rows; i++) v_store(to + i * BLOCK + c, v_load(tile + i * LANES));
        }
    }
}

/* Softmax of LANES rows of k <= BLOCK outputs, transposed, so that no row waits for its own sum.
 * Sums have the order, and so the bits, of softmax_row. */
static void softmax_tile(real *a, size_t k)
{
    real z[BLOCK * LANES] __attribute__((aligned(64)));
    vec e[BLOCK];
    outputs_by_column(z, a, k, LANES);
    const vec high = tile_max(z, k);
    for (size_t c = 0; c < BLOCK; c++) {
        e[c] = c < k ? v_exp_negative(v_load(z + c * LANES) - high) : v_zero();
        v_store(z + c * LANES, e[c]);
    }
    for (size_t c = LANES; c < BLOCK; c++) e[c % LANES] += e[c];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t c = 0; c < half; c++) e[c] += e[c + half];
    const vec inverse = 1 / e[0];
    for (size_t c = 0; c < k; c++) v_store(z + c * LANES, v_load(z + c * LANES) * inverse);
    outputs_by_row(a, z, k, LANES);
}

static void softmax_rows(real *a, size_t stride, size_t k, size_t r0, size_t r1)
{
    size_t r = r0;
    for (; k <= BLOCK && r + LANES <= r1; r += LANES) softmax_tile(a + r * BLOCK, k);
    for (; r < r1; r++) softmax_row(a + r * BLOCK, stride, k, row_max(a + r * BLOCK, stride, k));
}

/* C = ln(sum e^(z - max)) sum t + sum t (max - z), delta = a sum t - t, t smoothed, for a block of
 * outputs: LANES rows at a time, transposed, so that no sum runs across a vector. */
static void softmax_cross_entropy_narrow(const outputs *o, bool keeps_outputs, size_t r0, size_t r1)
{
    const real keep = 1 - o->parameter, spread = o->parameter / (real)o->k;
    for (size_t r = r0; r < r1; r += LANES) {
        const size_t rows = at_most(LANES, r1 - r);
        real z[BLOCK * LANES] __attribute__((aligned(64))),
            t[BLOCK * LANES] __attribute__((aligned(64)));
        vec sum = v_zero(), mass = v_zero(), product = v_zero();
        vec label = v_zero(), scale = v_splat(o->scale);
        if (o->labels_only) label = v_load_part(o->labels + r, rows);
        if (o->row_weight) scale *= v_load_part(o->row_weight + r, rows);
        outputs_by_column(z, o->a + r * BLOCK, o->k, rows);
        if (!o->labels_only) outputs_by_column(t, o->targets + r * BLOCK, o->k, rows);
        const vec high = tile_max(z, o->k);
        for (size_t c = 0; c < o->k; c++) {
            vec x = v_load(z + c * LANES), e = v_exp_negative(x - high);
            vec target = o->labels_only ? v_select(label == (real)c, v_splat(1), v_zero())
                                        : v_load(t + c * LANES);
            target = keep * target + spread;
            sum += e;
            mass += target;
            product += v_times(target, high - x);
            v_store(z + c * LANES, e);
            v_store(t + c * LANES, target);
        }
        const vec inverse = 1 / sum;
        v_store_part(o->row_loss + r, product + v_log(sum) * mass, rows);
        for (size_t c = 0; c < o->k; c++) {
            vec a = v_load(z + c * LANES) * inverse;
            v_store(z + c * LANES, a);
            v_store(t + c * LANES, (a * mass - v_load(t + c * LANES)) * scale);
        }
        outputs_by_row(o->d + r * BLOCK, t, o->k, rows);
        if (keeps_outputs) outputs_by_row(o->a + r * BLOCK, z, o->k, rows);
    }
}

/* The same for any number of outputs, row by row. */
static void softmax_cross_entropy(const outputs *o, size_t r0, size_t r1)
{
    const size_t end = blocks_of(o->k) * BLOCK;
    const real keep = 1 - o->parameter, spread = o->parameter / (real)o->k;
    for (size_t r = r0; r < r1; r++) {
        const real scale = o->scale * (o->row_weight ? o->row_weight[r] : 1);
        real *row = o->a + r * BLOCK;
        const real largest = row_max(row, o->stride, o->k);
        vec mass = v_zero(), product = v_zero();
        for (size_t c = 0; c < end; c += LANES) {
            size_t at = c / BLOCK * o->stride + c % BLOCK;
            vec t = v_select(valid_at(o, c), keep * target_at(o, r, c) + spread, v_zero());
            mass += t;
            product += v_times(t, largest - v_load(row + at));
        }
        const real sum_t = v_sum(mass);
        o->row_loss[r] = v_sum(product);
        o->row_sum[r] = softmax_row(row, o->stride, o->k, largest);
        for (size_t c = 0; c < end; c += LANES) {
            size_t at = c / BLOCK * o->stride + c % BLOCK;
            vec t = v_select(valid_at(o, c), keep * target_at(o, r, c) + spread, v_zero());
            v_store(o->d + r * BLOCK + at, (v_load(row + at) * sum_t - t) * scale);
        }
        o->row_mass[r] = sum_t;
    }
    for (size_t r = r0; r < r1; r += LANES) { /* the logarithms, a vector of rows at a time */
        size_t count = r1 - r < LANES ? r1 - r : LANES;
        real lane[LANES];
        vec sum = v_splat(1);
        memcpy(&sum, o->row_sum + r, count * sizeof(real));
        sum = v_log(sum);
        memcpy(lane, &sum, sizeof lane);
        for (size_t i = 0; i < count; i++) o->row_loss[r + i] += lane[i] * o->row_mass[r + i];
    }
}

/* Loss and delta of rows [r0, r1); leaves a in the output where the loss is combined. */
static void output_loss_rows(const fm_net *net, const fm_work *work, const fm_batch *batch,
                             size_t r0, size_t r1)
{
    const size_t last = net->n_layers - 1;
    const bool softmax = net->layer[last].activation == FM_ACTIVATION_softmax;
    const outputs o = {
        .a = work->a[last],
        .d = work->d[last],
        .targets = batch->data->y.labels ? NULL : work->targets,
        .labels = work->labels,
        .labels_only = batch->data->y.labels,
        .stride = work->rows * BLOCK,
        .k = net->layer[last].n_out,
        .row_loss = work->row_loss,
        .row_sum = (real *)work->row_loss + work->rows,
        .row_mass = (real *)work->row_loss + 2 * work->rows,
        .row_weight = batch->data->sample_weight ? work->row_weight : NULL,
        .scale =
            batch->data->sample_weight ? 1 : (real)batch->delta_scale, /* which is in the weights */
        .parameter = (real)net->loss_parameter,
    };
    if (softmax && net->loss == FM_LOSS_cross_entropy) {
        if (o.k > BLOCK)
            softmax_cross_entropy(&o, r0, r1);
        else
            softmax_cross_entropy_narrow(&o, !batch->train, r0,
                                         r1); /* a training does not look at the outputs */
        return;
    }
    switch (net->loss) {
#define LOSS_CASE(name)                                         \
    case FM_LOSS_##name:                                        \
        if (softmax && FM_LOSS_##name != FM_LOSS_cross_entropy) \
            loss_rows(FM_LOSS_##name, true, &o, r0, r1);        \
        else                                                    \
            loss_rows(FM_LOSS_##name, false, &o, r0, r1);       \
        break;
        FM_LOSS_LIST(LOSS_CASE)
    }
}

#endif
