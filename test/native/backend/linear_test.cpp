#include <algorithm>

#include "backend_fixture.h"

namespace ajet::test {
namespace {

struct Shape {
  int64_t m, k, n;
};

// Sizes around the tile heights (2, 6, 14), the panel width (16) and the depth block (512).
const std::vector<Shape> shapes = {{1, 1, 1},     {1, 5, 16},     {2, 16, 17},   {3, 33, 48},     {4, 64, 100},
                                   {5, 7, 130},   {7, 100, 32},   {13, 48, 33},  {14, 31, 64},    {15, 17, 15},
                                   {16, 512, 31}, {29, 513, 50},  {113, 40, 70}, {230, 96, 90},   {37, 1100, 40},
                                   {600, 24, 40}, {30, 128, 300}, {50, 40, 530}, {90, 300, 1100}, {20, 150, 1000}};

struct Operands {
  Matrix x, w, dy, bias;
  explicit Operands(const Shape& s)
      : x(Matrix::random(s.m, s.k, 1)),
        w(Matrix::random(s.n, s.k, 2)),
        dy(Matrix::random(s.m, s.n, 3)),
        bias(Matrix::random(1, s.n, 4)) {}
};

std::vector<double> linear_f64(const Operands& o, bool with_bias) {
  std::vector<double> y;
  for (int64_t m = 0; m < o.x.rows; ++m) {
    for (int64_t n = 0; n < o.w.rows; ++n) {
      double sum = with_bias ? static_cast<double>(o.bias(0, n)) : 0;
      for (int64_t k = 0; k < o.x.cols; ++k) sum += static_cast<double>(o.x(m, k)) * static_cast<double>(o.w(n, k));
      y.push_back(sum);
    }
  }
  return y;
}

std::vector<double> linear_dx_f64(const Operands& o, const Matrix& start) {
  std::vector<double> dx(start.values.begin(), start.values.end());
  for (int64_t m = 0; m < o.x.rows; ++m) {
    for (int64_t n = 0; n < o.w.rows; ++n) {
      for (int64_t k = 0; k < o.x.cols; ++k) {
        dx[static_cast<size_t>(m * o.x.cols + k)] += static_cast<double>(o.dy(m, n)) * static_cast<double>(o.w(n, k));
      }
    }
  }
  return dx;
}

std::vector<double> linear_dw_f64(const Operands& o, const Matrix& start) {
  std::vector<double> dw(start.values.begin(), start.values.end());
  for (int64_t m = 0; m < o.x.rows; ++m) {
    for (int64_t n = 0; n < o.w.rows; ++n) {
      for (int64_t k = 0; k < o.x.cols; ++k) {
        dw[static_cast<size_t>(n * o.x.cols + k)] += static_cast<double>(o.dy(m, n)) * static_cast<double>(o.x(m, k));
      }
    }
  }
  return dw;
}

Matrix run_linear(Backend& backend, const Operands& o, bool with_bias, int64_t gap = 3) {
  const ComputeMatrix x(backend, o.x, gap), y(backend, Matrix(o.x.rows, o.w.rows), gap);
  const DeviceMatrix bias(backend, o.bias);
  const DeviceWeight w(backend, o.w);
  backend.linear(y.tensor(), x.tensor(), w.weight(), with_bias ? bias.tensor() : Tensor{});
  return y.read();
}

Matrix run_linear_dx(Backend& backend, const Operands& o, bool accumulate, int64_t gap = 3) {
  const ComputeMatrix dy(backend, o.dy, gap), dx(backend, o.x, gap);
  const DeviceWeight w(backend, o.w);
  backend.linear_dx(dx.tensor(), dy.tensor(), w.weight(), accumulate);
  return dx.read();
}

struct WeightGradient {
  Matrix dw, dbias;
};

WeightGradient run_linear_dw(Backend& backend, const Operands& o, int64_t gap = 3) {
  const ComputeMatrix dy(backend, o.dy, gap), x(backend, o.x, gap);
  const DeviceMatrix dbias(backend, o.bias);
  const DeviceGradient dw(backend, o.w);
  backend.linear_dw(dw.weight(), dbias.tensor(), dy.tensor(), x.tensor());
  double norm1 = 0;
  const Matrix result = dw.read();
  for (float value : result.values) norm1 += std::abs(static_cast<double>(value));
  // The order of the two sums differs, so equal up to rounding: padding has stayed zero.
  CHECK_LE(std::abs(dw.storage_norm1() - norm1), 1e-9 * norm1);
  return {result, dbias.read()};
}

TEST("linear matches float64") {
  for (const auto& backend : backends()) {
    for (const Shape& shape : shapes) {
      const Operands o(shape);
      for (bool with_bias : {false, true}) {
        CHECK_LE(relative_error(run_linear(*backend, o, with_bias).values, linear_f64(o, with_bias)),
                 tolerance(*backend, 1e-5));
      }
    }
  }
}

TEST("linear matches float64 over 5000 inputs") {
  const Operands o({3, 5000, 24});
  for (const auto& backend : backends()) {
    CHECK_LE(relative_error(run_linear(*backend, o, true).values, linear_f64(o, true)), tolerance(*backend, 1e-5));
  }
}

TEST("linear_dx matches float64") {
  for (const auto& backend : backends()) {
    for (const Shape& shape : shapes) {
      const Operands o(shape);
      for (bool accumulate : {false, true}) {
        const Matrix start = accumulate ? o.x : Matrix(o.x.rows, o.x.cols);
        CHECK_LE(relative_error(run_linear_dx(*backend, o, accumulate).values, linear_dx_f64(o, start)),
                 tolerance(*backend, 1e-5));
      }
    }
  }
}

TEST("linear_dw matches float64") {
  for (const auto& backend : backends()) {
    for (const Shape& shape : shapes) {
      const Operands o(shape);
      const WeightGradient gradient = run_linear_dw(*backend, o);
      CHECK_LE(relative_error(gradient.dw.values, linear_dw_f64(o, o.w)), tolerance(*backend, 1e-5));
      std::vector<double> dbias(o.bias.values.begin(), o.bias.values.end());
      for (int64_t m = 0; m < o.dy.rows; ++m) {
        for (int64_t n = 0; n < o.dy.cols; ++n) dbias[static_cast<size_t>(n)] += static_cast<double>(o.dy(m, n));
      }
      CHECK_LE(relative_error(gradient.dbias.values, dbias), tolerance(*backend, 1e-5));
    }
  }
}

// Differences of the loss Σ dy·y against dw, dbias and dx.
TEST("linear gradients match finite differences") {
  const Operands o({9, 21, 19});
  const auto loss = [&](const Operands& at) {
    double sum = 0;
    const std::vector<double> y = linear_f64(at, true);
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(o.dy.values[i]);
    return sum;
  };
  const auto check = [&](Matrix Operands::*operand, const Matrix& gradient, const Matrix& start) {
    for (size_t i = 0; i < gradient.values.size(); i += 5) {
      Operands above = o, below = o;
      (above.*operand).values[i] += 0.5F;
      (below.*operand).values[i] -= 0.5F;
      const double slope = loss(above) - loss(below);  // a difference of 1; the loss is linear in each operand
      const double actual = static_cast<double>(gradient.values[i]) - static_cast<double>(start.values[i]);
      CHECK_LE(std::abs(actual - slope), 1e-4 * std::max(1.0, std::abs(slope)));
    }
  };
  for (const auto& backend : backends()) {
    if (backend->compute_dtype() != DType::f32) continue;  // too coarse for differences
    const WeightGradient gradient = run_linear_dw(*backend, o);
    check(&Operands::w, gradient.dw, o.w);
    check(&Operands::bias, gradient.dbias, o.bias);
    check(&Operands::x, run_linear_dx(*backend, o, false), Matrix(o.x.rows, o.x.cols));
  }
}

// A row's result is the same for any number of rows beside it, and on equal backends.
TEST("linear rows do not depend on the batch") {
  const Operands all({300, 700, 150});
  for (const auto& equals : equal_backends()) {
    const Matrix expected = run_linear(*equals.front(), all, true);
    for (const auto& backend : equals) {
      for (int64_t m : {1, 2, 3, 4, 5, 8, 13, 14, 15, 28, 64, 113, 300}) {
        Operands part({m, 700, 150});
        part.w = all.w;
        part.bias = all.bias;
        const int64_t first = 300 - m;
        std::copy_n(all.x.values.begin() + first * 700, m * 700, part.x.values.begin());
        const Matrix y = run_linear(*backend, part, true, m % 5);
        CHECK(std::equal(y.values.begin(), y.values.end(), expected.values.begin() + first * 150));
      }
    }
  }
}

TEST("linear same bits on equal backends") {
  std::vector<Shape> all = shapes;
  if (!is_slow(*backends().front()))
    all.insert(all.end(), {Shape{520, 130, 600}, Shape{20, 600, 700}, Shape{3, 90, 1100}});
  for (const Shape& shape : all) {
    const Operands o(shape);
    check_same_bits_everywhere([&](const std::shared_ptr<Backend>& backend) {
      Floats results = run_linear(*backend, o, true).values;
      append(results, run_linear_dx(*backend, o, true).values);
      const WeightGradient gradient = run_linear_dw(*backend, o);
      append(results, gradient.dw.values);
      append(results, gradient.dbias.values);
      return results;
    });
  }
}

// The residual stream and the logits are f32, their gradients too.
TEST("linear takes and gives float32 beside the compute type") {
  for (const auto& backend : backends()) {
    const Operands o({29, 130, 70});
    const ComputeMatrix x(*backend, o.x);
    const DeviceMatrix y(*backend, Matrix(29, 70)), dy(*backend, o.dy), dx(*backend, Matrix(29, 130));
    const DeviceWeight w(*backend, o.w);
    const DeviceGradient dw(*backend, Matrix(70, 130));
    backend->linear(y, x, w.weight());
    backend->linear_dx(dx, dy, w.weight(), false);
    backend->linear_dw(dw.weight(), {}, dy, x);
    CHECK_LE(relative_error(y.values(), linear_f64(o, false)), tolerance(*backend, 1e-5));
    CHECK_LE(relative_error(dx.values(), linear_dx_f64(o, Matrix(29, 130))), tolerance(*backend, 1e-5));
    CHECK_LE(relative_error(dw.read().values, linear_dw_f64(o, Matrix(70, 130))), tolerance(*backend, 1e-5));
  }
}

TEST("linear adds a residual to what it gives alone") {
  for (const auto& backend : backends()) {
    for (const Shape& shape : {Shape{1, 40, 33}, Shape{7, 700, 150}, Shape{70, 96, 130}, Shape{300, 64, 260}}) {
      const Operands o(shape);
      const ComputeMatrix x(*backend, o.x);
      const DeviceMatrix bias(*backend, o.bias), residual(*backend, o.dy, 5);
      const DeviceMatrix alone(*backend, Matrix(shape.m, shape.n), 2), y(*backend, Matrix(shape.m, shape.n), 3);
      const DeviceWeight w(*backend, o.w);
      backend->linear(alone.tensor(), x.tensor(), w.weight(), bias.tensor());
      backend->linear(y.tensor(), x.tensor(), w.weight(), bias.tensor(), residual.tensor());
      Floats expected = alone.values();
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += o.dy.values[i];
      CHECK(same_bits(y.values(), expected));
    }
  }
}

TEST("linear names what does not fit") {
  const auto backend = backends().back();  // one that computes in f32
  const DeviceMatrix x(*backend, Matrix(4, 8)), y(*backend, Matrix(4, 5)), narrow(*backend, Matrix(4, 4));
  const DeviceMatrix bias(*backend, Matrix(1, 4));
  const DeviceWeight w(*backend, Matrix(5, 8));
  CHECK_ERROR(backend->linear(y.tensor(), y.tensor(), w.weight()),
              "[linear] Expected shape [5, 5] for `w` but received [5, 8]");
  CHECK_ERROR(backend->linear(narrow.tensor(), x.tensor(), w.weight()),
              "[linear] Expected shape [4, 5] for `y` but received [4, 4]");
  CHECK_ERROR(backend->linear(y.tensor(), x.tensor(), w.weight(), bias.tensor()),
              "[linear] Expected shape [1, 5] for `bias` but received [1, 4]");
  CHECK_ERROR(backend->linear(y.tensor(), x.tensor(), w.weight(), {}, narrow.tensor()),
              "[linear] Expected shape [4, 5] for `residual` but received [4, 4]");
  CHECK_ERROR(backend->linear(y.tensor(), x.tensor(), w.weight(), {}, y.tensor()),
              "[linear] Expected other memory than y's for `residual` but received y");
  Tensor half = x.tensor();
  half.dtype = DType::bf16;
  CHECK_ERROR(backend->linear(y.tensor(), half, w.weight()), "[linear] Expected float32 for `x` but received bfloat16");
  Tensor overlapping = x.tensor();
  overlapping.stride = 7;
  CHECK_ERROR(backend->linear(y.tensor(), overlapping, w.weight()), "a stride of at least 8 for `x` but received 7");
  CHECK_ERROR(backend->linear_dx(y.tensor(), y.tensor(), w.weight(), false),
              "[linear_dx] Expected shape [4, 8] for `dx` but received [4, 5]");
  CHECK_ERROR(backend->linear_dw(w.weight(), {}, x.tensor(), x.tensor()), "[linear_dw] Expected shape [8, 8] for `dw`");
}

}  // namespace
}  // namespace ajet::test
