// Hidden states of the due rows -> logits -> one draw each, in device memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "infer/request.h"
#include "infer/sequence.h"
#include "model/model.h"
#include "tensor/buffer.h"

namespace ajet {

// Distinct for every (seed, choice), and unrelated between them. With the token's index it decides the draw.
uint64_t draw_seed(uint64_t request_seed, int32_t choice);

class Sampler {
 public:
  Sampler(std::shared_ptr<Model> model, int32_t max_sequences);
  // Of its buffers.
  static size_t bytes(const ModelConfig& shape, DType compute_dtype, int32_t max_sequences);

  // Queues the draws: rows[i] of `hidden` predicts the next token of sequences[i].
  void draw(Tensor hidden, std::span<const int32_t> rows, std::span<Sequence* const> sequences);

  // What was drawn last, in device memory: a token for each sequence, then the top log-probs of each that wants them.
  std::span<TokenLogprob> drawn() const { return drawn_; }
  static size_t max_drawn(int32_t max_sequences);

 private:
  void draw_chunk(Tensor hidden, std::span<Sequence* const> sequences, std::span<TokenLogprob> drawn, size_t& next_top);

  std::shared_ptr<Model> model_;
  int64_t chunk_rows_;  // logits held at once
  Buffer hidden_, logits_, drawn_buffer_;
  std::span<TokenLogprob> drawn_;
  std::vector<SampleRow> sample_rows_;
};

}  // namespace ajet
