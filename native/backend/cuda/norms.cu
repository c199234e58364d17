// RMS norm (Zhang & Sennrich 2019) over groups of columns.
#include "backend/cuda/device/team.cuh"

namespace ajet::cuda {
namespace {

template <typename Y, typename X, typename Team>
__global__ void __launch_bounds__(Team::block)
    rmsnorm_kernel(Rows<Y> y, Rows<const X> x, const float* weight, Groups groups, float eps) {
  __shared__ float scratch[warp_lanes];
  const int64_t group = static_cast<int64_t>(blockIdx.x) * Team::teams + Team::index();
  const bool active = group < groups.count;  // an idle team computes what it does not use, as all lanes must meet
  const int64_t col = Team::column(), count = groups.width - col;
  float values[vector_width], w[vector_width];
  load8(values, groups.begin(x, active ? group : 0) + col, count, x.vectorized);
  load8(w, weight + col, count, groups.width % vector_width == 0);
  float squares = 0.0F;
#pragma unroll
  for (int i = 0; i < vector_width; ++i) squares = fmaf(values[i], values[i], squares);
  const float scale = 1.0F / sqrtf(Team::sum(squares, scratch) / static_cast<float>(groups.width) + eps);
  if (!active) return;
#pragma unroll
  for (int i = 0; i < vector_width; ++i) values[i] = values[i] * scale * w[i];
  store8(groups.begin(y, group) + col, values, count, y.vectorized);
}

}  // namespace

void CudaBackend::do_rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) {
  const Groups groups(x.rows, x.cols, width);
  const auto run = [&](auto to, auto from) {
    using Y = decltype(to);
    using X = decltype(from);
    with_team("rmsnorm", width, [&](auto team) {
      using T = decltype(team);
      launch(stream_, {ceil_div(groups.count, T::teams), T::block}, rmsnorm_kernel<Y, X, T>, groups_of<Y>(y, groups),
             groups_of<const X>(x, groups), weight.f32(), groups, eps);
    });
  };
  if (y.dtype == DType::bf16) {
    x.dtype == DType::bf16 ? run(bf16{}, bf16{}) : run(bf16{}, float{});
  } else {
    require_one_dtype("rmsnorm", {y, x});
    run(float{}, float{});
  }
}

}  // namespace ajet::cuda
