#include <algorithm>
#include <map>

#include "check.h"
#include "random_calls.h"
#include "train/token_tree.h"

namespace ajet::test {
namespace {

using Sequence = std::vector<int32_t>;

// Tokens from the root to each batch row.
std::vector<Sequence> paths(const std::vector<int32_t>& tokens, const std::vector<TreeNode>& nodes) {
  std::vector<Sequence> out(tokens.size());
  for (const TreeNode& node : nodes) {
    Sequence path;
    if (node.parent >= 0) {
      const TreeNode& parent = nodes[static_cast<size_t>(node.parent)];
      path = out[static_cast<size_t>(parent.first_token + parent.tokens - 1)];
    }
    for (int32_t t = 0; t < node.tokens; ++t) {
      path.push_back(tokens[static_cast<size_t>(node.first_token + t)]);
      out[static_cast<size_t>(node.first_token + t)] = path;
    }
  }
  return out;
}

int64_t longest_needed(const TokenTree& tree) {
  int64_t longest = 0;
  for (const Entry& entry : tree.entries)
    longest = std::max<int64_t>(longest, tree.positions[static_cast<size_t>(entry.parent_token)] + 1);
  return longest;
}

// Fewest recomputed tokens of any way to cut the leaves, in order, into parts within the budget: brute force over
// all sets of cuts.
int64_t fewest_recomputed(const std::vector<Sequence>& leaves, int64_t max_tokens) {
  const size_t count = leaves.size();
  const auto shared = [](const Sequence& a, const Sequence& b) {
    return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
  };
  int64_t fewest = -1;
  for (uint32_t cuts = 0; cuts < 1U << (count - 1); ++cuts) {
    int64_t size = 0, recomputed = 0;
    size_t leaves_in_part = 0;
    bool fits = true;
    for (size_t i = 0; i < count; ++i) {
      const bool cut = i == 0 || (cuts >> (i - 1) & 1U) != 0;
      const auto above = i == 0 ? 0 : shared(leaves[i - 1], leaves[i]);
      const auto length = static_cast<int64_t>(leaves[i].size());
      if (cut) recomputed += above;
      size = cut ? length : size + length - above;
      leaves_in_part = cut ? 1 : leaves_in_part + 1;
      fits = fits && (size <= max_tokens || leaves_in_part == 1);
    }
    if (fits && (fewest < 0 || recomputed < fewest)) fewest = recomputed;
  }
  return fewest;
}

void check_parts(const TokenTree& tree, const std::vector<TreePart>& parts, int64_t max_tokens) {
  const std::vector<Sequence> tree_paths = paths(tree.tokens, tree.nodes);
  std::vector<int> seen(tree.entries.size(), 0);
  for (const TreePart& part : parts) {
    const auto rows = static_cast<int64_t>(part.tokens.size());
    const std::vector<Sequence> part_paths = paths(part.tokens, part.nodes);
    CHECK(rows <= max_tokens || rows == part.max_position);  // within the budget, or one path
    int32_t next = 0;
    int64_t max_position = 0;
    for (size_t i = 0; i < part.nodes.size(); ++i) {
      CHECK_EQ(part.nodes[i].first_token, next);
      CHECK(part.nodes[i].tokens > 0 && part.nodes[i].parent < static_cast<int32_t>(i));
      next += part.nodes[i].tokens;
    }
    CHECK_EQ(next, rows);
    for (size_t row = 0; row < part.tokens.size(); ++row) {
      CHECK_EQ(part.positions[row] + 1, static_cast<int32_t>(part_paths[row].size()));
      max_position = std::max<int64_t>(max_position, part.positions[row] + 1);
    }
    CHECK_EQ(part.max_position, max_position);
    CHECK(std::is_sorted(part.parent_token.begin(), part.parent_token.end()));
    CHECK(!part.entry_index.empty());
    CHECK(part.parent_token.front() >= part.recomputed_tokens);
    for (size_t i = 0; i < part.entry_index.size(); ++i) {
      const auto entry = static_cast<size_t>(part.entry_index[i]);
      ++seen[entry];
      CHECK(part_paths[static_cast<size_t>(part.parent_token[i])] ==
            tree_paths[static_cast<size_t>(tree.entries[entry].parent_token)]);
    }
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
}

// Ends of the needed paths, depth-first.
std::vector<Sequence> needed_leaves(const TokenTree& tree) {
  std::vector<Sequence> leaves;
  const std::vector<Sequence> all = paths(tree.tokens, tree.nodes);
  for (const Entry& entry : tree.entries) {
    const Sequence& path = all[static_cast<size_t>(entry.parent_token)];
    const auto extends = [&](const Sequence& earlier) {
      return earlier.size() <= path.size() && std::equal(earlier.begin(), earlier.end(), path.begin());
    };
    if (!leaves.empty() && extends(leaves.back())) leaves.pop_back();
    leaves.push_back(path);
  }
  return leaves;
}

}  // namespace

TEST("cut_tree: each entry once, its whole path above it, the budget respected") {
  size_t cut = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomStepShape shape;
    shape.vocab = seed % 2 == 0 ? 3 : 8;
    const RandomStep step = random_step(seed, shape);
    const TokenTree tree = build_token_tree(views(step.calls));
    const auto total = static_cast<int64_t>(tree.tokens.size());
    for (const int64_t budget : {int64_t{1}, longest_needed(tree), longest_needed(tree) + 7, total / 2 + 1, total}) {
      const std::vector<TreePart> parts = cut_tree(tree, budget);
      check_parts(tree, parts, budget);
      cut += parts.size() > 1 ? 1 : 0;
      int64_t own = 0;
      for (const TreePart& part : parts) own += static_cast<int64_t>(part.tokens.size()) - part.recomputed_tokens;
      CHECK_LE(own, total);
      if (budget == total) CHECK_EQ(parts.size(), 1U);
    }
  }
  CHECK(cut > 500);
}

TEST("cut_tree: no choice of cuts recomputes fewer tokens") {
  size_t checked = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const RandomStepShape shape{.tasks = 2, .repeats = 2, .agents = 2, .turns = 2};
    const RandomStep step = random_step(1000 + seed, shape);
    const TokenTree tree = build_token_tree(views(step.calls));
    const std::vector<Sequence> leaves = needed_leaves(tree);
    if (leaves.size() < 2 || leaves.size() > 12) continue;
    for (const int64_t budget : {longest_needed(tree), longest_needed(tree) + 5, longest_needed(tree) * 2}) {
      int64_t recomputed = 0;
      for (const TreePart& part : cut_tree(tree, budget)) recomputed += part.recomputed_tokens;
      CHECK_EQ(recomputed, fewest_recomputed(leaves, budget));
      ++checked;
    }
  }
  CHECK(checked > 200);
}

TEST("cut_tree: without sharing the parts are as few as the budget allows") {
  std::vector<OwnedCall> calls;
  for (int32_t i = 0; i < 8; ++i)
    calls.push_back({.episode = i, .prompt = {i, 1}, .sampled = {2, 3}, .logprobs = {-1.0F, -1.0F}, .mask = {}});
  const TokenTree tree = build_token_tree(views(calls));
  const std::vector<TreePart> parts = cut_tree(tree, 9);  // 3 tokens each: the last one predicts nothing
  CHECK_EQ(parts.size(), 3U);
  CHECK_EQ(parts[0].tokens.size() + parts[1].tokens.size() + parts[2].tokens.size(), 24U);
}

TEST("cut_tree: nothing to train on makes no parts") {
  CHECK(cut_tree(build_token_tree({}), 10).empty());
  CHECK_ERROR(cut_tree(build_token_tree({}), 0), "`max_tokens` >= 1 but received 0");
}

}  // namespace ajet::test
