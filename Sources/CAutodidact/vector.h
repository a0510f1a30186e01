// Vectors of 16 for the kernels, and the functions that every kernel shares. The compiler cuts them to what the variant's registers hold.
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

typedef float floats __attribute__((vector_size(64)));
typedef double doubles __attribute__((vector_size(128)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));

AD_INLINE floats vload(const float *p) { floats v; memcpy(&v, p, sizeof v); return v; }
AD_INLINE void vstore(float *p, floats v) { memcpy(p, &v, sizeof v); }
AD_INLINE words load_words(const void *p) { words v; memcpy(&v, p, sizeof v); return v; }
AD_INLINE floats vload_some(const float *p, size_t n) { floats v = {0}; memcpy(&v, p, n * sizeof(float)); return v; }
AD_INLINE void vstore_some(float *p, floats v, size_t n) { memcpy(p, &v, n * sizeof(float)); }
AD_INLINE floats splat(float x) { return (floats){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
AD_INLINE floats vfma(floats a, floats b, floats c) { return __builtin_elementwise_fma(a, b, c); }
// Lanes of a where the mask is set, of b elsewhere.
AD_INLINE floats pick(ints mask, floats a, floats b) { return (floats)((mask & (ints)a) | (~mask & (ints)b)); }
typedef uint16_t shorts __attribute__((vector_size(32)));

// 16 values of bfloat16.
AD_INLINE floats vload_brains(const void *p) {
    shorts v;
    memcpy(&v, p, sizeof v);
    return (floats)(__builtin_convertvector(v, words) << 16);
}

// 16 values of float16.
AD_INLINE floats vload_halves(const void *p) {
#if defined(AD_HAS_HALVES)
    typedef _Float16 halves __attribute__((vector_size(32)));
    halves v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, floats);
#else
    shorts v;
    memcpy(&v, p, sizeof v);
    words h = __builtin_convertvector(v, words), sign = (h & 0x8000) << 16, size = h & 0x7fff;
    floats normal = (floats)((size << 13) + (112u << 23)), small = __builtin_convertvector((ints)size, floats) * splat(0x1p-24f);
    floats value = pick((ints)size < 0x400, small, pick((ints)size < 0x7c00, normal, (floats)((size << 13) | 0x7f800000)));
    return (floats)((words)value | sign);
#endif
}
AD_INLINE floats larger(floats a, floats b) { return pick(a > b, a, b); }

// Adds to each sum the products of its four bytes of w and of x, which is signed: exactly, in any order. Where bytes of w are signed, the product
// is that of w + signed_bytes_bias.
#if defined(AD_DOT_BYTES)
enum { signed_bytes_bias = 128 };
AD_INLINE ints dot_bytes(ints sums, words w, words x, const int is_signed) { return AD_DOT_BYTES(sums, is_signed ? w ^ 0x80808080u : w, x); }
#elif defined(AD_DOT_QUARTERS)
enum { signed_bytes_bias = 0 };
AD_INLINE ints dot_bytes(ints sums, words w, words x, const int is_signed) {
    // Bytes that are not signed are at most 15.
    int32x4_t s[4];
    int8x16_t a[4], b[4];
    memcpy(s, &sums, sizeof s);
    memcpy(a, &w, sizeof a);
    memcpy(b, &x, sizeof b);
    for (int i = 0; i < 4; i++) s[i] = vdotq_s32(s[i], a[i], b[i]);
    memcpy(&sums, s, sizeof s);
    return sums;
}
#elif defined(AD_DOT_HALVES)
#if defined(AD_HAS_VNNI)
enum { signed_bytes_bias = 128 };
AD_INLINE __m256i dot_half(__m256i sums, __m256i w, __m256i x, const int is_signed) {
    return _mm256_dpbusd_avx_epi32(sums, is_signed ? _mm256_xor_si256(w, _mm256_set1_epi8(-128)) : w, x);
}
#else
enum { signed_bytes_bias = 0 };
AD_INLINE __m256i dot_half(__m256i sums, __m256i w, __m256i x, const int is_signed) {
    // Sums of two products fit in 16 bits: |w| ≤ 128, or ≤ 15 where w is unsigned, and |x| ≤ 127.
    __m256i pairs = is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif
AD_INLINE ints dot_bytes(ints sums, words w, words x, const int is_signed) {
    __m256i s[2], a[2], b[2];
    memcpy(s, &sums, sizeof s);
    memcpy(a, &w, sizeof a);
    memcpy(b, &x, sizeof b);
    for (int i = 0; i < 2; i++) s[i] = dot_half(s[i], a[i], b[i], is_signed);
    memcpy(&sums, s, sizeof s);
    return sums;
}
#else
enum { signed_bytes_bias = 0 };
AD_INLINE ints dot_bytes(ints sums, words w, words x, const int is_signed) {
    for (int i = 0; i < 32; i += 8) {
        ints a = is_signed ? (ints)(w << (24 - i)) >> 24 : (ints)(w >> i & 255);
        sums += a * ((ints)(x << (24 - i)) >> 24);
    }
    return sums;
}
#endif

// The fixed tree that joins 16 lanes.
AD_INLINE float join(floats v) {
    float s[8];
    for (int i = 0; i < 8; i++) s[i] = v[i] + v[i + 8];
    float a = s[0] + s[4], b = s[1] + s[5], c = s[2] + s[6], d = s[3] + s[7];
    return (a + c) + (b + d);
}

AD_INLINE float largest(const float *x, size_t n) {
    floats m = splat(-INFINITY);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) m = larger(vload(x + i), m);
    float best = m[0];
    for (int j = 1; j < 16; j++) best = m[j] > best ? m[j] : best;
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

// e^x within 1 ulp; 0 below -103.98, +∞ above 88.73, NaN stays NaN.
// n = round(x / ln 2); r = x - n ln 2 in two steps; a polynomial of degree 6 in r; scaled by 2^n in two factors so that
// subnormal results are rounded once.
AD_INLINE floats vexp(floats x) {
    const floats magic = splat(12582912.0f);
    floats clamped = pick(x > splat(89.0f), splat(89.0f), x);
    clamped = pick(clamped < splat(-105.0f), splat(-105.0f), clamped);
    floats n = vfma(clamped, splat(1.44269504088896341f), magic) - magic;
    floats r = vfma(n, splat(-0.693359375f), clamped);
    r = vfma(n, splat(2.12194440e-4f), r);
    floats p = splat(1.9875691500e-4f);
    p = vfma(p, r, splat(1.3981999507e-3f));
    p = vfma(p, r, splat(8.3334519073e-3f));
    p = vfma(p, r, splat(4.1665795894e-2f));
    p = vfma(p, r, splat(1.6666665459e-1f));
    p = vfma(p, r, splat(5.0000001201e-1f));
    p = vfma(p, r * r, r) + splat(1.0f);
    ints whole = __builtin_convertvector(pick(n == n, n, splat(0)), ints);
    ints half = whole >> 1;
    floats first = (floats)((half + 127) << 23), second = (floats)((whole - half + 127) << 23);
    return p * first * second;
}

AD_INLINE floats vsigmoid(floats x) { return splat(1.0f) / (splat(1.0f) + vexp(-x)); }

AD_INLINE floats vabs(floats x) { return (floats)((ints)x & 0x7fffffff); }
// The magnitude of a under the sign of b.
AD_INLINE floats with_sign(floats a, floats b) { return (floats)(((ints)a & 0x7fffffff) | ((ints)b & (int32_t)0x80000000)); }

// tanh x within 2 ulp: a polynomial in x² below 5/8 fitted for the smallest largest error, 1 - 2 / (e^2x + 1) above.
AD_INLINE floats vtanh(floats x) {
    floats size = vabs(x), s = x * x;
    floats p = splat(-6.113188341e-3f);
    p = vfma(p, s, splat(2.1010078489e-2f));
    p = vfma(p, s, splat(-5.3854070603e-2f));
    p = vfma(p, s, splat(1.33327946066e-1f));
    p = vfma(p, s, splat(-3.33333283662e-1f));
    floats small = vfma(p * s, x, x), large = splat(1.0f) - splat(2.0f) / (vexp(size + size) + splat(1.0f));
    return pick(size < splat(0.625f), small, with_sign(large, x));
}

// erf x within 2 ulp: x + x g(x²) below 1, 1 - e^h(|x|) above, both polynomials fitted for the smallest largest error.
AD_INLINE floats verf(floats x) {
    floats size = vabs(x), s = x * x;
    floats g = splat(7.889119297e-5f);
    g = vfma(g, s, splat(-8.020841051e-4f));
    g = vfma(g, s, splat(5.189535208e-3f));
    g = vfma(g, s, splat(-2.6854444295e-2f));
    g = vfma(g, s, splat(1.12836003304e-1f));
    g = vfma(g, s, splat(-3.76126259565e-1f));
    g = vfma(g, s, splat(1.28379166126e-1f));
    floats t = pick(size < splat(4.0f), size, splat(4.0f));
    floats h = splat(-2.1686850232e-5f);
    h = vfma(h, t, splat(4.4133636402e-4f));
    h = vfma(h, t, splat(-4.2045619339e-3f));
    h = vfma(h, t, splat(2.52082571387e-2f));
    h = vfma(h, t, splat(-1.08418576419e-1f));
    h = vfma(h, t, splat(-6.33219897747e-1f));
    h = vfma(h, t, splat(-1.12957847118f));
    h = vfma(h, t, splat(1.88040226931e-4f));
    floats value = pick(size < splat(1.0f), vfma(g, x, x), with_sign(splat(1.0f) - vexp(h), x));
    return pick(x == x, value, x);
}

// What an activation makes of x, and its slope there.
AD_INLINE floats activated(const ad_activation kind, floats x) {
    switch (kind) {
    case ad_silu: return x * vsigmoid(x);
    case ad_gelu: return splat(0.5f) * x * (splat(1.0f) + verf(x * splat(0.70710678118654752f)));
    case ad_gelu_tanh: return splat(0.5f) * x * (splat(1.0f) + vtanh(splat(0.79788456080286536f) * vfma(x * x * x, splat(0.044715f), x)));
    case ad_quick_gelu: return x * vsigmoid(splat(1.702f) * x);
    case ad_relu: return pick(x < splat(0), splat(0), x);
    case ad_tanh: return vtanh(x);
    }
}

AD_INLINE floats activation_slope(const ad_activation kind, floats x) {
    switch (kind) {
    case ad_silu: {
        floats s = vsigmoid(x);
        return s * (splat(1.0f) + x * (splat(1.0f) - s));
    }
    case ad_gelu: {
        floats density = splat(0.39894228040143268f) * vexp(splat(-0.5f) * x * x);
        return vfma(x, density, splat(0.5f) * (splat(1.0f) + verf(x * splat(0.70710678118654752f))));
    }
    case ad_gelu_tanh: {
        floats t = vtanh(splat(0.79788456080286536f) * vfma(x * x * x, splat(0.044715f), x));
        floats inner = splat(0.79788456080286536f) * vfma(x * x, splat(0.134145f), splat(1.0f));
        return splat(0.5f) * (splat(1.0f) + t) + splat(0.5f) * x * (splat(1.0f) - t * t) * inner;
    }
    case ad_quick_gelu: {
        floats s = vsigmoid(splat(1.702f) * x);
        return s * (splat(1.0f) + splat(1.702f) * x * (splat(1.0f) - s));
    }
    case ad_relu: return pick(x > splat(0), splat(1.0f), splat(0));
    case ad_tanh: {
        floats t = vtanh(x);
        return splat(1.0f) - t * t;
    }
    }
}

#endif
