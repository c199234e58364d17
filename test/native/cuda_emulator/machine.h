// Runs a kernel's grid on the CPU, one block after the other, every thread of a block as a fiber. A thread runs until
// it waits for its block or its warp, so that a missing barrier shows as a wrong value, under one order at least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace ajet::emulator {

struct Grid {
  uint32_t blocks[3];
  uint32_t threads;  // of a block, a multiple of 32
  size_t shared_bytes;
};

// What a kernel's own variables take: the least that dynamic memory is aligned to.
constexpr size_t static_shared_bytes = 128;

// In which order the warps of a block, and the blocks, get their turn. AJET_EMULATOR_ORDER=reverse picks the other.
enum class Order { forward, reverse };
void set_order(Order order);

// What a block may have of shared memory from now on, and what cards made from now on say of it.
void set_shared_limit(size_t bytes);
size_t shared_limit();

// Runs `body` once per thread. Throws what a thread threw, and on a barrier that not all threads reach.
void run_grid(const Grid& grid, const std::function<void()>& body);

// ---- from inside a kernel -----------------------------------------------------------------------------
[[noreturn]] void fault(const std::string& message);
// As fault(), from where no exception may pass: the thread stays where it is for good.
[[noreturn]] void halt(const std::string& message);
// The block's dynamic shared memory. As on a card it comes behind what the system and static variables take, and so is
// aligned to no more than 128 bytes.
std::byte* shared_memory();
// Where the addresses that tensor cores know shared memory by count from.
std::byte* shared_window();
void sync_block();
int lane();

// All 32 lanes meet: the last to come calls complete(inputs, outputs) over the lanes' pointers, in lane order.
void meet_warp(const char* name, const void* input, void* output,
               void (*complete)(const void* const* inputs, void* const* outputs));

// Copies that happen when their group is waited for, as cp.async's may.
void async_copy(void* to, const void* from, size_t bytes, size_t zeros);
void async_commit();
void async_wait(size_t groups_left);

// Products that happen when their batch is waited for, or in reverse order at once, as wgmma's may:
// c[64, n] = a[64, 16] · b[n, 16]ᵀ (+ c with `add`), of which each warp computes its 16 rows; a and b are descriptors
// as in the PTX manual.
void warpgroup_mma(float* c, int n, uint64_t a, uint64_t b, bool add);
void warpgroup_commit();
void warpgroup_wait(size_t batches_left);

}  // namespace ajet::emulator
