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
template <typename Values>
Doubles reference(const Values& x, const std::vector<int32_t>& positions, const Floats& frequencies, int64_t heads) {
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

// The norm in float64, then the rotation.
Doubles normed_reference(const Floats& x, const Floats& weight, const std::vector<int32_t>& positions,
                         const Floats& frequencies, int64_t heads) {
  const size_t head_dim = weight.size();
  Doubles normed(x.size());
  for (size_t head = 0; head < x.size() / head_dim; ++head) {
    double squares = 0;
    for (size_t i = 0; i < head_dim; ++i) squares += std::pow(static_cast<double>(x[head * head_dim + i]), 2);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(head_dim) + 1e-6);
    for (size_t i = 0; i < head_dim; ++i)
      normed[head * head_dim + i] =
          static_cast<double>(x[head * head_dim + i]) * scale * static_cast<double>(weight[i]);
  }
  return reference(normed, positions, frequencies, heads);
}

TEST("rmsnorm_rope matches float64 in place too") {
  for (const auto& backend : backends()) {
    for (const int64_t head_dim : {2, 8, 24, 64, 80, 128, 256, 600}) {
      const int64_t heads = 3, cols = heads * head_dim;
      const std::vector<int32_t> positions{0, 1, 5000, 17, 17, 3, 40};
      const int64_t rows = static_cast<int64_t>(positions.size());
      const Floats x = random_floats(4, rows * cols, 3), weight = random_floats(5, head_dim);
      const Floats frequencies = inverse_frequencies(head_dim, 10000);
      const ComputeMatrix in(*backend, rows, cols, x), out(*backend, rows, cols);
      const DeviceMatrix device_weight(*backend, 1, head_dim, weight);
      backend->rmsnorm_rope(out, in, device_weight, 1e-6F, positions, frequencies);
      CHECK_LE(relative_error(out.values(), normed_reference(x, weight, positions, frequencies, heads)),
               tolerance(*backend, 1e-6));
      backend->rmsnorm_rope(in, in, device_weight, 1e-6F, positions, frequencies);
      CHECK(same_bits(in.values(), out.values()));
    }
  }
}

TEST("rmsnorm_rope row does not depend on the batch") {
  const int64_t rows = 40, head_dim = 64, cols = 2 * head_dim;
  const Floats x = random_floats(6, rows * cols), frequencies = inverse_frequencies(head_dim, 10000);
  std::vector<int32_t> positions(rows);
  for (int64_t i = 0; i < rows; ++i) positions[i] = static_cast<int32_t>(i * 5 % 37);
  for (const auto& backend : backends()) {
    const DeviceMatrix weight(*backend, 1, head_dim, random_floats(7, head_dim));
    const ComputeMatrix all(*backend, rows, cols, x), one(*backend, 1, cols, Floats(x.end() - cols, x.end()));
    backend->rmsnorm_rope(all, all, weight, 1e-6F, positions, frequencies);
    backend->rmsnorm_rope(one, one, weight, 1e-6F, std::span(positions).last(1), frequencies);
    const Floats y = all.values();
    CHECK(same_bits(one.values(), Floats(y.end() - cols, y.end())));
  }
}

TEST("rmsnorm_rope names what does not fit") {
  const auto backend = backends().back();  // one that computes in f32
  const DeviceMatrix x(*backend, 2, 12), weight(*backend, 1, 4), odd(*backend, 1, 3);
  const std::vector<int32_t> positions{0, 1};
  CHECK_ERROR(backend->rmsnorm_rope(x, x, odd, 1e-6F, positions, Floats(1)), "an even number of columns for `weight`");
  CHECK_ERROR(backend->rmsnorm_rope(x, x, weight, 1e-6F, positions, Floats(3)),
              "[rmsnorm_rope] Expected 2 elements for `inverse_frequencies` but received 3");
  CHECK_ERROR(backend->rmsnorm_rope(x, x, weight, 1e-6F, std::span(positions).first(1), Floats(2)),
              "[rmsnorm_rope] Expected 2 elements for `positions` but received 1");
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
