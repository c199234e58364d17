#include "infer/prefix_tree.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

#include "base/rng.h"
#include "check.h"

namespace ajet {
namespace {

std::vector<int32_t> counting(int32_t first, int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<int32_t> joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Inserts `tokens` as a finished sequence does, and leaves its blocks to the tree.
void insert_all(PrefixTree& tree, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> path;
  const PrefixMatch match = tree.match(tokens, path);
  for (const int32_t block : path) tree.retain(block);
  int32_t parent = path.empty() ? tree.root() : path.back();
  for (auto first = path.size() * kv_block_tokens; first < tokens.size(); first += kv_block_tokens) {
    const auto run = std::span(tokens).subspan(first, std::min<size_t>(kv_block_tokens, tokens.size() - first));
    const int32_t block = tree.allocate();
    CHECK(block >= 0);
    path.push_back(block);
    parent = tree.insert(parent, run, block);
  }
  CHECK(match.tokens <= static_cast<int32_t>(tokens.size()));
  for (auto block = path.rbegin(); block != path.rend(); ++block) tree.release(*block);
}

int32_t matched(const PrefixTree& tree, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> path;
  const PrefixMatch match = tree.match(tokens, path);
  CHECK_EQ(match.tokens, static_cast<int32_t>(path.size()) * 16 + match.partial_tokens);
  return match.tokens;
}

TEST("prefix tree: matches token by token") {
  KvBlocks blocks(16);
  PrefixTree tree(blocks);
  CHECK_EQ(matched(tree, counting(0, 40)), 0);
  insert_all(tree, counting(0, 40));
  CHECK_EQ(matched(tree, counting(0, 40)), 40);
  CHECK_EQ(matched(tree, counting(0, 100)), 40);
  CHECK_EQ(matched(tree, counting(0, 7)), 7);
  CHECK_EQ(matched(tree, counting(1, 40)), 0);
  for (int32_t fork = 1; fork < 40; ++fork) CHECK_EQ(matched(tree, joined(counting(0, fork), counting(500, 30))), fork);
}

TEST("prefix tree: siblings that share tokens keep the longest match") {
  KvBlocks blocks(64);
  PrefixTree tree(blocks);
  for (int32_t fork = 0; fork < 16; ++fork) insert_all(tree, joined(counting(0, fork), counting(100 + fork, 16)));
  for (int32_t fork = 0; fork < 16; ++fork) {
    const auto tokens = joined(counting(0, fork), counting(100 + fork, 16));
    CHECK_EQ(matched(tree, tokens), 16 + fork);
    CHECK_EQ(matched(tree, joined(counting(0, fork), counting(700, 16))), std::min(fork, 15));
  }
}

TEST("prefix tree: a shorter run grows or is replaced, a longer one covers it") {
  KvBlocks blocks(8);
  PrefixTree tree(blocks);
  const auto tokens = counting(0, 16);
  const int32_t first = tree.allocate(), second = tree.allocate();
  CHECK_EQ(tree.insert(tree.root(), std::span(tokens).first(5), first), first);
  CHECK_EQ(tree.insert(tree.root(), std::span(tokens).first(9), first), first);
  CHECK_EQ(matched(tree, tokens), 9);
  CHECK_EQ(tree.insert(tree.root(), std::span(tokens).first(4), second), first);
  CHECK_EQ(tree.insert(tree.root(), std::span(tokens), second), second);
  CHECK(!tree.contains(first));
  CHECK_EQ(tree.insert(tree.root(), std::span(tokens), first), second);
  CHECK_EQ(blocks.references(first), 1);
  CHECK_EQ(blocks.references(second), 2);
  tree.release(first);
  tree.release(second);
  CHECK_EQ(blocks.free(), 7);
  CHECK_EQ(tree.available(), 8);
}

TEST("prefix tree: evicts the least recently used leaf, never what is in use") {
  KvBlocks blocks(6);
  PrefixTree tree(blocks);
  const auto old_run = counting(0, 48), new_run = counting(1000, 48);
  insert_all(tree, old_run);
  insert_all(tree, new_run);
  CHECK_EQ(blocks.free(), 0);
  CHECK_EQ(tree.available(), 6);
  std::vector<int32_t> path;
  CHECK_EQ(tree.match(std::span(old_run).first(16), path).tokens, 16);
  tree.retain(path[0]);  // the first block of the older run
  CHECK_EQ(tree.available(), 5);
  std::vector<int32_t> taken;
  const std::vector<std::pair<int32_t, int32_t>> left = {{32, 48}, {16, 48}, {16, 32}, {16, 16}, {16, 0}};
  for (const auto& [of_old, of_new] : left) {
    taken.push_back(tree.allocate());
    CHECK(taken.back() >= 0 && taken.back() != path[0]);
    CHECK_EQ(matched(tree, old_run), of_old);
    CHECK_EQ(matched(tree, new_run), of_new);
  }
  CHECK_EQ(tree.allocate(), -1);
  tree.release(path[0]);
  CHECK_EQ(tree.allocate(), path[0]);
  CHECK_EQ(matched(tree, old_run), 0);
}

TEST("prefix tree: clear returns every block") {
  KvBlocks blocks(10);
  PrefixTree tree(blocks);
  insert_all(tree, counting(0, 70));
  insert_all(tree, counting(300, 20));
  CHECK_EQ(blocks.free(), 3);
  tree.clear();
  CHECK_EQ(blocks.free(), 10);
  CHECK_EQ(tree.available(), 10);
  CHECK_EQ(matched(tree, counting(0, 70)), 0);
}

TEST("prefix tree: matches what a list of all runs gives, over a small alphabet") {
  KvBlocks blocks(4096);
  PrefixTree tree(blocks);
  std::vector<std::vector<int32_t>> known;
  uint64_t counter = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> tokens(1 + static_cast<size_t>(uniform_double(7, counter++) * 40));
    for (int32_t& token : tokens) token = uniform_double(7, counter++) < 0.95 ? 0 : 1;
    int32_t expected = 0;
    for (const auto& other : known) {
      const auto ends = std::mismatch(tokens.begin(), tokens.end(), other.begin(), other.end());
      expected = std::max(expected, static_cast<int32_t>(ends.first - tokens.begin()));
    }
    CHECK_EQ(matched(tree, tokens), expected);
    insert_all(tree, tokens);
    known.push_back(tokens);
  }
}

}  // namespace
}  // namespace ajet
