#include "cuda_emulator/fiber.h"

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define AJET_FORGET_FRAMES(stack, size) __asan_unpoison_memory_region(stack, size)
#define AJET_START_SWITCH(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define AJET_FINISH_SWITCH(fake, bottom, size) __sanitizer_finish_switch_fiber(fake, bottom, size)
#else
#define AJET_FORGET_FRAMES(stack, size) (void)(stack), (void)(size)
#define AJET_START_SWITCH(save, bottom, size) (void)(save), (void)(bottom), (void)(size)
#define AJET_FINISH_SWITCH(fake, bottom, size) (void)(fake), (void)(bottom), (void)(size)
#endif

#if !defined(AJET_FIBER_UCONTEXT)
// Saves the callee-saved registers and the stack pointer, takes over the other stack. System V ABI: rdi, rsi.
extern "C" void ajet_emulator_switch(void** save, void* load);
asm(R"(
.text
.type ajet_emulator_switch, @function
ajet_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ajet_emulator_switch, .-ajet_emulator_switch
)");
#endif

namespace ajet::emulator {
namespace {
// The fiber that is being entered for the first time; one thread drives all fibers.
thread_local void* entering = nullptr;
}  // namespace

Fiber::Fiber() : stack_(new std::byte[stack_bytes]) {}
Fiber::~Fiber() = default;

void Fiber::enter(Fiber* self) {
  AJET_FINISH_SWITCH(nullptr, &self->owner_stack_, &self->owner_stack_bytes_);
  self->entry_(self->argument_);
  self->finished_ = true;
  self->leave(true);
}

void Fiber::start(void (*entry)(void*), void* argument) {
  entry_ = entry;
  argument_ = argument;
  finished_ = false;
  own_fake_stack_ = nullptr;
  AJET_FORGET_FRAMES(stack_.get(), stack_bytes);  // the last run's, which may not have returned
  entering = this;
#if !defined(AJET_FIBER_UCONTEXT)
  // As if `enter` had been called: six registers, then the address to return to, 8 bytes off a multiple of 16.
  void (*first)() = [] { enter(static_cast<Fiber*>(entering)); };
  const auto top = reinterpret_cast<uintptr_t>(stack_.get() + stack_bytes) / 16 * 16;
  auto* frame = reinterpret_cast<void**>(top) - 2;
  *frame = reinterpret_cast<void*>(first);
  own_ = frame - 6;
  for (int i = 1; i <= 6; ++i) *(frame - i) = nullptr;
#else
  getcontext(&own_);
  own_.uc_stack.ss_sp = stack_.get();
  own_.uc_stack.ss_size = stack_bytes;
  own_.uc_link = nullptr;
  makecontext(&own_, reinterpret_cast<void (*)()>(+[] { enter(static_cast<Fiber*>(entering)); }), 0);
#endif
}

void Fiber::resume() {
  entering = this;
  AJET_START_SWITCH(&owner_fake_stack_, stack_.get(), stack_bytes);
#if !defined(AJET_FIBER_UCONTEXT)
  ajet_emulator_switch(&owner_, own_);
#else
  swapcontext(&owner_, &own_);
#endif
  AJET_FINISH_SWITCH(owner_fake_stack_, static_cast<const void**>(nullptr), static_cast<size_t*>(nullptr));
}

void Fiber::yield() { leave(false); }

void Fiber::leave(bool for_good) {
  AJET_START_SWITCH(for_good ? nullptr : &own_fake_stack_, owner_stack_, owner_stack_bytes_);
#if !defined(AJET_FIBER_UCONTEXT)
  ajet_emulator_switch(&own_, owner_);
#else
  swapcontext(&own_, &owner_);
#endif
  AJET_FINISH_SWITCH(own_fake_stack_, &owner_stack_, &owner_stack_bytes_);
}

}  // namespace ajet::emulator
