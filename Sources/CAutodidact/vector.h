// Eight-wide vectors for the kernels, and the functions that every kernel shares.
// Included by each variant's translation unit under its own target attribute; all inline, so nothing is shared between variants.
#ifndef VECTOR_H
#define VECTOR_H
#include "CAutodidact.h"
#include <math.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF
// Vectors are passed by value to inlined functions only: no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"

#define AD_INLINE static inline __attribute__((always_inline))

typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef uint32_t u8 __attribute__((vector_size(32)));

AD_INLINE f8 load8(const float *p) { f8 v; memcpy(&v, p, sizeof v); return v; }
AD_INLINE void store8(float *p, f8 v) { memcpy(p, &v, sizeof v); }
AD_INLINE u8 load_words(const void *p) { u8 v; memcpy(&v, p, sizeof v); return v; }
AD_INLINE f8 load_some(const float *p, size_t n) { f8 v = {0}; memcpy(&v, p, n * sizeof(float)); return v; }
AD_INLINE void store_some(float *p, f8 v, size_t n) { memcpy(p, &v, n * sizeof(float)); }
AD_INLINE f8 splat(float x) { return (f8){x, x, x, x, x, x, x, x}; }
AD_INLINE f8 fma8(f8 a, f8 b, f8 c) { return __builtin_elementwise_fma(a, b, c); }
// Lanes of a where the mask is set, of b elsewhere.
AD_INLINE f8 pick(i8 mask, f8 a, f8 b) { return (f8)((mask & (i8)a) | (~mask & (i8)b)); }
AD_INLINE f8 larger(f8 a, f8 b) { return pick(a > b, a, b); }

// The fixed tree that joins 16 lanes.
AD_INLINE float join(f8 low, f8 high) {
    f8 s = low + high;
    float a = s[0] + s[4], b = s[1] + s[5], c = s[2] + s[6], d = s[3] + s[7];
    return (a + c) + (b + d);
}

AD_INLINE float largest(const float *x, size_t n) {
    f8 m = splat(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) m = larger(load8(x + i), m);
    float best = m[0];
    for (int j = 1; j < 8; j++) best = m[j] > best ? m[j] : best;
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

// e^x within 1 ulp; 0 below -103.98, +∞ above 88.73, NaN stays NaN.
// n = round(x / ln 2); r = x - n ln 2 in two steps; a polynomial of degree 6 in r; scaled by 2^n in two factors so that
// subnormal results are rounded once.
AD_INLINE f8 exp8(f8 x) {
    const f8 magic = splat(12582912.0f);
    f8 clamped = pick(x > splat(89.0f), splat(89.0f), x);
    clamped = pick(clamped < splat(-105.0f), splat(-105.0f), clamped);
    f8 n = fma8(clamped, splat(1.44269504088896341f), magic) - magic;
    f8 r = fma8(n, splat(-0.693359375f), clamped);
    r = fma8(n, splat(2.12194440e-4f), r);
    f8 p = splat(1.9875691500e-4f);
    p = fma8(p, r, splat(1.3981999507e-3f));
    p = fma8(p, r, splat(8.3334519073e-3f));
    p = fma8(p, r, splat(4.1665795894e-2f));
    p = fma8(p, r, splat(1.6666665459e-1f));
    p = fma8(p, r, splat(5.0000001201e-1f));
    p = fma8(p, r * r, r) + splat(1.0f);
    i8 whole = __builtin_convertvector(pick(n == n, n, splat(0)), i8);
    i8 half = whole >> 1;
    f8 first = (f8)((half + 127) << 23), second = (f8)((whole - half + 127) << 23);
    return p * first * second;
}

AD_INLINE f8 sigmoid8(f8 x) { return splat(1.0f) / (splat(1.0f) + exp8(-x)); }

#endif
