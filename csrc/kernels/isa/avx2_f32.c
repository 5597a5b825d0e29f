/* avx2_f32.c -- the kernels for x86-64 with AVX2 and FMA, single precision */
#define FM_ISA avx2
#define FM_VECTOR_BYTES 32
#define FM_DOUBLE 0
#define FM_TILE_ROWS 6
#define FM_NARROW_ROWS 6
#define FM_PANEL_BLOCKS 1
#define FM_WIDE_ROWS 1
#define FM_GRADIENT_ROWS 6
#define FM_SPARSE_BLOCKS 3
#include "kernels/kernels.h"
