#include "backend/cuda/attention_plan.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace ajet::cuda {
namespace {

int64_t ceil_div(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// See attention_plan.h. Rows [first, end) of the batch; the first has this position.
struct Run {
  int64_t first, end, position;
  int64_t table;  // where its path begins in path_rows
};

// The runs of a tree; appends the path of each to path_rows.
std::vector<Run> find_runs(const TreeLayout& tree, std::vector<int32_t>& path_rows) {
  std::vector<Run> runs;
  std::vector<size_t> run_of(tree.nodes.size());
  for (size_t n = 0; n < tree.nodes.size(); ++n) {
    const TreeNode& node = tree.nodes[n];
    if (n == 0 || node.parent != static_cast<int32_t>(n) - 1) {
      const auto table = static_cast<int64_t>(path_rows.size());
      path_rows.resize(path_rows.size() + static_cast<size_t>(node.position));
      if (node.parent >= 0)
        std::copy_n(path_rows.begin() + runs[run_of[static_cast<size_t>(node.parent)]].table, node.position,
                    path_rows.begin() + table);
      runs.push_back({node.first_token, node.first_token, node.position, table});
    }
    run_of[n] = runs.size() - 1;
    for (int32_t t = 0; t < node.tokens; ++t) path_rows.push_back(node.first_token + t);
    runs.back().end = node.first_token + node.tokens;
  }
  return runs;
}

// Rows of consecutive nodes with one and the same subtree below them: row r has the queries [r, subtree_end).
struct KeyRun {
  int64_t first, end, subtree_end;
};

std::vector<KeyRun> find_key_runs(const TreeLayout& tree) {
  const auto& nodes = tree.nodes;
  std::vector<int64_t> subtree_end(nodes.size());
  for (size_t n = nodes.size(); n-- > 0;) {
    subtree_end[n] = std::max<int64_t>(subtree_end[n], nodes[n].first_token + nodes[n].tokens);
    if (nodes[n].parent >= 0) {
      int64_t& above = subtree_end[static_cast<size_t>(nodes[n].parent)];
      above = std::max(above, subtree_end[n]);
    }
  }
  std::vector<KeyRun> runs;
  for (size_t n = 0; n < nodes.size(); ++n) {
    const int64_t end = nodes[n].first_token + nodes[n].tokens;
    if (n > 0 && nodes[n].parent == static_cast<int32_t>(n) - 1 && subtree_end[n] == subtree_end[n - 1]) {
      runs.back().end = end;
    } else {
      runs.push_back({nodes[n].first_token, end, subtree_end[n]});
    }
  }
  return runs;
}

struct KeyTiles {
  std::vector<KeyTile> tiles;
  std::vector<KeyTileParts> parts;
  int64_t slots = 0;
};

// Work for about this many blocks of threads at least, so that a shared prompt's keys, which see every row of the
// batch, do not outlast all others. Not the card's own number: the order of sums is the same on every card.
constexpr int64_t wanted_blocks = 1024;
constexpr int64_t shortest_part = 4096;  // query rows

KeyTiles cut_keys(const TreeLayout& tree, int64_t group, int64_t kv_heads, int64_t keys) {
  std::vector<KeyTile> whole;
  int64_t total = 0;
  for (const KeyRun& run : find_key_runs(tree)) {
    for (int64_t first = run.first; first < run.end; first += keys) {
      const int64_t begin = std::max(first - tree.context_tokens, int64_t{0}) * group;
      const int64_t end = std::max(run.subtree_end - tree.context_tokens, int64_t{0}) * group;
      whole.push_back({static_cast<int32_t>(first),
                       static_cast<int32_t>(std::min(keys, run.end - first)),
                       static_cast<int32_t>(begin),
                       static_cast<int32_t>(end),
                       -1,
                       {}});
      total += end - begin;
    }
  }
  const int64_t limit = std::max(shortest_part, ceil_div(total * kv_heads, wanted_blocks));
  KeyTiles result;
  for (const KeyTile& tile : whole) {
    const int64_t rows = tile.end_query - tile.first_query, parts = ceil_div(rows, limit);
    if (parts <= 1) {
      result.tiles.push_back(tile);
      continue;
    }
    result.parts.push_back({tile.first, tile.count, static_cast<int32_t>(result.slots), static_cast<int32_t>(parts)});
    for (int64_t i = 0; i < parts; ++i) {
      KeyTile part = tile;
      part.first_query = static_cast<int32_t>(tile.first_query + i * rows / parts);
      part.end_query = static_cast<int32_t>(tile.first_query + (i + 1) * rows / parts);
      part.slot = static_cast<int32_t>(result.slots++);
      result.tiles.push_back(part);
    }
  }
  std::ranges::stable_sort(result.tiles, std::ranges::greater{},
                           [](const KeyTile& t) { return t.end_query - t.first_query; });
  return result;
}

bool same_nodes(const std::vector<TreeNode>& a, std::span<const TreeNode> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), b.size_bytes()) == 0;
}

}  // namespace

