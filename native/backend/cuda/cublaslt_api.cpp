#include "backend/cuda/cublaslt_api.h"

#include <dlfcn.h>

#include <initializer_list>
#include <type_traits>

namespace ajet::cuda::cublaslt {

void* open_library(std::string& name) {
  constexpr int built_with = CUDART_VERSION / 1000;
  for (const int major : {built_with, built_with == 13 ? 12 : 13}) {
    name = "libcublasLt.so." + std::to_string(major);
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL); library != nullptr) return library;
  }
  return nullptr;
}

bool load(Api& api) {
#if defined(AJET_CUDA_EMULATED)
  static_cast<void>(api);
  return false;  // its card is not the emulator's
#else
  std::string found;
  void* library = open_library(found);
  if (library == nullptr) return false;
  bool complete = true;
  const auto find = [&](auto& function, const char* name) {
    void* symbol = dlsym(library, name);
    complete = complete && symbol != nullptr;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
  };
  find(api.create, "cublasLtCreate");
  find(api.destroy, "cublasLtDestroy");
  find(api.status_name, "cublasLtGetStatusName");
  find(api.matmul_desc_create, "cublasLtMatmulDescCreate");
  find(api.matmul_desc_destroy, "cublasLtMatmulDescDestroy");
  find(api.matmul_desc_set_attribute, "cublasLtMatmulDescSetAttribute");
  find(api.matrix_layout_create, "cublasLtMatrixLayoutCreate");
  find(api.matrix_layout_destroy, "cublasLtMatrixLayoutDestroy");
  find(api.preference_create, "cublasLtMatmulPreferenceCreate");
  find(api.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(api.preference_set_attribute, "cublasLtMatmulPreferenceSetAttribute");
  find(api.get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(api.matmul, "cublasLtMatmul");
  return complete;
#endif
}

}  // namespace ajet::cuda::cublaslt
