// A hash over what every kernel of a table makes of the same inputs: variants that give each other's bits have the same one.
#include "CAutodidact.h"
#include <math.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

enum { rows = 7, inputs = 96, outputs = 83, panels = 6, keys = 40, padded_keys = 48, head = 20, padded_head = 32 };

typedef struct { uint64_t state; } stream;

// Values in -1 ..< 1.
static float next(stream *s) {
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(s->state >> 40 & 0xffffff) * 0x1p-23f - 1.0f;
}

static void fill(float *x, size_t n, uint64_t seed) {
    stream s = {seed};
    for (size_t i = 0; i < n; i++) x[i] = next(&s);
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

// Whatever is not a number counts alike: processors give it different signs.
static uint64_t hash_floats(uint64_t hash, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float value = x[i] == x[i] ? x[i] : NAN;
        hash = hash_bytes(hash, &value, sizeof value);
    }
    return hash;
}

static uint64_t products(const ad_kernels *k, uint64_t hash) {
    float a[rows * inputs], b[panels * inputs * 16], c[rows * panels * 16];
    fill(a, rows * inputs, 1);
    fill(b, panels * inputs * 16, 2);
    for (int mode = ad_overwrite; mode <= ad_add; mode++) {
        fill(c, rows * panels * 16, 3);
        k->matmul(c, panels * 16, 16, a, inputs, 1, b, 16, inputs * 16, rows, outputs, inputs, mode);
        hash = hash_floats(hash, c, rows * panels * 16);
    }

    // A block so small that nothing is left of it, and one that is not finite.
    a[3] = 1e-38f;
    for (int i = 0; i < 32; i++) if (i != 3) a[i] = 0;
    a[inputs + 40] = INFINITY;
    int8_t values[rows * inputs];
    float scales[rows * inputs / 32];
    int32_t sums[rows * inputs / 16];
    k->round_rows(values, scales, sums, a, rows, inputs);
    hash = hash_bytes(hash_floats(hash_bytes(hash, values, sizeof values), scales, rows * inputs / 32), sums, sizeof sums);
    for (int format = ad_codes_u4; format <= ad_f16; format++) {
        size_t groups = inputs / ad_code_group(format), panel = groups * ad_code_group_bytes(format);
        uint8_t codes[panels * inputs * 64];
        stream s = {7 + (uint64_t)format};
        for (size_t i = 0; i < panels * panel; i++) codes[i] = (uint8_t)((next(&s) + 1) * 128);
        // Factors and 16-bit values that are finite: small exponents.
        for (size_t p = 0; p < panels * groups; p++) {
            uint8_t *group = codes + p * ad_code_group_bytes(format);
            size_t bytes = format >= ad_bf16 ? 32 : ad_code_factor_bytes(format), size = format >= ad_bf16 || ad_code_has_halves(format) ? 2 : 4;
            for (size_t i = size - 1; i < bytes; i += size) group[i] = (group[i] & 0x80) | (0x30 + (group[i] & 7));
        }
        a[inputs + 40] = 1;
        k->matmul_coded(c, panels * 16, a, inputs, codes, panel, format, groups, 4, outputs);
        hash = hash_floats(hash, c, 4 * panels * 16);
        float expanded[inputs * 16];
        k->expand_panel(expanded, codes, format, groups);
        hash = hash_floats(hash, expanded, inputs * 16);
        if (format >= ad_bf16) continue;
        for (int r = 1; r <= rows; r++) {
            ad_rounded_rows rounded = {values, scales, sums, (size_t)r, inputs};
            k->matmul_rounded(c, panels * 16, &rounded, codes, panel, format, outputs);
            for (int i = 0; i < r; i++) hash = hash_floats(hash, c + i * panels * 16, outputs);
        }
    }

    uint16_t brains[rows * inputs];
    k->round_brains(brains, a, rows * inputs);
    k->expand_brains(b, brains, rows * inputs);
    hash = hash_floats(hash_bytes(hash, brains, sizeof brains), b, rows * inputs);
    float strips[6 * rows * 16];
    k->pack_panel(b, a, inputs, rows, inputs);
    k->unpack_panel(c, inputs, b, rows, inputs);
    k->copy_strips(strips, rows * 16, a, inputs, rows, outputs);
    return hash_floats(hash_floats(hash_floats(hash, b, inputs * 16), c, rows * inputs), strips, 6 * rows * 16);
}

