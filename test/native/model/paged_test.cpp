// Inference over paged KV gives the hidden states of the training forward pass to the bit, however it is cut.
#include <cstring>
#include <numeric>

#include "base/rng.h"
#include "check.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

std::vector<int32_t> random_tokens(uint64_t seed, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    const double draw = uniform_double(seed, static_cast<uint64_t>(i));
    tokens.push_back(static_cast<int32_t>(draw * static_cast<double>(vocab_size)));
  }
  return tokens;
}

// Sequences over blocks that are neither consecutive nor in order.
class PagedSession {
 public:
  PagedSession(Model& model, std::vector<std::vector<int32_t>> sequences)
      : model_(model), sequences_(std::move(sequences)), done_(sequences_.size(), 0), hidden_(sequences_.size()) {
    const ModelConfig& config = model.config();
    for (const auto& tokens : sequences_) {
      const auto blocks = (static_cast<int64_t>(tokens.size()) + kv_block_tokens - 1) / kv_block_tokens;
      auto& table = tables_.emplace_back();
      for (int64_t b = 0; b < blocks; ++b) table.push_back(static_cast<int32_t>(blocks_++));
    }
    for (auto& table : tables_) {
      for (int32_t& block : table) block = static_cast<int32_t>(blocks_ - 1 - block);
    }
    buffer_ = model.backend()->allocate(
        model.backend()->kv_cache_bytes(blocks_, config.layers, config.kv_heads, config.head_dim));
    cache_ = {buffer_.data(), model.backend()->compute_dtype(), blocks_, config.layers, config.kv_heads,
              config.head_dim};
  }

  // One pass over the next `counts[s]` tokens of each sequence (0: not in this batch).
  void step(const std::vector<int32_t>& counts) {
    std::vector<int32_t> tokens, positions, row_offsets{0}, starts, block_offsets{0}, blocks;
    for (size_t s = 0; s < counts.size(); ++s) {
      if (counts[s] == 0) continue;
      starts.push_back(done_[s]);
      for (int32_t i = 0; i < counts[s]; ++i) {
        positions.push_back(done_[s] + i);
        tokens.push_back(sequences_[s][static_cast<size_t>(done_[s] + i)]);
      }
      row_offsets.push_back(static_cast<int32_t>(tokens.size()));
      blocks.insert(blocks.end(), tables_[s].begin(), tables_[s].end());
      block_offsets.push_back(static_cast<int32_t>(blocks.size()));
    }
    const int64_t width = model_.config().hidden_size;
    const Matrix out(*model_.backend(), static_cast<int64_t>(tokens.size()), width);
    model_.forward_paged(out.tensor, tokens, {row_offsets, starts, block_offsets, blocks, positions}, cache_);
    const std::vector<float> values = download(*model_.backend(), out.tensor);
    size_t next = 0;
    for (size_t s = 0; s < counts.size(); ++s) {
      const size_t count = static_cast<size_t>(counts[s]) * static_cast<size_t>(width);
      hidden_[s].insert(hidden_[s].end(), values.begin() + static_cast<std::ptrdiff_t>(next),
                        values.begin() + static_cast<std::ptrdiff_t>(next + count));
      next += count;
      done_[s] += counts[s];
    }
  }

  int32_t left(size_t s) const { return static_cast<int32_t>(sequences_[s].size()) - done_[s]; }
  const std::vector<float>& hidden(size_t s) const { return hidden_[s]; }

 private:
  Model& model_;
  std::vector<std::vector<int32_t>> sequences_, tables_;
  std::vector<int32_t> done_;
  std::vector<std::vector<float>> hidden_;
  int64_t blocks_ = 0;
  Buffer buffer_;
  KvCache cache_;
};

}  // namespace

TEST("paged: whole, in chunks, token by token and in a batch: bit-equal to the tree") {
  for (const std::string family : {"qwen2", "qwen3", "llama"}) {
    const ModelConfig config = tiny_config(family);
    const auto model = random_model(config, 11);
    const std::vector<std::vector<int32_t>> sequences{random_tokens(1, 53, config.vocab_size),
                                                      random_tokens(2, 16, config.vocab_size),
                                                      random_tokens(3, 33, config.vocab_size)};
    std::vector<std::vector<float>> expected;
    for (const auto& tokens : sequences) {
      TokenTree tree;
      tree.append_node(-1, tokens);
      expected.push_back(forward_hidden(*model, tree));
    }

    PagedSession whole(*model, sequences);
    whole.step({53, 16, 33});
    PagedSession chunked(*model, sequences);
    for (int32_t chunk = 1; chunked.left(0) > 0; chunk = chunk * 2 + 1) {
      chunked.step({std::min(chunk, chunked.left(0)), 0, 0});
    }
    chunked.step({0, 15, 4});
    chunked.step({0, 1, 29});
    PagedSession one_by_one(*model, sequences);
    while (one_by_one.left(0) > 0) {
      one_by_one.step({1, std::min(1, one_by_one.left(1)), std::min(1, one_by_one.left(2))});
    }
    for (size_t s = 0; s < sequences.size(); ++s) {
      CHECK(whole.hidden(s) == expected[s]);
      CHECK(chunked.hidden(s) == expected[s]);
      CHECK(one_by_one.hidden(s) == expected[s]);
    }
  }
}

TEST("paged: a changed weight is seen at once, by both paths") {
  const ModelConfig config = tiny_config("qwen3");
  const auto model = random_model(config, 11);
  const std::vector<int32_t> tokens = random_tokens(1, 20, config.vocab_size);
  TokenTree tree;
  tree.append_node(-1, tokens);
  const std::vector<float> before = forward_hidden(*model, tree);
  const ParameterSlice& slice = model->weights().layout().slices.back();
  std::vector<float> values;
  model->weights().read(slice, values);
  values[0] += 0.5F;
  model->weights().write(slice, values.data());
  const std::vector<float> after = forward_hidden(*model, tree);
  CHECK(before != after);
  PagedSession session(*model, {tokens});
  session.step({20});
  CHECK(session.hidden(0) == after);
}

}  // namespace ajet::test