void QueryTiles::cut(int64_t first, int64_t end, int64_t shift, int64_t table, int64_t rows, int64_t small_rows) {
  while (first < end) {
    const int64_t left = end - first, stop = first + std::min(left, rows);
    (left <= small_rows ? small : large)
        .push_back({static_cast<int32_t>(first), static_cast<int32_t>(stop), static_cast<int32_t>(shift),
                    static_cast<int32_t>(table)});
    first = stop;
  }
}

void QueryTiles::sort(int64_t group) {
  const auto keys = [group](const QueryTile& tile) { return tile.shift + (tile.end - 1) / group; };
  for (std::vector<QueryTile>* list : {&large, &small}) std::ranges::stable_sort(*list, std::ranges::greater{}, keys);
}

TreePlan::~TreePlan() {
  if (device_ != nullptr) arena_.free(device_, device_bytes_);
}

template <typename T>
TreePlan::List<T> TreePlan::append(const std::vector<T>& values) {
  const List<T> list{bytes_.size(), static_cast<int64_t>(values.size())};
  bytes_.resize((bytes_.size() + values.size() * sizeof(T) + 15) / 16 * 16);
  if (!values.empty()) std::memcpy(bytes_.data() + list.offset, values.data(), values.size() * sizeof(T));
  return list;
}

void TreePlan::upload() {
  if (bytes_.size() > device_bytes_) {
    const size_t bytes = bytes_.size() + bytes_.size() / 2;
    if (device_ != nullptr) arena_.free(device_, device_bytes_);
    device_ = nullptr;
    device_bytes_ = 0;
    device_ = static_cast<char*>(arena_.allocate(bytes));
    device_bytes_ = bytes;
  }
  transfers_.upload(device_, bytes_.data(), bytes_.size());
}

void TreePlan::prepare(const TreeLayout& tree, int64_t group, int64_t kv_heads, const AttentionTileSizes& sizes) {
  if (device_ != nullptr && group == group_ && kv_heads == kv_heads_ && tree.context_tokens == context_tokens_ &&
      same_nodes(nodes_, tree.nodes))
    return;
  nodes_.clear();  // nothing is at hand until the end
  bytes_.clear();
  std::vector<int32_t> rows;
  QueryTiles forward, backward;
  for (const Run& run : find_runs(tree, rows)) {
    const int64_t first = std::max(run.first, tree.context_tokens) - tree.context_tokens;
    const int64_t end = run.end - tree.context_tokens, shift = run.position - run.first + tree.context_tokens;
    forward.cut(first * group, end * group, shift, run.table, sizes.forward_rows, sizes.small_rows);
    backward.cut(first * group, end * group, shift, run.table, sizes.backward_rows, 0);
  }
  require(rows.size() < (size_t{1} << 31), "[attention_tree] Expected paths of fewer than 2^31 tokens in all");
  forward.sort(group);
  backward.sort(group);
  const KeyTiles keys = cut_keys(tree, group, kv_heads, sizes.backward_keys);
  path_rows = append(rows);
  large_tiles = append(forward.large);
  small_tiles = append(forward.small);
  backward_tiles = append(backward.large);
  key_tiles = append(keys.tiles);
  key_tile_parts = append(keys.parts);
  slots = keys.slots;
  upload();
  nodes_.assign(tree.nodes.begin(), tree.nodes.end());
  context_tokens_ = tree.context_tokens;
  group_ = group;
  kv_heads_ = kv_heads;
}

const QueryTiles& PagedPlan::prepare(const PagedLayout& layout, int64_t group, const AttentionTileSizes& sizes) {
  std::vector<int32_t> key{static_cast<int32_t>(group)};
  for (const auto& part : {layout.row_offsets, layout.start_positions, layout.block_offsets})
    key.insert(key.end(), part.begin(), part.end());
  if (key == key_) return tiles_;
  tiles_ = {};
  for (int64_t s = 0; s < layout.sequences(); ++s) {
    const int64_t first = layout.row_offsets[s], end = layout.row_offsets[s + 1];
    tiles_.cut(first * group, end * group, layout.start_positions[s] - first, layout.block_offsets[s],
               sizes.forward_rows, sizes.small_rows);
  }
  tiles_.sort(group);
  key_ = std::move(key);
  return tiles_;
}

}  // namespace ajet::cuda
