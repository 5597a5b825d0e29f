/* math.h -- exp, log and their relatives on vectors, accurate to a few units in the last place
 *
 * Polynomials are Chebyshev interpolants computed to 60 digits; the comment beside each names the
 * function, the interval and the largest error. None of these functions branches on its argument.
 */
#ifndef FM_KERNELS_MATH_H
#define FM_KERNELS_MATH_H

#include "kernels/simd/vec.h"

/* Coefficients run from the constant term up; evaluated by Horner's rule. */
#define POLYNOMIAL(x, table)                                                            \
    ({                                                                                  \
        vec sum_ = v_splat(table[sizeof table / sizeof *table - 1]);                    \
        UNROLL_FOR_32 (int i_ = (int)(sizeof table / sizeof *table) - 2; i_ >= 0; i_--) \
            sum_ = sum_ * (x) + table[i_];                                              \
        sum_;                                                                           \
    })

#if FM_DOUBLE
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ROUND_MAGIC 0x1.8p52
#define LN2_HIGH \
    0x1.62e42fee00000p-1 /* 21 trailing zero bits: n LN2_HIGH is exact for |n| < 2^11 */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_MAX 709.782712893384
#define EXP_MIN (-745.1332191019412)
/* (e^r - 1 - r) / r^2 on |r| <= 0.35, error 1.6e-18 */
static const real expm1_table[] = {0.5,
                                   0.1666666666666667144,
                                   0.04166666666666667007,
                                   0.0083333333333255447,
                                   0.001388888888888332667,
                                   0.0001984126987686435493,
                                   0.00002480158732700718673,
                                   2.755725283351690975e-6,
                                   2.755727181021979957e-7,
                                   2.510627473357329469e-8,
                                   2.091544229778011522e-9};
/* (2 atanh(s) - 2 s) / s^3 in s^2 on [0, 1/9], error 1.8e-21 */
static const real atanh_table[] = {
    0.6666666666666666667, 0.399999999999999995,   0.2857142857142882181,  0.222222222221727887,
    0.1818181818688055626, 0.1538461507670917275,  0.133333453233059785,   0.1176439410267376939,
    0.1053183781203988367, 0.09457163207211484674, 0.09231944273368247486, 0.05283412228137271209,
    0.1493882848597984702};
/* e^(x^2/2) (1 - Phi(x)) / t in u = 2 t - 1 on [-0.81, 1], t = 1 / (1 + x / 4), error 4.2e-19 */
static const real tail_table[] = {
    0.18882128260393787332,     0.1519741604929730269,      0.096784350185553635248,
    0.0466304644899143117,      0.015099143722734140172,    0.0018850472416816978937,
    -0.00086992309184839878761, -0.00040770461439717529778, 0.000033336078102411434143,
    0.000057773733792364753605, -4.7706461994335827711e-7,  -8.78617151325086574e-6,
    1.7916658113052577965e-7,   1.4800433307540257292e-6,   -1.5742414014539558324e-7,
    -2.5538850929902538337e-7,  6.7951132406482089418e-8,   3.8741229355618626171e-8,
    -2.1352104539212812445e-8,  -3.3201994468275819608e-9,  4.9049027153388899351e-9,
    -4.7956925509333506564e-10, -6.305248644695183841e-10,  1.8156049526023948241e-10};
#else
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define ROUND_MAGIC 0x1.8p23f
#define LN2_HIGH 0x1.62ep-1f /* 12 trailing zero bits: n LN2_HIGH is exact for |n| < 2^12 */
#define LN2_LOW 0x1.0bfbe8p-15f
#define EXP_MAX 88.72283f
#define EXP_MIN (-103.97208f)
/* (e^r - 1 - r) / r^2 on |r| <= 0.35, error 1.5e-9 */
static const real expm1_table[] = {0.5000000014f,   0.1666666668f,   0.04166645681f,
                                   0.008333310024f, 0.001393454193f, 0.0001989198131f};
/* (2 atanh(s) - 2 s) / s^3 in s^2 on [0, 1/9], error 7.2e-9 */
static const real atanh_table[] = {0.6666666732f, 0.3999970633f, 0.2859235799f, 0.217065758f,
                                   0.2322432922f};
