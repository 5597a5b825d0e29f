/* kernels.h -- the template of an instruction set and precision: includes the kernels, emits their
 * table
 *
 * A stub defines FM_ISA, FM_VECTOR_BYTES, FM_DOUBLE and the tile sizes, and includes this file.
 */
#include "engine.h"

#include <time.h>

#include "kernels/data/shuffle.h"
#include "kernels/parameters.h"
#include "kernels/weights.h"

static void activate(int activation, double alpha, void *a, void *slope, size_t count)
{
    activate_table[activation](a, slope, count, (real)alpha);
}

/* Multiply-adds per second times 2, in GF/s, of one thread with all of them in registers. */
static double fma_peak(double seconds)
{
    enum { CHAINS = 12 }; /* more than latency asks for, fewer than any processor has registers */
    /* not known to the compiler, which would take chains that stand still out of the loop */
    volatile real first = REAL(0.5), factor = REAL(0.999), term = REAL(0.001);
    vec sum[CHAINS], x = v_splat(factor), y = v_splat(term);
    struct timespec start, now;
    double passed, flops = 0;
    UNROLL_FOR (int i = 0; i < CHAINS; i++) sum[i] = v_splat(first + (real)i);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int repeat = 0; repeat < 20000; repeat++)
            UNROLL_FOR (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * x + y;
        flops += 20000.0 * CHAINS * LANES * 2;
        clock_gettime(CLOCK_MONOTONIC, &now);
        passed = (double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec);
    } while (passed < seconds);
    UNROLL_FOR (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
    volatile real used = v_sum(sum[0]); /* or the compiler would drop the loop */
    (void)used;
    return flops / passed * 1e-9;
}

#define FM_PASTE_(a, b, c) a##b##_##c
#define FM_PASTE(a, b, c) FM_PASTE_(a, b, c)
#define FM_STRING_(x) #x
#define FM_STRING(x) FM_STRING_(x)
#if FM_DOUBLE
#define FM_TABLE FM_PASTE(fm_kernels_, FM_ISA, f64)
#else
#define FM_TABLE FM_PASTE(fm_kernels_, FM_ISA, f32)
#endif

const fm_kernels FM_TABLE = {
    .isa = FM_STRING(FM_ISA),
    .dtype = FM_DOUBLE ? "float64" : "float32",
    .real_size = sizeof(real),
    .lanes = LANES,
    .block = BLOCK,
    .panel = PANEL,
    .backward_sums = backward_sums,
    .sparse_scratch = sparse_scratch,
    .shuffle = shuffle,
    .copies_next = copies_next,
    .gather = gather,
    .forward = forward,
    .finish_outputs = finish_outputs,
    .output_loss = output_loss,
    .backward = backward,
    .weights = weights,
    .update = update,
    .sum_squares = sum_squares,
    .add = add,
    .scale = scale,
    .fill = fill,
    .average = average,
    .max_norm = max_norm,
    .total = total,
    .all_finite = all_finite,
    .matrix_finite = matrix_finite,
    .pack = pack,
    .unpack = unpack,
    .copy_rows = copy_rows,
    .activate = activate,
    .fma_peak = fma_peak,
};
