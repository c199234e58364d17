// How a product's output is cut into tasks. The cut depends on the sizes and the number of threads, the result does
// not: each output element is one chain over the depth.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ajet::cpu {

// Depth (the summed index) is cut so that a block of rows, packed, stays in a core's L2 cache.
constexpr int64_t depth_block = 512;

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Block {
  int64_t first_row;
  int64_t rows;
  int64_t first_panel;
  int64_t panels;
};

class BlockGrid {
 public:
  static constexpr int64_t max_rows = 112;

  // Output of `rows` rows (or strips of rows) and `panels` panels of 16 columns, at most `max_block_rows` in a block.
  BlockGrid(int64_t rows, int64_t panels, int threads, int64_t max_block_rows = max_rows)
      : rows_(rows), panels_(panels), row_blocks_(divide_up(rows, max_block_rows)) {
    const int64_t wanted_tasks = threads == 1 ? 1 : int64_t{4} * threads;
    const int64_t share = panels * row_blocks_ / wanted_tasks;
    // Register tiles cover up to 8 panels together.
    panels_per_block_ = std::clamp(share >= 8 ? share / 8 * 8 : divide_up(share, 2) * 2, int64_t{2}, max_panels);
    panel_blocks_ = divide_up(panels, panels_per_block_);
  }

  int64_t tasks() const { return row_blocks_ * panel_blocks_; }

  Block block(int64_t task) const {
    const int64_t row_block = task / panel_blocks_;
    const int64_t first_row = rows_ * row_block / row_blocks_;
    const int64_t first_panel = task % panel_blocks_ * panels_per_block_;
    return {first_row, rows_ * (row_block + 1) / row_blocks_ - first_row, first_panel,
            std::min(panels_per_block_, panels_ - first_panel)};
  }

 private:
  static constexpr int64_t max_panels = 64;

  int64_t rows_;
  int64_t panels_;
  int64_t row_blocks_;
  int64_t panels_per_block_ = 0;
  int64_t panel_blocks_ = 0;
};

// Parts of nearly equal size for tasks that each prepare their own operands: as few as the largest size allows, then
// more, of the side whose parts are larger against their smallest useful size, until the threads share them evenly.
struct EvenSplit {
  struct Side {
    int64_t count;
    int64_t least;  // smallest useful size of a part
    int64_t most;
    int64_t parts = 0;

    int64_t first(int64_t part) const { return count * part / parts; }
    int64_t size(int64_t part) const { return first(part + 1) - first(part); }
    double useful_cuts() const { return static_cast<double>(count) / static_cast<double>(parts * least); }
  };
  Side rows, panels;

  EvenSplit(Side all_rows, Side all_panels, int threads) : rows(all_rows), panels(all_panels) {
    rows.parts = std::max<int64_t>(1, divide_up(rows.count, rows.most));
    panels.parts = std::max<int64_t>(1, divide_up(panels.count, panels.most));
    while (tasks() % threads != 0 && tasks() < int64_t{4} * threads) {
      Side& side = rows.useful_cuts() >= panels.useful_cuts() ? rows : panels;
      if (side.useful_cuts() < 2.0) break;
      ++side.parts;
    }
  }

  int64_t tasks() const { return rows.parts * panels.parts; }
  Block block(int64_t task) const {
    const int64_t row = task / panels.parts, panel = task % panels.parts;
    return {rows.first(row), rows.size(row), panels.first(panel), panels.size(panel)};
  }
};

}  // namespace ajet::cpu
