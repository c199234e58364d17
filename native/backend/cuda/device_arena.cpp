#include "backend/cuda/device_arena.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "backend/cuda/check.h"
#include "base/error.h"

namespace ajet::cuda {
namespace {

constexpr size_t alignment = 256;
constexpr size_t segment_unit = size_t{2} << 20;  // the driver's own granularity

size_t round_up(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

// What is left of a block is not handed out where it is no more than the rounding of a large segment: a small
// allocation that lives on there would keep the whole segment from being given back.
size_t least_rest(size_t bytes) { return bytes < segment_unit ? alignment : segment_unit; }

}  // namespace

DeviceArena::DeviceArena(int device, size_t limit_bytes) : device_(device), limit_bytes_(limit_bytes) {}

DeviceArena::~DeviceArena() {
  for (const auto& [data, block] : blocks_)
    if (data == block.segment) static_cast<void>(cudaFree(data));
}

void DeviceArena::insert_free(Blocks::iterator block) {
  block->second.free = true;
  free_.emplace(block->second.bytes, block->first);
}

void DeviceArena::remove_free(Blocks::iterator block) {
  free_.erase({block->second.bytes, block->first});
  block->second.free = false;
}

DeviceArena::Blocks::iterator DeviceArena::find_free(size_t bytes) {
  const auto found = free_.lower_bound({bytes, nullptr});
  return found == free_.end() ? blocks_.end() : blocks_.find(found->second);
}

DeviceArena::Blocks::iterator DeviceArena::add_segment(size_t bytes) {
  const size_t wanted = round_up(bytes, segment_unit);
  void* data = nullptr;
  make_current(device_);
  const cudaError_t error = cudaMalloc(&data, wanted);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return blocks_.end();
  }
  check(error, "cudaMalloc");  // may be what work before has left
  reserved_bytes_ += wanted;
  auto* begin = static_cast<char*>(data);
  const auto block = blocks_.emplace(begin, Block{wanted, begin, false}).first;
  insert_free(block);
  return block;
}

void* DeviceArena::allocate(size_t bytes) {
  if (bytes > SIZE_MAX / 4) fail_allocation(bytes);
  if (is_over_limit(bytes)) relief_();
  if (is_over_limit(bytes)) fail_allocation(bytes);
  const size_t rounded = round_up(std::max<size_t>(bytes, 1), alignment);
  auto block = find_free(rounded);
  if (block == blocks_.end()) block = add_segment(rounded);
  if (block == blocks_.end()) {
    relief_();
    block = find_free(rounded);
  }
  if (block == blocks_.end()) {
    release_unused();
    block = add_segment(rounded);
  }
  if (block == blocks_.end()) fail_allocation(bytes);
  remove_free(block);
  if (block->second.bytes - rounded >= least_rest(rounded)) {
    const auto rest =
        blocks_.emplace(block->first + rounded, Block{block->second.bytes - rounded, block->second.segment, false});
    block->second.bytes = rounded;
    insert_free(rest.first);
  }
  active_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, active_bytes_);
  return block->first;
}

void DeviceArena::free(void* data, size_t bytes) noexcept {
  auto block = blocks_.find(static_cast<char*>(data));
  if (block == blocks_.end()) return;
  active_bytes_ -= bytes;
  const auto next = std::next(block);
  if (next != blocks_.end() && next->second.free && next->second.segment == block->second.segment) {
    remove_free(next);
    block->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (block != blocks_.begin()) {
    const auto before = std::prev(block);
    if (before->second.free && before->second.segment == block->second.segment) {
      remove_free(before);
      before->second.bytes += block->second.bytes;
      blocks_.erase(block);
      block = before;
    }
  }
  insert_free(block);
}

size_t DeviceArena::available_bytes() const {
  make_current(device_);
  size_t free_bytes = 0, total_bytes = 0;
  AJET_CUDA(cudaMemGetInfo(&free_bytes, &total_bytes));
  const size_t left = free_bytes + reserved_bytes_ - active_bytes_;
  return limit_bytes_ > 0 ? std::min(left, limit_bytes_ - active_bytes_) : left;
}

char* DeviceArena::segment_of(const void* data) const {
  const auto found = blocks_.find(const_cast<char*>(static_cast<const char*>(data)));
  if (found == blocks_.end()) fail(ErrorCode::internal, "[segment_of] Expected an allocation of this arena");
  return found->second.segment;
}

void DeviceArena::release_unused() noexcept {
  for (auto block = blocks_.begin(); block != blocks_.end();) {
    const auto next = std::next(block);
    const bool whole = block->second.free && block->first == block->second.segment &&
                       (next == blocks_.end() || next->second.segment != block->second.segment);
    if (whole) {
      remove_free(block);
      reserved_bytes_ -= block->second.bytes;
      static_cast<void>(cudaFree(block->first));
      blocks_.erase(block);
    }
    block = next;
  }
}

void DeviceArena::fail_allocation(size_t bytes) const {
  fail(ErrorCode::out_of_memory,
       "[allocate] Expected " + std::to_string(bytes) +
           " bytes of device memory but there are too few; in use: " + std::to_string(active_bytes_) + " bytes" +
           (limit_bytes_ > 0 ? " of " + std::to_string(limit_bytes_) : std::string()));
}

}  // namespace ajet::cuda
