// RMS norm of a team's group: the one place that decides its bits.
#pragma once

#include "backend/cuda/device/team.cuh"

namespace ajet::cuda {

// The group that a team has, and whether there is one: an idle team computes what it does not use, as all threads meet.
template <typename Team>
struct TeamGroup {
  int64_t index;
  bool active;

  static AJET_DEVICE TeamGroup of_this_thread(const Groups& groups) {
    const int64_t group = static_cast<int64_t>(blockIdx.x) * Team::teams + Team::index();
    return {group < groups.count ? group : 0, group < groups.count};
  }
};

// This thread's eight columns of x / sqrt(mean(x²) + eps) * weight; zeros behind the group.
template <typename Team, typename X>
AJET_DEVICE void load_normed(float (&values)[vector_width], const Rows<const X>& x, const float* weight,
                             const Groups& groups, int64_t group, float eps, float* scratch) {
  const int64_t col = Team::column(), count = groups.width - col;
  float w[vector_width], squares = 0.0F;
  load8(values, groups.begin(x, group) + col, count, x.vectorized);
  load8(w, weight + col, count, groups.width % vector_width == 0);
#pragma unroll
  for (int i = 0; i < vector_width; ++i) squares = fmaf(values[i], values[i], squares);
  const float scale = 1.0F / sqrtf(Team::sum(squares, scratch) / static_cast<float>(groups.width) + eps);
#pragma unroll
  for (int i = 0; i < vector_width; ++i) values[i] = values[i] * scale * w[i];
}

}  // namespace ajet::cuda
