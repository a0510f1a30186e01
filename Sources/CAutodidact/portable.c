// The kernels for any processor: fused multiply-adds come from fmaf where the hardware has none.
#include "kernels.inc"

const ad_kernels ad_portable = AD_KERNEL_TABLE("portable");

float ad_expf(float x) { return vexp(splat(x))[0]; }
