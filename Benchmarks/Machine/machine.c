#include "Machine.h"
#include <string.h>

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2,fma")))
#else
#define WIDE
#endif
#pragma clang diagnostic ignored "-Wpsabi"
typedef float f8 __attribute__((vector_size(32)));

// Ten chains hide the latency of two units; no value leaves a register.
WIDE double machine_multiply_add(size_t rounds) {
    f8 sums[10], factor, addend;
    for (int i = 0; i < 8; i++) { factor[i] = 0.999f; addend[i] = 0.001f; }
    for (int c = 0; c < 10; c++) for (int i = 0; i < 8; i++) sums[c][i] = (float)c;
    for (size_t r = 0; r < rounds; r++) {
#pragma clang loop unroll(full)
        for (int c = 0; c < 10; c++) {
            sums[c] = __builtin_elementwise_fma(sums[c], factor, addend);
#if defined(__x86_64__)
            __asm__ volatile("" : "+x"(sums[c]));
#else
            __asm__ volatile("" ::: "memory");
#endif
        }
    }
    float total = 0;
    for (int c = 0; c < 10; c++) total += sums[c][0];
    return total > 1e30f ? 0 : 10.0 * 8 * 2 * (double)rounds;
}

WIDE float machine_read(const float *memory, size_t count) {
    f8 sums[8] = {{0}};
    for (size_t at = 0; at + 64 <= count; at += 64)
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) {
            f8 values;
            memcpy(&values, memory + at + 8 * i, sizeof values);
            sums[i] += values;
        }
    float total = 0;
    for (int i = 0; i < 8; i++) total += sums[i][0];
    return total;
}
