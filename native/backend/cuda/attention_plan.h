// What attention kernels work through, made on the host from a layout: tiles of queries, tiles of keys, and for each
// leaf of a token tree the rows of its path.
//
// Kernels see "query rows": query row r is head r % group (of the group that shares a key head) of token r / group. So
// heads that read the same keys fill a tile together, and a tile's rows differ in position by less than its size.
//
// A run is a node and those below it that are each the last one's first child: in pre-order their tokens lie one behind
// another, in memory as on the path, and the run ends in a leaf. Query tiles do not straddle runs, so that all their
// rows share one path.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/batch_layout.h"
#include "backend/cuda/device_arena.h"
#include "backend/cuda/transfers.h"

namespace ajet::cuda {

struct QueryTile {
  int32_t first, end;  // query rows
  int32_t shift;       // a token's position minus its index among the queries
  int32_t table;       // where the table of its keys' rows (or blocks) begins, position 0 first
};

// A tile of keys with queries of the subtree below it: those of the rows [first_query, end_query) that lie behind it.
struct KeyTile {
  int32_t first, count;  // rows of k
  int32_t first_query, end_query;
  int32_t slot;  // where the partial sums go; -1: this is the tile's only part
  int32_t padding[3];
};

// A tile of keys whose gradients come in parts, in slots one behind another.
struct KeyTileParts {
  int32_t first, count;
  int32_t first_slot, slots;
};

struct QueryTiles {
  std::vector<QueryTile> large, small;
  // Cuts query rows [first, end): up to `rows` a tile, a rest of at most small_rows for the kernel of few rows.
  void cut(int64_t first, int64_t end, int64_t shift, int64_t table, int64_t rows, int64_t small_rows);
  // Most keys first.
  void sort(int64_t group);
};

// Sizes that the kernels have.
struct AttentionTileSizes {
  int64_t forward_rows, small_rows, backward_rows, backward_keys;
};

// A tree's lists on the card, kept until a call brings another tree: a pass asks with the same one for every layer.
class TreePlan {
 public:
  TreePlan(DeviceArena& arena, Transfers& transfers) : arena_(arena), transfers_(transfers) {}
  ~TreePlan();
  TreePlan(const TreePlan&) = delete;
  TreePlan& operator=(const TreePlan&) = delete;

  void prepare(const TreeLayout& tree, int64_t group, int64_t kv_heads, const AttentionTileSizes& sizes);

  // On the card.
  template <typename T>
  struct List {
    size_t offset = 0;
    int64_t count = 0;
  };
  template <typename T>
  const T* data(const List<T>& list) const {
    return reinterpret_cast<const T*>(device_ + list.offset);
  }
  List<int32_t> path_rows;
  List<QueryTile> large_tiles, small_tiles, backward_tiles;
  List<KeyTile> key_tiles;
  List<KeyTileParts> key_tile_parts;
  int64_t slots = 0;  // for each key head

 private:
  template <typename T>
  List<T> append(const std::vector<T>& values);
  void upload();

  DeviceArena& arena_;
  Transfers& transfers_;
  std::vector<TreeNode> nodes_;  // of the tree at hand
  int64_t context_tokens_ = 0, group_ = 0, kv_heads_ = 0;
  std::vector<char> bytes_;
  char* device_ = nullptr;
  size_t device_bytes_ = 0;
};

// The tiles of a batch of sequences with KV blocks, kept likewise; in host memory.
class PagedPlan {
 public:
  const QueryTiles& prepare(const PagedLayout& layout, int64_t group, const AttentionTileSizes& sizes);

 private:
  std::vector<int32_t> key_;  // the layout that the tiles are of
  QueryTiles tiles_;
};

}  // namespace ajet::cuda
