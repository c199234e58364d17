// Backward of attention over a tree: gradients of the keys and values on the current path are kept by position and
// copied out when the walk leaves a node, after all its descendants.
#include <algorithm>
#include <span>
#include <vector>

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/attention_path.h"
#include "backend/cpu/attention_queries.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {
namespace {

// A range of rows sums into the rows above it on its own; the parts are added afterwards, ranges ascending. The cut
// depends on the tree and the shape alone, so that the sums do not depend on the number of threads.
struct Range {
  RowRange rows;
  std::vector<int32_t> above;  // rows above the range, by position
  // Parts for the rows above: [kv_head][above][keys, values][head_dim]
  float* above_gradients;
};

struct TreeBackward {
  Tensor dq, dk, dv, dout, o, lse, q, k, v;
  const TreeLayout& tree;
  const AttentionShape& shape;
  const Kernels& kernels;
  bool accumulate;

  int64_t path_rows() const { return round_up(tree.max_position, backward_tile_keys); }
  int64_t scratch_floats() const {
    return path_rows() * (2 * shape.head_dim + 3 * padded_dim(shape.head_dim)) +
           attention_backward_scratch_floats(shape.head_dim);
  }
  void run(Range& range, int64_t kv_head, float* scratch) const;
  // A row's gradient by the range that owns it: the first to reach dk or dv.
  void take(Tensor gradients, int64_t row, int64_t kv_head, const float* gradient) const;
  void zero_context(int64_t kv_head) const;
  void add_above(const Range& range, int64_t kv_head) const;
};

// The state of one walk: what lies on the path, by position.
class GradientPath {
 public:
  GradientPath(const TreeBackward& op, Range& range, int64_t kv_head, float* scratch)
      : op_(op), range_(range), kv_head_(kv_head), dim_(op.shape.head_dim), padded_(padded_dim(dim_)) {
    const int64_t rows = op.path_rows();
    keys_transposed_ = scratch;
    values_transposed_ = keys_transposed_ + rows * dim_;
    keys_ = values_transposed_ + rows * dim_;
    dkeys_ = keys_ + rows * padded_;
    dvalues_ = dkeys_ + rows * padded_;
    kernel_scratch_ = dvalues_ + rows * padded_;
    for_each_path_run(range.above, [&](int64_t first_row, int64_t count, int64_t) { push(first_row, count); });
  }

  void push(int64_t first_row, int64_t rows) {
    const int64_t position = static_cast<int64_t>(rows_.size()), block_size = attention_block_keys * dim_;
    const RowRun keys = head_rows(op_.k, first_row, rows, kv_head_, dim_);
    const RowRun values = head_rows(op_.v, first_row, rows, kv_head_, dim_);
    write_transposed(op_.kernels, [&](int64_t b) { return keys_transposed_ + b * block_size; }, position, keys, dim_);
    write_transposed(
        op_.kernels, [&](int64_t b) { return values_transposed_ + b * block_size; }, position, values, dim_);
    for (int64_t r = 0; r < rows; ++r) {
      write_padded(keys_ + (position + r) * padded_, keys.first + r * keys.stride, dim_);
      rows_.push_back(static_cast<int32_t>(first_row + r));
    }
    std::fill_n(dkeys_ + position * padded_, rows * padded_, 0.0F);
    std::fill_n(dvalues_ + position * padded_, rows * padded_, 0.0F);
  }

  // Leaves the positions from `position` on: their gradients are complete within this range of rows.
  void pop_to(int64_t position) {
    while (static_cast<int64_t>(rows_.size()) > position) {
      const int64_t last = static_cast<int64_t>(rows_.size()) - 1, row = rows_[last];
      rows_.pop_back();
      const float *dkey = dkeys_ + last * padded_, *dvalue = dvalues_ + last * padded_;
      if (row >= range_.rows.begin) {
        op_.take(op_.dk, row, kv_head_, dkey);
        op_.take(op_.dv, row, kv_head_, dvalue);
      } else {
        const auto count = static_cast<int64_t>(range_.above.size());
        float* above = range_.above_gradients + (kv_head_ * count + last) * 2 * dim_;
        std::copy_n(dkey, dim_, above);
        std::copy_n(dvalue, dim_, above + dim_);
      }
    }
  }

  // Queries of rows that have been pushed, group by group of heads, ascending.
  void backward(int64_t first_row, int64_t rows, int64_t position) {
    const int64_t group = op_.shape.heads / op_.shape.kv_heads, queries = rows * group;
    for (int64_t first = 0; first < queries; first += backward_tile_queries) {
      const int64_t count = std::min(backward_tile_queries, queries - first);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t row = first_row - op_.tree.context_tokens + (first + i) / group;
        const int64_t head = kv_head_ * group + (first + i) % group;
        positions_[i] = static_cast<int32_t>(position + (first + i) / group);
        q_[i] = op_.q.f32() + row * op_.q.stride + head * dim_;
        dout_[i] = op_.dout.f32() + row * op_.dout.stride + head * dim_;
        o_[i] = op_.o.f32() + row * op_.o.stride + head * dim_;
        dq_[i] = op_.dq.f32() + row * op_.dq.stride + head * dim_;
        lse_[i] = op_.lse.f32() + row * op_.lse.stride + head;
      }
      op_.kernels.attention_backward({count, dim_, op_.shape.scale, positions_, q_, dout_, o_, dq_, lse_,
                                      keys_transposed_, values_transposed_, keys_, dkeys_, dvalues_},
                                     kernel_scratch_);
    }
  }

