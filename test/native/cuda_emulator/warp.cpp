#include "cuda_emulator/warp.h"

#include <cstring>
#include <utility>

namespace ajet::emulator {
namespace {

float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float low_bf16(uint32_t pair) { return bits_to_float(pair << 16); }
float high_bf16(uint32_t pair) { return bits_to_float(pair & 0xFFFF0000U); }
float tf32(uint32_t bits) { return bits_to_float(bits & 0xFFFFE000U); }

struct MmaInput {
  const uint32_t* a;
  const uint32_t* b;
  const float* c;
};

// The accumulator's layout is the same for both shapes. A row of sums at once, each in the order of the depth.
template <int depth>
void multiply(const float (&a)[16][depth], const float (&b)[depth][8], const void* const* inputs,
              void* const* outputs) {
  float sums[16][8];
  const auto element = [](int l, int i) { return std::pair(l / 4 + i / 2 * 8, l % 4 * 2 + i % 2); };
  for (int l = 0; l < 32; ++l) {
    for (int i = 0; i < 4; ++i) {
      const auto [row, col] = element(l, i);
      sums[row][col] = static_cast<const MmaInput*>(inputs[l])->c[i];
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < depth; ++k) {
      for (int col = 0; col < 8; ++col) sums[row][col] += a[row][k] * b[k][col];
    }
  }
  for (int l = 0; l < 32; ++l) {
    for (int i = 0; i < 4; ++i) {
      const auto [row, col] = element(l, i);
      static_cast<float*>(outputs[l])[i] = sums[row][col];
    }
  }
}

void complete_bf16(const void* const* inputs, void* const* outputs) {
  float a[16][16], b[16][8];
  for (int l = 0; l < 32; ++l) {
    const MmaInput& input = *static_cast<const MmaInput*>(inputs[l]);
    const int group = l / 4, pair = l % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      const int row = group + i % 2 * 8, col = pair + i / 2 * 8;
      a[row][col] = low_bf16(input.a[i]);
      a[row][col + 1] = high_bf16(input.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      b[pair + i * 8][group] = low_bf16(input.b[i]);
      b[pair + i * 8 + 1][group] = high_bf16(input.b[i]);
    }
  }
  multiply<16>(a, b, inputs, outputs);
}

void complete_tf32(const void* const* inputs, void* const* outputs) {
  float a[16][8], b[8][8];
  for (int l = 0; l < 32; ++l) {
    const MmaInput& input = *static_cast<const MmaInput*>(inputs[l]);
    const int group = l / 4, col = l % 4;
    for (int i = 0; i < 4; ++i) a[group + i % 2 * 8][col + i / 2 * 4] = tf32(input.a[i]);
    for (int i = 0; i < 2; ++i) b[col + i * 4][group] = tf32(input.b[i]);
  }
  multiply<8>(a, b, inputs, outputs);
}

void load_rows(const void* const* inputs, void* const* outputs) {
  for (int l = 0; l < 32; ++l) {
    auto* r = static_cast<uint32_t*>(outputs[l]);
    for (int i = 0; i < 4; ++i)
      std::memcpy(&r[i], static_cast<const char*>(inputs[i * 8 + l / 4]) + l % 4 * 4, sizeof(uint32_t));
  }
}

void load_columns(const void* const* inputs, void* const* outputs) {
  for (int l = 0; l < 32; ++l) {
    auto* r = static_cast<uint32_t*>(outputs[l]);
    for (int i = 0; i < 4; ++i) {
      uint16_t pair[2];
      for (int j = 0; j < 2; ++j)
        std::memcpy(&pair[j], static_cast<const char*>(inputs[i * 8 + l % 4 * 2 + j]) + l / 4 * 2, sizeof(uint16_t));
      std::memcpy(&r[i], pair, sizeof(uint32_t));
    }
  }
}

// Element k of a row, for the one layout that matrix_descriptor() makes: rows of 128 bytes, 128-byte swizzle.
float row_element(uint64_t descriptor, int row, int k) {
  constexpr uint64_t address_bits = 0x3FFF, layout_bits = uint64_t{3} << 62, swizzle_128 = uint64_t{1} << 62;
  if ((descriptor & layout_bits) != swizzle_128) fault("wgmma of a layout that the emulator does not know");
  const uint64_t begin = (descriptor & address_bits) << 4, eight_rows = (descriptor >> 32 & address_bits) << 4;
  const uint64_t plain = begin + static_cast<uint64_t>(row / 8) * eight_rows + static_cast<uint64_t>(row % 8) * 128 +
                         static_cast<uint64_t>(k) * 2;
  const uint64_t swizzled = plain ^ (plain >> 7 & 7) << 4;
  uint16_t bits;
  std::memcpy(&bits, shared_window() + swizzled, sizeof(bits));
  return bits_to_float(static_cast<uint32_t>(bits) << 16);
}

void complete_rows(const void* const* inputs, void* const*) {
  const WarpgroupProduct& product = *static_cast<const WarpgroupProduct*>(inputs[0]);
  for (int l = 0; l < 32; ++l) {
    const WarpgroupProduct& other = *static_cast<const WarpgroupProduct*>(inputs[l]);
    if (other.a != product.a || other.b != product.b || other.n != product.n)
      fault("lanes of a warp multiply different matrices in wgmma");
  }
  for (int col = 0; col < product.n; ++col) {
    float b[16];
    for (int k = 0; k < 16; ++k) b[k] = row_element(product.b, col, k);
    for (int row = 0; row < 16; ++row) {
      const int lane = row % 8 * 4 + col % 8 / 2;
      float& sum = static_cast<const WarpgroupProduct*>(inputs[lane])->c[col / 8 * 4 + row / 8 * 2 + col % 2];
      if (!product.add) sum = 0.0F;
      for (int k = 0; k < 16; ++k) sum += row_element(product.a, product.first_row + row, k) * b[k];
    }
  }
}

}  // namespace

uint32_t ballot(bool predicate) {
  uint32_t output = 0;
  meet_warp("a ballot", &predicate, &output, [](const void* const* inputs, void* const* outputs) {
    uint32_t bits = 0;
    for (int l = 0; l < 32; ++l) bits |= static_cast<uint32_t>(*static_cast<const bool*>(inputs[l])) << l;
    for (int l = 0; l < 32; ++l) *static_cast<uint32_t*>(outputs[l]) = bits;
  });
  return output;
}

void sync_warp() {
  meet_warp("sync_warp", nullptr, nullptr, [](const void* const*, void* const*) {});
}

void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
  const MmaInput input{a, b, c};
  float output[4];
  meet_warp("mma.m16n8k16.bf16", &input, output, complete_bf16);
  std::memcpy(d, output, sizeof(output));
}

void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
  const MmaInput input{a, b, c};
  float output[4];
  meet_warp("mma.m16n8k8.tf32", &input, output, complete_tf32);
  std::memcpy(d, output, sizeof(output));
}

void multiply_rows(const WarpgroupProduct& product) { meet_warp("wgmma", &product, nullptr, complete_rows); }

void load_matrix_x4(uint32_t (&r)[4], const void* row, bool transposed) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fault("ldmatrix of a row that is not a multiple of 16 bytes");
  if (transposed) {
    meet_warp("ldmatrix.x4.trans", row, r, load_columns);
  } else {
    meet_warp("ldmatrix.x4", row, r, load_rows);
  }
}

}  // namespace ajet::emulator
