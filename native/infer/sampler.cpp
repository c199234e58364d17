#include "infer/sampler.h"

#include <algorithm>
#include <utility>

#include "base/rng.h"

namespace ajet {
namespace {

constexpr int64_t max_logits_bytes = 64LL << 20;

Tensor matrix(const Buffer& buffer, DType dtype, int64_t rows, int64_t cols) {
  return {buffer.data(), dtype, rows, cols, cols};
}

size_t matrix_bytes(DType dtype, int64_t rows, int64_t cols) {
  return static_cast<size_t>(rows * cols * dtype_bytes(dtype));
}

// Of logits that are held at once.
int64_t chunk_rows(const ModelConfig& shape, int32_t max_sequences) {
  return std::clamp<int64_t>(max_logits_bytes / (dtype_bytes(DType::f32) * shape.vocab_size), 1, max_sequences);
}

}  // namespace

uint64_t draw_seed(uint64_t request_seed, int32_t choice) {
  const auto words = philox4x32(request_seed, static_cast<uint64_t>(choice));
  return (static_cast<uint64_t>(words[1]) << 32) | words[0];
}

Sampler::Sampler(std::shared_ptr<Model> model, int32_t max_sequences)
    : model_(std::move(model)), chunk_rows_(chunk_rows(model_->config(), max_sequences)) {
  const ModelConfig& shape = model_->config();
  Backend& backend = *model_->backend();
  hidden_ = backend.allocate(matrix_bytes(backend.compute_dtype(), chunk_rows_, shape.hidden_size));
  logits_ = backend.allocate(matrix_bytes(DType::f32, chunk_rows_, shape.vocab_size));
  drawn_buffer_ = backend.allocate(max_drawn(max_sequences) * sizeof(TokenLogprob));
  drawn_ = {static_cast<TokenLogprob*>(drawn_buffer_.data()), 0};
}

size_t Sampler::bytes(const ModelConfig& shape, DType compute_dtype, int32_t max_sequences) {
  const int64_t rows = chunk_rows(shape, max_sequences);
  return matrix_bytes(compute_dtype, rows, shape.hidden_size) + matrix_bytes(DType::f32, rows, shape.vocab_size) +
         max_drawn(max_sequences) * sizeof(TokenLogprob);
}

size_t Sampler::max_drawn(int32_t max_sequences) {
  return static_cast<size_t>(max_sequences) * static_cast<size_t>(1 + max_top_logprobs);
}

void Sampler::draw(Tensor hidden, std::span<const int32_t> rows, std::span<Sequence* const> sequences) {
  size_t all = rows.size();
  for (const Sequence* sequence : sequences) all += static_cast<size_t>(sequence->sampling.top_logprobs);
  drawn_ = {static_cast<TokenLogprob*>(drawn_buffer_.data()), all};
  size_t next_top = rows.size();
  for (size_t first = 0; first < rows.size(); first += static_cast<size_t>(chunk_rows_)) {
    const auto chunk = rows.subspan(first, std::min(rows.size() - first, static_cast<size_t>(chunk_rows_)));
    const auto count = static_cast<int64_t>(chunk.size());
    Tensor due = hidden.slice_rows(chunk.front(), count);
    if (chunk.back() - chunk.front() + 1 != count) {  // not in one piece, as they are when all decode
      due = matrix(hidden_, hidden.dtype, count, hidden.cols);
      model_->backend()->gather_rows(due, hidden, chunk);
    }
    draw_chunk(due, sequences.subspan(first, chunk.size()), drawn_.subspan(first, chunk.size()), next_top);
  }
}

void Sampler::draw_chunk(Tensor hidden, std::span<Sequence* const> sequences, std::span<TokenLogprob> drawn,
                         size_t& next_top) {
  Backend& backend = *model_->backend();
  const Tensor logits = matrix(logits_, DType::f32, hidden.rows, model_->config().vocab_size);
  sample_rows_.clear();
  for (const Sequence* sequence : sequences) {
    const SamplingParams& sampling = sequence->sampling;
    sample_rows_.push_back({sampling.temperature, sampling.top_p, sampling.min_p, sampling.top_k, sequence->draw_seed,
                            static_cast<uint64_t>(sequence->sampled())});
  }
  const int64_t groups = backend.row_groups(hidden.rows, model_->weight_bytes());
  backend.run_row_groups(groups, [&](int64_t group) {
    const int64_t first = hidden.rows * group / groups, rows = hidden.rows * (group + 1) / groups - first;
    const auto part = [&](auto list) { return list.subspan(static_cast<size_t>(first), static_cast<size_t>(rows)); };
    backend.linear(logits.slice_rows(first, rows), hidden.slice_rows(first, rows), model_->head());
    backend.sample(part(drawn), logits.slice_rows(first, rows), part(std::span<const SampleRow>(sample_rows_)));
  });
  for (size_t i = 0; i < sequences.size(); ++i) {
    const SamplingParams& sampling = sequences[i]->sampling;
    const auto count = static_cast<size_t>(sampling.top_logprobs);
    const float inverse_temperature = sampling.temperature > 0 ? 1.0F / sampling.temperature : 1.0F;
    backend.top_logprobs(drawn_.subspan(next_top, count), logits, static_cast<int64_t>(i), inverse_temperature);
    next_top += count;
  }
}

}  // namespace ajet
