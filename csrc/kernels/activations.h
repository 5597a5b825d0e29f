/* activations.h -- a = f(z) and its slope f'(z), in place over a run of values
 *
 * Each function gives f(z) and stores f'(z) through its last argument, which the compiler drops
 * from loops that want no slope. Defaults and conventions at kinks are PyTorch's.
 */
#ifndef FM_KERNELS_ACTIVATIONS_H
#define FM_KERNELS_ACTIVATIONS_H

#include "kernels/simd/math.h"

#define SELU_SCALE REAL(1.0507009873554804934)
#define SELU_SCALE_ALPHA REAL(1.7580993408473768599) /* alpha 1.6732632423543772848 */

INLINE vec identity_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    *slope = v_splat(1);
    return z;
}
/* 1 if z > 0 else 0 */
INLINE vec step_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    *slope = v_zero();
    return v_select(z > 0, v_splat(1), v_select(z == z, v_zero(), z));
}
/* 1 / (1 + e^-z); slope b (1 - b), where b is the smaller of sigma(z) and 1 - sigma(z) */
INLINE vec sigmoid_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec e = v_exp_negative(v_negate(v_abs(z))), q = 1 / (1 + e), below = e * q;
    *slope = below * (1 - below);
    return v_select(z < 0, below, q);
}
INLINE vec relu_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    *slope = v_select(z > 0, v_splat(1), v_zero());
    return v_max(v_zero(), z); /* this order of arguments passes NaN on */
}
INLINE vec leaky_relu_at(vec z, real alpha, vec *slope)
{
    *slope = v_select(z > 0, v_splat(1), v_splat(alpha));
    return z * *slope;
}
/* ln(1 + e^z); slope sigma(z) */
INLINE vec softplus_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    *slope = v_sigmoid(z);
    return v_softplus(z);
}

/* Where e^-|z| is no normal number, the activations below would lose digits or meet 0 times
 * infinity. So they have two forms: one for z near 0, and one for others, which are rare. */
#if FM_DOUBLE
#define NEAR REAL(700.0)
#define NEAR_BELL REAL(36.0) /* where the exponent is z^2/2 */
#else
#define NEAR REAL(80.0)
#define NEAR_BELL REAL(12.0)
#endif

/* |z|, or as much as makes e^-|z| 0: no infinity meets that 0. NaN stays NaN. */
INLINE vec bounded_size(vec z) { return v_min(v_splat(REAL(1.5) * NEAR), v_abs(z)); }

/* With m = e^(-2|z|) - 1: -m / (m + 2) under the sign of z; slope b (2 - b), b = 1 - |tanh z|. */
INLINE vec tanh_near(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec e, m = v_expm1_near(v_abs(z) * -2, &e), q = 1 / (m + 2), b = 2 * e * q;
    *slope = b * (2 - b);
    return v_copysign(m * q, z);
}
/* sign(z); slope 4 e^(-2|z|) */
INLINE vec tanh_far(vec z, real alpha, vec *slope)
{
    (void)alpha;
    *slope = v_exp_lifted(v_abs(z) * -2, v_zero()) * (4 * LOWERED);
    return v_select(z == z, v_copysign(v_splat(1), z), z);
}

/* z if z > 0 else alpha (e^z - 1), times scale; slope 1 or alpha e^z, times scale */
INLINE vec scaled_elu_near(vec z, real scale, real alpha, vec *slope)
{
    vec e, m = v_expm1_near(v_min(v_zero(), z), &e);
    *slope = v_select(z > 0, v_splat(scale), alpha * e);
    return v_select(z > 0, scale * z, alpha * m);
}
INLINE vec scaled_elu_far(vec z, real alpha, vec *slope)
{
    *slope = alpha * v_exp_lifted(z, v_zero()) * LOWERED;
    return v_select(z == z, v_splat(-alpha), z);
}
INLINE vec elu_near(vec z, real alpha, vec *slope) { return scaled_elu_near(z, 1, alpha, slope); }
INLINE vec elu_far(vec z, real alpha, vec *slope) { return scaled_elu_far(z, alpha, slope); }

INLINE vec selu_near(vec z, real alpha, vec *slope)
{
    (void)alpha;
    return scaled_elu_near(z, SELU_SCALE, SELU_SCALE_ALPHA, slope);
}
INLINE vec selu_far(vec z, real alpha, vec *slope)
{
    (void)alpha;
    return scaled_elu_far(z, SELU_SCALE_ALPHA, slope);
}

/* z Phi(z); slope Phi(z) + z phi(z). With x = |z|, h = 1 - Phi(x) and g = h - x phi(x), these
 * are z - x h and 1 - g above 0, -x h and g below. */
INLINE vec gelu_near(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec x = v_min(v_abs(z), v_splat(NEAR_BELL)), rest, exponent = v_minus_half_square(x, &rest);
    vbits n;
    vec e = (1 + v_expm1_reduced(v_reduce_ln2(exponent, &n) + rest)) * v_exp2_int(n);
    vec x_tail, tail = v_normal_tail(x, &x_tail);
    vec g = (tail - x * REAL(0.3989422804014327)) * e, below = x_tail * e;
    *slope = v_select(z < 0, g, 1 - g);
    return v_select(z < 0, v_negate(below), z - below);
}
/* Far below 0 alone. */
INLINE vec gelu_far(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec x = bounded_size(z), rest, exponent = v_minus_half_square(x, &rest);
    vec e = v_exp_lifted(exponent, rest), x_tail, tail = v_normal_tail(x, &x_tail);
    *slope = (tail - x * REAL(0.3989422804014327)) * e * LOWERED;
    return v_negate(x_tail * e * LOWERED);
}

