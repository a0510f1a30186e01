// The same kernels for x86-64 with AVX-512.
#if defined(__x86_64__)
#include <immintrin.h>
#define AD_HAS_HALVES
#define AD_DOT_HALVES
#define AD_TILE_PANELS 4
#define AD_CODED_PANELS 4
#define AD_CODED_SUMS 16
#define AD_ROUNDED_ROWS 4
#define AD_ROUNDED_PANELS 2
#define AD_ROUNDED_PANELS_OF_ONE 4
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop

const ad_kernels ad_avx512 = AD_KERNEL_TABLE("avx512");
#endif
