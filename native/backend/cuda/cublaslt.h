// Gradient products by cuBLASLt, which is opened at the first of them. An algorithm is chosen once for each shape,
// among those that add up partial sums in a fixed order, so that a product gives the same bits each time.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "backend/cuda/cublaslt_api.h"
#include "backend/cuda/device_arena.h"
#include "backend/cuda/products.h"

namespace ajet::cuda {

class CublasLt {
 public:
  CublasLt();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  // A product without bias; element (i, l) of a transposed operand is data[l * stride + i]. False, and nothing done,
  // where there is no cuBLASLt or it has no algorithm for it.
  bool multiply(Stream& stream, DeviceArena& arena, const Product& product, bool a_transposed, bool b_transposed);

 private:
  struct Plan;
  // Sizes, strides, alignments, types and transpositions.
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, uint32_t, uint32_t, uint32_t, int>;

  bool is_open();
  void check(cublaslt::Status status, const char* call) const;
  std::unique_ptr<Plan> make_plan(const Product& product, bool a_transposed, bool b_transposed) const;

  cublaslt::Api api_{};
  cublaslt::Handle handle_ = nullptr;
  bool tried_ = false;
  std::map<Key, std::unique_ptr<Plan>> plans_;  // null: no algorithm
};

}  // namespace ajet::cuda
