#include "train/head_pass.h"

#include <algorithm>

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

HeadPass::HeadPass(std::shared_ptr<Backend> backend, int64_t hidden_size, int64_t vocab_size, int64_t scratch_bytes)
    : backend_(std::move(backend)),
      hidden_size_(hidden_size),
      vocab_size_(vocab_size),
      chunk_rows_(std::max<int64_t>(scratch_bytes / (vocab_size * dtype_bytes(DType::f32)), 1)) {}

Tensor HeadPass::view(const Buffer& buffer, DType dtype, int64_t cols) const {
  return {buffer.data(), dtype, rows_, cols, cols};
}

HeadChunk HeadPass::forward(const HeadRows& rows, int64_t first_row, Tensor hidden, const Weight& head) {
  rows_ = std::min(chunk_rows_, rows.rows() - first_row);
  if (rows_ > allocated_rows_) {
    const auto bytes = [this](int64_t cols, DType dtype) {
      return static_cast<size_t>(rows_ * cols * dtype_bytes(dtype));
    };
    hidden_ = Buffer(), dhidden_ = Buffer(), logits_ = Buffer();
    allocated_rows_ = 0;
    hidden_ = backend_->allocate(bytes(hidden_size_, backend_->compute_dtype()));
    dhidden_ = backend_->allocate(bytes(hidden_size_, DType::f32));
    logits_ = backend_->allocate(bytes(vocab_size_, DType::f32));
    allocated_rows_ = rows_;
  }
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

  const Tensor x = view(hidden_, backend_->compute_dtype(), hidden_size_);
  const Tensor logits = view(logits_, DType::f32, vocab_size_);
  backend_->gather_rows(x, hidden, hidden_row_);
  backend_->linear(logits, x, head);
  backend_->log_sum_exp(lse_, entropy_, logits, inverse_temperature_);
  backend_->gather_logprobs(logprob_, logits, inverse_temperature_, lse_, entry_row_, token_);
  return {rows_, std::span(rows.entry).subspan(first_entry, entries), entry_row_, logprob_, entropy_};
}

void HeadPass::backward(std::span<const float> dlogprob, std::span<const float> dentropy, Tensor dhidden,
                        const Weight& head, const Weight& dhead) {
  const Tensor x = view(hidden_, backend_->compute_dtype(), hidden_size_);
  const Tensor dx = view(dhidden_, DType::f32, hidden_size_), logits = view(logits_, DType::f32, vocab_size_);
  backend_->logits_backward(logits, inverse_temperature_, lse_, entropy_, dentropy, entry_row_, token_, dlogprob);
  backend_->linear_dx(dx, logits, head, false);
  backend_->scatter_add_rows(dhidden, dx, hidden_row_);
  backend_->linear_dw(dhead, {}, logits, x);
}

}  // namespace ajet
