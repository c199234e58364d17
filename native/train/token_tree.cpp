#include "train/token_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "train/token_trie.h"

namespace ajet {

namespace {

void check_call(const CallChoice& call, size_t index) {
  const auto expect = [index](bool condition, const std::string& what) {
    if (!condition)
      fail(ErrorCode::invalid_argument, "[token_tree] Expected " + what + " (call " + std::to_string(index) + ")");
  };
  const auto lengths = [&call](size_t received) {
    return std::to_string(call.sampled.size()) + " values but received " + std::to_string(received);
  };
  expect(!call.prompt.empty(), "a non-empty `prompt` but received 0 tokens");
  expect(call.logprobs.empty() || call.logprobs.size() == call.sampled.size(),
         "`logprobs` of " + lengths(call.logprobs.size()));
  expect(call.mask.empty() || call.mask.size() == call.sampled.size(), "`mask` of " + lengths(call.mask.size()));
  expect(std::isfinite(call.temperature) && call.temperature >= 0.0F,
         "a finite `temperature` >= 0 but received " + std::to_string(call.temperature));
  expect(call.episode >= 0, "`episode` >= 0 but received " + std::to_string(call.episode));
}

// Where each call ends in the batch. A call contains another where its last token lies in the other's range.
struct CallEnd {
  int32_t last_token;   // batch row of the call's last token
  int32_t subtree_end;  // batch row after the last token below it
};

class TreeBuilder {
 public:
  explicit TreeBuilder(std::span<const CallChoice> calls) : calls_(calls), trie_(calls) {}

  TokenTree build() {
    lay_out_nodes();
    locate_calls();
    assign_rows();
    add_entries();
    return std::move(tree_);
  }

 private:
  void lay_out_nodes();
  void locate_calls();
  void assign_rows();
  void assign_episode_rows(std::span<const int32_t> episode_calls);
  void add_entries();

  std::span<const CallChoice> calls_;
  TokenTrie trie_;
  TokenTree tree_;
  std::vector<int32_t> node_of_;  // trie node -> tree node
  std::vector<CallEnd> ends_;
  std::vector<int32_t> row_call_;  // call -> the call whose row it belongs to
};

void TreeBuilder::lay_out_nodes() {
  const auto& source = trie_.nodes();
  const std::vector<int32_t> order = trie_.preorder();
  int64_t total = 0;
  for (const int32_t index : order) total += source[static_cast<size_t>(index)].length;
  if (total > std::numeric_limits<int32_t>::max())
    fail(ErrorCode::invalid_argument,
         "[token_tree] Expected fewer than 2^31 tokens but received " + std::to_string(total));

  node_of_.assign(source.size(), -1);
  tree_.nodes.reserve(order.size());
  tree_.tokens.reserve(static_cast<size_t>(total));
  tree_.positions.reserve(static_cast<size_t>(total));
  for (const int32_t index : order) {
    const TokenTrie::Node& node = source[static_cast<size_t>(index)];
    const CallChoice& label = calls_[static_cast<size_t>(node.label_call)];
    node_of_[static_cast<size_t>(index)] = static_cast<int32_t>(tree_.nodes.size());
    tree_.nodes.push_back({static_cast<int32_t>(tree_.tokens.size()), static_cast<int32_t>(node.length),
                           node_of_[static_cast<size_t>(node.parent)], static_cast<int32_t>(node.position)});
    for (int64_t p = node.position; p < node.position + node.length; ++p) {
      tree_.tokens.push_back(token_at(label, p));
      tree_.positions.push_back(static_cast<int32_t>(p));
    }
    tree_.max_position = std::max(tree_.max_position, node.position + node.length);
  }
}

void TreeBuilder::locate_calls() {
  const size_t count = tree_.nodes.size();
  std::vector<int32_t> subtree_end(count);
  for (size_t i = count; i-- > 0;) {
    const TreeNode& node = tree_.nodes[i];
    subtree_end[i] = std::max(subtree_end[i], node.first_token + node.tokens);
    if (node.parent >= 0) {
      int32_t& above = subtree_end[static_cast<size_t>(node.parent)];
      above = std::max(above, subtree_end[i]);
    }
  }
  ends_.resize(calls_.size());
  std::vector<int32_t> path;
  for (size_t call = 0; call < calls_.size(); ++call) {
    trie_.path(static_cast<int32_t>(call), path);
    const auto last = static_cast<size_t>(node_of_[static_cast<size_t>(path.back())]);
    const TreeNode& node = tree_.nodes[last];
    const auto end = static_cast<int32_t>(sequence_length(calls_[call]));
    ends_[call] = {node.first_token + end - 1 - node.position, subtree_end[last]};
  }
}

// A row is a call of an episode that no other call of the episode continues. `episode_calls` ascending by their
// last token, then by call.
void TreeBuilder::assign_episode_rows(std::span<const int32_t> episode_calls) {
  const auto end_of = [this](int32_t call) { return ends_[static_cast<size_t>(call)]; };
  std::vector<int32_t> leaves;  // ascending last token
  for (size_t i = 0; i < episode_calls.size();) {
    const CallEnd end = end_of(episode_calls[i]);
    size_t next = i + 1;
    while (next < episode_calls.size() && end_of(episode_calls[next]).last_token == end.last_token) ++next;
    const bool continued = next < episode_calls.size() && end_of(episode_calls[next]).last_token < end.subtree_end;
    if (!continued) leaves.push_back(episode_calls[i]);
    i = next;
  }
  for (const int32_t call : episode_calls) {
    const CallEnd end = end_of(call);
    auto leaf = std::lower_bound(leaves.begin(), leaves.end(), end.last_token, [&](int32_t candidate, int32_t token) {
      return end_of(candidate).last_token < token;
    });
    int32_t first = *leaf;
    for (; leaf != leaves.end() && end_of(*leaf).last_token < end.subtree_end; ++leaf) first = std::min(first, *leaf);
    row_call_[static_cast<size_t>(call)] = first;
  }
}

void TreeBuilder::assign_rows() {
  std::vector<int32_t> order(calls_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto episode_of = [this](int32_t call) { return calls_[static_cast<size_t>(call)].episode; };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    if (episode_of(a) != episode_of(b)) return episode_of(a) < episode_of(b);
    const int32_t end_a = ends_[static_cast<size_t>(a)].last_token, end_b = ends_[static_cast<size_t>(b)].last_token;
    return end_a != end_b ? end_a < end_b : a < b;
  });
  row_call_.resize(calls_.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last < order.size() && episode_of(order[last]) == episode_of(order[first])) ++last;
    assign_episode_rows(std::span(order).subspan(first, last - first));
    first = last;
  }
}

