// Hidden states of the due rows -> logits -> one draw each.
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

  // Appends one event for each sequence, with its token, log-prob and top log-probs; rows[i] of `hidden` predicts the
  // next token of sequences[i]. Throws numeric on NaN or infinite logits.
  void draw(Tensor hidden, std::span<const int32_t> rows, std::span<Sequence* const> sequences,
            std::vector<TokenEvent>& events);

 private:
  void draw_chunk(Tensor hidden, std::span<Sequence* const> sequences, std::vector<TokenEvent>& events);

  std::shared_ptr<Model> model_;
  int64_t chunk_rows_;  // logits held at once
  Buffer hidden_, logits_;
  std::vector<SampleRow> sample_rows_;
  std::vector<int32_t> tokens_;
  std::vector<float> logprobs_;
};

}  // namespace ajet
