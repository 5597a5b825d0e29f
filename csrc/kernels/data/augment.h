/* augment.h -- random changes of a row of input in each epoch: noise, masking, affine maps of
 * images
 *
 * Draws are Philox words at (element, position of the row in the epoch, which augmentation, epoch).
 */
#ifndef FM_KERNELS_AUGMENT_H
#define FM_KERNELS_AUGMENT_H

#include "base/random.h"
#include "kernels/simd/math.h"

typedef struct draw_at {
    uint32_t row, stream, epoch;
    uint64_t seed;
} draw_at;

/* [0, 1) from a word */
INLINE double unit_interval(uint32_t word) { return word * 0x1p-32; }

/* sin and cos of |x| <= pi / 4, by their Taylor polynomials to x^17 and x^16 (error below 3e-15) */
INLINE void v_sincos_octant(vec x, vec *sine, vec *cosine)
{
    static const real sine_table[] = {REAL(1.0),
                                      REAL(-1.6666666666666667e-1),
                                      REAL(8.3333333333333333e-3),
                                      REAL(-1.9841269841269841e-4),
                                      REAL(2.7557319223985891e-6),
                                      REAL(-2.5052108385441719e-8),
                                      REAL(1.6059043836821615e-10),
                                      REAL(-7.6471637318198165e-13),
                                      REAL(2.8114572543455208e-15)};
    static const real cosine_table[] = {REAL(1.0),
                                        REAL(-0.5),
                                        REAL(4.1666666666666667e-2),
                                        REAL(-1.3888888888888889e-3),
                                        REAL(2.4801587301587302e-5),
                                        REAL(-2.7557319223985891e-7),
                                        REAL(2.0876756987868099e-9),
                                        REAL(-1.1470745597729725e-11),
                                        REAL(4.7794773323873853e-14)};
    vec w = x * x;
    *sine = x * POLYNOMIAL(w, sine_table);
    *cosine = POLYNOMIAL(w, cosine_table);
}

/* row += sigma N(0, 1), by Box and Muller's method; the angle lies in an octant that three bits
 * choose */
static void augment_noise(real *row, size_t count, real sigma, draw_at at)
{
    enum { N = FM_PHILOX_BATCH };
    uint32_t word[4][N];
    real radius_u[2 * N] __attribute__((aligned(64))), angle_u[2 * N] __attribute__((aligned(64)));
    real normal[4 * N] __attribute__((aligned(64)));
    for (size_t first = 0; first < count; first += 4 * N) {
        fm_philox(word, (uint32_t)(first / 4), at.row, at.stream, at.epoch, at.seed);
        for (int i = 0; i < 2 * N; i++) {
            uint32_t u = word[i / N][i % N], v = word[2 + i / N][i % N];
            radius_u[i] = (real)((u >> 8) + 1) * REAL(0x1p-24);
            angle_u[i] = (real)(v >> 8) * REAL(0x1p-24);
        }
        for (int i = 0; i < 2 * N; i += LANES) {
            vec sine, cosine, radius = v_sqrt(-2 * v_log(v_load(radius_u + i)));
            v_sincos_octant((v_load(angle_u + i) - REAL(0.5)) * REAL(1.5707963267948966), &sine,
                            &cosine);
            v_store(normal + i, radius * cosine);
            v_store(normal + 2 * N + i, radius * sine);
        }
        for (int i = 0; i < 2 * N; i++) {
            /* the octant: swap and signs, from bits that the angle did not use */
            uint32_t bits = word[2 + i / N][i % N];
            real x = normal[i], y = normal[2 * N + i];
            if (bits & 1) {
                real t = x;
                x = y;
                y = t;
            }
            normal[i] = bits & 2 ? -x : x;
            normal[2 * N + i] = bits & 4 ? -y : y;
        }
        size_t here = count - first < 4 * N ? count - first : 4 * N;
        for (size_t i = 0; i < here; i++) row[first + i] += sigma * normal[i];
    }
}

/* row = 0 with the given probability, element by element */
static void augment_mask(real *row, size_t count, double probability, draw_at at)
{
    enum { N = FM_PHILOX_BATCH };
    uint32_t word[4][N], threshold = (uint32_t)(probability * 0x1p32);
    for (size_t first = 0; first < count; first += 4 * N) {
        fm_philox(word, (uint32_t)(first / 4), at.row, at.stream, at.epoch, at.seed);
        size_t here = count - first < 4 * N ? count - first : 4 * N;
        for (size_t i = 0; i < here; i++)
            if (word[i % 4][i / 4] < threshold) row[first + i] = 0;
    }
}

/* The largest whole number <= x, for x > -1; x + 1 could round up to the next one. */
INLINE ptrdiff_t floor_of(real x)
{
    const ptrdiff_t whole = (ptrdiff_t)x;
    return (real)whole > x ? whole - 1 : whole;
}

