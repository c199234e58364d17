// The tensor-core kernel of products.h. A block computes a tile of out, its operands pass through a ring of stages in
// shared memory (cp.async), warps read them with ldmatrix and accumulate with mma.m16n8k16.
//
// Shared memory: a stage holds 64 elements of l. Chunks of 16 bytes are placed at chunk ^ (row & 7) within their row,
// so that the eight rows that ldmatrix reads at once, and the eight lanes that cp.async writes at once, meet all banks.
#pragma once

#include <type_traits>

#include "backend/cuda/device/async_copy.cuh"
#include "backend/cuda/device/launch.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/products.h"

namespace ajet::cuda {

// A tile of a_rows_ x b_rows_ results, by warps_a x warps_b warps; blocks_per_sm bounds the registers of a thread.
template <int a_rows_, int b_rows_, int warps_a_, int warps_b, int stages_, int blocks_per_sm_>
struct ProductTile {
  static constexpr int a_rows = a_rows_, b_rows = b_rows_, warps_a = warps_a_, stages = stages_;
  static constexpr int blocks_per_sm = blocks_per_sm_;
  static constexpr int threads = warps_a * warps_b * warp_lanes;
  static constexpr int warp_a_rows = a_rows / warps_a, warp_b_rows = b_rows / warps_b;
  static constexpr int mma_a = warp_a_rows / 16, mma_b = warp_b_rows / 8;  // mma tiles of a warp
  static constexpr int depth = static_cast<int>(depth_step);
  static constexpr int stage_elements = (a_rows + b_rows) * depth;
  static constexpr int out_stride = a_rows + 4;  // floats: the accumulators' stores meet all banks
  static constexpr int ring_bytes = stages * stage_elements * 2, out_bytes = b_rows * out_stride * 4;
  static constexpr int shared_bytes = ring_bytes > out_bytes ? ring_bytes : out_bytes;
  static_assert(warp_a_rows % 16 == 0 && warp_b_rows % 8 == 0 && stages >= 2);
};

enum class Major : uint8_t { depth, outer };  // which index of an operand is contiguous in memory

// Rows of a stage in shared memory: [rows outer][64 of l] or [64 of l][rows outer].
template <Major major, int rows>
struct StageLayout {
  static constexpr int row_chunks = (major == Major::depth ? static_cast<int>(depth_step) : rows) / 8;
  static constexpr int chunks = rows * static_cast<int>(depth_step) / 8;
  // Element offset of the chunk.
  static AJET_DEVICE int offset(int row, int chunk) { return (row * row_chunks + (chunk ^ (row & 7))) * 8; }
};

// Starts the copies of l in [depth_begin, + 64) of outer rows [first, first + rows); zeros where the operand ends.
template <Major major, int rows, int threads>
AJET_DEVICE void load_stage(bf16* stage, const Operand& operand, int64_t first, int64_t depth_begin, int64_t depth) {
  using Layout = StageLayout<major, rows>;
  const int64_t row_begin = major == Major::depth ? first : depth_begin;
  const int64_t col_begin = major == Major::depth ? depth_begin : first;
  const int64_t row_end = major == Major::depth ? operand.outer : depth;
  const int64_t col_end = major == Major::depth ? depth : operand.outer;
#pragma unroll
  for (int i = 0; i < (Layout::chunks + threads - 1) / threads; ++i) {
    const int index = static_cast<int>(threadIdx.x) + i * threads;
    if (Layout::chunks % threads != 0 && index >= Layout::chunks) break;
    const int row = index / Layout::row_chunks, chunk = index % Layout::row_chunks;
    const int64_t col = col_begin + chunk * 8, left = row_begin + row < row_end ? col_end - col : 0;
    const int bytes = left >= 8 ? 16 : left > 0 ? static_cast<int>(left) * 2 : 0;
    const bf16* from = bytes > 0 ? operand.data + (row_begin + row) * operand.stride + col : operand.data;
    async_copy(stage + Layout::offset(row, chunk), from, bytes);
  }
}

// Four 8x8 matrices: 16 outer rows from `row`, 16 of l from `depth`. As operand a: matrices in the order of mma's a; as
// b (swapped): those of the first eight rows, then those of the second.
template <Major major, int rows, bool swapped>
AJET_DEVICE void load_fragment(uint32_t (&r)[4], const bf16* stage, int row, int depth) {
  using Layout = StageLayout<major, rows>;
  const int lane = lane_index(), matrix = lane / 8;
  const int outer_half = swapped ? matrix / 2 : matrix % 2, depth_half = swapped ? matrix % 2 : matrix / 2;
  if constexpr (major == Major::depth) {
    load_matrix_x4(r, stage + Layout::offset(row + outer_half * 8 + lane % 8, depth / 8 + depth_half));
  } else {
    load_matrix_x4_transposed(r, stage + Layout::offset(depth + depth_half * 8 + lane % 8, row / 8 + outer_half));
  }
}

// As load_fragment for operand b where there are eight rows: the second half repeats the first.
AJET_DEVICE void load_fragment_of_8(uint32_t (&r)[4], const bf16* stage, int row, int depth) {
  const int lane = lane_index();
  load_matrix_x4(r, stage + StageLayout<Major::depth, 8>::offset(row + lane % 8, depth / 8 + lane / 8 % 2));
}

template <typename T>
using Accumulators = float[T::mma_a][T::mma_b][4];

// Adds the products of one stage, l ascending.
template <typename T, Major a_major, Major b_major>
AJET_DEVICE void multiply_stage(Accumulators<T>& sums, const bf16* stage) {
  const int a_row = warp_index() % T::warps_a * T::warp_a_rows, b_row = warp_index() / T::warps_a * T::warp_b_rows;
  const bf16* b_stage = stage + T::a_rows * T::depth;
#pragma unroll
  for (int depth = 0; depth < T::depth; depth += 16) {
    uint32_t a[T::mma_a][4], b[(T::mma_b + 1) / 2][4];
#pragma unroll
    for (int i = 0; i < T::mma_a; ++i) load_fragment<a_major, T::a_rows, false>(a[i], stage, a_row + i * 16, depth);
#pragma unroll
    for (int j = 0; j < (T::mma_b + 1) / 2; ++j) {
      if constexpr (T::mma_b == 1) {
        load_fragment_of_8(b[j], b_stage, b_row, depth);
      } else {
        load_fragment<b_major, T::b_rows, true>(b[j], b_stage, b_row + j * 16, depth);
      }
    }
#pragma unroll
    for (int i = 0; i < T::mma_a; ++i)
#pragma unroll
      for (int j = 0; j < T::mma_b; ++j) {
        const uint32_t pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
        mma_bf16(sums[i][j], a[i], pair);
      }
  }
}

// Tiles in groups of eight along a, so that blocks that run together share operands in the L2 cache.
struct TileOrigin {
  int64_t a, b;
};
template <typename T>
AJET_DEVICE TileOrigin tile_origin(int64_t a_outer, int64_t b_outer) {
  constexpr int64_t group_tiles = 8;
  const int64_t a_tiles = ceil_div(a_outer, T::a_rows), b_tiles = ceil_div(b_outer, T::b_rows);
  const int64_t index = blockIdx.x, group = index / (group_tiles * b_tiles), first = group * group_tiles;
  const int64_t width = min_of(group_tiles, a_tiles - first), within = index - group * group_tiles * b_tiles;
  return {(first + within % width) * T::a_rows, within / width * T::b_rows};
}

// Both operands of the tile, for the depth_step of that index.
template <typename T, Major a_major, Major b_major>
AJET_DEVICE void load_stages(bf16* stage, const Product& product, const TileOrigin& origin, int64_t step) {
  const int64_t depth = step * depth_step;
  load_stage<a_major, T::a_rows, T::threads>(stage, product.a, origin.a, depth, product.depth);
  load_stage<b_major, T::b_rows, T::threads>(stage + T::a_rows * T::depth, product.b, origin.b, depth, product.depth);
}

// How a block takes part in the sum over l, in depth_steps.
struct SegmentSteps {
  int64_t segment;  // of a segment
  int64_t block;    // of a block: all, or those of one segment (then blockIdx.y is the segment)
  float* partials;  // [segment][j][i stride], null where a block has all of l
  int64_t partial_stride;
  uint32_t* arrivals;  // per tile, 0 before and after
  friend bool operator==(const SegmentSteps&, const SegmentSteps&) = default;
};

// To shared memory as [j][i].
template <typename T>
AJET_DEVICE void stage_sums(float* tile, const Accumulators<T>& sums) {
  const int a_row = warp_index() % T::warps_a * T::warp_a_rows + lane_index() / 4;
  const int b_row = warp_index() / T::warps_a * T::warp_b_rows + lane_index() % 4 * 2;
#pragma unroll
  for (int i = 0; i < T::mma_a; ++i)
#pragma unroll
    for (int j = 0; j < T::mma_b; ++j)
#pragma unroll
      for (int c = 0; c < 4; ++c)
        tile[(b_row + j * 8 + c % 2) * T::out_stride + a_row + i * 16 + c / 2 * 8] = sums[i][j][c];
}

struct alignas(16) Float4 {
  float values[4];
};

// Four neighbouring results, of which `count` exist.
AJET_DEVICE void finish_four(const ProductOutput& out, int64_t row, int64_t col, int64_t count, Float4 sum) {
  const auto finished = [&](int i, float held) {
    float value = 0.0F + sum.values[i];  // as sums of segments begin
    if (out.bias != nullptr) value += out.bias[col + i];
    if (out.residual != nullptr) value += out.residual[row * out.residual_stride + col + i];
    return out.accumulate ? held + value : value;
  };
  const auto store = [&](auto* to) {
    using Element = std::remove_pointer_t<decltype(to)>;
    if (out.vectorized && count >= 4) {
      Pack<Element, 4> held{};
      if (out.accumulate) held = *reinterpret_cast<const Pack<Element, 4>*>(to);
#pragma unroll
      for (int i = 0; i < 4; ++i) held.values[i] = from_float<Element>(finished(i, to_float(held.values[i])));
      *reinterpret_cast<Pack<Element, 4>*>(to) = held;
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (i < count) to[i] = from_float<Element>(finished(i, out.accumulate ? to_float(to[i]) : 0.0F));
    }
  };
  const int64_t offset = row * out.stride + col;
  if (out.is_bf16) {
    store(static_cast<bf16*>(out.data) + offset);
  } else {
    store(static_cast<float*>(out.data) + offset);
  }
}

// Calls body(j, i, shared offset) for every four neighbouring i of the tile that are in out.
template <typename T, typename Body>
AJET_DEVICE void for_each_four(const TileOrigin& origin, int64_t a_outer, int64_t b_outer, const Body& body) {
  constexpr int row_fours = T::a_rows / 4;
  for (int index = static_cast<int>(threadIdx.x); index < T::b_rows * row_fours; index += T::threads) {
    const int row = index / row_fours, four = index % row_fours;
    const int64_t j = origin.b + row, i = origin.a + four * 4;
    if (j < b_outer && i < a_outer) body(j, i, row * T::out_stride + four * 4);
  }
}

// Writes this segment's sums. In the last block of the tile to come here it adds all segments up.
template <typename T>
AJET_DEVICE void finish_split(const Product& product, const SegmentSteps& steps, const TileOrigin& origin,
                              const float* tile) {
  __shared__ bool is_last;
  const int64_t segments = gridDim.y, rows = product.b.outer, stride = steps.partial_stride;
  for_each_four<T>(origin, product.a.outer, rows, [&](int64_t j, int64_t i, int offset) {
    *reinterpret_cast<Float4*>(steps.partials + (blockIdx.y * rows + j) * stride + i) =
        *reinterpret_cast<const Float4*>(tile + offset);
  });
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    is_last = atomicAdd(&steps.arrivals[blockIdx.x], 1U) + 1 == gridDim.y;
    if (is_last) steps.arrivals[blockIdx.x] = 0;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  for_each_four<T>(origin, product.a.outer, rows, [&](int64_t j, int64_t i, int) {
    Float4 sum{};
    for (int64_t s = 0; s < segments; ++s) {
      const auto part = load_from_l2(reinterpret_cast<const Float4*>(steps.partials + (s * rows + j) * stride + i));
#pragma unroll
      for (int c = 0; c < 4; ++c) sum.values[c] += part.values[c];
    }
    finish_four(product.out, j, i, product.a.outer - i, sum);
  });
}

template <typename T>
AJET_DEVICE void add_segment(Accumulators<T>& totals, const Accumulators<T>& sums) {
#pragma unroll
  for (int i = 0; i < T::mma_a; ++i)
#pragma unroll
    for (int j = 0; j < T::mma_b; ++j)
#pragma unroll
      for (int c = 0; c < 4; ++c) totals[i][j][c] += sums[i][j][c];
}

template <typename T>
AJET_DEVICE void clear(Accumulators<T>& sums) {
#pragma unroll
  for (int i = 0; i < T::mma_a; ++i)
#pragma unroll
    for (int j = 0; j < T::mma_b; ++j)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][j][c] = 0.0F;
}

