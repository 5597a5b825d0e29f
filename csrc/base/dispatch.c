/* dispatch.c -- the instruction sets of this build and processor, and the choice of kernels
 *
 * Compiled with the baseline's flags: nothing here may need what it tests for.
 */
#include "engine.h"

#include <string.h>

enum { FM_PEAK_THREADS = 256 };

#define DECLARE(isa) extern const fm_kernels fm_kernels_##isa##_f32, fm_kernels_##isa##_f64;
#define PAIR(isa) &fm_kernels_##isa##_f32, &fm_kernels_##isa##_f64

typedef struct isa {
    const char *name;
    int (*supported)(void);
    const fm_kernels *f32, *f64;
} isa;

static int always(void) { return 1; }
DECLARE(scalar)

#if defined(__x86_64__) || defined(_M_X64)
/* These ask CPUID for the instructions and XGETBV for the registers that the system saves. */
#if FM_HAVE_AVX2
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
DECLARE(avx2)
#endif
#if FM_HAVE_AVX512
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}
DECLARE(avx512)
#endif
#if FM_HAVE_SSE2
DECLARE(sse2)
#endif
#endif
#if FM_HAVE_NEON
DECLARE(neon)
#endif

/* best first */
static const isa isas[] = {
#if FM_HAVE_AVX512
    {"avx512", has_avx512, PAIR(avx512)},
#endif
#if FM_HAVE_AVX2
    {"avx2", has_avx2, PAIR(avx2)},
#endif
#if FM_HAVE_SSE2
    {"sse2", always, PAIR(sse2)},
#endif
#if FM_HAVE_NEON
    {"neon", always, PAIR(neon)},
#endif
    {"scalar", always, PAIR(scalar)},
};
enum { ISAS = sizeof isas / sizeof *isas };

const char *fm_isa_name(int index) { return index >= 0 && index < ISAS ? isas[index].name : NULL; }

int fm_isa_supported(int index) { return index >= 0 && index < ISAS && isas[index].supported(); }

const fm_kernels *fm_kernels_find(const char *name, const char *dtype)
{
    for (int i = 0; i < ISAS; i++)
        if ((!name || !strcmp(name, isas[i].name)) && isas[i].supported()) {
            if (!strcmp(dtype, isas[i].f32->dtype)) return isas[i].f32;
            if (!strcmp(dtype, isas[i].f64->dtype)) return isas[i].f64;
        }
    return NULL;
}

const char *fm_kernels_isa(const fm_kernels *kernels) { return kernels->isa; }

void fm_kernels_activate(const fm_kernels *kernels, int activation, double alpha, void *a,
                         void *slope, size_t count)
{
    kernels->activate(activation, alpha, a, slope, count);
}

typedef struct peak {
    const fm_kernels *kernels;
    double seconds;
    double of_thread[FM_PEAK_THREADS];
} peak;

static void peak_body(void *context, int thread, int threads)
{
    peak *p = context;
    (void)threads;
    if (thread < FM_PEAK_THREADS) p->of_thread[thread] = p->kernels->fma_peak(p->seconds);
}

double fm_kernels_peak(const fm_kernels *kernels, int threads, double seconds)
{
    peak p = {.kernels = kernels, .seconds = seconds};
    double sum = 0;
    fm_parallel(threads < FM_PEAK_THREADS ? threads : FM_PEAK_THREADS, peak_body, &p);
    for (int t = 0; t < FM_PEAK_THREADS; t++) sum += p.of_thread[t];
    return sum;
}
