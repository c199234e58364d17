#include "backend/cuda/cublaslt.h"

#include <source_location>
#include <string>
#include <utility>

#include "base/error.h"

namespace ajet::cuda {

using namespace cublaslt;

namespace {

constexpr uint64_t max_workspace_bytes = uint64_t{32} << 20;  // what NVIDIA advises for Hopper

// Of an address and of its rows: the largest power of two up to 256.
uint32_t alignment_of(const void* data, int64_t stride, int64_t element_bytes) {
  const auto bits = reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(stride * element_bytes) | 256U;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

}  // namespace

// Column-major as cuBLAS has it, out is [i, j], a is [i, l] or transposed [l, i], b is [l, j] or [j, l].
struct CublasLt::Plan {
  const Api& api;
  MatmulDesc desc = nullptr;
  MatrixLayout a = nullptr, b = nullptr, out = nullptr;
  Preference preference = nullptr;
  HeuristicResult chosen{};

  explicit Plan(const Api& functions) : api(functions) {}
  ~Plan() {
    if (preference != nullptr) api.preference_destroy(preference);
    for (MatrixLayout layout : {a, b, out})
      if (layout != nullptr) api.matrix_layout_destroy(layout);
    if (desc != nullptr) api.matmul_desc_destroy(desc);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
};

CublasLt::CublasLt() = default;

CublasLt::~CublasLt() {
  plans_.clear();
  if (handle_ != nullptr) api_.destroy(handle_);
}

bool CublasLt::is_open() {
  if (!tried_) {
    tried_ = true;
    if (load(api_)) check(api_.create(&handle_), "cublasLtCreate");
  }
  return handle_ != nullptr;
}

void CublasLt::check(Status status, const char* call) const {
  if (status == 0) return;
  fail(ErrorCode::device, std::string("[cuda] ") + call + " failed with " + api_.status_name(status));
}

std::unique_ptr<CublasLt::Plan> CublasLt::make_plan(const Product& product, bool a_transposed,
                                                    bool b_transposed) const {
  auto plan = std::make_unique<Plan>(api_);
  const auto layout = [&](MatrixLayout& to, int type, int64_t rows, int64_t cols, int64_t stride) {
    check(api_.matrix_layout_create(&to, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), stride),
          "cublasLtMatrixLayoutCreate");
  };
  check(api_.matmul_desc_create(&plan->desc, compute_32f, type_32f), "cublasLtMatmulDescCreate");
  const int32_t a_op = a_transposed ? op_n : op_t, b_op = b_transposed ? op_t : op_n;
  for (const auto& [attribute, op] : {std::pair{desc_transa, a_op}, std::pair{desc_transb, b_op}})
    check(api_.matmul_desc_set_attribute(plan->desc, attribute, &op, sizeof(op)), "cublasLtMatmulDescSetAttribute");
  const auto& [a, b, depth, out] = product;
  layout(plan->a, type_16bf, a_transposed ? a.outer : depth, a_transposed ? depth : a.outer, a.stride);
  layout(plan->b, type_16bf, b_transposed ? b.outer : depth, b_transposed ? depth : b.outer, b.stride);
  layout(plan->out, out.is_bf16 ? type_16bf : type_32f, a.outer, b.outer, out.stride);

  check(api_.preference_create(&plan->preference), "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](int attribute, const auto& value) {
    check(api_.preference_set_attribute(plan->preference, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(pref_max_workspace_bytes, max_workspace_bytes);
  // Not in place: there the order of the sums is that in which blocks arrive.
  prefer(pref_reduction_scheme_mask, reduction_in_compute_type);
  const uint32_t out_alignment = alignment_of(out.data, out.stride, out.is_bf16 ? 2 : 4);
  const uint32_t alignments[] = {alignment_of(a.data, a.stride, 2), alignment_of(b.data, b.stride, 2), out_alignment,
                                 out_alignment};
  for (int i = 0; i < 4; ++i) prefer(pref_min_alignment_a_bytes + i, alignments[i]);
  int found = 0;
  const Status status = api_.get_heuristic(handle_, plan->desc, plan->a, plan->b, plan->out, plan->out,
                                           plan->preference, 1, &plan->chosen, &found);
  return status == 0 && found == 1 && plan->chosen.state == 0 ? std::move(plan) : nullptr;
}

bool CublasLt::multiply(Stream& stream, DeviceArena& arena, const Product& product, bool a_transposed,
                        bool b_transposed) {
  const cudaStream_t handle = stream.handle();  // makes its card current
  if (!is_open()) return false;
  const auto& [a, b, depth, out] = product;
  const Key key{a.outer,
                b.outer,
                depth,
                a.stride,
                b.stride,
                out.stride,
                alignment_of(a.data, a.stride, 2),
                alignment_of(b.data, b.stride, 2),
                alignment_of(out.data, out.stride, out.is_bf16 ? 2 : 4),
                (a_transposed ? 1 : 0) | (b_transposed ? 2 : 0) | (out.is_bf16 ? 4 : 0)};
  auto found = plans_.find(key);
  if (found == plans_.end()) found = plans_.emplace(key, make_plan(product, a_transposed, b_transposed)).first;
  const Plan* plan = found->second.get();
  if (plan == nullptr) return false;
  const float alpha = 1.0F, beta = out.accumulate ? 1.0F : 0.0F;
  const size_t bytes = plan->chosen.workspace_bytes;
  void* workspace = bytes > 0 ? arena.allocate(bytes) : nullptr;
  const Status status = api_.matmul(handle_, plan->desc, &alpha, a.data, plan->a, b.data, plan->b, &beta, out.data,
                                    plan->out, out.data, plan->out, &plan->chosen.algorithm, workspace, bytes, handle);
  if (workspace != nullptr) arena.free(workspace, bytes);
  check(status, "cublasLtMatmul");
  stream.launched(std::source_location::current());
  return true;
}

}  // namespace ajet::cuda
