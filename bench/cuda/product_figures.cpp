// What is bound by the matrix units: a large product, which rates are fractions of, and the LM head.
#include <numeric>
#include <string>
#include <vector>

#include "figure.h"
#include "measure.h"
#include "operands.h"
#include "random_ids.h"
#include "shapes.h"
#include "train/head_pass.h"
#include "train/trainer.h"

namespace ajet::bench {
namespace {

// Who computes products of gradients on this device.
std::string gradient_products(const Backend& backend) {
  if (backend.name() != "cuda") return "own kernel";
  return cuda_support().probe.cublaslt_found ? "cuBLASLt" : "own kernel (no cuBLASLt)";
}

}  // namespace

// m = n = k. The forward product is our own kernel's everywhere; dx is cuBLASLt's where there is one: the denominator.
void measure_product(Bench& bench) {
  const auto backend = bench.backend();
  const int64_t size = bench.pick<int64_t>(8192, 256);
  const DType compute = backend->compute_dtype();
  const DeviceMatrix x = random_matrix(*backend, compute, size, size, 1),
                     y = random_matrix(*backend, compute, size, size, 2);
  const DeviceWeight w = random_weight(*backend, size, size, 3), dw = zero_weight(*backend, size, size);
  const auto n = static_cast<double>(size);
  const auto report = [&](const char* product, const std::string& kernel, const auto& call) {
    bench.report({.figure = "product",
                  .name = std::string(product) + ", " + std::to_string(size) + " x " + std::to_string(size) + " x " +
                          std::to_string(size),
                  .times = measure(*backend, bench.options().seconds, call),
                  .flops = 2 * n * n * n,
                  .more = {{"kernel", kernel}}});
  };
  report("forward", "own kernel", [&] { backend->linear(y.tensor, x.tensor, w.weight); });
  report("dx", gradient_products(*backend), [&] { backend->linear_dx(x.tensor, y.tensor, w.weight, false); });
  report("dw", gradient_products(*backend), [&] { backend->linear_dw(dw.weight, {}, y.tensor, x.tensor); });
}

// Log-probs of the tokens that follow so many hidden states, and their gradients, in the trainer's chunks.
void measure_head(Bench& bench) {
  const auto backend = bench.backend();
  const char* name = bench.pick("qwen3-0.6b", "small-qwen3");
  const ModelConfig shape = model_shape(name);
  const int64_t rows = bench.pick<int64_t>(8192, 64);
  const DeviceMatrix hidden = random_matrix(*backend, backend->compute_dtype(), rows, shape.hidden_size, 1);
  const DeviceMatrix dhidden = random_matrix(*backend, DType::f32, rows, shape.hidden_size, 2);
  const DeviceWeight head = random_weight(*backend, shape.vocab_size, shape.hidden_size, 3);
  const DeviceWeight dhead = zero_weight(*backend, shape.vocab_size, shape.hidden_size);

  const std::vector<int32_t> prompt = random_ids(4, 1, shape.vocab_size);
  const std::vector<int32_t> sampled = random_ids(5, rows, shape.vocab_size);
  const std::vector<CallChoice> calls{{0, prompt, sampled, {}, 1.0F, {}}};
  const TokenTree tree = build_token_tree(calls);
  const std::vector<TreePart> parts = cut_tree(tree, rows);
  const HeadRows head_rows(tree, cut_part(parts.front(), rows).front());
  HeadPass pass(backend, shape.hidden_size, shape.vocab_size);
  const int64_t chunk_rows = HeadPass::chunk_rows(shape.vocab_size, TrainerConfig{}.head_scratch_bytes, rows);
  pass.place(
      backend->allocate(HeadPass::bytes(shape.hidden_size, shape.vocab_size, backend->compute_dtype(), chunk_rows)),
      chunk_rows);
  const auto run = [&](bool with_gradient) {
    for (int64_t row = 0; row < head_rows.rows();) {
      const HeadChunk chunk = pass.forward(head_rows, row, hidden.tensor, head.weight);
      const std::vector<float> dlogprob(chunk.entry.size(), 1.0F);
      if (with_gradient) pass.backward(dlogprob, {}, dhidden.tensor, head.weight, dhead.weight);
      row += chunk.rows;
    }
  };
  const double flops = 2 * static_cast<double>(rows * shape.hidden_size * shape.vocab_size);
  const std::string text = std::string(name) + ", " + std::to_string(rows) + " tokens";
  bench.report({.figure = "head",
                .name = "log-probs, " + text,
                .times = measure(*backend, bench.options().seconds, [&] { run(false); }),
                .flops = flops,
                .tokens = static_cast<double>(rows)});
  bench.report({.figure = "head",
                .name = "log-probs and gradients, " + text,
                .times = measure(*backend, bench.options().seconds, [&] { run(true); }),
                .flops = 3 * flops,
                .tokens = static_cast<double>(rows)});
}

}  // namespace ajet::bench
