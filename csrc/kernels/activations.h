/* activations.h -- a = f(z) and its slope f'(z), in place over a run of values
 *
 * Each function gives f(z) and stores f'(z) through its last argument; where a loop wants no slope the compiler
 * drops that half. Defaults and conventions at kinks are PyTorch's.
 */
#ifndef FM_KERNELS_ACTIVATIONS_H
#define FM_KERNELS_ACTIVATIONS_H

#include "kernels/simd/math.h"

#define SELU_SCALE REAL(1.0507009873554804934)
#define SELU_ALPHA REAL(1.6732632423543772848)

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
INLINE vec sigmoid_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec a = v_sigmoid(z);
    *slope = a * (1 - a);
    return a;
}
INLINE vec tanh_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec a = v_tanh(z);
    *slope = 1 - a * a;
    return a;
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
/* z if z > 0 else alpha (e^z - 1) */
INLINE vec elu_at(vec z, real alpha, vec *slope)
{
    vec tail = alpha * v_expm1(v_min(v_zero(), z));
    *slope = v_select(z > 0, v_splat(1), tail + alpha);
    return v_select(z > 0, z, tail);
}
INLINE vec selu_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec a = elu_at(z, SELU_ALPHA, slope);
    *slope *= SELU_SCALE;
    return a * SELU_SCALE;
}
/* z Phi(z); slope Phi(z) + z phi(z) */
INLINE vec gelu_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec bell, phi = v_normal_cdf(z, &bell);
    *slope = phi + z * bell * REAL(0.3989422804014327);
    return z * phi;
}
/* z sigma(z); slope sigma (1 + z (1 - sigma)) */
INLINE vec silu_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec s = v_sigmoid(z);
    *slope = s * (1 + z * (1 - s));
    return z * s;
}
/* ln(1 + e^z); slope sigma(z) */
INLINE vec softplus_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    *slope = v_sigmoid(z);
    return v_softplus(z);
}
/* z tanh(ln(1 + e^z)) = z n / (n + 2) with n = e^z (e^z + 2) */
INLINE vec mish_at(vec z, real alpha, vec *slope)
{
    (void)alpha;
    vec e = v_exp(v_min(v_splat(40), z)); /* beyond it the quotient is 1 in either precision */
    vec n = e * (e + 2), t = n / (n + 2);
    *slope = t + z * (1 - t * t) * (e / (1 + e));
    return z * t;
}

#define DEFINE_ACTIVATE(name)                                                   \
    static void activate_##name(real *a, real *slope, size_t count, real alpha) \
    {                                                                           \
        vec f;                                                                  \
        if (slope)                                                              \
            for (size_t i = 0; i < count; i += LANES) {                         \
                v_store(a + i, name##_at(v_load(a + i), alpha, &f));            \
                v_store(slope + i, f);                                          \
            }                                                                   \
        else                                                                    \
            for (size_t i = 0; i < count; i += LANES)                           \
                v_store(a + i, name##_at(v_load(a + i), alpha, &f));            \
    }
FM_ACTIVATION_LIST(DEFINE_ACTIVATE)

#define ACTIVATE_ENTRY(name) activate_##name,
/* a (count,) from z to f(z) in place, slope (count,) or NULL set to f'(z); count a multiple of BLOCK */
static void (*const activate_table[])(real *a, real *slope, size_t count,
                                      real alpha) = {FM_ACTIVATION_LIST(ACTIVATE_ENTRY)};

#endif
