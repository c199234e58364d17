// The part of cuBLASLt's C interface that is called, so that ajet builds without cuBLAS's headers. Names, values and
// sizes are those of cublasLt.h, cublas_api.h and library_types.h of CUDA 13.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "backend/cuda/runtime.h"

namespace ajet::cuda::cublaslt {

using Status = int;  // 0: success
using Handle = struct HandleOpaque*;
using MatmulDesc = struct MatmulDescOpaque*;
using MatrixLayout = struct MatrixLayoutOpaque*;
using Preference = struct PreferenceOpaque*;

constexpr int compute_32f = 68;                    // CUBLAS_COMPUTE_32F
constexpr int type_32f = 0, type_16bf = 14;        // CUDA_R_32F, CUDA_R_16BF
constexpr int32_t op_n = 0, op_t = 1;              // CUBLAS_OP_N, CUBLAS_OP_T
constexpr int desc_transa = 3, desc_transb = 4;    // CUBLASLT_MATMUL_DESC_TRANSA, _TRANSB: int32_t
constexpr int pref_max_workspace_bytes = 1;        // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: uint64_t
constexpr int pref_reduction_scheme_mask = 3;      // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: uint32_t
constexpr int pref_min_alignment_a_bytes = 5;      // and b, c, d: uint32_t
constexpr uint32_t reduction_in_compute_type = 2;  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE

struct Algorithm {
  uint64_t data[8];
};
struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

struct Api {
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  const char* (*status_name)(Status);
  Status (*matmul_desc_create)(MatmulDesc*, int compute_type, int scale_type);
  Status (*matmul_desc_destroy)(MatmulDesc);
  Status (*matmul_desc_set_attribute)(MatmulDesc, int attribute, const void* value, size_t bytes);
  Status (*matrix_layout_create)(MatrixLayout*, int type, uint64_t rows, uint64_t cols, int64_t leading_dimension);
  Status (*matrix_layout_destroy)(MatrixLayout);
  Status (*preference_create)(Preference*);
  Status (*preference_destroy)(Preference);
  Status (*preference_set_attribute)(Preference, int attribute, const void* value, size_t bytes);
  Status (*get_heuristic)(Handle, MatmulDesc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d,
                          Preference, int requested, HeuristicResult results[], int* returned);
  Status (*matmul)(Handle, MatmulDesc, const void* alpha, const void* a, MatrixLayout, const void* b, MatrixLayout,
                   const void* beta, const void* c, MatrixLayout, void* d, MatrixLayout, const Algorithm*,
                   void* workspace, size_t workspace_bytes, cudaStream_t);
};

// libcublasLt as the loader finds it: that of the toolkit that ajet was built with, which the driver is new enough for,
// before others. It stays open. Null where there is none.
void* open_library(std::string& name);
// Opens it and finds all functions; false where it or one of them is missing.
bool load(Api& api);

}  // namespace ajet::cuda::cublaslt
