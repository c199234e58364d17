#include "backend_fixture.h"

namespace ajet::test {
namespace {

constexpr float eps = 1e-6F;

struct NormCase {
  int64_t rows, groups, width;
  int64_t cols() const { return groups * width; }
};
const NormCase norm_cases[] = {{1, 1, 1},   {3, 1, 15},  {5, 1, 64},  {130, 1, 100}, {7, 3, 8},    {70, 4, 24},
                               {2, 2, 128}, {3, 2, 200}, {2, 1, 900}, {2, 1, 2000},  {1, 1, 3000}, {1, 1, 8192}};

Doubles reference_forward(const Floats& x, const Floats& weight, const NormCase& c) {
  Doubles y(x.size());
  for (int64_t g = 0; g < c.rows * c.groups; ++g) {
    double squares = 0;
    for (int64_t i = 0; i < c.width; ++i) squares += static_cast<double>(x[g * c.width + i]) * x[g * c.width + i];
    const double r = 1 / std::sqrt(squares / static_cast<double>(c.width) + static_cast<double>(eps));
    for (int64_t i = 0; i < c.width; ++i) y[g * c.width + i] = x[g * c.width + i] * r * weight[i];
  }
  return y;
}

// Derivative of Σ dy * y by the definition of y: dy_j/dx_i = w_j (r δ_ij - x_i x_j r³ / width).
void reference_backward(Doubles& dx, Doubles& dweight, const Floats& dy, const Floats& x, const Floats& weight,
                        const NormCase& c) {
  dx.assign(x.size(), 0);
  dweight.assign(c.width, 0);
  for (int64_t g = 0; g < c.rows * c.groups; ++g) {
    const float *xs = &x[g * c.width], *ds = &dy[g * c.width];
    double squares = 0;
    for (int64_t i = 0; i < c.width; ++i) squares += static_cast<double>(xs[i]) * xs[i];
    const double width = static_cast<double>(c.width), r = 1 / std::sqrt(squares / width + static_cast<double>(eps));
    double dot = 0;
    for (int64_t j = 0; j < c.width; ++j) dot += static_cast<double>(ds[j]) * weight[j] * xs[j];
    for (int64_t i = 0; i < c.width; ++i) {
      dweight[i] += static_cast<double>(ds[i]) * xs[i] * r;
      dx[g * c.width + i] = static_cast<double>(ds[i]) * weight[i] * r - xs[i] * r * r * r / width * dot;
    }
  }
}

// The residual stream is f32; what is projected from it has the backend's compute type.
std::vector<DType> input_dtypes(const Backend& backend) {
  if (backend.compute_dtype() == DType::f32) return {DType::f32};
  return {DType::f32, backend.compute_dtype()};
}

TEST("rmsnorm matches float64 in place too") {
  for (const auto& backend : backends()) {
    for (const NormCase& c : norm_cases) {
      for (const DType dtype : input_dtypes(*backend)) {
        const Floats values = random_floats(1, c.rows * c.cols()), weight = random_floats(2, c.width);
        const DeviceMatrix x(*backend, c.rows, c.cols(), values, dtype), device_weight(*backend, 1, c.width, weight);
        const ComputeMatrix y(*backend, c.rows, c.cols());
        backend->rmsnorm(y, x, device_weight, c.width, eps);
        CHECK_LE(relative_error(y.values(), reference_forward(values, weight, c)), tolerance(*backend, 1e-6));
        if (dtype != backend->compute_dtype()) continue;
        backend->rmsnorm(x, x, device_weight, c.width, eps);
        CHECK(same_bits(x.values(), y.values()));
      }
    }
  }
}

TEST("rmsnorm backward matches float64") {
  for (const auto& backend : backends()) {
    for (const NormCase& c : norm_cases) {
      const int64_t elements = c.rows * c.cols();
      const Floats x = random_floats(3, elements), dy = random_floats(4, elements), start = random_floats(5, elements);
      const Floats weight = random_floats(6, c.width), weight_start = random_floats(7, c.width);
      Doubles expected_dx, expected_dweight;
      reference_backward(expected_dx, expected_dweight, dy, x, weight, c);
      const DeviceMatrix device_weight(*backend, 1, c.width, weight);

      // Into the residual stream's gradient.
      const DeviceMatrix stream(*backend, c.rows, c.cols(), x), dstream(*backend, c.rows, c.cols(), start),
          dweight(*backend, 1, c.width, weight_start);
      const ComputeMatrix dnormed(*backend, c.rows, c.cols(), dy), normed(*backend, c.rows, c.cols());
      backend->rmsnorm_backward(dstream, dweight, dnormed, dnormed, stream, device_weight, c.width, eps, true);
      backend->rmsnorm(normed, stream, device_weight, c.width, eps);
      CHECK(same_bits(dnormed.values(), normed.values()));  // the output takes its gradient's place
      Doubles accumulated = expected_dx, accumulated_dweight = expected_dweight;
      for (int64_t i = 0; i < elements; ++i) accumulated[i] += static_cast<double>(start[i]);
      for (int64_t i = 0; i < c.width; ++i) accumulated_dweight[i] += static_cast<double>(weight_start[i]);
      CHECK_LE(relative_error(dstream.values(), accumulated), tolerance(*backend, 1e-5));
      CHECK_LE(relative_error(dweight.values(), accumulated_dweight), tolerance(*backend, 2e-6));

      // In place, all of one type.
      for (const DType dtype : input_dtypes(*backend)) {
        const DeviceMatrix input(*backend, c.rows, c.cols(), x, dtype), gradient(*backend, c.rows, c.cols(), dy, dtype);
        const DeviceMatrix dw(*backend, 1, c.width);
        backend->rmsnorm_backward(gradient, dw, {}, gradient, input, device_weight, c.width, eps, false);
        if (c.width == 1) continue;  // the gradient is 0
        CHECK_LE(relative_error(gradient.values(), expected_dx), tolerance(*backend, 2e-6));
        CHECK_LE(relative_error(dw.values(), expected_dweight), tolerance(*backend, 2e-6));
      }
    }
  }
}

TEST("rmsnorm same bits on equal backends") {
  check_same_bits_everywhere([](const std::shared_ptr<Backend>& backend) {
    const int64_t rows = 203, width = 40, cols = 2 * width;
    const ComputeMatrix x(*backend, rows, cols, random_floats(8, rows * cols)), y(*backend, rows, cols),
        dx(*backend, rows, cols);
    const DeviceMatrix weight(*backend, 1, width, random_floats(9, width)), dweight(*backend, 1, width);
    backend->rmsnorm(y, x, weight, width, eps);
    backend->rmsnorm_backward(dx, dweight, {}, y, x, weight, width, eps, false);
    Floats all = y.values();
    append(all, dx.values());
    append(all, dweight.values());
    return all;
  });
}

TEST("rmsnorm row does not depend on the batch") {
  for (const auto& backend : backends()) {
    const int64_t rows = 65, cols = 72;
    const Floats x = random_floats(10, rows * cols);
    const DeviceMatrix weight(*backend, 1, cols, random_floats(11, cols));
    const ComputeMatrix all(*backend, rows, cols, x);
    const ComputeMatrix one(*backend, 1, cols, Floats(x.begin() + 40 * cols, x.begin() + 41 * cols));
    backend->rmsnorm(all, all, weight, cols, eps);
    backend->rmsnorm(one, one, weight, cols, eps);
    const Floats y = all.values();
    CHECK(same_bits(one.values(), Floats(y.begin() + 40 * cols, y.begin() + 41 * cols)));
  }
}

}  // namespace
}  // namespace ajet::test