// From registers to out, or to the partials, by way of `tile` in shared memory, which nobody uses any more.
template <typename T>
AJET_DEVICE void finish_tile(const Product& product, const SegmentSteps& steps, const TileOrigin& origin, float* tile,
                             const Accumulators<T>& sums) {
  stage_sums<T>(tile, sums);
  __syncthreads();
  if (steps.partials != nullptr) return finish_split<T>(product, steps, origin, tile);
  for_each_four<T>(origin, product.a.outer, product.b.outer, [&](int64_t j, int64_t i, int offset) {
    finish_four(product.out, j, i, product.a.outer - i, *reinterpret_cast<const Float4*>(tile + offset));
  });
}

// With `segmented` a block has all of l and adds its segments up in registers.
template <typename T, Major a_major, Major b_major, bool segmented>
__global__ void __launch_bounds__(T::threads, T::blocks_per_sm) product_kernel(Product product, SegmentSteps steps) {
  auto* ring = reinterpret_cast<bf16*>(dynamic_shared());
  const TileOrigin origin = tile_origin<T>(product.a.outer, product.b.outer);
  const int64_t first = static_cast<int64_t>(blockIdx.y) * steps.block;
  const int64_t count = min_of(steps.block, ceil_div(product.depth, depth_step) - first);
  const auto load = [&](int64_t step) {
    bf16* stage = ring + step % T::stages * T::stage_elements;
    if (step < count) load_stages<T, a_major, b_major>(stage, product, origin, first + step);
    async_commit();
  };
  for (int64_t step = 0; step < T::stages - 1; ++step) load(step);

  Accumulators<T> sums{}, totals{};
  int64_t left_of_segment = steps.segment;
  for (int64_t step = 0; step < count; ++step) {
    async_wait<T::stages - 2>();
    __syncthreads();  // the stage has come for all, and all are done with the one that is loaded next
    load(step + T::stages - 1);
    multiply_stage<T, a_major, b_major>(sums, ring + step % T::stages * T::stage_elements);
    if (segmented && (--left_of_segment == 0 || step + 1 == count)) {
      left_of_segment = steps.segment;
      add_segment<T>(totals, sums);
      clear<T>(sums);
    }
  }
  async_wait<0>();
  __syncthreads();
  finish_tile<T>(product, steps, origin, reinterpret_cast<float*>(ring), segmented ? totals : sums);
}

template <typename T>
Grid product_grid(const Product& product, const SegmentSteps& steps) {
  const int64_t tiles = ceil_div(product.a.outer, T::a_rows) * ceil_div(product.b.outer, T::b_rows);
  return {tiles, T::threads, T::shared_bytes, ceil_div(ceil_div(product.depth, depth_step), steps.block)};
}

template <typename T, Major a_major, Major b_major, bool segmented>
void launch_product(Stream& stream, const Product& product, const SegmentSteps& steps) {
  launch(stream, product_grid<T>(product, steps), product_kernel<T, a_major, b_major, segmented>, product, steps);
}

}  // namespace ajet::cuda
