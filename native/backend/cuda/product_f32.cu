// Products in fp32, to check with: fused multiply-adds, the sum over l in chains of 256 that are added in ascending
// order.
#include "backend/cuda/device/launch.cuh"
#include "backend/cuda/products.h"

namespace ajet::cuda {
namespace {

constexpr int tile = 64, slab = 16, side = 4, threads = (tile / side) * (tile / side);
constexpr int chain_slabs = 16;

// Rows [first, first + 64) of l in [depth_begin, + 16) as [l][row]; neighbours read along the contiguous index.
AJET_DEVICE void load_slab(float (&to)[slab][tile], const Operand32& operand, int64_t first, int64_t depth_begin,
                           int64_t depth) {
  for (int index = static_cast<int>(threadIdx.x); index < slab * tile; index += threads) {
    const bool along_depth = operand.depth_stride == 1;
    const int l = along_depth ? index % slab : index / tile, row = along_depth ? index / slab : index % tile;
    const int64_t outer = first + row, at = depth_begin + l;
    to[l][row] = outer < operand.outer && at < depth
                     ? operand.data[outer * operand.outer_stride + at * operand.depth_stride]
                     : 0.0F;
  }
}

__global__ void __launch_bounds__(threads)
    product_f32_kernel(Operand32 a, Operand32 b, int64_t depth, ProductOutput out) {
  __shared__ float a_slab[slab][tile], b_slab[slab][tile];
  const int64_t a_tiles = ceil_div(a.outer, tile);
  const int64_t a_first = blockIdx.x % a_tiles * tile, b_first = blockIdx.x / a_tiles * tile;
  const int i = static_cast<int>(threadIdx.x) % (tile / side), j = static_cast<int>(threadIdx.x) / (tile / side) * side;
  float totals[side][side] = {}, sums[side][side] = {};
  int64_t slabs = 0;
  for (int64_t begin = 0; begin < depth; begin += slab) {
    load_slab(a_slab, a, a_first, begin, depth);
    load_slab(b_slab, b, b_first, begin, depth);
    __syncthreads();
    for (int l = 0; l < slab; ++l)
#pragma unroll
      for (int r = 0; r < side; ++r)
#pragma unroll
        for (int c = 0; c < side; ++c)
          sums[r][c] = fmaf(a_slab[l][i + c * (tile / side)], b_slab[l][j + r], sums[r][c]);
    __syncthreads();
    if (++slabs % chain_slabs != 0 && begin + slab < depth) continue;
#pragma unroll
    for (int r = 0; r < side; ++r)
#pragma unroll
      for (int c = 0; c < side; ++c) {
        totals[r][c] += sums[r][c];
        sums[r][c] = 0.0F;
      }
  }
#pragma unroll
  for (int r = 0; r < side; ++r)
#pragma unroll
    for (int c = 0; c < side; ++c) {
      const int64_t row = b_first + j + r, col = a_first + i + c * (tile / side);
      if (row >= b.outer || col >= a.outer) continue;
      float* to = static_cast<float*>(out.data) + row * out.stride + col;
      float value = totals[r][c] + (out.bias != nullptr ? out.bias[col] : 0.0F);
      if (out.residual != nullptr) value += out.residual[row * out.residual_stride + col];
      *to = out.accumulate ? *to + value : value;
    }
}

}  // namespace

void multiply_f32(Stream& stream, const Operand32& a, const Operand32& b, int64_t depth, const ProductOutput& out) {
  launch(stream, {ceil_div(a.outer, tile) * ceil_div(b.outer, tile), threads}, product_f32_kernel, a, b, depth, out);
}

}  // namespace ajet::cuda
