#include "backend/cuda/host_staging.h"

#include <algorithm>

namespace ajet::cuda {
namespace {

void copy(float* to, const float* from, int64_t elements, cudaMemcpyKind kind, const Stream& stream) {
  AJET_CUDA(cudaMemcpyAsync(to, from, static_cast<size_t>(elements) * sizeof(float), kind, stream.handle()));
}

}  // namespace

HostStaging::HostStaging(int device, Stream& compute, DeviceArena& arena, int64_t chunk_elements)
    : compute_(compute),
      arena_(arena),
      chunk_elements_(chunk_elements),
      in_(device, false),
      out_(device, false),
      data_(static_cast<float*>(arena.allocate(bytes()))) {
  float* place = data_;
  for (Slot& slot : slots_) {
    for (float*& array : slot.arrays) {
      array = place;
      place += chunk_elements;
    }
  }
}

HostStaging::~HostStaging() {
  drain();
  arena_.free(data_, bytes());
}

void HostStaging::begin() {
  ready_.record(compute_);
  ready_.await(in_);
}

void HostStaging::run(std::span<float* const> arrays, int64_t elements, const Update& update) {
  for (int64_t first = 0; first < elements; first += chunk_elements_) {
    const int64_t count = std::min(chunk_elements_, elements - first);
    Slot& slot = slots_[next_slot_++ % slot_count];
    slot.emptied.await(in_);
    for (size_t i = 0; i < arrays.size(); ++i)
      copy(slot.arrays[i], arrays[i] + first, count, cudaMemcpyHostToDevice, in_);
    slot.filled.record(in_);

    slot.filled.await(compute_);
    update(std::span(slot.arrays).first(arrays.size()), first, count);
    slot.updated.record(compute_);

    slot.updated.await(out_);
    for (size_t i = 0; i < arrays.size(); ++i)
      copy(arrays[i] + first, slot.arrays[i], count, cudaMemcpyDeviceToHost, out_);
    slot.emptied.record(out_);
  }
}

void HostStaging::end() {
  done_.record(out_);
  done_.await(compute_);
}

void HostStaging::drain() noexcept {
  in_.drain();
  compute_.drain();
  out_.drain();
}

}  // namespace ajet::cuda
