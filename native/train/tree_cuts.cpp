// Cuts a tree into parts that recompute as few tokens as possible.
//
// A part is a run of leaves in depth-first order with everything above them. Its size is the union of their paths;
// starting a new part at leaf i computes again what leaf i shares with leaf i - 1, the path above the branch. The best
// starts are a shortest path over leaves, with a window for the budget (monotone queue, O(leaves)). Cuts at branches
// leave parts that share nothing but weights; a single path beyond the budget is a part all the same and is cut within
// later (part_segments.h), where its pieces share keys and values.
#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "base/error.h"
#include "train/token_tree.h"

namespace ajet {

namespace {

// A path of the tree that ends at the last token that an entry needs.
struct Leaf {
  int32_t first_node;  // first node that is not on the previous leaf's path
  int32_t last_node;
  int64_t shared;  // tokens above first_node
  int64_t own;     // tokens from first_node on
};

// Tokens of each node that some entry below or in it needs: a leaf's last token predicts nothing.
std::vector<int32_t> needed_tokens(const TokenTree& tree) {
  std::vector<int32_t> needed(tree.nodes.size(), 0);
  size_t entry = tree.entries.size();
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    const TreeNode& node = tree.nodes[i];
    while (entry > 0 && tree.entries[entry - 1].parent_token >= node.first_token) {
      --entry;
      needed[i] = std::max(needed[i], tree.entries[entry].parent_token - node.first_token + 1);
    }
    if (needed[i] > 0 && node.parent >= 0)
      needed[static_cast<size_t>(node.parent)] = tree.nodes[static_cast<size_t>(node.parent)].tokens;
  }
  return needed;
}

std::vector<Leaf> find_leaves(const TokenTree& tree, const std::vector<int32_t>& needed) {
  std::vector<Leaf> leaves;
  bool inside = false;  // a path has begun and its leaf is not reached
  std::vector<uint8_t> has_child(tree.nodes.size(), 0);
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    if (needed[i] > 0 && tree.nodes[i].parent >= 0) has_child[static_cast<size_t>(tree.nodes[i].parent)] = 1;
  }
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    if (needed[i] == 0) continue;
    if (!inside) leaves.push_back({static_cast<int32_t>(i), 0, tree.nodes[i].position, 0});
    inside = has_child[i] != 0;
    leaves.back().own += needed[i];
    leaves.back().last_node = static_cast<int32_t>(i);
  }
  return leaves;
}

// Index of the first leaf of each part: fewest recomputed tokens, then fewest parts.
std::vector<size_t> part_starts(const std::vector<Leaf>& leaves, int64_t max_tokens) {
  const size_t count = leaves.size();
  std::vector<int64_t> own_before(count + 1, 0);
  for (size_t i = 0; i < count; ++i) own_before[i + 1] = own_before[i] + leaves[i].own;
  using Cost = std::pair<int64_t, int64_t>;  // recomputed tokens, parts
  std::vector<Cost> cost(count + 1, Cost{0, 0});
  std::vector<Cost> with_start(count);  // of a part that starts at leaf i
  std::vector<size_t> start(count + 1, 0);
  std::deque<size_t> window;  // candidate starts, cheapest in front
  for (size_t last = 0; last < count; ++last) {
    with_start[last] = {cost[last].first + leaves[last].shared, cost[last].second + 1};
    while (!window.empty() && with_start[window.back()] > with_start[last]) window.pop_back();
    window.push_back(last);
    const auto size_from = [&](size_t first) {
      return leaves[first].shared + own_before[last + 1] - own_before[first];
    };
    while (window.front() != last && size_from(window.front()) > max_tokens) window.pop_front();
    start[last + 1] = window.front();
    cost[last + 1] = with_start[window.front()];
  }
  std::vector<size_t> starts;
  for (size_t end = count; end > 0; end = start[end]) starts.push_back(start[end]);
  std::reverse(starts.begin(), starts.end());
  return starts;
}

class PartBuilder {
 public:
  PartBuilder(const TokenTree& tree, const std::vector<int32_t>& needed)
      : tree_(tree), needed_(needed), part_node_(tree.nodes.size(), -1) {}

  // Nodes [first, last] that are needed, below the path to `first`.
  TreePart build(int32_t first, int32_t last) {
    TreePart part;
    std::vector<int32_t> above;
    for (int32_t node = tree_.nodes[static_cast<size_t>(first)].parent; node >= 0;
         node = tree_.nodes[static_cast<size_t>(node)].parent) {
      above.push_back(node);
    }
    for (auto node = above.rbegin(); node != above.rend(); ++node) add_node(part, *node);
    part.recomputed_tokens = static_cast<int64_t>(part.tokens.size());
    for (int32_t node = first; node <= last; ++node) {
      if (needed_[static_cast<size_t>(node)] == 0) continue;
      add_node(part, node);
      add_entries(part, node);
    }
    return part;
  }

 private:
  void add_node(TreePart& part, int32_t index) {
    const TreeNode& node = tree_.nodes[static_cast<size_t>(index)];
    const int32_t tokens = needed_[static_cast<size_t>(index)];
    const int32_t parent = node.parent < 0 ? -1 : part_node_[static_cast<size_t>(node.parent)];
    part_node_[static_cast<size_t>(index)] = static_cast<int32_t>(part.nodes.size());
    part.nodes.push_back({static_cast<int32_t>(part.tokens.size()), tokens, parent, node.position});
    const auto from = static_cast<size_t>(node.first_token), to = from + static_cast<size_t>(tokens);
    part.tokens.insert(part.tokens.end(), tree_.tokens.data() + from, tree_.tokens.data() + to);
    part.positions.insert(part.positions.end(), tree_.positions.data() + from, tree_.positions.data() + to);
    part.max_position = std::max<int64_t>(part.max_position, node.position + tokens);
  }

  // Nodes come in the tree's order over all parts, and so do entries.
  void add_entries(TreePart& part, int32_t index) {
    const TreeNode& node = tree_.nodes[static_cast<size_t>(index)];
    const int32_t shift = part.nodes.back().first_token - node.first_token;
    for (; next_entry_ < tree_.entries.size(); ++next_entry_) {
      const int32_t parent = tree_.entries[next_entry_].parent_token;
      if (parent >= node.first_token + node.tokens) break;
      part.entry_index.push_back(static_cast<int32_t>(next_entry_));
      part.parent_token.push_back(parent + shift);
    }
  }

  const TokenTree& tree_;
  const std::vector<int32_t>& needed_;
  std::vector<int32_t> part_node_;  // tree node -> node of the part being built
  size_t next_entry_ = 0;
};

}  // namespace

TreeLayout TreePart::layout() const { return {nodes, positions, max_position}; }

std::vector<TreePart> cut_tree(const TokenTree& tree, int64_t max_tokens) {
  if (max_tokens < 1)
    fail(ErrorCode::invalid_argument,
         "[cut_tree] Expected `max_tokens` >= 1 but received " + std::to_string(max_tokens));
  const std::vector<int32_t> needed = needed_tokens(tree);
  const std::vector<Leaf> leaves = find_leaves(tree, needed);
  const std::vector<size_t> starts = part_starts(leaves, max_tokens);
  PartBuilder builder(tree, needed);
  std::vector<TreePart> parts;
  parts.reserve(starts.size());
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : leaves.size();
    parts.push_back(builder.build(leaves[starts[i]].first_node, leaves[end - 1].last_node));
  }
  return parts;
}

}  // namespace ajet
