// The same kernels for arm64 with NEON's byte products.
#if defined(__aarch64__)
#include <arm_neon.h>
#define AD_HAS_HALVES
#define AD_DOT_QUARTERS
#define AD_ROUNDED_ROWS 2
#define AD_ROUNDED_PANELS 1
#define AD_ROUNDED_PANELS_OF_ONE 1
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop

const ad_kernels ad_neon = AD_KERNEL_TABLE("neon");
#endif
