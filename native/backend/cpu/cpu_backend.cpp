#include "backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/cpu/isa.h"
#include "base/error.h"

namespace ajet {

std::shared_ptr<Backend> make_cpu_backend(int threads, const std::string& isa, size_t memory_limit_bytes) {
  return std::make_shared<cpu::CpuBackend>(threads, isa, memory_limit_bytes);
}

}  // namespace ajet

namespace ajet::cpu {
namespace {

constexpr size_t alignment = 256;
// From this size on memory comes from mmap, aligned to and asked as huge pages: first touch by 4 KiB pages is slow.
constexpr size_t huge_page_bytes = size_t{2} << 20;
constexpr size_t mapped_from_bytes = 2 * huge_page_bytes;

size_t round_up(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

bool is_mapped(size_t bytes) { return bytes >= mapped_from_bytes; }

// Maps one huge page more than needed, and gives back what lies outside the aligned part.
void* map_aligned(size_t bytes) {
  const size_t wanted = round_up(bytes, huge_page_bytes);
  void* mapped = mmap(nullptr, wanted + huge_page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const size_t begin = reinterpret_cast<size_t>(mapped);
  const size_t aligned = round_up(begin, huge_page_bytes);
  if (aligned > begin) munmap(mapped, aligned - begin);
  const size_t tail = begin + huge_page_bytes - aligned;
  if (tail > 0) munmap(reinterpret_cast<void*>(aligned + wanted), tail);
  void* data = reinterpret_cast<void*>(aligned);
  madvise(data, wanted, MADV_HUGEPAGE);
  return data;
}

// Zero-filled; null where the system refuses.
void* allocate_zeroed(size_t bytes) {
  if (bytes > SIZE_MAX / 4) return nullptr;
  if (is_mapped(bytes)) return map_aligned(bytes);
  const size_t rounded = round_up(std::max(bytes, alignment), alignment);
  void* data = std::aligned_alloc(alignment, rounded);
  if (data != nullptr) std::memset(data, 0, rounded);
  return data;
}

void release(void* data, size_t bytes) noexcept {
  if (is_mapped(bytes)) {
    munmap(data, round_up(bytes, huge_page_bytes));
  } else {
    std::free(data);
  }
}

}  // namespace

CpuBackend::CpuBackend(int threads, const std::string& isa, size_t memory_limit_bytes)
    : pool_(threads),
      k_(select_kernels(isa)),
      op_states_(static_cast<size_t>(pool_.threads())),
      memory_limit_bytes_(memory_limit_bytes) {}

CpuBackend::~CpuBackend() {
  for (const OpState& state : op_states_) {
    if (state.scratch != nullptr) do_free(state.scratch, state.scratch_bytes);
  }
}

std::string CpuBackend::description() const {
  const int threads = pool_.threads();
  return "cpu, " + std::to_string(threads) + (threads == 1 ? " thread, " : " threads, ") + k_.isa;
}

MemoryUse CpuBackend::memory() const {
  return {.active_bytes = active_bytes_.load(),
          .peak_bytes = peak_bytes_.load(),
          .limit_bytes = memory_limit_bytes_,
          .buffer_bytes = buffer_bytes()};
}

size_t CpuBackend::available_bytes() const {
  return memory_limit_bytes_ == 0 ? SIZE_MAX : memory_limit_bytes_ - active_bytes_.load();
}

void CpuBackend::upload(void* device, const void* host, size_t bytes) { copy(device, host, bytes); }

void CpuBackend::download(void* host, const void* device, size_t bytes) { copy(host, device, bytes); }

void CpuBackend::copy(void* device_to, const void* device_from, size_t bytes) {
  if (bytes > 0) std::memmove(device_to, device_from, bytes);
}

void CpuBackend::zero(void* device, size_t bytes) {
  constexpr size_t part = size_t{1} << 20;
  pool_.parallel_for(static_cast<int64_t>((bytes + part - 1) / part), [&](int64_t i) {
    const size_t begin = static_cast<size_t>(i) * part;
    std::memset(static_cast<char*>(device) + begin, 0, std::min(part, bytes - begin));
  });
}

void* CpuBackend::do_allocate(size_t bytes) {
  const size_t active = active_bytes_.fetch_add(bytes) + bytes;
  const bool within_limit = memory_limit_bytes_ == 0 || active <= memory_limit_bytes_;
  void* data = within_limit ? allocate_zeroed(bytes) : nullptr;
  if (data == nullptr) {
    active_bytes_.fetch_sub(bytes);
    fail(ErrorCode::out_of_memory,
         "[allocate] Expected " + std::to_string(bytes) + " bytes of memory but " +
             (within_limit ? "the system refused" : "the limit is " + std::to_string(memory_limit_bytes_)) +
             "; in use: " + std::to_string(active - bytes) + " bytes");
  }
  size_t peak = peak_bytes_.load();
  while (active > peak && !peak_bytes_.compare_exchange_weak(peak, active)) {
  }
  return data;
}

void CpuBackend::do_free(void* data, size_t bytes) noexcept {
  release(data, bytes);
  active_bytes_.fetch_sub(bytes);
}

float* CpuBackend::scratch(int64_t floats) {
  OpState& state = op_state();
  const size_t bytes = static_cast<size_t>(floats) * sizeof(float);
  if (bytes > state.scratch_bytes) {
    if (state.scratch != nullptr) do_free(state.scratch, state.scratch_bytes);
    state.scratch = nullptr;
    state.scratch_bytes = 0;
    state.scratch = static_cast<float*>(do_allocate(bytes));
    state.scratch_bytes = bytes;
  }
  return state.scratch;
}

}  // namespace ajet::cpu
