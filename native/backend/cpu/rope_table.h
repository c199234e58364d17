// cos and sin of every position so far, computed in double and rounded once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ajet::cpu {

class RopeTable {
 public:
  // Rows for positions 0 .. max_position; starts afresh when the frequencies change.
  void extend(std::span<const float> inverse_frequencies, int64_t max_position);
  const float* cosines(int64_t position) const { return &values_[2 * position * half()]; }
  const float* sines(int64_t position) const { return cosines(position) + half(); }

 private:
  int64_t half() const { return static_cast<int64_t>(inverse_frequencies_.size()); }

  std::vector<float> inverse_frequencies_;
  std::vector<float> values_;  // [positions][cosines, sines][half]
  int64_t positions_ = 0;
};

}  // namespace ajet::cpu
