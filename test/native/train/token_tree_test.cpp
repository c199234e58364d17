#include "train/token_tree.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "check.h"
#include "random_calls.h"
#include "row_oracle.h"

namespace ajet::test {
namespace {

// The tokens from the root to a batch row.
Sequence path_to(const TokenTree& tree, int32_t row) {
  auto node = static_cast<size_t>(std::upper_bound(tree.nodes.begin(), tree.nodes.end(), row,
                                                   [](int32_t r, const TreeNode& n) { return r < n.first_token; }) -
                                  tree.nodes.begin() - 1);
  Sequence path;
  int32_t last = row;
  for (;;) {
    const TreeNode& n = tree.nodes[node];
    for (int32_t r = last; r >= n.first_token; --r) path.push_back(tree.tokens[static_cast<size_t>(r)]);
    if (n.parent < 0) break;
    node = static_cast<size_t>(n.parent);
    last = tree.nodes[node].first_token + tree.nodes[node].tokens - 1;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

void check_structure(const TokenTree& tree, const RowOracle& oracle) {
  CHECK_EQ(tree.tokens.size(), oracle.prefixes.size());  // every prefix once
  std::vector<int32_t> children(tree.nodes.size(), 0);
  std::set<std::pair<int32_t, int32_t>> branches;
  int32_t next = 0;
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const TreeNode& node = tree.nodes[i];
    CHECK_EQ(node.first_token, next);
    CHECK(node.tokens > 0 && node.parent < static_cast<int32_t>(i));
    next += node.tokens;
    CHECK(branches.emplace(node.parent, tree.tokens[static_cast<size_t>(node.first_token)]).second);
    const TreeNode* parent = node.parent < 0 ? nullptr : &tree.nodes[static_cast<size_t>(node.parent)];
    CHECK_EQ(node.position, parent == nullptr ? 0 : parent->position + parent->tokens);
    if (parent != nullptr) ++children[static_cast<size_t>(node.parent)];
    for (int32_t t = 0; t < node.tokens; ++t)
      CHECK_EQ(tree.positions[static_cast<size_t>(node.first_token + t)], node.position + t);
  }
  CHECK_EQ(static_cast<size_t>(next), tree.tokens.size());
  for (const int32_t count : children) CHECK(count != 1);  // nodes are maximal
}

void check_entries(const TokenTree& tree, const std::vector<OwnedCall>& calls, const RowOracle& oracle) {
  std::map<std::pair<int32_t, int32_t>, const Entry*> by_token;
  std::tuple<int32_t, int32_t, int32_t> previous{-1, -1, -1};
  for (const Entry& entry : tree.entries) {
    const std::tuple key{entry.parent_token, entry.choice, entry.index};
    CHECK(previous < key);
    previous = key;
    CHECK(by_token.emplace(std::pair(entry.choice, entry.index), &entry).second);
  }
  for (size_t c = 0; c < calls.size(); ++c) {
    for (size_t i = 0; i < calls[c].sampled.size(); ++i) {
      const auto found = by_token.find({static_cast<int32_t>(c), static_cast<int32_t>(i)});
      const bool trained = calls[c].mask.empty() || calls[c].mask[i] != 0;
      CHECK_EQ(found != by_token.end(), trained);
      if (!trained) continue;
      const Entry& entry = *found->second;
      Sequence before = calls[c].prompt;
      before.insert(before.end(), calls[c].sampled.begin(), calls[c].sampled.begin() + static_cast<int64_t>(i));
      CHECK(path_to(tree, entry.parent_token) == before);
      CHECK_EQ(entry.token, calls[c].sampled[i]);
      CHECK_EQ(entry.old_logprob, calls[c].logprobs[i]);
      CHECK_EQ(entry.temperature, calls[c].temperature == 0.0F ? 1.0F : calls[c].temperature);
      by_token.erase(found);
    }
  }
  CHECK(by_token.empty());

  std::vector<int32_t> row_of(calls.size(), -1);
  int32_t rows = 0;
  for (size_t c = 0; c < calls.size(); ++c) {
    if (oracle.fates[c] != CallFate::trained) continue;
    CHECK_EQ(tree.row_episode[static_cast<size_t>(rows)], calls[c].episode);
    CHECK_EQ(tree.row_tokens[static_cast<size_t>(rows)], oracle.row_tokens[c]);
    row_of[c] = rows++;
  }
  CHECK_EQ(tree.row_episode.size(), static_cast<size_t>(rows));
  for (const Entry& entry : tree.entries)
    CHECK_EQ(entry.row, row_of[static_cast<size_t>(oracle.row_call[static_cast<size_t>(entry.choice)])]);
}

}  // namespace

TEST("token_tree: random steps have the rows, fates, entries and tokens of the definitions") {
  size_t merged = 0, branches = 0, duplicates = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RandomStepShape shape;
    shape.vocab = seed % 3 == 0 ? 2 : 6;
    const RandomStep step = random_step(seed, shape);
    const TokenTree tree = build_token_tree(views(step.calls));
    const RowOracle oracle(step.calls);
    CHECK(tree.fates == oracle.fates);
    CHECK_EQ(tree.unshared_tokens, oracle.unshared_tokens);
    check_structure(tree, oracle);
    check_entries(tree, step.calls, oracle);
    merged += static_cast<size_t>(std::count(tree.fates.begin(), tree.fates.end(), CallFate::merged));
    branches += tree.nodes.size();
    for (size_t i = 1; i < tree.entries.size(); ++i) {
      const Entry &a = tree.entries[i - 1], &b = tree.entries[i];
      duplicates += a.parent_token == b.parent_token && a.token == b.token && a.row == b.row ? 1 : 0;
    }
  }
  CHECK(merged > 300 && branches > 3000 && duplicates > 300);  // the generator reaches every case
}

TEST("token_tree: turns merge into the first timeline that continues them, duplicates count once per choice") {
  const std::vector<OwnedCall> calls{
      {.episode = 0, .prompt = {1, 2}, .sampled = {3, 4}, .logprobs = {-1.0F, -2.0F}, .mask = {}},
      {.episode = 0, .prompt = {1, 2}, .sampled = {3, 4}, .logprobs = {-1.0F, -2.0F}, .mask = {}},
      {.episode = 0, .prompt = {1, 2, 3, 4, 5}, .sampled = {6}, .logprobs = {-1.0F}, .mask = {}},
      {.episode = 0, .prompt = {1, 2, 3, 4, 7}, .sampled = {8}, .logprobs = {-1.0F}, .mask = {}},
      {.episode = 1, .prompt = {1, 2}, .sampled = {3}, .logprobs = {-1.0F}, .mask = {}}};
  const TokenTree tree = build_token_tree(views(calls));
  CHECK(tree.fates ==
        (std::vector{CallFate::merged, CallFate::merged, CallFate::trained, CallFate::trained, CallFate::trained}));
  CHECK(tree.row_tokens == (std::vector<int64_t>{5, 1, 1}));
  CHECK(tree.row_episode == (std::vector<int32_t>{0, 0, 1}));
  CHECK_EQ(tree.unshared_tokens, 6 + 6 + 3);
  CHECK(tree.tokens == (Sequence{1, 2, 3, 4, 5, 6, 7, 8}));
  CHECK_EQ(tree.nodes.size(), 3U);
  CHECK_EQ(tree.max_position, 6);
}

TEST("token_tree: the layout follows the calls' order") {
  const RandomStep step = random_step(11, {});
  std::vector<OwnedCall> reversed(step.calls.rbegin(), step.calls.rend());
  const TokenTree forward = build_token_tree(views(step.calls)), again = build_token_tree(views(step.calls));
  CHECK(forward.tokens == again.tokens && forward.positions == again.positions);
  const TokenTree backward = build_token_tree(views(reversed));
  CHECK(forward.tokens != backward.tokens);
  CHECK_EQ(forward.tokens.size(), backward.tokens.size());
}

TEST("token_tree: a hundred thousand tokens in far less than a second") {
  RandomStepShape shape{
      .tasks = 16, .repeats = 16, .agents = 1, .turns = 4, .vocab = 4000, .longest = 300, .masks = false};
  const RandomStep step = random_step(3, shape);
  const auto calls = views(step.calls);
  const auto start = std::chrono::steady_clock::now();
  const TokenTree tree = build_token_tree(calls);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(tree.tokens.size() > 100'000);
  CHECK_LE(seconds, 2.0);
}

TEST("token_tree: empty input and malformed calls") {
  CHECK(build_token_tree({}).tokens.empty());
  OwnedCall call{.episode = 0, .prompt = {1}, .sampled = {2, 3}, .logprobs = {-1.0F, -1.0F}, .mask = {}};
  const auto build = [](const OwnedCall& c) { return build_token_tree(views({c})); };
  const auto with = [&call](auto change) {
    OwnedCall changed = call;
    change(changed);
    return changed;
  };
  CHECK_ERROR(build(with([](auto& c) { c.prompt.clear(); })), "non-empty `prompt`");
  CHECK_ERROR(build(with([](auto& c) { c.logprobs.pop_back(); })), "`logprobs` of 2 values but received 1");
  CHECK_ERROR(build(with([](auto& c) { c.mask = {1}; })), "`mask` of 2 values but received 1");
  CHECK_ERROR(build(with([](auto& c) { c.temperature = -1.0F; })), "`temperature` >= 0");
  CHECK_ERROR(build(with([](auto& c) { c.episode = -1; })), "`episode` >= 0");
  const TokenTree unsampled = build(with([](auto& c) { c.sampled.clear(), c.logprobs.clear(); }));
  CHECK(unsampled.entries.empty() && unsampled.unshared_tokens == 0);
}

}  // namespace ajet::test