/* z sigma(z); slope sigma (1 + z (1 - sigma)). q = sigma(|z|) and b = e^-|z| q = 1 - q. */
INLINE vec silu_near(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec e = v_exp_near(v_max(v_negate(v_abs(z)), v_splat(-NEAR))), q = 1 / (1 + e), b = e * q;
    vec s = v_select(z < 0, b, q), x = v_min(z, v_splat(NEAR)), bend = x * b;
    *slope = s * (1 + v_select(z < 0, x - bend, bend));
    return z * s;
}
/* Far below 0 alone: sigma is e^z. */
INLINE vec silu_far(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec x = bounded_size(z), e = v_exp_lifted(v_negate(x), v_zero());
    *slope = e * (1 - x) * LOWERED;
    return v_negate(x * e * LOWERED);
}

/* z t, t = tanh(ln(1 + e^z)); slope t + z (1 - t^2) sigma(z). With e = e^z and d = e (e + 2) + 2:
 * t = e (e + 2) / d, (1 - t^2) sigma(z) = e / d (2 - 2 e^2 / d). Beyond MOST, t rounds to 1. */
INLINE vec mish_near(vec z, real alpha, vec *slope)
{
    enum { MOST = 20 };
    (void)alpha;
    vec x = v_min(v_splat(MOST), z), e = v_exp_near(x), n = e * (e + 2), q = 1 / (n + 2);
    *slope = e * q * (e + 2 + 2 * x - 2 * x * (e * e * q));
    return z * (n / (n + 2));
}
/* Far below 0 alone: t is e^z. */
INLINE vec mish_far(vec z, real alpha, vec *slope) { return silu_far(z, alpha, slope); }

/* What must not be below the limit where the near forms are used. */
INLINE vec tanh_reach(vec z) { return v_abs(z) * -2; }
INLINE vec elu_reach(vec z) { return z; }
INLINE vec selu_reach(vec z) { return z; }
INLINE vec gelu_reach(vec z) { return z * (NEAR / NEAR_BELL); }
INLINE vec silu_reach(vec z) { return z; }
INLINE vec mish_reach(vec z) { return z; }

#define ACTIVATE_LOOP(function)                                                        \
    do {                                                                               \
        vec f;                                                                         \
        if (slope)                                                                     \
            FOR_VECTORS (i, count) {                                                   \
                v_store(a + i, function(v_load(a + i), alpha, &f));                    \
                v_store(slope + i, f);                                                 \
            }                                                                          \
        else                                                                           \
            FOR_VECTORS (i, count) v_store(a + i, function(v_load(a + i), alpha, &f)); \
    } while (0)

#define DEFINE_ACTIVATE(name)                                                   \
    static void activate_##name(real *a, real *slope, size_t count, real alpha) \
    {                                                                           \
        ACTIVATE_LOOP(name##_at);                                               \
    }
DEFINE_ACTIVATE(identity)
DEFINE_ACTIVATE(step)
DEFINE_ACTIVATE(sigmoid)
DEFINE_ACTIVATE(relu)
DEFINE_ACTIVATE(leaky_relu)
DEFINE_ACTIVATE(softplus)

/* Runs that hold a far z have a loop of their own, so that the other loop holds no call. */
enum { RUN = 16 * LANES };
#define DEFINE_ACTIVATE_IN_RUNS(name)                                                        \
    INLINE vec name##_at(vec z, real alpha, vec *slope)                                      \
    {                                                                                        \
        vbits near = name##_reach(z) >= -NEAR;                                               \
        vec near_slope, far_slope, a = name##_near(z, alpha, &near_slope);                   \
        vec far = name##_far(z, alpha, &far_slope);                                          \
        *slope = v_select(near, near_slope, far_slope);                                      \
        return v_select(near, a, far);                                                       \
    }                                                                                        \
    static NOINLINE void activate_far_##name(real *a, real *slope, size_t count, real alpha) \
    {                                                                                        \
        ACTIVATE_LOOP(name##_at);                                                            \
    }                                                                                        \
    INLINE void activate_run_##name(real *a, real *slope, size_t count, real alpha)          \
    {                                                                                        \
        vbits near = {0};                                                                    \
        near = ~near;                                                                        \
        FOR_VECTORS (i, count) near &= name##_reach(v_load(a + i)) >= -NEAR;                 \
        if (v_all(near))                                                                     \
            ACTIVATE_LOOP(name##_near);                                                      \
        else                                                                                 \
            activate_far_##name(a, slope, count, alpha);                                     \
    }                                                                                        \
    static void activate_##name(real *a, real *slope, size_t count, real alpha)              \
    {                                                                                        \
        for (; count > RUN; count -= RUN, a += RUN, slope = slope ? slope + RUN : NULL)      \
            activate_run_##name(a, slope, RUN, alpha);                                       \
        activate_run_##name(a, slope, count, alpha);                                         \
    }
DEFINE_ACTIVATE_IN_RUNS(tanh)
DEFINE_ACTIVATE_IN_RUNS(elu)
DEFINE_ACTIVATE_IN_RUNS(selu)
DEFINE_ACTIVATE_IN_RUNS(gelu)
DEFINE_ACTIVATE_IN_RUNS(silu)
DEFINE_ACTIVATE_IN_RUNS(mish)

#define ACTIVATE_ENTRY(name) activate_##name,
/* a (count,) from z to f(z) in place, slope (count,) or NULL to f'(z); count is a multiple of
 * BLOCK */
static void (*const activate_table[])(real *a, real *slope, size_t count,
                                      real alpha) = {FM_ACTIVATION_LIST(ACTIVATE_ENTRY)};

#endif
