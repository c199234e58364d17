// The lists that attention works through, at the sizes that training has. Made on the host: no kernel runs.
#include "backend/cuda/attention_plan.h"

#include <algorithm>
#include <numeric>

#include "backend_fixture.h"
#include "random_tree.h"

namespace ajet::test {
namespace {

using cuda::AttentionTileSizes, cuda::KeyTile, cuda::KeyTileParts, cuda::QueryTile, cuda::TreePlan;

// Of the bf16 kernels (attention_forward.cuh).
constexpr AttentionTileSizes sizes{.forward_rows = 128, .small_rows = 16, .backward_rows = 64, .backward_keys = 64};
// What a part of a key tile adds to, of a head dim of 128: dk and dv.
constexpr int64_t slot_bytes = int64_t{2} * 64 * 128 * 4;

struct Heads {
  int64_t group, kv_heads;
};
constexpr Heads heads_of_models[] = {{2, 8}, {7, 2}, {6, 2}, {4, 8}};

RandomTree group_of_samples(int32_t groups, int32_t samples, int32_t prompt, int32_t response) {
  RandomTree tree;
  for (int32_t g = 0; g < groups; ++g) {
    const int32_t root = tree.add(-1, prompt);
    for (int32_t s = 0; s < samples; ++s) tree.add(root, response);
  }
  return tree;
}

// A path of 2,000 nodes, a leaf beside each: every second node is another run, whose path is half the tree.
RandomTree comb(int32_t teeth, int32_t tokens) {
  RandomTree tree;
  std::vector<int32_t> spine{tree.add(-1, tokens)};
  for (int32_t t = 1; t < teeth; ++t) spine.push_back(tree.add(spine.back(), tokens));
  for (auto above = spine.rbegin(); above != spine.rend(); ++above) tree.add(*above, tokens);
  return tree;
}

class Plans {
 public:
  const TreePlan& prepare(const RandomTree& tree, const Heads& heads) {
    plan_.prepare(tree.layout(), heads.group, heads.kv_heads, sizes);
    return plan_;
  }
  template <typename T>
  std::vector<T> read(const TreePlan::List<T>& list) {
    std::vector<T> values(static_cast<size_t>(list.count));
    transfers_.download(values.data(), plan_.data(list), values.size() * sizeof(T));
    return values;
  }

 private:
  cuda::Stream stream_{0, false};
  cuda::DeviceArena arena_{0, 0};
  cuda::Transfers transfers_{stream_};
  TreePlan plan_{arena_, transfers_};
};

// Each query row is in one tile, whose table leads from position 0 to the row itself.
void check_query_tiles(const RandomTree& tree, std::vector<QueryTile> tiles, const std::vector<int32_t>& path_rows,
                       int64_t group, int64_t most_rows) {
  std::ranges::sort(tiles, {}, &QueryTile::first);
  int64_t next = 0;
  for (const QueryTile& tile : tiles) {
    CHECK_EQ(tile.first, next);
    CHECK(tile.end > tile.first && tile.end - tile.first <= most_rows);
    next = tile.end;
    const int64_t last = (tile.end - 1) / group, row = tree.context_tokens + last;
    const int64_t position = tile.shift + last;
    CHECK_EQ(position, tree.positions[static_cast<size_t>(row)]);
    int32_t above = static_cast<int32_t>(row);
    for (int64_t p = position; p >= 0; p -= 1 + position / 7) {
      above = path_rows[static_cast<size_t>(tile.table + p)];
      CHECK_EQ(tree.positions[static_cast<size_t>(above)], p);
    }
    CHECK_EQ(path_rows[static_cast<size_t>(tile.table + position)], row);
    CHECK_EQ(tree.parent_row[static_cast<size_t>(path_rows[static_cast<size_t>(tile.table)])], -1);
  }
  CHECK_EQ(next, (tree.rows() - tree.context_tokens) * group);
}

// Each row of keys is in one tile, whose parts see its queries one behind another, in the order of their slots.
void check_key_tiles(const RandomTree& tree, const std::vector<KeyTile>& tiles, const std::vector<KeyTileParts>& parts,
                     int64_t slots, const Heads& heads) {
  std::vector<uint8_t> seen(static_cast<size_t>(tree.rows()));
  std::vector<const KeyTile*> in_slot(static_cast<size_t>(slots));
  for (const KeyTile& tile : tiles) {
    CHECK(tile.count >= 1 && tile.count <= sizes.backward_keys);
    if (tile.slot >= 0) in_slot[static_cast<size_t>(tile.slot)] = &tile;
    for (int32_t row = tile.first; tile.slot < 0 && row < tile.first + tile.count; ++row)
      CHECK_EQ(seen[static_cast<size_t>(row)]++, 0);
  }
  for (const KeyTileParts& part : parts) {
    for (int32_t row = part.first; row < part.first + part.count; ++row) CHECK_EQ(seen[static_cast<size_t>(row)]++, 0);
    for (int32_t s = part.first_slot; s < part.first_slot + part.slots; ++s) {
      const KeyTile* tile = in_slot[static_cast<size_t>(s)];
      CHECK(tile != nullptr && tile->first == part.first && tile->count == part.count);
      if (s > part.first_slot) CHECK_EQ(tile->first_query, in_slot[static_cast<size_t>(s) - 1]->end_query);
    }
  }
  CHECK(std::ranges::count(seen, 1) == tree.rows());
  CHECK_LE(slots * heads.kv_heads * slot_bytes, int64_t{128} << 20);
}

TEST("attention plans of full sizes have every query and every key once") {
  const RandomTree path = RandomTree::chain(1, 16384);
  const RandomTree trees[] = {path,
                              path.segment(12288, 16384),
                              group_of_samples(1, 8, 2048, 512),
                              group_of_samples(4, 8, 512, 1024),
                              RandomTree::random(1, 4000, 10),
                              comb(2000, 4)};
  Plans plans;
  for (const RandomTree& tree : trees) {
    for (const Heads& heads : heads_of_models) {
      const TreePlan& plan = plans.prepare(tree, heads);
      const std::vector<int32_t> path_rows = plans.read(plan.path_rows);
      std::vector<QueryTile> forward = plans.read(plan.large_tiles);
      const std::vector<QueryTile> small = plans.read(plan.small_tiles);
      for (const QueryTile& tile : small) CHECK_LE(tile.end - tile.first, sizes.small_rows);
      forward.insert(forward.end(), small.begin(), small.end());
      check_query_tiles(tree, forward, path_rows, heads.group, sizes.forward_rows);
      check_query_tiles(tree, plans.read(plan.backward_tiles), path_rows, heads.group, sizes.backward_rows);
      check_key_tiles(tree, plans.read(plan.key_tiles), plans.read(plan.key_tile_parts), plan.slots, heads);
    }
  }
}

}  // namespace
}  // namespace ajet::test
