// Which variants exist, and which of them this processor can run.
#include "CAutodidact.h"
#include <string.h>

extern const ad_kernels ad_portable;
#if defined(__aarch64__)
extern const ad_kernels ad_neon;
#if defined(__linux__)
#include <sys/auxv.h>
static int has_byte_products(void) { return getauxval(AT_HWCAP) >> 20 & 1; }  // HWCAP_ASIMDDP
#else
static int has_byte_products(void) { return 1; }  // every Mac
#endif
#endif
#if defined(__x86_64__)
extern const ad_kernels ad_avx2, ad_avx2vnni, ad_avx512, ad_avx512vnni;
#endif

const ad_kernels *ad_kernels_named(const char *name) {
    if (strcmp(name, "portable") == 0) return &ad_portable;
#if defined(__x86_64__)
    int has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    int has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
                     && __builtin_cpu_supports("avx512vl");
    if (strcmp(name, "avx2") == 0 && has_avx2) return &ad_avx2;
    if (strcmp(name, "avx2vnni") == 0 && has_avx2 && __builtin_cpu_supports("avxvnni")) return &ad_avx2vnni;
    if (strcmp(name, "avx512") == 0 && has_avx512) return &ad_avx512;
    if (strcmp(name, "avx512vnni") == 0 && has_avx512 && __builtin_cpu_supports("avx512vnni")) return &ad_avx512vnni;
#endif
#if defined(__aarch64__)
    if (strcmp(name, "neon") == 0 && has_byte_products()) return &ad_neon;
#endif
    return NULL;
}

int ad_kernels_are_proven(const ad_kernels *kernels) {
#if defined(__aarch64__)
    return kernels != &ad_neon;
#else
    return 1;
#endif
}

const ad_kernels *ad_kernels_best(void) {
    const char *fastest_first[] = {"avx512vnni", "avx512", "avx2vnni", "avx2"};
    for (int i = 0; i < 4; i++) {
        const ad_kernels *kernels = ad_kernels_named(fastest_first[i]);
        if (kernels) return kernels;
    }
    return &ad_portable;
}
