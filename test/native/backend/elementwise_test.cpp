#include "backend_fixture.h"

namespace ajet::test {
namespace {

double silu(double g) { return g / (1 + std::exp(-g)); }

TEST("swiglu matches float64 and finite differences") {
  for (const auto& backend : backends()) {
    for (const int64_t cols : {1, 15, 16, 33, 200}) {
      const int64_t rows = 3, elements = rows * cols;
      const Floats gate = random_floats(1, elements, 4), up = random_floats(2, elements);
      const Floats dy = random_floats(3, elements);
      Doubles expected(elements), expected_dgate(elements), expected_dup(elements);
      for (int64_t i = 0; i < elements; ++i) {
        constexpr double h = 1e-5;
        const double g = gate[i];
        expected[i] = silu(g) * up[i];
        expected_dup[i] = silu(g) * dy[i];
        expected_dgate[i] = (silu(g + h) - silu(g - h)) / (2 * h) * up[i] * dy[i];
      }
      const ComputeMatrix y(*backend, rows, cols), g(*backend, rows, cols, gate), u(*backend, rows, cols, up),
          d(*backend, rows, cols, dy), dgate(*backend, rows, cols), dup(*backend, rows, cols),
          again(*backend, rows, cols);
      backend->swiglu(y, g, u);
      CHECK_LE(relative_error(y.values(), expected), tolerance(*backend, 1e-6));
      backend->swiglu_backward(dgate, dup, again, d, g, u);
      CHECK_LE(relative_error(dgate.values(), expected_dgate), tolerance(*backend, 1e-6));
      CHECK_LE(relative_error(dup.values(), expected_dup), tolerance(*backend, 1e-6));
      CHECK(same_bits(again.values(), y.values()));
      backend->swiglu_backward(g, u, d, d, g, u);  // may alias
      CHECK(same_bits(d.values(), y.values()));
      CHECK(same_bits(g.values(), dgate.values()));
      CHECK(same_bits(u.values(), dup.values()));
    }
  }
}

TEST("swiglu saturates without infinities") {
  for (const auto& backend : backends()) {
    const ComputeMatrix g(*backend, 1, 4, {-1e4F, -100, 100, 1e4F}), u(*backend, 1, 4, {1, 1, 1, 1}), y(*backend, 1, 4);
    backend->swiglu(y, g, u);
    const Floats values = y.values();
    CHECK_LE(std::fabs(values[0]), 1e-30F);
    CHECK_LE(std::fabs(values[1]), 1e-30F);
    CHECK_EQ(values[2], 100.0F);
    CHECK_EQ(values[3], rounded(backend->compute_dtype(), 1e4F));
    backend->swiglu_backward(g, u, y, y, g, u);
    for (const float value : g.values()) CHECK(std::isfinite(value));
  }
}

TEST("add gather and scatter rows") {
  for (const auto& backend : backends()) {
    for (const int64_t cols : {1, 17, 300}) {
      const Floats x = rounded(*backend, random_floats(4, 5 * cols)), y = rounded(*backend, random_floats(5, 4 * cols));
      const ComputeMatrix device_x(*backend, 5, cols, x), gathered(*backend, 4, cols), sum(*backend, 4, cols, y);
      const std::vector<int32_t> rows{4, 0, 4, 2};
      backend->gather_rows(gathered, device_x, rows);
      Floats expected;
      for (const int32_t r : rows) append(expected, Floats(x.begin() + r * cols, x.begin() + (r + 1) * cols));
      CHECK(same_bits(gathered.values(), expected));

      backend->add(sum, gathered);
      Floats expected_sum = y;
      for (int64_t i = 0; i < 4 * cols; ++i) expected_sum[i] += expected[i];
      expected_sum = rounded(*backend, expected_sum);
      CHECK(same_bits(sum.values(), expected_sum));

      backend->scatter_add_rows(device_x, sum, rows);  // row 4 twice, ascending
      Floats scattered = x;
      for (size_t i = 0; i < rows.size(); ++i)
        for (int64_t c = 0; c < cols; ++c) scattered[rows[i] * cols + c] += expected_sum[i * cols + c];
      CHECK(same_bits(device_x.values(), rounded(*backend, scattered)));
    }
  }
}

TEST("swiglu same bits on equal backends") {
  check_same_bits_everywhere([](const std::shared_ptr<Backend>& backend) {
    const int64_t rows = 100, cols = 333;
    const ComputeMatrix g(*backend, rows, cols, random_floats(6, rows * cols, 3)),
        u(*backend, rows, cols, random_floats(7, rows * cols)), y(*backend, rows, cols);
    backend->swiglu(y, g, u);
    backend->swiglu_backward(g, u, y, y, g, u);
    Floats all = y.values();
    append(all, g.values());
    append(all, u.values());
    return all;
  });
}

}  // namespace
}  // namespace ajet::test
