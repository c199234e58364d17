// RMS norm (Zhang & Sennrich 2019) over groups of columns.
#include "backend/cuda/device/norm.cuh"

namespace ajet::cuda {
namespace {

template <typename Y, typename X, typename Team>
__global__ void __launch_bounds__(Team::block)
    rmsnorm_kernel(Rows<Y> y, Rows<const X> x, const float* weight, Groups groups, float eps) {
  __shared__ float scratch[warp_lanes];
  const auto group = TeamGroup<Team>::of_this_thread(groups);
  float values[vector_width];
  load_normed<Team>(values, x, weight, groups, group.index, eps, scratch);
  const int64_t col = Team::column();
  if (group.active) store8(groups.begin(y, group.index) + col, values, groups.width - col, y.vectorized);
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
