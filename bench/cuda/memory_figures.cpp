// What is bound by the memory's bandwidth: a copy, which the others are fractions of, the norms, AdamW.
#include <string>
#include <vector>

#include "exchange.h"
#include "figure.h"
#include "measure.h"
#include "model/parameters.h"
#include "operands.h"
#include "shapes.h"

namespace ajet::bench {
namespace {

constexpr float epsilon = 1e-6F;

// Of a layer's input: f32 residual stream in, the compute type out; the backward gives the output once more.
void measure_layer_norm(Bench& bench, Backend& backend, int64_t rows, int64_t cols) {
  const DeviceMatrix x = random_matrix(backend, DType::f32, rows, cols, 1);
  const DeviceMatrix y = random_matrix(backend, backend.compute_dtype(), rows, cols, 2);
  const DeviceMatrix dx = random_matrix(backend, DType::f32, rows, cols, 3);
  const DeviceMatrix weight = random_matrix(backend, DType::f32, 1, cols, 4);
  const DeviceMatrix dweight = random_matrix(backend, DType::f32, 1, cols, 5);
  const auto elements = static_cast<double>(rows * cols);
  const auto size = static_cast<double>(dtype_bytes(backend.compute_dtype()));
  const std::string name = "layer norm, " + std::to_string(rows) + " x " + std::to_string(cols);
  bench.report({.figure = "norms",
                .name = name + ", forward",
                .times = measure(backend, bench.options().seconds,
                                 [&] { backend.rmsnorm(y.tensor, x.tensor, weight.tensor, cols, epsilon); }),
                .bytes = elements * (4 + size)});
  bench.report({.figure = "norms",
                .name = name + ", backward",
                .times = measure(backend, bench.options().seconds,
                                 [&] {
                                   backend.rmsnorm_backward(dx.tensor, dweight.tensor, y.tensor, y.tensor, x.tensor,
                                                            weight.tensor, cols, epsilon, true);
                                 }),
                .bytes = elements * (2 * size + 3 * 4)});
}

// Of queries or keys, rotated in the forward.
void measure_head_norm(Bench& bench, Backend& backend, int64_t rows, const ModelConfig& shape) {
  const int64_t cols = shape.heads * shape.head_dim;
  const DType compute = backend.compute_dtype();
  const DeviceMatrix x = random_matrix(backend, compute, rows, cols, 1),
                     y = random_matrix(backend, compute, rows, cols, 2);
  const DeviceMatrix weight = random_matrix(backend, DType::f32, 1, shape.head_dim, 3);
  const DeviceMatrix dweight = random_matrix(backend, DType::f32, 1, shape.head_dim, 4);
  const std::vector<float> frequencies = rope_inverse_frequencies(shape);
  std::vector<int32_t> positions(static_cast<size_t>(rows));
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i % 4096);
  const auto bytes = static_cast<double>(rows * cols * dtype_bytes(compute));
  const std::string size = ", " + std::to_string(rows) + " x " + std::to_string(cols);
  bench.report({.figure = "norms",
                .name = "head norm and rotation" + size + ", forward",
                .times = measure(
                    backend, bench.options().seconds,
                    [&] { backend.rmsnorm_rope(y.tensor, x.tensor, weight.tensor, epsilon, positions, frequencies); }),
                .bytes = 2 * bytes});
  bench.report({.figure = "norms",
                .name = "head norm" + size + ", backward",
                .times = measure(backend, bench.options().seconds,
                                 [&] {
                                   backend.rmsnorm_backward(y.tensor, dweight.tensor, {}, y.tensor, x.tensor,
                                                            weight.tensor, shape.head_dim, epsilon, false);
                                 }),
                .bytes = 3 * bytes});
}

}  // namespace

void measure_copy(Bench& bench) {
  const auto backend = bench.backend();
  const int64_t elements = bench.pick<int64_t>(1 << 30, 1 << 22);  // 4 GiB
  const DeviceMatrix from = random_matrix(*backend, DType::f32, 1, elements, 1);
  const DeviceMatrix to = random_matrix(*backend, DType::f32, 1, elements, 2);
  const auto bytes = static_cast<size_t>(elements) * sizeof(float);
  bench.report({.figure = "copy",
                .name = std::to_string(bytes >> 20) + " MiB",
                .times = measure(*backend, bench.options().seconds,
                                 [&] { backend->copy(to.buffer.data(), from.buffer.data(), bytes); }),
                .bytes = 2.0 * static_cast<double>(bytes),
                .more = {{"device", backend->description()}}});
}

void measure_norms(Bench& bench) {
  const auto backend = bench.backend();
  const ModelConfig shape = model_shape(bench.pick("qwen3-0.6b", "small-qwen3"));
  const int64_t rows = bench.pick<int64_t>(65536, 512);
  measure_layer_norm(bench, *backend, rows, shape.hidden_size);
  measure_head_norm(bench, *backend, rows, shape);
}

// Over all parameters of a model, in one call as in the many of an update.
void measure_adamw(Bench& bench) {
  const auto backend = bench.backend();
  const char* name = bench.pick("qwen3-0.6b", "small-qwen3");
  const int64_t elements = ParameterLayout::build(model_shape(name), *backend).elements;
  exchange_inputs(bench.options().exchange, "adamw", true, Json::Object{{"elements", elements}});
  DeviceMatrix state[4];  // weights, gradient, both moments
  for (uint64_t i = 0; i < 4; ++i) state[i] = random_matrix(*backend, DType::f32, 1, elements, i);
  const auto& [w, gradient, m, v] = state;
  const DType compute = backend->compute_dtype();
  const bool has_copy = compute != DType::f32;
  const Buffer copy = backend->allocate(has_copy ? static_cast<size_t>(elements * dtype_bytes(compute)) : 0);
  AdamwArgs args{.learning_rate = 1e-6F, .weight_decay = 0.01F, .compute_copy = has_copy ? copy.data() : nullptr};
  const auto n = static_cast<double>(elements);
  const double copy_bytes = has_copy ? static_cast<double>(dtype_bytes(compute)) : 0.0;
  bench.report({.figure = "adamw",
                .name = std::string("step, ") + name,
                .times = measure(*backend, bench.options().seconds,
                                 [&] {
                                   backend->adamw(w.tensor.f32(), m.tensor.f32(), v.tensor.f32(), gradient.tensor.f32(),
                                                  elements, args);
                                   ++args.step;
                                 }),
                .bytes = n * (7 * sizeof(float) + copy_bytes)});
  bench.report({.figure = "adamw",
                .name = std::string("gradient norm, ") + name,
                .times = measure(*backend, bench.options().seconds,
                                 [&] { backend->sum_squares(gradient.tensor.f32(), elements); }),
                .bytes = n * sizeof(float)});
}

}  // namespace ajet::bench
