// A function on a stack of its own, which its owner resumes and which gives control back: one thread of a CUDA block.
#pragma once

#include <cstddef>
#include <memory>

// x86-64 has a switch of our own, since ucontext's makes a system call each time.
#if !defined(__x86_64__) || defined(AJET_EMULATOR_UCONTEXT)
#define AJET_FIBER_UCONTEXT
#include <ucontext.h>
#endif

namespace ajet::emulator {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the next resume() call entry(argument) on this fiber's stack. What ran there before is forgotten.
  void start(void (*entry)(void*), void* argument);
  void resume();  // from the owner: runs until the fiber yields or its entry returns
  void yield();   // from inside: back to the owner
  bool finished() const { return finished_; }

 private:
  static void enter(Fiber* self);
  void leave(bool for_good);

  static constexpr size_t stack_bytes = size_t{128} << 10;
  std::unique_ptr<std::byte[]> stack_;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool finished_ = true;
#if !defined(AJET_FIBER_UCONTEXT)
  void* own_ = nullptr;  // stack pointers
  void* owner_ = nullptr;
#else
  ucontext_t own_{};
  ucontext_t owner_{};
#endif
  // What AddressSanitizer must be told of a switch.
  void* own_fake_stack_ = nullptr;
  void* owner_fake_stack_ = nullptr;
  const void* owner_stack_ = nullptr;
  size_t owner_stack_bytes_ = 0;
};

}  // namespace ajet::emulator
