#include "Machine.h"
#include <string.h>

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2,fma")))
#else
#define WIDE
#endif
#pragma clang diagnostic ignored "-Wpsabi"
typedef float f8 __attribute__((vector_size(32)));
typedef float f16 __attribute__((vector_size(64)));
typedef float f4 __attribute__((vector_size(16)));

// Ten chains hide the latency of two units; no value leaves a register.
#define MULTIPLY_ADD(type, lanes, constraint)                                          \
    type sums[10], factor, addend;                                                     \
    for (int i = 0; i < lanes; i++) { factor[i] = 0.999f; addend[i] = 0.001f; }        \
    for (int c = 0; c < 10; c++) for (int i = 0; i < lanes; i++) sums[c][i] = (float)c; \
    for (size_t r = 0; r < rounds; r++)                                                \
        _Pragma("clang loop unroll(full)")                                             \
        for (int c = 0; c < 10; c++) {                                                 \
            sums[c] = __builtin_elementwise_fma(sums[c], factor, addend);              \
            __asm__ volatile("" : constraint(sums[c]));                                \
        }                                                                              \
    float total = 0;                                                                   \
    for (int c = 0; c < 10; c++) total += sums[c][0];                                  \
    return total > 1e30f ? 0 : 10.0 * lanes * 2 * (double)rounds;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double multiply_add_16(size_t rounds) { MULTIPLY_ADD(f16, 16, "+v") }
WIDE static double multiply_add_8(size_t rounds) { MULTIPLY_ADD(f8, 8, "+x") }
#elif defined(__aarch64__)
static double multiply_add_8(size_t rounds) { MULTIPLY_ADD(f4, 4, "+w") }
#else
#error "no multiply-add loop for this processor"
#endif

double machine_multiply_add(size_t rounds, int lanes) {
#if defined(__x86_64__)
    if (lanes == 16) return multiply_add_16(rounds);
#endif
    return multiply_add_8(rounds);
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
