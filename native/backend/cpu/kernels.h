// The inner kernels that exist once per instruction set. A kernel is single-threaded, knows no tensors, and checks
// nothing; threads, blocking and shapes are the callers' work (linear.cpp, norms.cpp, ...).
// Included by files compiled with AVX flags: declarations only.
#pragma once

#include <cstdint>

#include "backend/adamw_step.h"
#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/head_kernels.h"

namespace ajet::cpu {

// C[rows, cols] = A[rows, depth] · B[depth, cols], one chain of fused multiply-adds over ascending depth for each
// element, started from 0, or from C where `accumulate`: cutting depth into blocks does not change a bit.
struct GemmBlock {
  // gemm: element (r, t) at r * a_row_stride + (t / 16) * a_step_stride + t % 16
  // gemm_strips: strips of w = a_step_stride <= gemm_tile_rows rows, packed by pack_strips: element (r, t) at
  // (r / w) * a_row_stride + t * w + r % w
  const float* a;
  int64_t a_row_stride;
  int64_t a_step_stride;
  // Panels: element (t, 16p + j) at p * b_panel_stride + 16t + j
  const float* b;
  int64_t b_panel_stride;
  // Element (r, 16p + j) at r * c_row_stride + p * c_panel_stride + j
  float* c;
  int64_t c_row_stride;
  int64_t c_panel_stride;
  int64_t rows;
  int64_t cols;
  int64_t depth;
  bool accumulate;
  const float* bias;  // [cols], added to the finished chain; may be null
  float* packed_a;    // gemm: gemm_packed_floats(rows, depth) floats of scratch
};

static constexpr int64_t gemm_packed_floats(int64_t rows, int64_t depth) { return rows * ((depth + 15) / 16 * 16); }

struct Kernels {
  const char* isa;

  // ---- gemm_kernels.cpp (fill_gemm) ----
  int64_t gemm_tile_rows;  // rows of C that one register tile holds
  void (*gemm)(const GemmBlock& block);
  void (*gemm_strips)(const GemmBlock& block);
  // packed[strip][t][r] = source[t * stride + strip * width + r], zero beyond the last of the cols; t < depth,
  // r < width <= 16
  void (*pack_strips)(float* packed, const float* source, int64_t stride, int64_t cols, int64_t width, int64_t depth);

  // ---- transpose_kernels.cpp (fill_transpose) ----
  // panel[c][r] = source[r * stride + c], r < rows <= 16; the other lanes become 0
  void (*rows_to_panel)(float* panel, const float* source, int64_t stride, int64_t rows, int64_t cols);
  // target[r * stride + c] (+)= panel[c][r], r < rows <= 16
  void (*panel_to_rows)(float* target, int64_t stride, const float* panel, int64_t rows, int64_t cols, bool accumulate);

  // ---- norms_kernels.cpp (fill_norms): the groups of one row ----
  void (*rmsnorm)(float* y, const float* x, const float* weight, int64_t groups, int64_t width, float eps);
  // dx (+)= ..., dweight += ...; dx may be dy when accumulate is false
  void (*rmsnorm_backward)(float* dx, float* dweight, const float* dy, const float* x, const float* weight,
                           int64_t groups, int64_t width, float eps, bool accumulate);

  // ---- elementwise_kernels.cpp (fill_elementwise): one row ----
  void (*swiglu)(float* y, const float* gate, const float* up, int64_t n);
  void (*swiglu_backward)(float* dgate, float* dup, float* y, const float* dy, const float* gate, const float* up,
                          int64_t n);
  // In place; direction 1 turns forward, -1 back.
  void (*rope)(float* x, int64_t heads, int64_t half, const float* cosines, const float* sines, float direction);
  void (*add)(float* y, const float* x, int64_t n);

  // ---- attention_kernels.cpp (fill_attention): scratch as attention_kernels.h says ----
  void (*attention)(const AttentionTile& tile, float* scratch);
  void (*attention_backward)(const AttentionBackwardTile& tile, float* scratch);

  // ---- head_kernels.cpp (fill_head): one row of logits ----
  void (*log_sum_exp)(float* lse, float* entropy, const float* logits, int64_t n, float inverse_temperature);
  void (*softmax)(float* p, const float* logits, int64_t n, float inverse_temperature, float lse);
  // In place, without the terms of the row's own tokens.
  void (*logits_backward)(float* logits, int64_t n, const LogitsGradient& row);
  bool (*all_finite)(const float* x, int64_t n);

  // ---- optimizer_kernels.cpp (fill_optimizer): n a multiple of 16 ----
  double (*sum_squares)(const float* x, int64_t n);
  void (*adamw)(float* w, float* m, float* v, const float* gradient, int64_t n, const AdamwStep& step);
  void (*axpy)(float* y, float a, const float* x, int64_t n);
};

// Tables of the three builds; avx2 and avx512 must only be called where the machine has the instructions.
const Kernels& kernels_portable();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();

}  // namespace ajet::cpu
