// What -fsanitize=alignment calls before an access to an address that is no multiple of the type's alignment, in place
// of the sanitizer's own runtime: a card ends the kernel then (cudaErrorMisalignedAddress), while the CPU does as it is
// told.
#include <cstdint>
#include <string>

#include "cuda_emulator/machine.h"

namespace {

// As the compilers lay it out: GCC's libsanitizer and compiler-rt, ubsan_handlers.h.
struct TypeMismatch {
  struct {
    const char* file;
    uint32_t line, column;
  } where;
  const void* type;
  unsigned char log_alignment, access_kind;
};

}  // namespace

extern "C" [[noreturn]] void __ubsan_handle_type_mismatch_v1_abort(const TypeMismatch* mismatch, uintptr_t address) {
  const std::string file = mismatch->where.file;
  const uintptr_t alignment = uintptr_t{1} << mismatch->log_alignment;
  ajet::emulator::halt("an access at " + file.substr(file.rfind('/') + 1) + ":" + std::to_string(mismatch->where.line) +
                       " that wants a multiple of " + std::to_string(alignment) + " bytes, at one plus " +
                       std::to_string(address % alignment));
}
