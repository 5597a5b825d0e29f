/* scalar_f64.c -- the kernels for any processor, one number at a time, double precision */
#define FM_ISA scalar
#define FM_VECTOR_BYTES 8
#define FM_DOUBLE 1
#define FM_TILE_ROWS 2
#define FM_NARROW_ROWS 2
#define FM_PANEL_BLOCKS 1
#define FM_WIDE_ROWS 1
#define FM_GRADIENT_ROWS 2
#define FM_SPARSE_BLOCKS 1
#include "kernels/kernels.h"
