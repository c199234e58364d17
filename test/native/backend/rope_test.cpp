#include "backend_fixture.h"

namespace ajet::test {
namespace {

Floats inverse_frequencies(int64_t head_dim, double base) {
  Floats values(head_dim / 2);
  for (int64_t i = 0; i < head_dim / 2; ++i)
    values[i] = static_cast<float>(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  return values;
}

// Complex multiplication of x[i] + i x[i + half] by e^(i angle).
Doubles reference(const Floats& x, const std::vector<int32_t>& positions, const Floats& frequencies, int64_t heads) {
  const int64_t half = static_cast<int64_t>(frequencies.size()), cols = heads * 2 * half;
  Doubles y(x.size());
  for (size_t row = 0; row < positions.size(); ++row) {
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t i = 0; i < half; ++i) {
        const size_t at = row * cols + head * 2 * half + i;
        const double angle = static_cast<double>(positions[row]) * static_cast<double>(frequencies[i]);
        y[at] = x[at] * std::cos(angle) - x[at + half] * std::sin(angle);
        y[at + half] = x[at + half] * std::cos(angle) + x[at] * std::sin(angle);
      }
    }
  }
  return y;
}

TEST("rope matches float64 and its inverse returns") {
  for (const auto& backend : backends()) {
    for (const int64_t head_dim : {8, 16, 24, 32, 64, 128}) {
      const int64_t heads = 3, cols = heads * head_dim;
      const std::vector<int32_t> positions{0, 1, 5000, 17, 17, 3};
      const int64_t rows = static_cast<int64_t>(positions.size());
      const Floats x = random_floats(1, rows * cols), frequencies = inverse_frequencies(head_dim, 10000);
      const ComputeMatrix matrix(*backend, rows, cols, x);
      backend->rope(matrix, positions, frequencies, head_dim, false);
      CHECK_LE(relative_error(matrix.values(), reference(x, positions, frequencies, heads)), tolerance(*backend, 1e-6));
      backend->rope(matrix, positions, frequencies, head_dim, true);
      CHECK_LE(relative_error(matrix.values(), x), tolerance(*backend, 1e-6));
    }
  }
}

TEST("rope follows a change of frequencies") {
  const int64_t head_dim = 16;
  const Floats x = random_floats(2, 2 * head_dim);
  const std::vector<int32_t> positions{9, 2};
  for (const auto& backend : backends()) {
    for (const double base : {10000.0, 1e6, 10000.0}) {
      const ComputeMatrix matrix(*backend, 2, head_dim, x);
      const Floats frequencies = inverse_frequencies(head_dim, base);
      backend->rope(matrix, positions, frequencies, head_dim, false);
      CHECK_LE(relative_error(matrix.values(), reference(x, positions, frequencies, 1)), tolerance(*backend, 1e-6));
    }
  }
}

TEST("rope same bits on equal backends") {
  check_same_bits_everywhere([](const std::shared_ptr<Backend>& backend) {
    const int64_t rows = 300, head_dim = 40, heads = 2;
    std::vector<int32_t> positions(rows);
    for (int64_t i = 0; i < rows; ++i) positions[i] = static_cast<int32_t>(i * 7 % 113);
    const ComputeMatrix matrix(*backend, rows, heads * head_dim, random_floats(3, rows * heads * head_dim));
    backend->rope(matrix, positions, inverse_frequencies(head_dim, 10000), head_dim, false);
    return matrix.values();
  });
}

}  // namespace
}  // namespace ajet::test
