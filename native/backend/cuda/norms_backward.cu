// RMS norm's gradients. With r = 1 / sqrt(mean(x²) + eps):
//   dx = r dy w - x r³ / width Σ dy w x;  dweight = Σ over groups of dy x r
// and, where y is wanted, y = x r w as norms.cu computes it.
// A block sums dweight over a range of groups that depends on their number alone, a second kernel over the blocks.
#include <algorithm>

#include "backend/cuda/device/team.cuh"

namespace ajet::cuda {
namespace {

constexpr int64_t max_parts = 512;
constexpr int64_t min_part_groups = 16;

// DX, DY, X: element types of dx, of dy and y, and of x.
template <typename DX, typename DY, typename X, typename Team>
__global__ void __launch_bounds__(Team::block)
    rmsnorm_backward_kernel(Rows<DX> dx, float* parts, Rows<DY> y, Rows<const DY> dy, Rows<const X> x,
                            const float* weight, Groups groups, int64_t part_groups, float eps, bool accumulate) {
  __shared__ float scratch[warp_lanes];
  __shared__ float team_sums[Team::teams > 1 ? Team::block * vector_width : 1];
  const bool whole = groups.width % vector_width == 0;
  const int64_t col = Team::column(), count = groups.width - col;
  float w[vector_width], dw[vector_width] = {};
  load8(w, weight + col, count, whole);

  const int64_t begin = static_cast<int64_t>(blockIdx.x) * part_groups, end = min_of(groups.count, begin + part_groups);
  for (int64_t first = begin; first < end; first += Team::teams) {
    const int64_t group = first + Team::index();
    const bool active = group < end;  // an idle team computes what it does not use, as all lanes must meet
    const int64_t read = active ? group : begin;
    float xs[vector_width], ds[vector_width], squares = 0.0F, dot = 0.0F;
    load8(xs, groups.begin(x, read) + col, count, x.vectorized);
    load8(ds, groups.begin(dy, read) + col, count, dy.vectorized);
#pragma unroll
    for (int i = 0; i < vector_width; ++i) {
      squares = fmaf(xs[i], xs[i], squares);
      dot = fmaf(ds[i] * w[i], xs[i], dot);
    }
    const float width = static_cast<float>(groups.width);
    const float r = 1.0F / sqrtf(Team::sum(squares, scratch) / width + eps);
    const float pull = Team::sum(dot, scratch) / width * r * r * r;
    if (!active) continue;
    DX* out = groups.begin(dx, group) + col;
    float result[vector_width] = {};
    if (accumulate) load8(result, out, count, dx.vectorized);
#pragma unroll
    for (int i = 0; i < vector_width; ++i) {
      dw[i] = fmaf(ds[i], xs[i] * r, dw[i]);
      result[i] += fmaf(-xs[i], pull, ds[i] * w[i] * r);
    }
    store8(out, result, count, dx.vectorized);
    if (y.data == nullptr) continue;
#pragma unroll
    for (int i = 0; i < vector_width; ++i) xs[i] = xs[i] * r * w[i];
    store8(groups.begin(y, group) + col, xs, count, y.vectorized);
  }

  if constexpr (Team::teams > 1) {
#pragma unroll
    for (int i = 0; i < vector_width; ++i) team_sums[threadIdx.x * vector_width + i] = dw[i];
    __syncthreads();
    if (Team::index() > 0) return;
    for (int t = 1; t < Team::teams; ++t)
#pragma unroll
      for (int i = 0; i < vector_width; ++i) dw[i] += team_sums[(t * Team::threads + threadIdx.x) * vector_width + i];
  }
  store8(parts + static_cast<int64_t>(blockIdx.x) * groups.width + col, dw, count, whole);
}

constexpr int sum_columns = 32, sum_lanes = 8;

// dweight[c] += Σ parts[:, c]; thread (c, j) sums parts j, j + 8, ... and thread (c, 0) the eight sums.
__global__ void __launch_bounds__(sum_columns* sum_lanes)
    add_parts_kernel(float* dweight, const float* parts, int64_t count, int64_t width) {
  __shared__ float sums[sum_lanes][sum_columns];
  const int c = static_cast<int>(threadIdx.x) % sum_columns, j = static_cast<int>(threadIdx.x) / sum_columns;
  const int64_t col = static_cast<int64_t>(blockIdx.x) * sum_columns + c;
  float sum = 0.0F;
  if (col < width)
    for (int64_t part = j; part < count; part += sum_lanes) sum += parts[part * width + col];
  sums[j][c] = sum;
  __syncthreads();
  if (j > 0 || col >= width) return;
  for (int other = 1; other < sum_lanes; ++other) sum += sums[other][c];
  dweight[col] += sum;
}

}  // namespace

void CudaBackend::do_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight,
                                      int64_t width, float eps, bool accumulate) {
  if (y.data != nullptr) require_one_dtype("rmsnorm_backward", {y, dy});
  const Groups groups(x.rows, x.cols, width);
  const int64_t part_groups = std::max(min_part_groups, ceil_div(groups.count, max_parts));
  const int64_t part_count = ceil_div(groups.count, part_groups);
  const Scratch parts = scratch(static_cast<size_t>(part_count * width) * sizeof(float));
  const auto run = [&](auto result, auto gradient, auto input) {
    using DX = decltype(result);
    using DY = decltype(gradient);
    using X = decltype(input);
    with_team("rmsnorm_backward", width, [&](auto team) {
      using T = decltype(team);
      launch(stream_, {part_count, T::block}, rmsnorm_backward_kernel<DX, DY, X, T>, groups_of<DX>(dx, groups),
             parts.as<float>(), groups_of<DY>(y, groups), groups_of<const DY>(dy, groups),
             groups_of<const X>(x, groups), weight.f32(), groups, part_groups, eps, accumulate);
    });
  };
  if (dx.dtype == DType::f32 && dy.dtype == DType::bf16 && x.dtype == DType::f32) {
    run(float{}, bf16{}, float{});  // into the residual stream's gradient
  } else {
    require_one_dtype("rmsnorm_backward", {dx, dy, x});
    with_element(dx.dtype, [&](auto element) { run(element, element, element); });
  }
  launch(stream_, {ceil_div(width, sum_columns), sum_columns * sum_lanes}, add_parts_kernel, dweight.f32(),
         parts.as<float>(), part_count, width);
}

}  // namespace ajet::cuda