void TreeBuilder::add_entries() {
  std::vector<int32_t> row_of(calls_.size(), -1);  // of the calls that own a row
  tree_.fates.assign(calls_.size(), CallFate::merged);
  for (size_t call = 0; call < calls_.size(); ++call) {
    if (row_call_[call] != static_cast<int32_t>(call)) continue;
    tree_.fates[call] = CallFate::trained;
    row_of[call] = static_cast<int32_t>(tree_.row_episode.size());
    tree_.row_episode.push_back(calls_[call].episode);
  }
  tree_.row_tokens.assign(tree_.row_episode.size(), 0);

  std::vector<int32_t> path;
  for (size_t index = 0; index < calls_.size(); ++index) {
    const CallChoice& call = calls_[index];
    const int32_t row = row_of[static_cast<size_t>(row_call_[index])];
    trie_.path(static_cast<int32_t>(index), path);
    size_t step = 0;
    for (size_t i = 0; i < call.sampled.size(); ++i) {
      if (!call.mask.empty() && call.mask[i] == 0) continue;
      const auto parent = static_cast<int32_t>(call.prompt.size() + i) - 1;  // position of the predicting token
      const auto node_at = [&]() -> const TreeNode& {
        return tree_.nodes[static_cast<size_t>(node_of_[static_cast<size_t>(path[step])])];
      };
      while (parent >= node_at().position + node_at().tokens) ++step;
      tree_.entries.push_back({node_at().first_token + parent - node_at().position, call.sampled[i],
                               static_cast<int32_t>(index), static_cast<int32_t>(i), row,
                               call.logprobs.empty() ? std::numeric_limits<float>::quiet_NaN() : call.logprobs[i],
                               call.temperature == 0.0F ? 1.0F : call.temperature});
      ++tree_.row_tokens[static_cast<size_t>(row)];
    }
  }
  std::stable_sort(tree_.entries.begin(), tree_.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.parent_token < b.parent_token; });
  for (size_t call = 0; call < calls_.size(); ++call) {
    if (row_of[call] >= 0 && tree_.row_tokens[static_cast<size_t>(row_of[call])] > 0)
      tree_.unshared_tokens += sequence_length(calls_[call]);
  }
}

}  // namespace

TreeLayout TokenTree::layout() const { return {nodes, positions, max_position}; }

TokenTree build_token_tree(std::span<const CallChoice> calls) {
  for (size_t i = 0; i < calls.size(); ++i) check_call(calls[i], i);
  return TreeBuilder(calls).build();
}

}  // namespace ajet
