// Which variants exist, and which of them this processor can run.
#include "CAutodidact.h"
#include <string.h>

extern const ad_kernels ad_portable;
#if defined(__x86_64__)
extern const ad_kernels ad_avx2;
#endif

const ad_kernels *ad_kernels_named(const char *name) {
    if (strcmp(name, "portable") == 0) return &ad_portable;
#if defined(__x86_64__)
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &ad_avx2;
#endif
    return NULL;
}

const ad_kernels *ad_kernels_best(void) {
    const ad_kernels *avx2 = ad_kernels_named("avx2");
    return avx2 ? avx2 : &ad_portable;
}