 private:
  const TreeBackward& op_;
  Range& range_;
  int64_t kv_head_, dim_, padded_;
  float *keys_transposed_, *values_transposed_, *keys_, *dkeys_, *dvalues_, *kernel_scratch_;
  std::vector<int32_t> rows_;
  int32_t positions_[backward_tile_queries];
  const float* q_[backward_tile_queries];
  const float* dout_[backward_tile_queries];
  const float* o_[backward_tile_queries];
  float* dq_[backward_tile_queries];
  const float* lse_[backward_tile_queries];
};

void TreeBackward::run(Range& range, int64_t kv_head, float* scratch) const {
  GradientPath path(*this, range, kv_head, scratch);
  for_each_run(tree, range.rows, [&](int64_t first_row, int64_t rows, int64_t position) {
    path.pop_to(position);
    path.push(first_row, rows);
    path.backward(first_row, rows, position);
  });
  path.pop_to(0);
}

void TreeBackward::take(Tensor gradients, int64_t row, int64_t kv_head, const float* gradient) const {
  float* target = gradients.f32() + row * gradients.stride + kv_head * shape.head_dim;
  if (!accumulate) {
    std::copy_n(gradient, shape.head_dim, target);
  } else {
    for (int64_t d = 0; d < shape.head_dim; ++d) target[d] += gradient[d];
  }
}

// No range owns the rows of the context.
void TreeBackward::zero_context(int64_t kv_head) const {
  for (int64_t row = 0; row < tree.context_tokens; ++row) {
    std::fill_n(dk.f32() + row * dk.stride + kv_head * shape.head_dim, shape.head_dim, 0.0F);
    std::fill_n(dv.f32() + row * dv.stride + kv_head * shape.head_dim, shape.head_dim, 0.0F);
  }
}

void TreeBackward::add_above(const Range& range, int64_t kv_head) const {
  const int64_t dim = shape.head_dim, count = static_cast<int64_t>(range.above.size());
  const float* gradient = range.above_gradients + kv_head * count * 2 * dim;
  for (const int32_t row : range.above) {
    float* dkey = dk.f32() + row * dk.stride + kv_head * dim;
    float* dvalue = dv.f32() + row * dv.stride + kv_head * dim;
    for (int64_t d = 0; d < dim; ++d) dkey[d] += gradient[d];
    for (int64_t d = 0; d < dim; ++d) dvalue[d] += gradient[dim + d];
    gradient += 2 * dim;
  }
}

// Enough queries times keys for a range to pay for laying out its path.
std::vector<Range> fixed_ranges(const TreeLayout& tree, const AttentionShape& shape) {
  const int64_t least = std::max<int64_t>(131072, 256 * tree.max_position);
  const int64_t most = (64 - 1) / shape.kv_heads + 1;
  const int64_t count = attended_pairs(tree) * (shape.heads / shape.kv_heads) / least;
  std::vector<Range> ranges;
  for (const RowRange rows : split_by_pairs(tree, std::clamp<int64_t>(count, 1, most)))
    ranges.push_back({rows, path_above(tree, rows.begin), nullptr});
  return ranges;
}

int64_t above_floats(const Range& range, const AttentionShape& shape) {
  return static_cast<int64_t>(range.above.size()) * shape.kv_heads * 2 * shape.head_dim;
}

}  // namespace

void CpuBackend::do_attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse,
                                            Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                                            const AttentionShape& shape, bool accumulate) {
  const TreeBackward op{dq, dk, dv, dout, o, lse, q, k, v, tree, shape, k_, accumulate};
  std::vector<Range> ranges = fixed_ranges(tree, shape);
  if (!accumulate) pool_.parallel_for(shape.kv_heads, [&](int64_t kv_head) { op.zero_context(kv_head); });

  // In waves that keep the threads busy: only their parts for the rows above are held at once. The sums go by
  // ascending range whatever the waves are.
  const auto count = static_cast<int64_t>(ranges.size());
  const int64_t wave = std::min(count, (2 * pool_.threads() - 1) / shape.kv_heads + 1);
  const int64_t floats = round_up(op.scratch_floats(), 16), slices = scratch_slices(pool_, wave * shape.kv_heads);
  int64_t most_above = 0;
  for (const Range& range : ranges) most_above = std::max(most_above, above_floats(range, shape));
  float* task_slices = scratch(slices * floats + wave * most_above);
  for (int64_t first = 0; first < count; first += wave) {
    const std::span<Range> running = std::span(ranges).subspan(first, std::min(wave, count - first));
    for (size_t i = 0; i < running.size(); ++i)
      running[i].above_gradients = task_slices + slices * floats + static_cast<int64_t>(i) * most_above;
    const int64_t tasks = static_cast<int64_t>(running.size()) * shape.kv_heads;
    parallel_with_scratch(pool_, tasks, task_slices, floats, [&](int64_t task, float* task_scratch) {
      op.run(running[task / shape.kv_heads], task % shape.kv_heads, task_scratch);
    });
    pool_.parallel_for(shape.kv_heads, [&](int64_t kv_head) {
      for (const Range& range : running) op.add_above(range, kv_head);
    });
  }
}

}  // namespace ajet::cpu
