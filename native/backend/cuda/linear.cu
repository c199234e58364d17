// y = x · wᵀ (+ bias), one order over k for every number of rows: see products.h.
//
// Tiles by the number of tokens, with what a block of an H100 (132 multiprocessors, 227 KiB of shared memory and 64 Ki
// registers each) has:
//   tokens  weights x tokens  warps  ring              blocks an SM (by shared memory)
//   <= 8        32 x 8          2    8 x  5 KiB =  40   5: 140 KiB of weights on their way
//   <= 32       32 x 32         2    6 x  8 KiB =  48   4
//   <= 256      64 x 64         4    4 x 16 KiB =  64   3, of at most 168 registers a thread
//   more       128 x 128        8    3 x 32 KiB =  96   1: 64 sums and 64 totals a thread, of 255 registers
//   more       128 x 256        8    3 x 48 KiB = 144   1: 128 sums a thread, of 255 registers; an A100 has 163 KiB
// A warp of the last reads 64 x 16 of both operands (4 KiB) for 32 mma: about 32 cycles of shared memory for 51 of the
// tensor cores.
//
// By warpgroups (ProductUnit), whose instruction takes 64 rows of weights:
//   <= 8        64 x 8          4    8 x  9 KiB =  72   3: 192 KiB of weights on their way
//   <= 32       64 x 32         4    6 x 12 KiB =  72   3
//   <= 256      64 x 64         4    4 x 16 KiB =  64   3
//   more       128 x 128        8    4 x 32 KiB = 128   1
//   more       128 x 256       16    4 x 48 KiB = 192   1: 64 sums a thread, of 127 registers
#include <algorithm>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/product.cuh"
#include "backend/cuda/device/rows.cuh"
#include "backend/cuda/device/warpgroup_product.cuh"
#include "base/error.h"

