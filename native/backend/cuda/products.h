// out[j, i] = Σ_l a(i, l) · b(j, l) on tensor cores: bf16 operands, fp32 accumulation. A linear layer's weight rows are
// i, its tokens are j. Kernels in device/product.cuh; linear.cu has the forward product, linear_gradients.cu the
// gradients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/stream.h"
#include "tensor/tensor.h"

namespace ajet::cuda {

struct bf16;

// `outer` rows or columns i (or j) of a bf16 matrix whose rows begin at multiples of 16 bytes.
struct Operand {
  const bf16* data;
  int64_t stride;
  int64_t outer;
  friend bool operator==(const Operand&, const Operand&) = default;
};

struct ProductOutput {
  void* data;  // element (j, i) at data[j * stride + i]
  int64_t stride;
  bool is_bf16;                     // else f32
  bool accumulate;                  // add to what it holds
  bool vectorized;                  // rows begin at multiples of four elements' bytes
  const float* bias = nullptr;      // [i]
  const float* residual = nullptr;  // element (j, i) at residual[j * residual_stride + i]
  int64_t residual_stride = 0;
  friend bool operator==(const ProductOutput&, const ProductOutput&) = default;
};

struct Product {
  Operand a, b;
  int64_t depth;  // of l
  ProductOutput out;
  friend bool operator==(const Product&, const Product&) = default;
};

ProductOutput product_output(const Tensor& tensor, bool accumulate, const Tensor& bias, const Tensor& residual = {});

// ---- the forward product --------------------------------------------------------------------------------
// The sum over l is cut into segments: each is one chain of products of 16 elements over ascending l from 0, and the
// segments' sums are added in ascending order. The cuts follow from the weight's shape alone, so that a row of tokens
// has the same bits in every tile and with any number of rows beside it; tiles and blocks are chosen by the number of
// rows.

constexpr int64_t depth_step = 64;  // elements of l that a pipeline stage holds

struct DepthSegments {
  int64_t steps;  // depth_steps of a segment; the last may have fewer
  int64_t count;
};
DepthSegments depth_segments(int64_t weight_rows, int64_t depth);

// Whose instruction sums: mma.m16n8k16 of a warp, or wgmma.m64nNk16 of a warpgroup (compute capability 9.0 alone).
// Whether a sum has the same bits by both is not promised: a backend uses one of them for every product.
enum class ProductUnit : uint8_t { warp, warpgroup };

enum class ForwardTile : uint8_t { rows8, rows32, rows64, rows128, rows256 };  // tokens of a tile
constexpr ForwardTile forward_tiles[] = {ForwardTile::rows8, ForwardTile::rows32, ForwardTile::rows64,
                                         ForwardTile::rows128, ForwardTile::rows256};

struct ForwardPlan {
  ForwardTile tile;
  bool split;  // each segment has blocks of its own, and the last of a tile to end adds them up
  ProductUnit unit = ProductUnit::warp;
};
// shared_bytes: what a block may have on the card. Cards other than the A100's and H100's kind have too little for the
// largest tile.
ForwardPlan plan_forward(int64_t tokens, int64_t weight_rows, int64_t depth, int64_t shared_bytes,
                         ProductUnit unit = ProductUnit::warp);
// Whether there is a kernel for it: the largest tile has no registers to add segments up, small ones are not worth it.
bool has_kernel(const ForwardPlan& plan, const DepthSegments& segments);

// A split plan's memory: the segments' sums, and max_split_tiles counters that are 0 before and after.
constexpr int64_t max_split_tiles = 4096;
size_t partial_bytes(const ForwardPlan& plan, const Product& product);
void multiply_forward(Stream& stream, const Product& product, const ForwardPlan& plan, float* partials,
                      uint32_t* arrivals);

// ---- products with transposed operands, where cuBLASLt is missing -------------------------------------------
// Element (i, l) of a transposed operand is data[l * stride + i].
void multiply_transposed_a(Stream& stream, const Product& product);
void multiply_transposed(Stream& stream, const Product& product);  // a and b

// ---- fp32 ---------------------------------------------------------------------------------------------------
// Any layout: element (i, l) is data[i * outer_stride + l * depth_stride].
struct Operand32 {
  const float* data;
  int64_t outer_stride, depth_stride;
  int64_t outer;
  friend bool operator==(const Operand32&, const Operand32&) = default;
};
void multiply_f32(Stream& stream, const Operand32& a, const Operand32& b, int64_t depth, const ProductOutput& out);

}  // namespace ajet::cuda