/* to (planes,) = the image (height, width, planes) at (y, x), bilinear; outside of it is `fill`. */
INLINE void sample_image(real *to, const real *image, const fm_augment *g, real y, real x)
{
    const ptrdiff_t height = (ptrdiff_t)g->height, width = (ptrdiff_t)g->width,
                    planes = (ptrdiff_t)g->planes;
    const real fill = (real)g->fill;
    if (!(y > -1 && x > -1 && y < (real)height && x < (real)width)) {
        for (ptrdiff_t p = 0; p < planes; p++) to[p] = fill;
        return;
    }
    const ptrdiff_t y0 = floor_of(y), x0 = floor_of(x);
    const real fy = y - (real)y0, fx = x - (real)x0;
    const bool top = y0 >= 0, bottom = y0 + 1 < height, left = x0 >= 0, right = x0 + 1 < width;
    const real *from = image + (y0 * width + x0) * planes;
    for (ptrdiff_t p = 0; p < planes; p++) {
        const real a = top && left ? from[p] : fill, b = top && right ? from[planes + p] : fill;
        const real d = bottom && left ? from[width * planes + p] : fill;
        const real e = bottom && right ? from[(width + 1) * planes + p] : fill;
        const real upper = a + fx * (b - a), lower = d + fx * (e - d);
        to[p] = upper + fy * (lower - upper);
    }
}

/* Rotation, shear, zoom and shift about the middle of the image, sampled bilinearly.
 * The map runs from the new image to the old one: p_old = M (p_new - middle) + middle + shift. */
static void augment_affine(real *row, real *spare, const fm_augment *g, draw_at at)
{
    uint32_t word[4][FM_PHILOX_BATCH];
    fm_philox(word, 0, at.row, at.stream, at.epoch, at.seed);
    const double angle = g->rotate * (2 * unit_interval(word[0][0]) - 1);
    const double slant = __builtin_tan(g->shear * (2 * unit_interval(word[1][0]) - 1));
    const double down = g->shift * (2 * unit_interval(word[2][0]) - 1);
    const double right = g->shift * (2 * unit_interval(word[3][0]) - 1);
    /* even in the logarithm: as often larger as smaller */
    const double zoom = __builtin_pow(1 + g->zoom, 2 * unit_interval(word[0][1]) - 1);
    const real c = (real)(__builtin_cos(angle) / zoom), s = (real)(__builtin_sin(angle) / zoom);
    const real yy = c, yx = -s, xy = s + c * (real)slant, xx = c - s * (real)slant;
    const real middle_y = (real)(g->height - 1) / 2, middle_x = (real)(g->width - 1) / 2;
    const size_t height = g->height, width = g->width, planes = g->planes;
    for (size_t i = 0; i < height; i++)
        for (size_t j = 0; j < width; j++) {
            const real dy = (real)i - middle_y, dx = (real)j - middle_x;
            const real y = yy * dy + yx * dx + middle_y + (real)down;
            const real x = xy * dy + xx * dx + middle_x + (real)right;
            sample_image(spare + (i * width + j) * planes, row, g, y, x);
        }
    memcpy(row, spare, height * width * planes * sizeof *row);
}

/* row (count,) through every augmentation of the training; spare (count,) is scratch. */
static void augment_row(real *row, real *spare, size_t count, const fm_train *train,
                        uint32_t position, uint32_t epoch)
{
    static const int purpose[] = {FM_DRAW_NOISE, FM_DRAW_MASK, FM_DRAW_AFFINE};
    for (int i = 0; i < train->augments; i++) {
        const fm_augment *g = &train->augment[i];
        draw_at at = {position, fm_draw_purpose(purpose[g->kind], (uint32_t)i), epoch, train->seed};
        if (g->kind == FM_AUGMENT_NOISE)
            augment_noise(row, count, (real)g->amount, at);
        else if (g->kind == FM_AUGMENT_MASK)
            augment_mask(row, count, g->amount, at);
        else
            augment_affine(row, spare, g, at);
    }
}

/* Inverted dropout of columns [from, to) of one row, `from` a multiple of BLOCK: a (blocks,
 * rows, BLOCK), and slope where there is one, times 0 or 1 / (1 - p). */
static void dropout_row(real *a, real *slope, size_t stride, size_t from, size_t to,
                        double probability, draw_at at)
{
    enum { N = FM_PHILOX_BATCH };
    uint32_t word[4][N], threshold = (uint32_t)(probability * 0x1p32);
    const real keep = (real)(1 / (1 - probability));
    for (size_t first = from; first < to; first += 4 * N) {
        real factor[4 * N];
        fm_philox(word, (uint32_t)(first / 4), at.row, at.stream, at.epoch, at.seed);
        for (int i = 0; i < N; i++)
            for (int w = 0; w < 4; w++) factor[4 * i + w] = word[w][i] >= threshold ? keep : 0;
        for (size_t b = first; b < first + 4 * N && b < to; b += BLOCK)
            for (int i = 0; i < BLOCK; i++) {
                size_t place = b / BLOCK * stride + (size_t)i;
                a[place] *= factor[b - first + (size_t)i];
                if (slope) slope[place] *= factor[b - first + (size_t)i];
            }
    }
}

#endif
