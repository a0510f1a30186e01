// The same kernels for x86-64 with AVX2, FMA, F16C and AVX-VNNI.
#if defined(__x86_64__)
#include <immintrin.h>
#define AD_HAS_HALVES
#define AD_DOT_HALVES
#define AD_HAS_VNNI
#define AD_CODED_PANELS 2
#define AD_CODED_SUMS 2
#define AD_ROUNDED_ROWS 2
#define AD_ROUNDED_PANELS 1
#define AD_ROUNDED_PANELS_OF_ONE 1
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop

const ad_kernels ad_avx2vnni = AD_KERNEL_TABLE("avx2vnni");
#endif
