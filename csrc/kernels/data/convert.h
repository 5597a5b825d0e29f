/* convert.h -- rows of any number type, stride and byte order into column blocks of `real` */
#ifndef FM_KERNELS_CONVERT_H
#define FM_KERNELS_CONVERT_H

#include "kernels/simd/vec.h"

/* IEEE 754 half precision, by its bits: no instruction set of the baseline reads it */
INLINE float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, magnitude = h & 0x7fffu, bits;
    float value;
    if (magnitude >= 0x7c00u)
        bits = sign | 0x7f800000u | (magnitude & 0x3ffu) << 13; /* infinity and NaN */
    else if (magnitude >= 0x400u)
        bits = sign | ((magnitude << 13) + 0x38000000u);
    else { /* zero and subnormals: magnitude 2^-24 */
        value = (float)magnitude * 0x1p-24f;
        return sign ? -value : value;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define CONVERT_LOOP(TYPE, EXPRESSION)                                                \
    if (stride == (ptrdiff_t)sizeof(TYPE) && (uintptr_t)from % _Alignof(TYPE) == 0) { \
        const TYPE *p = from;                                                         \
        for (size_t i = 0; i < count; i++) {                                          \
            TYPE value = p[i];                                                        \
            to[i] = (real)(EXPRESSION);                                               \
        }                                                                             \
    } else                                                                            \
        for (size_t i = 0; i < count; i++) {                                          \
            TYPE value;                                                               \
            memcpy(&value, (const char *)from + (ptrdiff_t)i * stride, sizeof value); \
            to[i] = (real)(EXPRESSION);                                               \
        }                                                                             \
    break;

static void convert_native(real *to, const void *from, ptrdiff_t stride, int dtype, size_t count)
{
    switch (dtype) {
#define CONVERT_CASE(name, type) \
    case FM_DTYPE_##name: CONVERT_LOOP(type, value)
        FM_DTYPE_LIST(CONVERT_CASE)
    case FM_DTYPE_float16: CONVERT_LOOP(uint16_t, half_to_float(value))
    }
}

/* `count` numbers of m, from (row, column) on along the row, to `to` */
static void convert_row(real *to, const fm_matrix *m, size_t row, size_t column, size_t count)
{
    const char *from = (const char *)m->data + (ptrdiff_t)row * m->row_stride +
                       (ptrdiff_t)column * m->column_stride;
    if (!m->swapped) {
        convert_native(to, from, m->column_stride, m->dtype, count);
        return;
    }
    const size_t size = fm_dtype_size(m->dtype);
    for (size_t i = 0; i < count; i++, from += m->column_stride) {
        _Alignas(16) unsigned char turned[16];
        for (size_t b = 0; b < size; b++) turned[b] = (unsigned char)from[size - 1 - b];
        convert_native(to + i, turned, (ptrdiff_t)size, m->dtype, 1);
    }
}

/* Can rows be read as they lie? */
INLINE bool rows_are_plain(const fm_matrix *m)
{
    return m->dtype == (FM_DOUBLE ? FM_DTYPE_float64 : FM_DTYPE_float32) && !m->swapped &&
           m->column_stride == (ptrdiff_t)sizeof(real) &&
           m->row_stride % (ptrdiff_t)sizeof(real) == 0 && (uintptr_t)m->data % sizeof(real) == 0;
}
INLINE const real *plain_row(const fm_matrix *m, size_t row)
{
    return (const real *)(const void *)((const char *)m->data + (ptrdiff_t)row * m->row_stride);
}

enum {
    SCATTER_ROWS = 8, /* rows at once: the blocks of one alone fall into few sets of a cache */
    SCATTER_PREFETCH =
        8, /* blocks from a prefetch to its use: a line from another core takes as long */
};

/* Rows (count,) into column blocks, to[(c / BLOCK) stride + r BLOCK + c % BLOCK]; `shared`: another
 * core has read these. Gives the sum of the values times 0: not 0 if one is not finite. */
INLINE vec scatter_rows(real *to, size_t stride, const real *const *row, size_t rows, size_t count,
                        bool shared)
{
    vec bad = v_zero();
    for (size_t c = 0; shared && c < SCATTER_PREFETCH * BLOCK && c < count; c += BLOCK)
        for (size_t r = 0; r < rows; r++) prefetch_to_write(to + c / BLOCK * stride + r * BLOCK);
    size_t c = 0;
    for (; c + BLOCK <= count; c += BLOCK, to += stride) {
        if (shared && c + SCATTER_PREFETCH * BLOCK < count)
            for (size_t r = 0; r < rows; r++)
                prefetch_to_write(to + SCATTER_PREFETCH * stride + r * BLOCK);
        for (size_t r = 0; r < rows; r++)
            for (size_t v = 0; v < BLOCK; v += LANES) {
                vec x = v_load_unaligned(row[r] + c + v);
                bad += x * 0;
                v_store(to + r * BLOCK + v, x);
            }
    }
    const size_t rest = count - c;
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < rest; v += LANES) {
            vec x = v_load_part(row[r] + c + v, rest - v < LANES ? rest - v : LANES);
            bad += x * 0;
            v_store(to + r * BLOCK + v, x);
        }
    return bad;
}

/* Rows [r0, r1) of a matrix hold finite numbers in this precision. */
static bool matrix_finite(const fm_matrix *m, size_t r0, size_t r1)
{
    enum { CHUNK = 512 };
    real chunk[CHUNK] __attribute__((aligned(64)));
    for (size_t r = r0; r < r1; r++)
        for (size_t c = 0; c < m->columns; c += CHUNK) {
            size_t count = m->columns - c < CHUNK ? m->columns - c : CHUNK;
            const real *from = chunk;
            if (rows_are_plain(m))
                from = plain_row(m, r) + c;
            else
                convert_row(chunk, m, r, c, count);
            real bad = 0;
            size_t i = 0;
            vec wide = v_zero();
            for (; i + LANES <= count; i += LANES) wide += v_load_unaligned(from + i) * 0;
            for (; i < count; i++) bad += from[i] * 0;
            if (!(bad + v_sum(wide) == 0)) return false;
        }
    return true;
}

#endif
