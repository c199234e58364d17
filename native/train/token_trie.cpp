#include "train/token_trie.h"

#include <algorithm>

namespace ajet {

namespace {

uint64_t child_key(int32_t node, int32_t token) {
  return static_cast<uint64_t>(static_cast<uint32_t>(node)) << 32 | static_cast<uint32_t>(token);
}

}  // namespace

TokenTrie::TokenTrie(std::span<const CallChoice> calls) : calls_(calls) {
  nodes_.push_back({-1, -1, -1, 0, 0, 0});
  for (size_t call = 0; call < calls.size(); ++call) insert(static_cast<int32_t>(call));
}

int32_t TokenTrie::find_child(int32_t node, int32_t token) const {
  const auto found = children_.find(child_key(node, token));
  return found == children_.end() ? -1 : found->second;
}

int32_t& TokenTrie::child_slot(int32_t node, int32_t token) { return children_[child_key(node, token)]; }

int32_t TokenTrie::add_node(int32_t parent, int32_t call, int64_t position, int64_t length) {
  const auto node = static_cast<int32_t>(nodes_.size());
  nodes_.push_back({parent, call, call, 0, position, length});
  child_slot(parent, token_at(calls_[static_cast<size_t>(call)], position)) = node;
  ++nodes_[static_cast<size_t>(parent)].children;
  return node;
}

// The first `length` tokens of `node` become a new node above it; `node` keeps its children.
int32_t TokenTrie::split(int32_t node, int64_t length) {
  const auto upper = static_cast<int32_t>(nodes_.size());
  Node& lower = nodes_[static_cast<size_t>(node)];
  const Node above{lower.parent, lower.first_call, lower.label_call, 1, lower.position, length};
  const CallChoice& label = calls_[static_cast<size_t>(lower.label_call)];
  lower.parent = upper;
  lower.position += length;
  lower.length -= length;
  child_slot(above.parent, token_at(label, above.position)) = upper;
  child_slot(upper, token_at(label, lower.position)) = node;
  nodes_.push_back(above);
  return upper;
}

void TokenTrie::insert(int32_t call) {
  const CallChoice& sequence = calls_[static_cast<size_t>(call)];
  const int64_t end = sequence_length(sequence);
  int32_t node = 0;
  int64_t position = 0;
  while (position < end) {
    const int32_t child = find_child(node, token_at(sequence, position));
    if (child < 0) {
      Node& last = nodes_[static_cast<size_t>(node)];
      if (node != 0 && last.children == 0) {  // no branch here: the run goes on
        last.label_call = call;
        last.length += end - position;
      } else {
        add_node(node, call, position, end - position);
      }
      return;
    }
    const Node& candidate = nodes_[static_cast<size_t>(child)];
    const CallChoice& label = calls_[static_cast<size_t>(candidate.label_call)];
    const int64_t limit = std::min(end, candidate.position + candidate.length);
    while (position < limit && token_at(label, position) == token_at(sequence, position)) ++position;
    if (position < limit) {
      const int64_t matched = position - candidate.position;
      add_node(split(child, matched), call, position, end - position);
      return;
    }
    node = child;
  }
}

void TokenTrie::path(int32_t call, std::vector<int32_t>& nodes) const {
  nodes.clear();
  const CallChoice& sequence = calls_[static_cast<size_t>(call)];
  const int64_t end = sequence_length(sequence);
  int32_t node = 0;
  for (int64_t position = 0; position < end; position += nodes_[static_cast<size_t>(node)].length) {
    node = find_child(node, token_at(sequence, position));
    nodes.push_back(node);
  }
}

std::vector<int32_t> TokenTrie::preorder() const {
  const size_t count = nodes_.size();
  std::vector<int32_t> first_child(count + 1, 0), child(count);
  for (size_t i = 1; i < count; ++i) ++first_child[static_cast<size_t>(nodes_[i].parent) + 1];
  for (size_t i = 0; i < count; ++i) first_child[i + 1] += first_child[i];
  std::vector<int32_t> next(first_child.begin(), first_child.end() - 1);
  for (size_t i = 1; i < count; ++i)
    child[static_cast<size_t>(next[static_cast<size_t>(nodes_[i].parent)]++)] = static_cast<int32_t>(i);

  // Siblings latest first, so that the stack yields the earliest.
  const auto later = [this](int32_t a, int32_t b) {
    return nodes_[static_cast<size_t>(a)].first_call > nodes_[static_cast<size_t>(b)].first_call;
  };
  std::vector<int32_t> order, stack;
  order.reserve(count - 1);
  const auto push_children = [&](int32_t node) {
    const auto begin = child.begin() + first_child[static_cast<size_t>(node)];
    const auto end = child.begin() + first_child[static_cast<size_t>(node) + 1];
    std::sort(begin, end, later);
    stack.insert(stack.end(), begin, end);
  };
  push_children(0);
  while (!stack.empty()) {
    const int32_t node = stack.back();
    stack.pop_back();
    order.push_back(node);
    push_children(node);
  }
  return order;
}

}  // namespace ajet
