// Residual sums, and rows picked from and added to a matrix.
#include <algorithm>
#include <numeric>
#include <vector>

#include "backend/cuda/device/rows.cuh"

namespace ajet::cuda {
namespace {

template <typename Y, typename X>
__global__ void __launch_bounds__(RowVectors::threads) add_kernel(Rows<Y> y, Rows<const X> x, RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  float sum[vector_width], term[vector_width];
  load8(sum, y.row(at.row) + at.col, at.count, y.vectorized);
  load8(term, x.row(at.row) + at.col, at.count, x.vectorized);
#pragma unroll
  for (int i = 0; i < vector_width; ++i) sum[i] += term[i];
  store8(y.row(at.row) + at.col, sum, at.count, y.vectorized);
}

template <typename Y, typename X>
__global__ void __launch_bounds__(RowVectors::threads)
    gather_rows_kernel(Rows<Y> y, Rows<const X> x, const int32_t* rows, const TokenLogprob* drawn, RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  int32_t row = rows[at.row];
  if (row < 0) row = max_of(drawn[-1 - row].token, 0);
  float values[vector_width];
  load8(values, x.row(row) + at.col, at.count, x.vectorized);
  store8(y.row(at.row) + at.col, values, at.count, y.vectorized);
}

// Thread i / vectors has the target row targets[i / vectors] and adds the source rows order[first .. next first) to it.
template <typename Y, typename X>
__global__ void __launch_bounds__(RowVectors::threads)
    add_rows_kernel(Rows<Y> y, Rows<const X> x, const int32_t* targets, const int32_t* firsts, const int32_t* order,
                    RowVectors shape) {
  const RowVector at = row_vector(shape);
  if (at.count <= 0) return;
  Y* target = y.row(targets[at.row]) + at.col;
  float sum[vector_width], term[vector_width];
  load8(sum, target, at.count, y.vectorized);
  const int32_t end = firsts[at.row + 1];
  for (int32_t i = firsts[at.row]; i < end; ++i) {
    load8(term, x.row(order[i]) + at.col, at.count, x.vectorized);
#pragma unroll
    for (int j = 0; j < vector_width; ++j) sum[j] += term[j];
  }
  store8(target, sum, at.count, y.vectorized);
}

// Source rows by target, ascending: those of targets[t] are order[firsts[t] .. firsts[t + 1]).
struct RowsByTarget {
  std::vector<int32_t> targets, firsts, order;

  explicit RowsByTarget(std::span<const int32_t> rows) : order(rows.size()) {
    std::iota(order.begin(), order.end(), 0);
    if (!std::ranges::is_sorted(rows))
      std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return rows[a] < rows[b]; });
    for (size_t i = 0; i < order.size(); ++i) {
      const int32_t target = rows[order[i]];
      if (!targets.empty() && targets.back() == target) continue;
      targets.push_back(target);
      firsts.push_back(static_cast<int32_t>(i));
    }
    firsts.push_back(static_cast<int32_t>(order.size()));
  }
};

}  // namespace

void CudaBackend::do_add(Tensor y, Tensor x) {
  const RowVectors shape(y.rows, y.cols);
  with_element(y.dtype, [&](auto to) {
    with_element(x.dtype, [&](auto from) {
      using Y = decltype(to);
      using X = decltype(from);
      launch(stream_, {shape.blocks(), RowVectors::threads}, add_kernel<Y, X>, rows_of<Y>(y), rows_of<const X>(x),
             shape);
    });
  });
}

void CudaBackend::do_gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  gather_rows_or_drawn(y, x, rows, {});
}

void CudaBackend::gather_rows_or_drawn(Tensor y, Tensor x, std::span<const int32_t> rows,
                                       std::span<const TokenLogprob> drawn) {
  const RowVectors shape(y.rows, y.cols);
  const int32_t* device_rows = arguments_.send(rows);
  with_element(y.dtype, [&](auto to) {
    with_element(x.dtype, [&](auto from) {
      using Y = decltype(to);
      using X = decltype(from);
      launch(stream_, {shape.blocks(), RowVectors::threads}, gather_rows_kernel<Y, X>, rows_of<Y>(y),
             rows_of<const X>(x), device_rows, drawn.data(), shape);
    });
  });
}

void CudaBackend::do_scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) { add_rows(y, x, rows); }

void CudaBackend::add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  const RowsByTarget plan(rows);
  const RowVectors shape(static_cast<int64_t>(plan.targets.size()), y.cols);
  const int32_t* targets = arguments_.send(std::span<const int32_t>(plan.targets));
  const int32_t* firsts = arguments_.send(std::span<const int32_t>(plan.firsts));
  const int32_t* order = arguments_.send(std::span<const int32_t>(plan.order));
  with_element(y.dtype, [&](auto to) {
    with_element(x.dtype, [&](auto from) {
      using Y = decltype(to);
      using X = decltype(from);
      launch(stream_, {shape.blocks(), RowVectors::threads}, add_rows_kernel<Y, X>, rows_of<Y>(y), rows_of<const X>(x),
             targets, firsts, order, shape);
    });
  });
}

}  // namespace ajet::cuda
