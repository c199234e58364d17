// Compiled once per instruction set: collects the kernels of this build.
#include "backend/cpu/kernels.h"

#define AJET_STRING2(text) #text
#define AJET_STRING(text) AJET_STRING2(text)
#define AJET_JOIN2(a, b) a##b
#define AJET_JOIN(a, b) AJET_JOIN2(a, b)

namespace ajet::cpu {
namespace AJET_ISA {

// One a family, in <family>_kernels.cpp.
void fill_gemm(Kernels& table);
void fill_transpose(Kernels& table);
void fill_norms(Kernels& table);
void fill_elementwise(Kernels& table);
void fill_attention(Kernels& table);
void fill_head(Kernels& table);
void fill_optimizer(Kernels& table);

static Kernels collect() {
  Kernels table{};
  table.isa = AJET_STRING(AJET_ISA);
  fill_gemm(table);
  fill_transpose(table);
  fill_norms(table);
  fill_elementwise(table);
  fill_attention(table);
  fill_head(table);
  fill_optimizer(table);
  return table;
}

}  // namespace AJET_ISA

const Kernels& AJET_JOIN(kernels_, AJET_ISA)() {
  static const Kernels table = AJET_ISA::collect();
  return table;
}

}  // namespace ajet::cpu