namespace ajet::cuda {
namespace {

struct WarpTiles {
  using Rows8 = ProductTile<32, 8, 2, 1, 8, 5>;
  using Rows32 = ProductTile<32, 32, 2, 1, 6, 4>;
  using Rows64 = ProductTile<64, 64, 2, 2, 4, 3>;
  using Rows128 = ProductTile<128, 128, 2, 4, 3, 1>;
  using Rows256 = ProductTile<128, 256, 2, 4, 3, 1>;  // of the five this one alone is too large for some cards
  static_assert(std::max({Rows8::shared_bytes, Rows32::shared_bytes, Rows64::shared_bytes, Rows128::shared_bytes}) <=
                least_shared_bytes);
  template <typename Tile, bool segmented>
  static void launch(Stream& stream, const Product& product, const SegmentSteps& steps) {
    launch_product<Tile, Major::depth, Major::depth, segmented>(stream, product, steps);
  }
};

struct WarpgroupTiles {
  using Rows8 = WarpgroupTile<64, 8, 1, 8, 3>;
  using Rows32 = WarpgroupTile<64, 32, 1, 6, 3>;
  using Rows64 = WarpgroupTile<64, 64, 1, 4, 3>;
  using Rows128 = WarpgroupTile<128, 128, 1, 4, 1>;
  using Rows256 = WarpgroupTile<128, 256, 2, 4, 1>;
  template <typename Tile, bool segmented>
  static void launch(Stream& stream, const Product& product, const SegmentSteps& steps) {
    launch_warpgroup_product<Tile, segmented>(stream, product, steps);
  }
};

// Registers to add segments up: the middle tiles. Blocks for each segment: all that are not so large that they fill the
// card without.
template <typename Tiles, typename Tile>
void run(Stream& stream, const Product& product, const SegmentSteps& steps, bool segmented) {
  constexpr bool can_segment = Tile::b_rows >= 64 && Tile::b_rows <= 128, can_split = Tile::b_rows != 128;
  if constexpr (can_segment) {
    if (segmented) return Tiles::template launch<Tile, true>(stream, product, steps);
  }
  if constexpr (can_split) Tiles::template launch<Tile, false>(stream, product, steps);
}

template <typename Tiles, typename Body>
auto with_tile_of(ForwardTile tile, const Body& body) {
  switch (tile) {
    case ForwardTile::rows8: return body(Tiles{}, typename Tiles::Rows8{});
    case ForwardTile::rows32: return body(Tiles{}, typename Tiles::Rows32{});
    case ForwardTile::rows64: return body(Tiles{}, typename Tiles::Rows64{});
    case ForwardTile::rows128: return body(Tiles{}, typename Tiles::Rows128{});
    default: return body(Tiles{}, typename Tiles::Rows256{});
  }
}

// Calls body(tiles, tile) with the unit's tiles and the plan's of them.
template <typename Body>
auto with_tile(ProductUnit unit, ForwardTile tile, const Body& body) {
  return unit == ProductUnit::warp ? with_tile_of<WarpTiles>(tile, body) : with_tile_of<WarpgroupTiles>(tile, body);
}

int64_t tile_count(ProductUnit unit, ForwardTile tile, int64_t tokens, int64_t weight_rows) {
  return with_tile(unit, tile, [&](auto, auto chosen) {
    using Tile = decltype(chosen);
    return ceil_div(weight_rows, Tile::a_rows) * ceil_div(tokens, Tile::b_rows);
  });
}

constexpr int64_t partial_stride(int64_t weight_rows) { return (weight_rows + 31) / 32 * 32; }

}  // namespace

// Enough segments that one row of tokens makes 128 blocks, none shorter than 256. A constant, not the number of
// multiprocessors: a sum is the same on every card.
DepthSegments depth_segments(int64_t weight_rows, int64_t depth) {
  constexpr int64_t wanted_blocks = 128, max_segments = 8, min_steps = 4;
  const int64_t all_steps = ceil_div(depth, depth_step);
  const int64_t wanted = ceil_div(wanted_blocks, ceil_div(weight_rows, WarpTiles::Rows8::a_rows));
  const int64_t count = std::max<int64_t>(1, std::min({wanted, max_segments, all_steps / min_steps}));
  const int64_t steps = std::max<int64_t>(1, ceil_div(all_steps, count));
  return {steps, std::max<int64_t>(1, ceil_div(all_steps, steps))};
}

ForwardPlan plan_forward(int64_t tokens, int64_t weight_rows, int64_t depth, int64_t shared_bytes, ProductUnit unit) {
  constexpr int64_t busy = 100;  // tiles that make work for a card
  const bool one_segment = depth_segments(weight_rows, depth).count == 1;
  const auto is_busy = [&](ForwardTile tile) { return tile_count(unit, tile, tokens, weight_rows) >= busy; };
  if (tokens <= 8) return {ForwardTile::rows8, !one_segment, unit};
  if (tokens <= 32) return {ForwardTile::rows32, !one_segment, unit};
  const int64_t largest_bytes =
      with_tile(unit, ForwardTile::rows256, [](auto, auto tile) -> int64_t { return decltype(tile)::shared_bytes; });
  const bool can_be_large = one_segment && shared_bytes >= largest_bytes + 1024;
  if (can_be_large && tokens > 128 && is_busy(ForwardTile::rows256)) return {ForwardTile::rows256, false, unit};
  if (tokens > 64 && is_busy(ForwardTile::rows128)) return {ForwardTile::rows128, false, unit};
  return {ForwardTile::rows64, !one_segment && !is_busy(ForwardTile::rows64), unit};
}

bool has_kernel(const ForwardPlan& plan, const DepthSegments& segments) {
  if (plan.split) return segments.count > 1 && plan.tile <= ForwardTile::rows64;
  if (plan.tile == ForwardTile::rows64 || plan.tile == ForwardTile::rows128) return true;
  return segments.count == 1;
}

size_t partial_bytes(const ForwardPlan& plan, const Product& product) {
  if (!plan.split) return 0;
  const int64_t segments = depth_segments(product.a.outer, product.depth).count;
  return static_cast<size_t>(segments * product.b.outer * partial_stride(product.a.outer)) * sizeof(float);
}

void multiply_forward(Stream& stream, const Product& product, const ForwardPlan& plan, float* partials,
                      uint32_t* arrivals) {
  const DepthSegments segments = depth_segments(product.a.outer, product.depth);
  SegmentSteps steps{segments.steps, segments.steps * segments.count, nullptr, 0, nullptr};
  if (plan.split) {
    if (tile_count(plan.unit, plan.tile, product.b.outer, product.a.outer) > max_split_tiles)
      fail(ErrorCode::internal, "[linear] Expected fewer tiles in a product that is split");
    steps = {segments.steps, segments.steps, partials, partial_stride(product.a.outer), arrivals};
  }
  with_tile(plan.unit, plan.tile,
            [&](auto tiles, auto tile) { run<decltype(tiles), decltype(tile)>(stream, product, steps, !plan.split); });
}

ProductOutput product_output(const Tensor& tensor, bool accumulate, const Tensor& bias, const Tensor& residual) {
  const bool is_bf16 = tensor.dtype == DType::bf16;
  const auto unit = static_cast<uintptr_t>(4 * dtype_bytes(tensor.dtype));
  const bool vectorized = reinterpret_cast<uintptr_t>(tensor.data) % unit == 0 && tensor.stride % 4 == 0;
  return {tensor.data, tensor.stride, is_bf16, accumulate, vectorized, bias.f32(), residual.f32(), residual.stride};
}

void CudaBackend::do_linear(Tensor y, Tensor x, const Weight& w, Tensor bias, Tensor residual) {
  const ProductOutput out = product_output(y, false, bias, residual);
  if (w.dtype == DType::f32) {
    require_one_dtype("linear", {y, x});
    return multiply_f32(stream_, {static_cast<const float*>(w.data), weight_stride(w.cols), 1, w.rows},
                        {x.f32(), x.stride, 1, x.rows}, x.cols, out);
  }
  const PackedOperand packed(*this, x);
  const Product product{
      {static_cast<const bf16*>(w.data), weight_stride(w.cols), w.rows}, packed.operand(x.rows), x.cols, out};
  const ForwardPlan plan = plan_forward(x.rows, w.rows, x.cols, device_.block_shared_bytes, product_unit_);
  const Scratch partials = scratch(partial_bytes(plan, product));
  if (plan.split && split_arrivals_ == nullptr) {
    constexpr size_t bytes = max_split_tiles * sizeof(uint32_t);
    split_arrivals_ = static_cast<uint32_t*>(arena_.allocate(bytes));
    zero(split_arrivals_, bytes);
  }
  multiply_forward(stream_, product, plan, partials.as<float>(), plan.split ? split_arrivals_ : nullptr);
}

}  // namespace ajet::cuda
