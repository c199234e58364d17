// A completion computed again without the engine: the trainer's forward pass over the whole text, then the sampler's
// draws from those logits.
#pragma once

#include <numeric>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "drawn_tokens.h"
#include "infer/request.h"
#include "infer/sampler.h"
#include "model/model.h"

namespace ajet::test {

struct Recomputation {
  std::vector<float> logprobs;  // of the given completion, by log_sum_exp and gather_logprobs
  std::vector<int32_t> drawn;   // what the sampler draws at each of its places
};

inline Recomputation recompute(Model& model, const Request& request, const std::vector<int32_t>& completion) {
  Backend& backend = *model.backend();
  std::vector<int32_t> tokens = request.prompt;
  tokens.insert(tokens.end(), completion.begin(), completion.end());
  const size_t sampled = completion.size();
  const auto count = static_cast<int64_t>(tokens.size()), rows = static_cast<int64_t>(sampled);
  const int64_t width = model.config().hidden_size, vocab = model.config().vocab_size;
  const std::vector<TreeNode> nodes = {{0, static_cast<int32_t>(count), -1, 0}};
  std::vector<int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0);
  const DType dtype = backend.compute_dtype();
  const Buffer hidden_buffer = backend.allocate(static_cast<size_t>(count * width * dtype_bytes(dtype)));
  const Buffer logits_buffer = backend.allocate(static_cast<size_t>(rows * vocab) * sizeof(float));
  const Tensor hidden{hidden_buffer.data(), dtype, count, width, width};
  const Tensor logits{logits_buffer.data(), DType::f32, rows, vocab, vocab};
  model.forward_tree(hidden, tokens, {nodes, positions, count}, nullptr);
  backend.linear(logits, hidden.slice_rows(static_cast<int64_t>(request.prompt.size()) - 1, rows), model.head());

  Recomputation result{std::vector<float>(sampled), {}};
  const SamplingParams& sampling = request.sampling;
  const float temperature = sampling.temperature > 0 ? sampling.temperature : 1.0F;
  const std::vector<float> inverse_temperature(sampled, 1.0F / temperature);
  std::vector<float> lse(sampled);
  backend.log_sum_exp(lse, {}, logits, inverse_temperature);
  backend.gather_logprobs(result.logprobs, logits, inverse_temperature, lse, std::span(positions).first(sampled),
                          completion);
  std::vector<SampleRow> sample_rows;
  for (size_t i = 0; i < sampled; ++i) {
    sample_rows.push_back({sampling.temperature, sampling.top_p, sampling.min_p, sampling.top_k,
                           draw_seed(sampling.seed, 0), static_cast<uint64_t>(i)});
  }
  for (const TokenLogprob& drawn :
       read_drawn(backend, sampled, [&](auto to) { backend.sample(to, logits, sample_rows); }))
    result.drawn.push_back(drawn.token);
  return result;
}

}  // namespace ajet::test
