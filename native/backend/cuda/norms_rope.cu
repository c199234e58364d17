// The norm of each head, then its rotary embedding: one pass over q or k instead of two. norms.cu and rope.cu have the
// formulas; nothing is rounded in between.
#include <algorithm>

#include "backend/cuda/device/norm.cuh"

namespace ajet::cuda {
namespace {

struct Rotation {
  const int32_t* positions;  // of each row
  const float* table;        // [position][cos, sin][half], see rope.cu
  int64_t half;

  AJET_DEVICE const float* angles(int64_t row) const { return table + 2 * positions[row] * half; }
  friend bool operator==(const Rotation&, const Rotation&) = default;
};

// Turns eight columns of a head, whose other columns the team's threads have left in `head`.
AJET_DEVICE void turn(float (&values)[vector_width], const float* head, int64_t col, int64_t count, int64_t half,
                      const float* angles) {
  const auto turned = [&](float own, int64_t c, float cosine, float sine) {
    return c < half ? fmaf(-head[c + half], sine, own * cosine) : fmaf(head[c - half], sine, own * cosine);
  };
  if (half % vector_width == 0) {
    const int64_t i = col < half ? col : col - half;
    float cosines[vector_width], sines[vector_width];
    load8(cosines, angles + i, vector_width, true);
    load8(sines, angles + half + i, vector_width, true);
#pragma unroll
    for (int j = 0; j < vector_width; ++j) values[j] = turned(values[j], col + j, cosines[j], sines[j]);
  } else {
    for (int j = 0; j < vector_width && j < count; ++j) {
      const int64_t c = col + j, i = c < half ? c : c - half;
      values[j] = turned(values[j], c, angles[i], angles[half + i]);
    }
  }
}

template <typename T, typename Team>
__global__ void __launch_bounds__(Team::block)
    rmsnorm_rope_kernel(Rows<T> y, Rows<const T> x, const float* weight, Groups heads, float eps, Rotation rotation) {
  __shared__ float scratch[warp_lanes];
  __shared__ float normed[Team::block * vector_width];
  const auto group = TeamGroup<Team>::of_this_thread(heads);
  float values[vector_width];
  load_normed<Team>(values, x, weight, heads, group.index, eps, scratch);
  float* head = normed + Team::index() * Team::max_width;
  const int64_t col = Team::column(), count = heads.width - col;
#pragma unroll
  for (int i = 0; i < vector_width; ++i) head[col + i] = values[i];
  __syncthreads();
  if (!group.active || count <= 0) return;
  turn(values, head, col, count, rotation.half, rotation.angles(group.index / heads.per_row));
  store8(heads.begin(y, group.index) + col, values, count, y.vectorized);
}

}  // namespace

void CudaBackend::do_rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                                  std::span<const float> inverse_frequencies) {
  require_one_dtype("rmsnorm_rope", {y, x});
  extend_rope_table(inverse_frequencies, *std::ranges::max_element(positions) + 1);
  const Groups heads(x.rows, x.cols, weight.cols);
  const Rotation rotation{arguments_.send(positions), rope_table_, weight.cols / 2};
  with_element(x.dtype, [&](auto element) {
    using T = decltype(element);
    with_team("rmsnorm_rope", weight.cols, [&](auto team) {
      using Threads = decltype(team);
      launch(stream_, {ceil_div(heads.count, Threads::teams), Threads::block}, rmsnorm_rope_kernel<T, Threads>,
             groups_of<T>(y, heads), groups_of<const T>(x, heads), weight.f32(), heads, eps, rotation);
    });
  });
}

}  // namespace ajet::cuda
