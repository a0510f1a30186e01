// Elementary functions in Double from additions, multiplications and fma alone, so that no C library decides our bits.
#include "CAutodidact.h"
#include <math.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

static const double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;

double ad_exp(double x) {
    if (x != x) return x;
    if (x > 709.79) return INFINITY;
    if (x < -745.2) return 0;
    double n = (x * 1.4426950408889634074 + 0x1.8p52) - 0x1.8p52;
    double r = fma(-n, ln2_low, fma(-n, ln2_high, x));
    // Taylor series: |r| ≤ 0.347, so the 14th term is below 1e-17.
    double p = 1;
    for (int i = 14; i > 0; i--) p = fma(p, r / i, 1);
    int whole = (int)n, half = whole / 2;
    uint64_t a = (uint64_t)(half + 1023) << 52, b = (uint64_t)(whole - half + 1023) << 52;
    double first, second;
    memcpy(&first, &a, 8);
    memcpy(&second, &b, 8);
    return p * first * second;
}

double ad_log(double x) {
    if (x != x || x < 0) return NAN;
    if (x == 0) return -INFINITY;
    if (x == INFINITY) return x;
    int shift = 0;
    if (x < 0x1p-1022) { x *= 0x1p54; shift = -54; }
    uint64_t bits;
    memcpy(&bits, &x, 8);
    int exponent = (int)(bits >> 52) - 1023 + shift;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 1.4142135623730951) { m *= 0.5; exponent += 1; }
    // log m = 2 artanh(z), |z| ≤ 0.172.
    double z = (m - 1) / (m + 1), w = z * z, s = 0;
    for (int i = 23; i > 1; i -= 2) s = fma(s, w, 1.0 / i);
    double tail = 2 * z * (w * s);
    return fma(exponent, ln2_high, 2 * z + (tail + exponent * ln2_low));
}

// x - n π/2 with π/2 in three parts; exact enough for |x| below 10⁷.
static double reduced(double x, int *quadrant) {
    double n = (x * 0.63661977236758134308 + 0x1.8p52) - 0x1.8p52;
    double r = fma(-n, 0x1.921fb54442d18p0, x);
    r = fma(-n, 0x1.1a62633145c07p-54, r);
    r = fma(-n, -0x1.f1976b7ed8fbcp-110, r);
    *quadrant = (int)((int64_t)n & 3);
    return r;
}

static double sine_series(double r) {
    double w = -r * r, s = 1;
    for (int i = 20; i > 0; i -= 2) s = fma(s, w / (i * (i + 1)), 1);
    return s * r;
}

static double cosine_series(double r) {
    double w = -r * r, s = 1;
    for (int i = 19; i > 0; i -= 2) s = fma(s, w / (i * (i + 1)), 1);
    return s;
}

double ad_sin(double x) {
    int q;
    double r = reduced(x, &q);
    double v = q & 1 ? cosine_series(r) : sine_series(r);
    return q & 2 ? -v : v;
}

double ad_cos(double x) {
    int q;
    double r = reduced(x, &q);
    double v = q & 1 ? sine_series(r) : cosine_series(r);
    return q == 1 || q == 2 ? -v : v;
}
