#include "infer/prefix_tree.h"

#include <algorithm>

namespace ajet {
namespace {

int32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

bool starts_with(std::span<const int32_t> tokens, std::span<const int32_t> prefix) {
  return tokens.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

}  // namespace

PrefixTree::PrefixTree(KvBlocks& blocks) : blocks_(blocks), nodes_(static_cast<size_t>(blocks.total()) + 1) {}

size_t PrefixTree::child_lower_bound(const Node& parent, std::span<const int32_t> tokens) const {
  const auto before = [this](int32_t child, std::span<const int32_t> key) {
    const auto run = node(child).run();
    return std::lexicographical_compare(run.begin(), run.end(), key.begin(), key.end());
  };
  return static_cast<size_t>(std::lower_bound(parent.children.begin(), parent.children.end(), tokens, before) -
                             parent.children.begin());
}

PrefixMatch PrefixTree::match(std::span<const int32_t> tokens, std::vector<int32_t>& path) const {
  PrefixMatch result;
  path.clear();
  const Node* parent = &node(root());
  for (;;) {
    const auto rest = tokens.subspan(static_cast<size_t>(result.tokens));
    const auto key = rest.first(std::min<size_t>(rest.size(), kv_block_tokens));
    // The child that shares most with the key is one of its two neighbours in the order.
    const size_t at = child_lower_bound(*parent, key);
    int32_t best = -1, shared = 0;
    for (size_t i = at == 0 ? 0 : at - 1; i <= at && i < parent->children.size(); ++i) {
      const int32_t common = common_prefix(key, node(parent->children[i]).run());
      if (common > shared) {
        shared = common;
        best = parent->children[i];
      }
    }
    result.tokens += shared;
    if (shared < kv_block_tokens) {
      result.partial_block = best;
      result.partial_tokens = shared;
      return result;
    }
    path.push_back(best);
    parent = &node(best);
  }
}

int32_t PrefixTree::insert(int32_t parent, std::span<const int32_t> tokens, int32_t block) {
  auto& siblings = node(parent).children;
  const size_t at = child_lower_bound(node(parent), tokens);
  if (at < siblings.size() && starts_with(node(siblings[at]).run(), tokens)) return siblings[at];
  if (at > 0 && starts_with(tokens, node(siblings[at - 1]).run())) {
    const int32_t shorter = siblings[at - 1];
    if (shorter == block) {
      std::copy(tokens.begin(), tokens.end(), node(block).tokens.begin());
      node(block).count = static_cast<int32_t>(tokens.size());
      return block;
    }
    siblings[at - 1] = block;
    detach(shorter);
  } else {
    siblings.insert(siblings.begin() + static_cast<std::ptrdiff_t>(at), block);
  }
  attach(block, parent, tokens);
  return block;
}

void PrefixTree::attach(int32_t block, int32_t parent, std::span<const int32_t> tokens) {
  blocks_.retain(block);
  Node& added = node(block);
  std::copy(tokens.begin(), tokens.end(), added.tokens.begin());
  added.count = static_cast<int32_t>(tokens.size());
  added.parent = parent;
}

// Forgets a leaf; its parent's list of children is the caller's.
void PrefixTree::detach(int32_t block) {
  Node& removed = node(block);
  if (blocks_.references(block) == 1) {
    --idle_;
    idle_leaves_.erase({removed.last_used, block});
  }
  removed.count = 0;
  blocks_.release(block);
}

void PrefixTree::evict() {
  const int32_t block = idle_leaves_.begin()->second;
  const int32_t parent = node(block).parent;
  auto& siblings = node(parent).children;
  siblings.erase(siblings.begin() + static_cast<std::ptrdiff_t>(child_lower_bound(node(parent), node(block).run())));
  detach(block);
  if (parent != root() && siblings.empty() && blocks_.references(parent) == 1)
    idle_leaves_.insert({node(parent).last_used, parent});
}

int32_t PrefixTree::allocate() {
  if (blocks_.free() == 0 && !idle_leaves_.empty()) evict();
  return blocks_.allocate();
}

void PrefixTree::retain(int32_t block) {
  if (contains(block) && blocks_.references(block) == 1) {
    --idle_;
    if (node(block).children.empty()) idle_leaves_.erase({node(block).last_used, block});
  }
  blocks_.retain(block);
}

void PrefixTree::release(int32_t block) {
  if (blocks_.release(block) != 1 || !contains(block)) return;
  ++idle_;
  node(block).last_used = ++clock_;
  if (node(block).children.empty()) idle_leaves_.insert({node(block).last_used, block});
}

void PrefixTree::clear() {
  for (int32_t block = 0; block < root(); ++block) {
    node(block).children.clear();
    if (!contains(block)) continue;
    node(block).count = 0;
    blocks_.release(block);
  }
  node(root()).children.clear();
  idle_leaves_.clear();
  idle_ = 0;
}

}  // namespace ajet
