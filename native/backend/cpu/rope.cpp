// Rotary position embedding (Su et al. 2021) with the half-split pairing of Hugging Face's models.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/rope_table.h"
#include "backend/cpu/row_tasks.h"

namespace ajet::cpu {

void RopeTable::extend(std::span<const float> inverse_frequencies, int64_t max_position) {
  if (!std::ranges::equal(inverse_frequencies, inverse_frequencies_)) {
    inverse_frequencies_.assign(inverse_frequencies.begin(), inverse_frequencies.end());
    positions_ = 0;
  }
  if (max_position < positions_) return;
  const int64_t first = positions_;
  positions_ = max_position + 1;
  values_.resize(2 * positions_ * half());
  for (int64_t position = first; position < positions_; ++position) {
    float* row = &values_[2 * position * half()];
    for (int64_t i = 0; i < half(); ++i) {
      const double angle = static_cast<double>(position) * static_cast<double>(inverse_frequencies_[i]);
      row[i] = static_cast<float>(std::cos(angle));
      row[half() + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void CpuBackend::do_rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
                         int64_t head_dim, bool inverse) {
  if (x.rows == 0) return;
  RopeTable& table = op_state().rope_table;
  table.extend(inverse_frequencies, *std::ranges::max_element(positions));
  const float direction = inverse ? -1.0F : 1.0F;
  parallel_rows(pool_, x.rows, x.cols, [&](int64_t row) {
    k_.rope(x.f32() + row * x.stride, x.cols / head_dim, head_dim / 2, table.cosines(positions[row]),
            table.sines(positions[row]), direction);
  });
}

void CpuBackend::do_rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                                 std::span<const float> inverse_frequencies) {
  RopeTable& table = op_state().rope_table;
  table.extend(inverse_frequencies, *std::ranges::max_element(positions));
  const int64_t head_dim = weight.cols, heads = x.cols / head_dim;
  parallel_rows(pool_, x.rows, 2 * x.cols, [&](int64_t row) {
    float* out = y.f32() + row * y.stride;
    k_.rmsnorm(out, x.f32() + row * x.stride, weight.f32(), heads, head_dim, eps);
    k_.rope(out, heads, head_dim / 2, table.cosines(positions[row]), table.sines(positions[row]), 1.0F);
  });
}

}  // namespace ajet::cpu
