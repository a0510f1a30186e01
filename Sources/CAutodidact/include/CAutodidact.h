// The CPU kernels of Autodidact: pure functions over memory that the caller owns.
//
// No kernel allocates, starts a thread or keeps state. Every kernel exists in several variants that give the same
// bits, because each output is one fixed chain of IEEE operations (fused multiply-adds where the contract says so) and
// nothing is contracted or reordered by the compiler.
//
// Panels: a matrix W [N, K] is stored as ceil(N/16) panels of K steps of 16 outputs; element (n, k) lies at
// panel n/16, step k, lane n%16. The lanes beyond N in the last panel are zero.
//
// Coded panels hold codes with one scale and one offset for each output and group of inputs; the weight is code · scale + offset,
// rounded once. A group of a panel is 16 scales, 16 offsets (float32 or float16), and words of 16 outputs each: a word has 8 steps of 4 bits or 4 steps of 8 bits.
// Byte i of a word holds step i; of 4 bits, step i in the lower half and step i + 4 in the upper.
#ifndef CAUTODIDACT_H
#define CAUTODIDACT_H

#include <stddef.h>
#include <stdint.h>

enum { ad_lanes = 16, ad_tile_rows = 6, ad_attention_rows = 24, ad_reduction_block = 4096 };

/// Keys and values that follow each other in memory. Keys lie in panels of 16 (`[head_dim][16]` each), values in rows.
typedef struct {
    const float *keys;    // first panel of this head
    const float *values;  // first row of this head
    size_t count;         // keys; memory up to the next multiple of 16 is readable and finite
} ad_kv_run;

/// One head's attention over the keys of one sequence.
typedef struct {
    const ad_kv_run *runs;
    size_t run_count;
    size_t key_panel_stride;  // floats from one panel of 16 keys to the next
    size_t value_row_stride;  // floats from one value row to the next
    size_t head_dim;          // any; values are readable up to the next multiple of 16
    float scale;
    const int32_t *first_key;  // per query row: the first visible key index
    const int32_t *last_key;   // per query row: one past the last visible key index
    const int32_t *key_order;  // per key index, or NULL: a key is visible only if its order is below the query's limit
    const int32_t *order_limit;  // per query row, where key_order is given
    const int32_t *query_position;  // per query row: the key index that stands for the query itself
    const float *bias;         // by key index minus query position, clamped to -bias_reach...bias_reach; or NULL
    int32_t bias_reach;
    float cap;                 // scores become cap · tanh(score / cap) before any bias; 0 for none
    const float *pairs;        // per query row and key index, added to the score; or NULL
    size_t pair_row;           // floats from one row's pairs to the next
} ad_attention;

/// Activations: x·σ(x); x·Φ(x); the tanh approximation of it; x·σ(1.702 x); max(x, 0); tanh x.
typedef enum { ad_silu = 0, ad_gelu = 1, ad_gelu_tanh = 2, ad_quick_gelu = 3, ad_relu = 4, ad_tanh = 5 } ad_activation;

/// How the weights of a panel lie where they are not float32. Codes: their bits, whether they are signed, the inputs that share a scale (32; 16 for
/// the short ones), and whether scales and offsets are float16. bf16 and f16 are the weights themselves: 16 values a step.
typedef enum {
    ad_codes_u4 = 0, ad_codes_u4_half = 1, ad_codes_s4_half = 2, ad_codes_s8 = 3, ad_codes_s8_half = 4, ad_codes_s8_short = 5, ad_bf16 = 6, ad_f16 = 7
} ad_code_format;
enum { ad_coded_rows = 4, ad_chain_steps = 512 };

static inline size_t ad_code_bits(ad_code_format format) { return format <= ad_codes_s4_half ? 4 : format <= ad_codes_s8_short ? 8 : 16; }
static inline int ad_code_has_halves(ad_code_format format) { return format == ad_codes_u4_half || format == ad_codes_s4_half || format == ad_codes_s8_half; }
/// Inputs that share a scale, and the bytes that such a group of a panel takes.
static inline size_t ad_code_group(ad_code_format format) { return format >= ad_bf16 ? 1 : format == ad_codes_s8_short ? 16 : 32; }
static inline size_t ad_code_factor_bytes(ad_code_format format) { return format >= ad_bf16 ? 0 : ad_code_has_halves(format) ? 64 : 128; }
static inline size_t ad_code_group_bytes(ad_code_format format) { return ad_code_factor_bytes(format) + ad_code_group(format) * ad_code_bits(format) * 2; }

