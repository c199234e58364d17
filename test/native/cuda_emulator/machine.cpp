#include "cuda_emulator/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cuda_emulator/device.h"
#include "cuda_emulator/fiber.h"
#include "cuda_emulator/warp.h"

Uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace ajet::emulator {
namespace {

struct Copy {
  void* to;
  const void* from;
  size_t bytes, zeros;
};

enum class State { ready, at_block, at_warp, done };

struct Thread {
  Fiber fiber;
  State state = State::done;
  std::vector<Copy> open_copies;
  std::deque<std::vector<Copy>> copy_groups;
  std::vector<WarpgroupProduct> open_products;
  std::deque<std::vector<WarpgroupProduct>> product_batches;
};

struct Warp {
  const char* name = nullptr;
  int arrived = 0;
  const void* inputs[32];
  void* outputs[32];
};

constexpr size_t guard_bytes = 256;
constexpr size_t window_alignment = 1024;
constexpr size_t before_dynamic = 1024 + static_shared_bytes;  // of the window: the system's part, too

struct Machine {
  std::vector<std::unique_ptr<Thread>> threads;
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  size_t shared_bytes = 0;
  uint32_t count = 0;    // threads of the running block
  uint32_t current = 0;  // index of the running thread
  uint32_t at_block = 0, done = 0;
  const std::function<void()>* body = nullptr;
  std::exception_ptr error;
  bool running = false;  // a thread
  size_t shared_limit = size_t{227} << 10;
};

Machine& machine() {
  static Machine one;
  return one;
}

Order& order() {
  static Order chosen = [] {
    const char* text = std::getenv("AJET_EMULATOR_ORDER");
    return text != nullptr && std::string(text) == "reverse" ? Order::reverse : Order::forward;
  }();
  return chosen;
}

Thread& running_thread() { return *machine().threads[machine().current]; }

void thread_main(void*) {
  Machine& m = machine();
  try {
    (*m.body)();
    Thread& self = running_thread();
    if (!self.open_copies.empty() || !self.copy_groups.empty())
      fault("a thread ended with asynchronous copies in flight");
    if (!self.open_products.empty() || !self.product_batches.empty())
      fault("a thread ended with products of its warpgroup in flight");
  } catch (...) {
    m.error = std::current_exception();
  }
  running_thread().state = State::done;
  ++m.done;
}

void wait(State state) {
  Thread& self = running_thread();
  self.state = state;
  self.fiber.yield();
}

// Dynamic shared memory begins as NaN, and what lies behind it must stay as it was.
void prepare_shared(Machine& m) {
  m.shared.assign(window_alignment + before_dynamic + m.shared_bytes + guard_bytes, std::byte{0xFF});
}

void check_shared(Machine& m) {
  const std::byte* end = shared_memory() + m.shared_bytes;
  if (std::any_of(end, end + guard_bytes / 2, [](std::byte byte) { return byte != std::byte{0xFF}; }))
    fault("a kernel wrote behind its dynamic shared memory");
}

void run_thread(Machine& m, uint32_t index) {
  m.current = index;
  threadIdx = {index, 0, 0};
  m.running = true;
  m.threads[index]->fiber.resume();
  m.running = false;
}

void run_warp(Machine& m, uint32_t warp) {
  bool ran = true;
  while (ran && !m.error) {
    ran = false;
    for (uint32_t lane = 0; lane < 32 && !m.error; ++lane) {
      const uint32_t index = warp * 32 + lane;
      if (m.threads[index]->state != State::ready) continue;
      run_thread(m, index);
      ran = true;
    }
  }
}

void release_block(Machine& m) {
  for (uint32_t i = 0; i < m.count; ++i)
    if (m.threads[i]->state == State::at_block) m.threads[i]->state = State::ready;
  m.at_block = 0;
}

void run_block(Machine& m) {
  prepare_shared(m);
  m.at_block = m.done = 0;
  const uint32_t warp_count = m.count / 32;
  m.warps.assign(warp_count, Warp{});
  for (uint32_t i = 0; i < m.count; ++i) {
    Thread& thread = *m.threads[i];
    thread.state = State::ready;
    thread.open_copies.clear();
    thread.copy_groups.clear();
    thread.open_products.clear();
    thread.product_batches.clear();
    thread.fiber.start(thread_main, nullptr);
  }
  while (m.done < m.count && !m.error) {
    for (uint32_t w = 0; w < warp_count && !m.error; ++w)
      run_warp(m, order() == Order::forward ? w : warp_count - 1 - w);
    if (m.error || m.done == m.count) break;
    if (m.at_block + m.done != m.count) {
      for (const Warp& warp : m.warps)
        if (warp.arrived > 0)
          fault(std::string(warp.name) + " was reached by " + std::to_string(warp.arrived) + " of 32 lanes of a warp");
      fault("a block's threads wait for each other");
    }
    release_block(m);
  }
  if (m.error) std::rethrow_exception(std::exchange(m.error, nullptr));
  check_shared(m);
}

}  // namespace

void set_order(Order chosen) { order() = chosen; }

void fault(const std::string& message) {
  fail(ErrorCode::device, "[cuda emulator] block (" + std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) +
                              "), thread " + std::to_string(threadIdx.x) + ": " + message);
}