/* e^(x^2/2) (1 - Phi(x)) / t in u = 2 t - 1 on [-0.55, 1], t = 1 / (1 + x / 4), error 3e-10 */
static const real tail_table[] = {0.18882128259f,     0.15197416407f,     0.096784348867f,
                                  0.046630335055f,    0.015099265003f,    0.0018863022606f,
                                  -0.00087169543264f, -0.00041181603796f, 4.1858348276e-5f,
                                  5.9396370938e-5f,   -1.3440986364e-5f};
#endif

/* Vectors that go through v_over_roots, and all of Adam, stage by stage. From moments to weight it
 * is some 70 cycles, and a core that serves two threads holds too few such chains in flight. */
enum { SIDE_BY_SIDE = 4 };

/* a = a / (sqrt(x) root + epsilon) for N <= SIDE_BY_SIDE vectors, x >= 0. The root fills the
 * divider; an estimate and a Newton step divide meanwhile, to 4 units in the last place.
 *
 * A subnormal x, the square of a unit long dead, would stall the divider: it counts as the smallest
 * normal number. */
INLINE void v_over_roots(const int N, vec *a, const vec *x, real root, real epsilon)
{
#if V_HAS_RECIPROCAL
    vec d[SIDE_BY_SIDE], q[SIDE_BY_SIDE];
    UNROLL_FOR (int j = 0; j < N; j++) d[j] = v_sqrt(v_max(x[j], v_splat(__FLT_MIN__)));
    UNROLL_FOR (int j = 0; j < N; j++) d[j] = d[j] * root + epsilon;
    UNROLL_FOR (int j = 0; j < N; j++) q[j] = v_reciprocal_estimate(d[j]);
    UNROLL_FOR (int j = 0; j < N; j++) d[j] = 1 - d[j] * q[j];
    UNROLL_FOR (int j = 0; j < N; j++) q[j] += q[j] * d[j];
    UNROLL_FOR (int j = 0; j < N; j++) a[j] *= q[j];
#else
    UNROLL_FOR (int j = 0; j < N; j++) a[j] /= v_sqrt(x[j]) * root + epsilon;
#endif
}

INLINE vec v_over_root(vec a, vec x, real root, real epsilon)
{
    v_over_roots(1, &a, &x, root, epsilon);
    return a;
}

/* 2^n for a vector of integers with |n| inside the exponent's range */
INLINE vec v_exp2_int(vbits n) { return (vec)((n + EXPONENT_BIAS) << MANTISSA_BITS); }

/* x = n ln 2 + r with |r| <= ln 2 / 2; gives r and, in *n, the integer */
INLINE vec v_reduce_ln2(vec x, vbits *n)
{
    vec shifted = x * REAL(1.4426950408889634) + ROUND_MAGIC;
    vec whole = shifted - ROUND_MAGIC;
    *n = (vbits)shifted - (vbits)v_splat(ROUND_MAGIC);
    return (x - whole * LN2_HIGH) - whole * LN2_LOW;
}

/* e^r - 1 for |r| <= ln 2 / 2 */
INLINE vec v_expm1_reduced(vec r) { return r + (r * r) * POLYNOMIAL(r, expm1_table); }

/* e^x; 0 below the range, infinity above it, NaN for NaN */
INLINE vec v_exp(vec x)
{
    vbits n;
    vec clamped = v_min(v_max(x, v_splat(EXP_MIN)), v_splat(EXP_MAX));
    vec p = 1 + v_expm1_reduced(v_reduce_ln2(clamped, &n));
    /* in two factors, because 2^n itself leaves the range at both of its ends */
    vbits half = n >> 1;
    vec y = p * v_exp2_int(half) * v_exp2_int(n - half);
    y = v_select(x > EXP_MAX, v_splat((real)__builtin_inff()), y);
    y = v_select(x < EXP_MIN, v_zero(), y);
    return v_select(x == x, y, x);
}

/* Below it e^x 2^lift is no normal number. */
#define EXP_LOWEST(lift) (-(EXPONENT_BIAS - 1 + (lift)) * REAL(0.6931471805599453))

/* e^x where it is a normal number */
INLINE vec v_exp_near(vec x)
{
    vbits n;
    vec p = 1 + v_expm1_reduced(v_reduce_ln2(x, &n));
    return p * v_exp2_int(n);
}