static uint64_t row_functions(const ad_kernels *k, uint64_t hash) {
    enum { n = outputs, all = rows * outputs };
    float x[all], dy[all], w[n], b[n], y[all], z[all], s[rows], m[rows], dw[n];
    fill(x, all, 4);
    fill(dy, all, 5);
    fill(w, n, 6);
    fill(b, n, 7);
    fill(dw, n, 8);
#define TAKE(values, count) hash = hash_floats(hash, values, count)
    k->rms_norm(y, x, w, rows, n, 1e-5f); TAKE(y, all);
    k->rms_norm_backward(y, s, dy, x, w, rows, n, 1e-5f); TAKE(y, all); TAKE(s, rows);
    k->norm_weight_backward(dw, dy, x, NULL, s, rows, n, 0, n); TAKE(dw, n);
    k->layer_norm(y, x, w, b, rows, n, 1e-5f); TAKE(y, all);
    k->layer_norm_backward(y, m, s, dy, x, w, rows, n, 1e-5f); TAKE(y, all); TAKE(m, rows); TAKE(s, rows);
    k->norm_weight_backward(dw, dy, x, m, s, rows, n, 0, n); TAKE(dw, n);
    k->column_sums(dw, dy, rows, n, 0, n); TAKE(dw, n);
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        k->rotate(y, x, w, b, 4, 3, 24, 20, interleaved, -1);
        TAKE(y, 4 * 3 * 24);
    }
    k->add(y, x, dy, all); TAKE(y, all);
    k->multiply(y, x, dy, all); TAKE(y, all);
    k->scale(y, x, 0.7f, all); TAKE(y, all);
    k->exponential(y, x, all); TAKE(y, all);
    for (ad_activation kind = ad_silu; kind <= ad_tanh; kind++) {
        k->activate(kind, y, x, all); TAKE(y, all);
        k->activate_backward(kind, y, dy, x, all); TAKE(y, all);
        k->gated(kind, y, x, dy, all); TAKE(y, all);
        k->gated_backward(kind, y, z, dy, x, dy, all); TAKE(y, all); TAKE(z, all);
    }
    float law[2] = {k->log_sum_exp(x, all, 0.7f), 0};
    law[1] = k->entropy(x, all, law[0]);
    TAKE(law, 2);
    memcpy(y, x, sizeof y);
    k->head_backward(y, all, 5, 0.3f, 0.2f, law[0], law[1]); TAKE(y, all);
    size_t best = k->argmax(x, all);
    double squares = k->sum_of_squares(x, all);
    hash = hash_bytes(hash_bytes(hash, &squares, sizeof squares), &best, sizeof best);
    memcpy(y, x, sizeof y);
    memset(z, 0, sizeof z);
    for (int i = 0; i < all; i++) x[i] = x[i] * x[i];
    ad_adamw_step step = {1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.1f, 0.01f, 0.5f};
    k->adamw(y, z, x, dy, all, &step); TAKE(y, all); TAKE(z, all); TAKE(x, all);
    return hash;
}

static uint64_t attention(const ad_kernels *k, uint64_t hash) {
    float q[rows * head], key_panels[padded_keys * head], value_rows[padded_keys * padded_head], key_rows[padded_keys * padded_head], value_panels[padded_keys * head];
    float out[rows * head], dout[rows * head], dq[rows * head], dk[padded_keys * padded_head], dv[padded_keys * padded_head], bias[17], dbias[17] = {0};
    float pairs[rows * keys], dpairs[rows * keys] = {0};
    float strip[3 * ad_attention_rows * padded_keys + 2 * ad_attention_rows * padded_head];
    fill(q, rows * head, 9);
    fill(dout, rows * head, 10);
    fill(bias, 17, 11);
    fill(pairs, rows * keys, 13);
    memset(key_panels, 0, sizeof key_panels);
    memset(value_panels, 0, sizeof value_panels);
    memset(key_rows, 0, sizeof key_rows);
    memset(value_rows, 0, sizeof value_rows);
    memset(dk, 0, sizeof dk);
    memset(dv, 0, sizeof dv);
    stream s = {12};
    for (int key = 0; key < keys; key++)
        for (int d = 0; d < head; d++) {
            float a = next(&s), b = next(&s);
            key_rows[key * padded_head + d] = key_panels[key / 16 * 16 * head + d * 16 + key % 16] = a;
            value_rows[key * padded_head + d] = value_panels[key / 16 * 16 * head + d * 16 + key % 16] = b;
        }
    int32_t first[rows], last[rows], position[rows];
    for (int r = 0; r < rows; r++) {
        first[r] = r;
        last[r] = position[r] = keys - rows + r;
    }
    ad_kv_run run = {key_panels, value_rows, keys};
    ad_attention a = {&run, 1, 16 * head, padded_head, head, 0.3f, first, last, NULL, NULL, position, bias, 8, 1.5f, pairs, keys};
    k->attention(out, head, q, head, rows, &a, strip);
    k->attention_backward(dq, head, dk, dv, dbias, dpairs, q, head, out, head, dout, head, rows, key_rows, value_panels, &a, strip);
    TAKE(out, rows * head);
    TAKE(dq, rows * head);
    TAKE(dk, padded_keys * padded_head);
    TAKE(dv, padded_keys * padded_head);
    TAKE(dbias, 17);
    TAKE(dpairs, rows * keys);
    return hash;
}

uint64_t ad_kernels_digest(const ad_kernels *kernels) {
    return attention(kernels, row_functions(kernels, products(kernels, 0xcbf29ce484222325u)));
}
