/* updates.h -- one optimizer step over a run of parameters, as PyTorch defines each of them
 *
 * Each function gets parameters w, gradients g and its moments m; fm_update holds the constants of
 * the step, with bias corrections and the like folded in by optimizers.c.
 */
#ifndef FM_KERNELS_UPDATES_H
#define FM_KERNELS_UPDATES_H

#include "kernels/simd/math.h"

/* (1 - t) x + t y: a subtraction and a multiply-add */
INLINE vec v_toward(vec x, vec y, real t) { return x + t * (y - x); }

/* g, at most so large that its square does not overflow: rules that divide by the root of
 * squares take the same step for it. NaN stays NaN. */
INLINE vec v_squarable(vec g)
{
    const real most = FM_DOUBLE ? (real)0x1.fffffffffffffp511 : (real)0x1.fffffep63;
    return v_min(v_splat(most), v_max(v_splat(-most), g));
}

/* buf = mu buf + g; step along g + mu buf (Nesterov) or buf. */
static void update_sgd(real *w, const real *g, real *const m[], size_t count, const fm_update *u)
{
    const real rate = (real)u->learning_rate, mu = (real)u->constants.sgd.momentum;
    if (mu == 0)
        FOR_VECTORS (i, count) v_store(w + i, v_load(w + i) - rate * v_load(g + i));
    else {
        const bool nesterov = u->constants.sgd.nesterov != 0;
        FOR_VECTORS (i, count) {
            vec dw = v_load(g + i), buf = mu * v_load(m[0] + i) + dw;
            v_store(m[0] + i, buf);
            v_store(w + i, v_load(w + i) - rate * (nesterov ? dw + mu * buf : buf));
        }
    }
}

/* What fm_update folded for Adam, in the network's precision. */
typedef struct adam_constants {
    real rest1, rest2, epsilon, decay, rate, root;
} adam_constants;

INLINE void adam_vectors(const int N, real *w, const real *g, real *means, real *squares,
                         const adam_constants *c)
{
    vec step[SIDE_BY_SIDE], square[SIDE_BY_SIDE];
    UNROLL_FOR (int j = 0; j < N; j++) {
        vec dw = v_squarable(v_load(g + j * LANES));
        vec mean = v_toward(v_load(means + j * LANES), dw, c->rest1);
        square[j] = v_toward(v_load(squares + j * LANES), dw * dw, c->rest2);
        v_store(means + j * LANES, mean);
        v_store(squares + j * LANES, square[j]);
        step[j] = c->rate * mean;
    }
    v_over_roots(N, step, square, c->root, c->epsilon);
    UNROLL_FOR (int j = 0; j < N; j++)
        v_store(w + j * LANES, c->decay * v_load(w + j * LANES) - step[j]);
}

/* m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2; w -= rate m / (root sqrt(v) + eps) with rate =
 * eta / (1 - b1^t), root = 1 / sqrt(1 - b2^t) (Kingma and Ba 2015). */
static void update_adam(real *w, const real *g, real *const m[], size_t count, const fm_update *u)
{
    const adam_constants c = {.rest1 = (real)(1 - u->constants.adam.beta1),
                              .rest2 = (real)(1 - u->constants.adam.beta2),
                              .epsilon = (real)u->constants.adam.epsilon,
                              .decay = (real)u->decay,
                              .rate = (real)u->rate,
                              .root = (real)u->root};
    real *means = m[0], *squares = m[1];
    size_t i = 0;
    for (; i + SIDE_BY_SIDE * LANES <= count; i += SIDE_BY_SIDE * LANES)
        adam_vectors(SIDE_BY_SIDE, w + i, g + i, means + i, squares + i, &c);
    for (; i < count; i += LANES) adam_vectors(1, w + i, g + i, means + i, squares + i, &c);
}
/* Its constants begin with Adam's; u->decay is the decoupled decay (Loshchilov, Hutter 2019). */
#define update_adamw update_adam

/* v = alpha v + (1 - alpha) g^2; w -= eta g / (sqrt(v) + eps) (Tieleman and Hinton 2012). Centered:
 * sqrt(v - mean^2); momentum over the quotient. */
