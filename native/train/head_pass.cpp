#include "train/head_pass.h"

#include <algorithm>

#include "tensor/section.h"

namespace ajet {

HeadRows::HeadRows(const TokenTree& tree, const PartSegment& segment) {
  std::vector<int32_t> group;  // entries of one hidden state, not yet in a row
  size_t next = 0;
  while (next < segment.entry_index.size()) {
    const int32_t parent = segment.parent_token[next];
    group.clear();
    for (; next < segment.entry_index.size() && segment.parent_token[next] == parent; ++next)
      group.push_back(segment.entry_index[next]);
    while (!group.empty()) {
      const float temperature = tree.entries[static_cast<size_t>(group.front())].temperature;
      hidden_row.push_back(parent - static_cast<int32_t>(segment.first_row));
      inverse_temperature.push_back(1.0F / temperature);
      first_entry.push_back(static_cast<int32_t>(entry.size()));
      std::erase_if(group, [&](int32_t index) {
        const Entry& candidate = tree.entries[static_cast<size_t>(index)];
        if (candidate.temperature != temperature) return false;
        entry.push_back(index);
        token.push_back(candidate.token);
        return true;
      });
    }
  }
  first_entry.push_back(static_cast<int32_t>(entry.size()));
}

int64_t HeadPass::chunk_rows(int64_t vocab_size, int64_t scratch_bytes, int64_t max_batch_tokens) {
  return std::clamp<int64_t>(scratch_bytes / (vocab_size * dtype_bytes(DType::f32)), 1, max_batch_tokens);
}

size_t HeadPass::bytes(int64_t hidden_size, int64_t vocab_size, DType compute_dtype, int64_t rows) {
  return section_bytes(rows, hidden_size, compute_dtype) + section_bytes(rows, hidden_size, DType::f32) +
         section_bytes(rows, vocab_size, DType::f32);
}

void HeadPass::place(Buffer memory, int64_t rows) {
  memory_ = std::move(memory);
  chunk_rows_ = rows;
  auto* next = static_cast<char*>(memory_.data());
  const auto take = [&](int64_t cols, DType dtype) {
    const Tensor tensor{next, dtype, rows, cols, cols};
    next += section_bytes(rows, cols, dtype);
    return tensor;
  };
  hidden_ = take(hidden_size_, backend_->compute_dtype());
  dhidden_ = take(hidden_size_, DType::f32);
  logits_ = take(vocab_size_, DType::f32);
}

HeadChunk HeadPass::forward(const HeadRows& rows, int64_t first_row, Tensor hidden, const Weight& head) {
  rows_ = std::min(chunk_rows_, rows.rows() - first_row);
  const auto first = static_cast<size_t>(first_row), count = static_cast<size_t>(rows_);
  const auto first_entry = static_cast<size_t>(rows.first_entry[first]);
  const auto entries = static_cast<size_t>(rows.first_entry[first + count]) - first_entry;
  hidden_row_ = std::span(rows.hidden_row).subspan(first, count);
  inverse_temperature_ = std::span(rows.inverse_temperature).subspan(first, count);
  token_ = std::span(rows.token).subspan(first_entry, entries);
  entry_row_.clear();
  for (size_t row = 0; row < count; ++row) {
    entry_row_.resize(static_cast<size_t>(rows.first_entry[first + row + 1]) - first_entry, static_cast<int32_t>(row));
  }
  lse_.resize(count);
  entropy_.resize(count);
  logprob_.resize(entries);

  const Tensor x = hidden_.slice_rows(0, rows_), logits = logits_.slice_rows(0, rows_);
  backend_->gather_rows(x, hidden, hidden_row_);
  backend_->linear(logits, x, head);
  backend_->log_sum_exp(lse_, entropy_, logits, inverse_temperature_);
  backend_->gather_logprobs(logprob_, logits, inverse_temperature_, lse_, entry_row_, token_);
  return {rows_, std::span(rows.entry).subspan(first_entry, entries), entry_row_, logprob_, entropy_};
}

void HeadPass::backward(std::span<const float> dlogprob, std::span<const float> dentropy, Tensor dhidden,
                        const Weight& head, const Weight& dhead) {
  const Tensor x = hidden_.slice_rows(0, rows_), dx = dhidden_.slice_rows(0, rows_);
  const Tensor logits = logits_.slice_rows(0, rows_);
  backend_->logits_backward(logits, inverse_temperature_, lse_, entropy_, dentropy, entry_row_, token_, dlogprob);
  backend_->linear_dx(dx, logits, head, false);
  backend_->scatter_add_rows(dhidden, dx, hidden_row_);
  backend_->linear_dw(dhead, {}, logits, x);
}

}  // namespace ajet
