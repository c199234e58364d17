// The LM head over the entries of a tree part's segment, in chunks of rows whose logits fit a fixed scratch: there are
// never [tokens, vocab] logits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "train/part_segments.h"

namespace ajet {

// One row per distinct (hidden state, temperature); its entries are the tokens that were sampled from it.
struct HeadRows {
  std::vector<int32_t> hidden_row;         // [rows] of the segment, ascending
  std::vector<float> inverse_temperature;  // [rows]
  std::vector<int32_t> first_entry;        // [rows + 1], into the arrays below
  std::vector<int32_t> entry;              // [entries] into TokenTree::entries
  std::vector<int32_t> token;              // [entries]

  HeadRows(const TokenTree& tree, const PartSegment& segment);
  int64_t rows() const { return static_cast<int64_t>(hidden_row.size()); }
};

// What one forward() computed; valid until the next.
struct HeadChunk {
  int64_t rows = 0;
  std::span<const int32_t> entry;  // [entries] into TokenTree::entries
  std::span<const int32_t> row;    // [entries] row of the chunk, ascending
  std::span<const float> logprob;  // [entries]
  std::span<const float> entropy;  // [rows] of the row's softmax
};

class HeadPass {
 public:
  HeadPass(std::shared_ptr<Backend> backend, int64_t hidden_size, int64_t vocab_size)
      : backend_(std::move(backend)), hidden_size_(hidden_size), vocab_size_(vocab_size) {}

  // Rows whose logits fit the scratch: at least one, and no more than a micro-batch has tokens.
  static int64_t chunk_rows(int64_t vocab_size, int64_t scratch_bytes, int64_t max_batch_tokens);
  // What chunks of so many rows need.
  static size_t bytes(int64_t hidden_size, int64_t vocab_size, DType compute_dtype, int64_t rows);
  // Chunks of at most so many rows lie in this memory from now on.
  void place(Buffer memory, int64_t rows);

  // Rows from `first_row` on, as many as a chunk has.
  HeadChunk forward(const HeadRows& rows, int64_t first_row, Tensor hidden, const Weight& head);
  // Of the last forward's chunk, whose logits it overwrites: dhidden's rows and dhead are added to.
  // dlogprob[entries]; dentropy[rows] or empty.
  void backward(std::span<const float> dlogprob, std::span<const float> dentropy, Tensor dhidden, const Weight& head,
                const Weight& dhead);

 private:
  std::shared_ptr<Backend> backend_;
  int64_t hidden_size_, vocab_size_;
  int64_t chunk_rows_ = 0;
  Buffer memory_;
  Tensor hidden_, dhidden_, logits_;  // [chunk_rows_, ...] in it
  // The chunk at hand.
  int64_t rows_ = 0;
  std::span<const int32_t> hidden_row_, token_;
  std::span<const float> inverse_temperature_;
  std::vector<int32_t> entry_row_;
  std::vector<float> lse_, entropy_, logprob_;
};

}  // namespace ajet
