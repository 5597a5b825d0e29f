/* avx512_f64.c -- the kernels for x86-64 with AVX-512 (F, BW, DQ, VL), double precision */
#define FM_ISA avx512
#define FM_VECTOR_BYTES 64
#define FM_DOUBLE 1
#define FM_TILE_ROWS 14
#define FM_NARROW_ROWS 16
#define FM_PANEL_BLOCKS 2
#define FM_WIDE_ROWS 3
#define FM_GRADIENT_ROWS 8
#define FM_SPARSE_BLOCKS 8
#include "kernels/kernels.h"