void halt(const std::string& message) {
  Machine& m = machine();
  if (!m.running) {
    std::fprintf(stderr, "[cuda emulator] outside of a kernel: %s\n", message.c_str());
    std::abort();
  }
  try {
    fault(message);
  } catch (...) {
    m.error = std::current_exception();
  }
  ++m.done;
  wait(State::done);
  std::abort();  // nobody resumes it
}

void set_shared_limit(size_t bytes) { machine().shared_limit = bytes; }
size_t shared_limit() { return machine().shared_limit; }

void run_grid(const Grid& grid, const std::function<void()>& body) {
  Machine& m = machine();
  if (grid.threads == 0 || grid.threads % 32 != 0 || grid.threads > 1024)
    fault("a block of " + std::to_string(grid.threads) + " threads; expected a multiple of 32 up to 1024");
  if (static_shared_bytes + grid.shared_bytes > m.shared_limit)
    fault("a block with " + std::to_string(grid.shared_bytes) + " bytes of dynamic shared memory");
  if (grid.blocks[0] == 0 || grid.blocks[1] == 0 || grid.blocks[2] == 0 || grid.blocks[1] > 65535 ||
      grid.blocks[2] > 65535)
    fault("a grid that CUDA refuses");
  while (m.threads.size() < grid.threads) m.threads.push_back(std::make_unique<Thread>());
  m.count = grid.threads;
  m.shared_bytes = grid.shared_bytes;
  m.body = &body;
  blockDim = {grid.threads, 1, 1};
  gridDim = {grid.blocks[0], grid.blocks[1], grid.blocks[2]};
  const uint64_t total = uint64_t{gridDim.x} * gridDim.y * gridDim.z;
  for (uint64_t i = 0; i < total; ++i) {
    const uint64_t b = order() == Order::forward ? i : total - 1 - i;
    blockIdx = {static_cast<uint32_t>(b % gridDim.x), static_cast<uint32_t>(b / gridDim.x % gridDim.y),
                static_cast<uint32_t>(b / gridDim.x / gridDim.y)};
    run_block(m);
  }
}

std::byte* shared_window() {
  std::byte* data = machine().shared.data();
  const auto address = reinterpret_cast<uintptr_t>(data);
  return data + ((address + window_alignment - 1) / window_alignment * window_alignment - address);
}

std::byte* shared_memory() { return shared_window() + before_dynamic; }

int lane() { return static_cast<int>(machine().current % 32); }

void sync_block() {
  Machine& m = machine();
  ++m.at_block;
  wait(State::at_block);
}

void meet_warp(const char* name, const void* input, void* output,
               void (*complete)(const void* const* inputs, void* const* outputs)) {
  Machine& m = machine();
  const uint32_t first = m.current / 32 * 32;
  Warp& warp = m.warps[m.current / 32];
  if (warp.arrived > 0 && warp.name != name && std::strcmp(warp.name, name) != 0)
    fault(std::string("lanes of a warp meet in ") + warp.name + " and in " + name);
  warp.name = name;
  warp.inputs[lane()] = input;
  warp.outputs[lane()] = output;
  if (++warp.arrived < 32) return wait(State::at_warp);
  complete(warp.inputs, warp.outputs);
  warp.arrived = 0;
  for (uint32_t i = first; i < first + 32; ++i)
    if (m.threads[i]->state == State::at_warp) m.threads[i]->state = State::ready;
}

void async_copy(void* to, const void* from, size_t bytes, size_t zeros) {
  const auto aligned = [&](const void* p) { return reinterpret_cast<uintptr_t>(p) % (bytes + zeros) == 0; };
  if (!aligned(to) || (bytes > 0 && !aligned(from))) fault("cp.async of an address that is not a multiple of its size");
  std::memset(to, 0xFF, bytes + zeros);  // undefined until waited for
  running_thread().open_copies.push_back({to, from, bytes, zeros});
}

void async_commit() {
  Thread& self = running_thread();
  self.copy_groups.push_back(std::move(self.open_copies));
  self.open_copies.clear();
}

void async_wait(size_t groups_left) {
  Thread& self = running_thread();
  while (self.copy_groups.size() > groups_left) {
    for (const Copy& copy : self.copy_groups.front()) {
      if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
      std::memset(static_cast<std::byte*>(copy.to) + copy.bytes, 0, copy.zeros);
    }
    self.copy_groups.pop_front();
  }
}

void warpgroup_mma(float* c, int n, uint64_t a, uint64_t b, bool add) {
  if (machine().count % 128 != 0) fault("wgmma in a block that is not made of whole warpgroups");
  const int warp = static_cast<int>(machine().current / 32 % 4);
  const WarpgroupProduct product{c, n, warp * 16, a, b, add};
  if (order() == Order::reverse) return multiply_rows(product);
  running_thread().open_products.push_back(product);
}

void warpgroup_commit() {
  Thread& self = running_thread();
  self.product_batches.push_back(std::move(self.open_products));
  self.open_products.clear();
}

void warpgroup_wait(size_t batches_left) {
  Thread& self = running_thread();
  while (self.product_batches.size() > batches_left) {
    for (const WarpgroupProduct& product : self.product_batches.front()) multiply_rows(product);
    self.product_batches.pop_front();
  }
}

}  // namespace ajet::emulator