/* e^x for x <= 0, where nothing overflows: 0 below the range of normal numbers */
INLINE vec v_exp_negative(vec x)
{
    const real lowest = EXP_LOWEST(0);
    vec y = v_select(x < lowest, v_zero(), v_exp_near(v_max(x, v_splat(lowest))));
    return v_select(x == x, y, x);
}

/* e^(x + rest) 2^LIFT for x <= 0 and a small rest: still normal where x e^x is, or alpha e^x */
enum { LIFT = 16 };
#define LOWERED REAL(0x1p-16)
INLINE vec v_exp_lifted(vec x, vec rest)
{
    const real lowest = EXP_LOWEST(LIFT);
    vbits n;
    vec r = v_reduce_ln2(v_max(x, v_splat(lowest)), &n) + rest;
    vec y = v_select(x < lowest, v_zero(), (1 + v_expm1_reduced(r)) * v_exp2_int(n + LIFT));
    return v_select(x == x, y, x);
}

/* e^x - 1 without cancellation and, in *e, e^x, for EXP_LOWEST(0) < x <= 0 */
INLINE vec v_expm1_near(vec x, vec *e)
{
    vbits n;
    vec p = v_expm1_reduced(v_reduce_ln2(x, &n)), scale = v_exp2_int(n);
    *e = (1 + p) * scale;
    return scale * p + (scale - 1);
}

/* 2 atanh(d / 2) for 0 <= d <= 2/3: twice the argument, as half a small one may not be normal */
INLINE vec v_atanh2(vec d)
{
    vec s = d * REAL(0.5), w = s * s;
    return d + s * w * POLYNOMIAL(w, atanh_table);
}

/* ln(1 + u) for 0 <= u <= 1 */
INLINE vec v_log1p_unit(vec u) { return v_atanh2((u + u) / (2 + u)); }

/* ln x for normal x > 0, NaN for NaN */
INLINE vec v_log(vec x)
{
    /* x = 2^n m with m in [sqrt(1/2), sqrt(2)) */
    vbits bits = (vbits)x - (vbits)v_splat(REAL(0.7071067811865476));
    vbits n = bits >> MANTISSA_BITS;
    vec m = (vec)((vbits)x - (n << MANTISSA_BITS));
    vec f = m - 1;
    vec d = (f + f) / (2 + f);
    vec whole = (vec)(n + (vbits)v_splat(ROUND_MAGIC)) - ROUND_MAGIC;
    return v_select(x == x, whole * LN2_HIGH + (v_atanh2(d) + whole * LN2_LOW), x);
}

/* sigma(x) = 1 / (1 + e^-x), by e^-|x| so that nothing overflows */
INLINE vec v_sigmoid(vec x)
{
    vec e = v_exp_negative(v_negate(v_abs(x)));
    return v_select(x < 0, e, v_splat(1)) / (1 + e);
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|) */
INLINE vec v_softplus(vec x)
{
    vec y = v_max(x, v_zero()) + v_log1p_unit(v_exp_negative(v_negate(v_abs(x))));
    return v_select(x == x, y, x);
}

/* -x^2/2 for x >= 0 as a sum of what is returned and a small *rest: in one number its rounding
 * would be many units in e^(-x^2/2). The square of x's leading digits is exact. */
INLINE vec v_minus_half_square(vec x, vec *rest)
{
    vec high = (vec)((vbits)x & ~(((real_bits)1 << (MANTISSA_BITS / 2 + 1)) - 1));
    *rest = (x - high) * (x + high) * REAL(-0.5);
    return high * high * REAL(-0.5);
}

/* e^(x^2/2) (1 - Phi(x)) for x >= 0, Phi the normal distribution function; and *times_x, x times
 * that. Near 0, s = 4 x / (x + 4) keeps digits that 4 / (x + 4) does not. */
INLINE vec v_normal_tail(vec x, vec *times_x)
{
    vec s = 4 * x / (x + 4), p = POLYNOMIAL(1 - s * REAL(0.5), tail_table);
    *times_x = s * p;
    return (1 - s * REAL(0.25)) * p;
}

#endif