static void update_rmsprop(real *w, const real *g, real *const m[], size_t count,
                           const fm_update *u)
{
    const real epsilon = (real)u->constants.rmsprop.epsilon, rate = (real)u->learning_rate;
    const real mu = (real)u->constants.rmsprop.momentum;
    const real rest = (real)(1 - u->constants.rmsprop.alpha);
    real *buf = m[1], *average = mu != 0 ? m[2] : m[1];
    FOR_VECTORS (i, count) {
        vec dw = v_squarable(v_load(g + i)), square = v_toward(v_load(m[0] + i), dw * dw, rest);
        vec spread = square;
        v_store(m[0] + i, square);
        if (u->constants.rmsprop.centered != 0) {
            vec mean = v_toward(v_load(average + i), dw, rest);
            v_store(average + i, mean);
            spread = v_max(square - mean * mean, v_zero()); /* rounding may leave less than 0 */
        }
        vec step = v_over_root(dw, spread, 1, epsilon);
        if (mu != 0) {
            step += mu * v_load(buf + i);
            v_store(buf + i, step);
        }
        v_store(w + i, v_load(w + i) - rate * step);
    }
}

/* s += g^2; w -= rate g / (sqrt(s) + eps) (Duchi, Hazan, Singer 2011). */
static void update_adagrad(real *w, const real *g, real *const m[], size_t count,
                           const fm_update *u)
{
    const real epsilon = (real)u->constants.adagrad.epsilon, rate = (real)u->rate;
    FOR_VECTORS (i, count) {
        vec dw = v_squarable(v_load(g + i));
        vec sum = v_min(v_splat(REAL_LARGEST), v_load(m[0] + i) + dw * dw);
        v_store(m[0] + i, sum);
        v_store(w + i, v_load(w + i) - v_over_root(rate * dw, sum, 1, epsilon));
    }
}

/* Each weight's step size follows the agreement of successive signs; where the sign turned, the
 * gradient counts as 0 (Riedmiller and Braun 1993). m: previous gradient, step size. */
static void update_rprop(real *w, const real *g, real *const m[], size_t count, const fm_update *u)
{
    const real minus = (real)u->constants.rprop.eta_minus;
    const real plus = (real)u->constants.rprop.eta_plus;
    const real low = (real)u->constants.rprop.step_min, high = (real)u->constants.rprop.step_max;
    FOR_VECTORS (i, count) {
        vec dw = v_load(g + i), agree = v_sign(dw) * v_load(m[0] + i); /* a product may underflow */
        vec turned = v_select(agree < 0, v_splat(minus), v_splat(1));
        vec factor = v_select(agree > 0, v_splat(plus), turned);
        vec size = v_min(v_max(v_load(m[1] + i) * factor, v_splat(low)), v_splat(high));
        dw = v_select(agree < 0, v_zero(), dw);
        v_store(m[0] + i, dw);
        v_store(m[1] + i, size);
        v_store(w + i, v_load(w + i) - size * v_sign(dw));
    }
}

#define UPDATE_ENTRY(name, ...) update_##name,
static void (*const update_table[])(real *w, const real *g, real *const m[], size_t count,
                                    const fm_update *) = {FM_OPTIMIZER_LIST(UPDATE_ENTRY)};

/* g (count,) of weights: + l1 sign(w) + l2 w */
static void add_penalty(real *g, const real *w, size_t count, real l1, real l2)
{
    FOR_VECTORS (i, count) {
        vec x = v_load(w + i);
        v_store(g + i, v_load(g + i) + l1 * v_sign(x) + l2 * x);
    }
}

/* average = decay average + (1 - decay) w */
static void update_average(real *average, const real *w, size_t count, real decay)
{
    FOR_VECTORS (i, count)
        v_store(average + i, decay * v_load(average + i) + (1 - decay) * v_load(w + i));
}

/* Parameters [first, first + count) by the optimizer, from their gradients g (count,). */
static void update_run(real *params, const real *g, size_t first, size_t count, const fm_update *u)
{
    real *m[FM_MAX_MOMENTS];
    for (int i = 0; i < FM_MAX_MOMENTS; i++)
        m[i] = u->moment[i] ? (real *)u->moment[i] + first : NULL;
    update_table[u->optimizer](params + first, g, m, count, u);
    if (u->average) update_average((real *)u->average + first, params + first, count, (real)u->ema);
}

#endif
