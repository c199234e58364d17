// AdamW over parameters whose weights or moments lie in host memory.
#include <array>

#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {
namespace {

// 4 MiB of an array: long enough for the bus to run at its rate, short against what all chunks take together.
constexpr int64_t chunk_elements = int64_t{1} << 20;

}  // namespace

// The staging's device memory is taken before anything lies in host memory.
Buffer CudaBackend::allocate_host(size_t bytes) {
  if (!staging_) staging_.emplace(options_.device, stream_, arena_, chunk_elements);
  void* data = host_memory_.allocate(bytes);
  std::shared_ptr<void> keeper(data,
                               [self = std::static_pointer_cast<CudaBackend>(shared_from_this())](void* allocated) {
                                 self->staging_->drain();
                                 self->host_memory_.free(allocated);
                               });
  return Buffer::within(std::move(keeper), data, bytes);
}

void CudaBackend::adamw_update(std::span<const AdamwParameter> parameters) {
  if (!staging_) return Backend::adamw_update(parameters);
  staging_->begin();
  try {
    for (const AdamwParameter& p : parameters) adamw_staged(p);
  } catch (...) {
    staging_->drain();  // whoever reads the host's memory next finds it at rest
    throw;
  }
  staging_->end();
}

void CudaBackend::adamw_staged(const AdamwParameter& p) {
  std::array<float*, HostStaging::most_arrays> on_host;
  size_t count_on_host = 0;
  for (float* array : {p.w, p.m, p.v})
    if (host_memory_.contains(array)) on_host[count_on_host++] = array;
  if (count_on_host == 0) return adamw(p.w, p.m, p.v, p.gradient, p.elements, p.args);

  staging_->run(std::span(on_host).first(count_on_host), p.elements,
                [&](std::span<float* const> staged, int64_t first, int64_t count) {
                  auto next = staged.begin();
                  const auto on_card = [&](float* array) {
                    return host_memory_.contains(array) ? *next++ : array + first;
                  };
                  float* w = on_card(p.w);
                  float* m = on_card(p.m);
                  float* v = on_card(p.v);
                  AdamwArgs args = p.args;
                  if (args.compute_copy != nullptr)
                    args.compute_copy = static_cast<char*>(args.compute_copy) + first * dtype_bytes(compute_dtype());
                  adamw(w, m, v, p.gradient + first, count, args);
                });
}

}  // namespace ajet::cuda
