// The product of products.h by warpgroups (device/warpgroup_mma.cuh): the tile's ring of stages and its output are
// those of product.cuh, whose stages already lie as wgmma reads them.
//
// The tensor cores work on one stage while the threads wait for the next: a stage is loaded anew only when the products
// of the step after it have been queued and its own have ended.
#pragma once

#include "backend/cuda/device/product.cuh"
#include "backend/cuda/device/warpgroup_mma.cuh"

namespace ajet::cuda {

// A warpgroup computes 64 x warp_b_rows results: ProductTile's warps lie one behind the other along a, 16 rows each.
template <int a_rows, int b_rows, int warps_b, int stages, int blocks_per_sm>
struct WarpgroupTile : ProductTile<a_rows, b_rows, a_rows / 16, warps_b, stages, blocks_per_sm> {
  using Base = ProductTile<a_rows, b_rows, a_rows / 16, warps_b, stages, blocks_per_sm>;
  static constexpr int alignment = 1024;  // of the ring; dynamic_shared() has less
  static constexpr int shared_bytes = Base::shared_bytes + alignment - 128;
  static_assert(a_rows % 64 == 0 && stages >= 3 && Base::stage_elements * 2 % alignment == 0);
};

// Queues the products of one stage, l ascending. With `first` the sums begin with them.
template <typename T>
AJET_DEVICE void queue_stage(Accumulators<T>& sums, const bf16* stage, bool first) {
  const int a_row = warp_index() % T::warps_a / warpgroup_warps * 64,
            b_row = warp_index() / T::warps_a * T::warp_b_rows;
  const bf16* a = stage + a_row * T::depth;
  const bf16* b = stage + (T::a_rows + b_row) * T::depth;
  pin_sums(sums[0]);
  warpgroup_begin();
#pragma unroll
  for (int depth = 0; depth < T::depth; depth += 16)
    warpgroup_mma(sums[0], matrix_descriptor(a, depth), matrix_descriptor(b, depth), depth > 0 || !first);
  warpgroup_commit();
}

// As product_kernel, which see.
template <typename T, bool segmented>
__global__ void __launch_bounds__(T::threads, T::blocks_per_sm)
    warpgroup_product_kernel(Product product, SegmentSteps steps) {
  unsigned char* shared = dynamic_shared();
  shared += (T::alignment - shared_window_address(shared) % T::alignment) % T::alignment;
  auto* ring = reinterpret_cast<bf16*>(shared);
  const TileOrigin origin = tile_origin<T>(product.a.outer, product.b.outer);
  const int64_t first = static_cast<int64_t>(blockIdx.y) * steps.block;
  const int64_t count = min_of(steps.block, ceil_div(product.depth, depth_step) - first);
  const auto stage_of = [&](int64_t step) { return ring + step % T::stages * T::stage_elements; };
  const auto load = [&](int64_t step) {
    if (step < count) load_stages<T, Major::depth, Major::depth>(stage_of(step), product, origin, first + step);
    async_commit();
  };
  constexpr int ahead = T::stages - 2;  // stages on their way; besides them one is being multiplied, one has just been
  for (int64_t step = 0; step < ahead; ++step) load(step);

  // Never set to zero: an instruction that writes sums would end the overlap of products and copies.
  Accumulators<T> sums, totals{};
  int64_t left_of_segment = steps.segment;
  for (int64_t step = 0; step < count; ++step) {
    async_wait<ahead - 1>();
    show_to_warpgroups();
    __syncthreads();  // the stage has come for all, and the products of the step before the last have ended for all
    load(step + ahead);
    queue_stage<T>(sums, stage_of(step), left_of_segment == steps.segment);
    --left_of_segment;
    if (segmented && (left_of_segment == 0 || step + 1 == count)) {
      left_of_segment = steps.segment;
      warpgroup_wait<0>();
      pin_sums(sums[0]);
      add_segment<T>(totals, sums);
    } else {
      warpgroup_wait<1>();
      pin_sums(sums[0]);
    }
  }
  warpgroup_wait<0>();
  pin_sums(sums[0]);
  async_wait<0>();
  __syncthreads();
  finish_tile<T>(product, steps, origin, reinterpret_cast<float*>(shared), segmented ? totals : sums);
}

template <typename T, bool segmented>
void launch_warpgroup_product(Stream& stream, const Product& product, const SegmentSteps& steps) {
  launch(stream, product_grid<T>(product, steps), warpgroup_product_kernel<T, segmented>, product, steps);
}

}  // namespace ajet::cuda