/// Rows whose values are rounded to 8 bits: in blocks of 32 inputs, value = code · scale. Sums are of the codes of 16 inputs each.
typedef struct {
    const int8_t *values;
    const float *scales;
    const int32_t *sums;
    size_t rows, inputs;
} ad_rounded_rows;

typedef struct {
    float learning_rate, beta1, beta2, epsilon, decay;
    float correction1, correction2;  // 1 - beta^t
    float gradient_scale;
} ad_adamw_step;

// What a product does with what its output holds: overwrites it, continues every chain from it, or adds the finished chains to it.
enum { ad_overwrite = 0, ad_continue = 1, ad_add = 2 };

// Swift may hand a table from thread to thread: it is never written.
typedef struct __attribute__((swift_attr("@Sendable"))) {
    const char *name;

    // c[r][0..<columns] = Σ_k a[r][k] · b[k][0..<columns], one chain of fused multiply-adds per element in increasing k, from +0 or, with
    // ad_continue, from c; with ad_add it starts from +0 and c is added at the end.
    // a at r·a_row + k·a_step; columns p·16 ..< p·16 + 16 of b at p·b_panel + k·b_step, readable 16 wide; the same columns of c
    // at p·c_panel + r·c_row.
    void (*matmul)(float *c, size_t c_row, size_t c_panel, const float *a, size_t a_row, size_t a_step, const float *b, size_t b_step, size_t b_panel,
                   size_t rows, size_t columns, size_t steps, int mode);

    // c = a bᵀ for at most 4 rows and b in `groups` coded groups, whose panels lie b_panel bytes apart: the chains of every ad_chain_steps
    // steps, added in order.
    void (*matmul_coded)(float *c, size_t c_row, const float *a, size_t a_row, const void *b, size_t b_panel, ad_code_format format, size_t groups,
                         size_t rows, size_t columns);
    // Rounds blocks of 32 to the nearest whole multiples of a 127th of their largest magnitude; a block that is not finite gets a scale that is not, and one
    // whose scale would be no normal number becomes 0.
    void (*round_rows)(int8_t *values, float *scales, int32_t *sums, const float *x, size_t rows, size_t n);
    // c = a bᵀ for rounded rows and b in coded groups, whose panels lie b_panel bytes apart. Each output is one chain over the groups: the scales'
    // product times the exact whole dot product of codes, then offset times the sum of a's group. A bf16 or f16 panel is none.
    void (*matmul_rounded)(float *c, size_t c_row, const ad_rounded_rows *a, const void *b, size_t b_panel, ad_code_format format, size_t columns);
    // The nearest values of bfloat16, ties to even; what is not a number stays none.
    void (*round_brains)(uint16_t *y, const float *x, size_t n);
    void (*expand_brains)(float *y, const uint16_t *x, size_t n);
    // panel[k][lane] of coded groups.
    void (*expand_panel)(float *panel, const void *codes, ad_code_format format, size_t groups);

    // y = x / sqrt(mean(x²) + epsilon) · w, a row at a time.
    void (*rms_norm)(float *y, const float *x, const float *w, size_t rows, size_t n, float epsilon);
    // dx = the gradient of x; scales[r] = 1 / sqrt(mean(x²) + epsilon).
    void (*rms_norm_backward)(float *dx, float *scales, const float *dy, const float *x, const float *w, size_t rows, size_t n, float epsilon);
    // dw[c] += Σ_r dy[r][c] · (x[r][c] - means[r]) · scales[r] in increasing r, for columns from ..< to; means may be NULL.
    void (*norm_weight_backward)(float *dw, const float *dy, const float *x, const float *means, const float *scales, size_t rows, size_t n, size_t from, size_t to);
    void (*layer_norm)(float *y, const float *x, const float *w, const float *b, size_t rows, size_t n, float epsilon);
    void (*layer_norm_backward)(float *dx, float *means, float *scales, const float *dy, const float *x, const float *w, size_t rows, size_t n, float epsilon);
    // db[c] += Σ_r dy[r][c] in increasing r, for columns from ..< to.
    void (*column_sums)(float *db, const float *dy, size_t rows, size_t n, size_t from, size_t to);

    // Rotates pairs of the first `rotated` of head_dim entries. cosines, sines: [rows][rotated/2]; direction +1 or -1.
    void (*rotate)(float *y, const float *x, const float *cosines, const float *sines, size_t rows, size_t heads, size_t head_dim,
                   size_t rotated, int interleaved, float direction);

    void (*add)(float *y, const float *a, const float *b, size_t n);
    void (*multiply)(float *y, const float *a, const float *b, size_t n);
    void (*scale)(float *y, const float *x, float factor, size_t n);
    void (*exponential)(float *y, const float *x, size_t n);
    void (*activate)(ad_activation kind, float *y, const float *x, size_t n);
    void (*activate_backward)(ad_activation kind, float *dx, const float *dy, const float *x, size_t n);
    // y = activation(gate) · up.
    void (*gated)(ad_activation kind, float *y, const float *gate, const float *up, size_t n);
    void (*gated_backward)(ad_activation kind, float *dgate, float *dup, const float *dy, const float *gate, const float *up, size_t n);

    // The law softmax(logits / temperature): its log-sum-exp (maximum first, then the 16-lane sum).
    float (*log_sum_exp)(const float *logits, size_t n, float temperature);
    // Entropy in nats, given the log-sum-exp at temperature 1.
    float (*entropy)(const float *logits, size_t n, float log_sum_exp);
    // In place: logits become the gradient a·(onehot(target) - p) - e·p·(log p + entropy); target < 0 means none.
    void (*head_backward)(float *logits, size_t n, int32_t target, float a, float e, float log_sum_exp, float entropy);
    size_t (*argmax)(const float *x, size_t n);

    // out rows of one head: softmax over visible keys. rows ≤ 24; strip holds 24 · padded keys.
    void (*attention)(float *out, size_t out_row, const float *q, size_t q_row, size_t rows, const ad_attention *a, float *strip);
    // One run only. Adds to dkeys, dvalues [keys][16·ceil(head_dim/16)] query after query; values_transposed: panels as keys.
    // dq rows are written, and dpairs, laid out as pairs, where the rows see keys. dbias (2·reach+1) or NULL. strip holds
    // 3 · 24 · padded keys + 2 · 24 · padded head_dim.
    void (*attention_backward)(float *dq, size_t dq_row, float *dkeys, float *dvalues, float *dbias, float *dpairs, const float *q, size_t q_row,
                               const float *out, size_t out_row, const float *dout, size_t dout_row, size_t rows, const float *key_rows,
                               const float *values_transposed, const ad_attention *a, float *strip);

    // AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) as PyTorch writes it.
    void (*adamw)(float *parameters, float *first, float *second, const float *gradients, size_t n, const ad_adamw_step *step);
    // Σ x² in 16 lanes of Double, joined as those of Float are; one block of at most 4,096.
    double (*sum_of_squares)(const float *x, size_t n);

    // Panels of 16 outputs: panel[k][lane] = rows[lane][k]; lanes ≥ count become 0. rows lie row_stride apart.
    void (*pack_panel)(float *panel, const float *rows, size_t row_stride, size_t count, size_t steps);
    void (*unpack_panel)(float *rows, size_t row_stride, const float *panel, size_t count, size_t steps);
    // strips[column / 16][row][lane] = rows[row][column], strips strip_stride apart; lanes beyond `columns` become 0.
    void (*copy_strips)(float *strips, size_t strip_stride, const float *rows, size_t row_stride, size_t count, size_t columns);
} ad_kernels;

/// Tells the processor that this thread waits in a loop.
static inline void ad_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __builtin_arm_isb(15);
#endif
}

/// The kernels called `name` ("portable", "avx2", "avx2vnni", "avx512", "avx512vnni", "neon"), or NULL when this processor cannot run them.
const ad_kernels *ad_kernels_named(const char *name);
/// The fastest proven variant of this processor.
const ad_kernels *ad_kernels_best(void);
/// Whether a machine of ours has run them; others must be asked for, and compared with the portable ones first.
int ad_kernels_are_proven(const ad_kernels *kernels);
/// A hash over what all kernels make of fixed inputs, the same for all variants.
uint64_t ad_kernels_digest(const ad_kernels *kernels);

/// Elementary functions in Double, the same bits everywhere: the tables of rotary embeddings and samplers use them.
double ad_exp(double x);
double ad_log(double x);
double ad_sin(double x);
double ad_cos(double x);
/// Single precision e^x as the kernels compute it.
float ad_expf(float x);

#endif
