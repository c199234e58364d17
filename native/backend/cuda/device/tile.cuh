// Tiles of rows in shared memory, in chunks of 16 bytes that are permuted within a row so that eight lanes that read
// the same chunk of eight neighbouring rows meet no bank twice.
#pragma once

#include "backend/cuda/device/async_copy.cuh"
#include "backend/cuda/device/vector.cuh"

namespace ajet::cuda {

template <typename T, int width>
struct Tile {
  static constexpr int pack = 16 / static_cast<int>(sizeof(T));  // elements of a chunk
  static constexpr int chunks = width / pack;                    // of a row
  static_assert(chunks % 4 == 0);

  // Index of a chunk's first element. Rows of 64 bytes (mod 128) share the 32 banks in pairs. Chunks turn within their
  // eight (four), so that the offsets of the others are constants of an instruction.
  static AJET_DEVICE int at(int row, int chunk) {
    constexpr int inner = chunks % 8 == 0 ? 7 : 3;
    const int turn = chunks % 8 == 0 ? row : row >> 1;
    return row * width + ((chunk & ~inner) + ((chunk ^ turn) & inner)) * pack;
  }
  static AJET_DEVICE int element(int row, int col) { return at(row, col / pack) + col % pack; }
};

// Starts to fill rows [0, rows) of a tile: row r with the first `cols` elements at row_of(r), or nothing where that is
// null, and zeros behind. `any` is an address that may be read. Visible after async_commit(), async_wait() and a
// barrier.
template <typename T, int width, int rows, int threads, typename RowOf>
AJET_DEVICE void load_tile(T* tile, const T* any, int cols, bool vectorized, const RowOf& row_of) {
  using Layout = Tile<T, width>;
  constexpr bool even = threads % Layout::chunks == 0;  // a thread has the same chunk of each of its rows
  constexpr int count = rows * Layout::chunks;
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int first = 0; first < count; first += threads) {
    if (count % threads != 0 && first + thread >= count) break;
    const int row = even ? thread / Layout::chunks + first / Layout::chunks : (first + thread) / Layout::chunks;
    const int chunk = even ? thread % Layout::chunks : (first + thread) % Layout::chunks, col = chunk * Layout::pack;
    const T* from = row_of(row);
    T* to = tile + Layout::at(row, chunk);
    if (vectorized) {
      const bool inside = from != nullptr && col < cols;
      async_copy(to, inside ? from + col : any, inside ? 16 : 0);
    } else {
      Pack<T, Layout::pack> values;
#pragma unroll
      for (int j = 0; j < Layout::pack; ++j)
        values.values[j] = from != nullptr && col + j < cols ? from[col + j] : from_float<T>(0.0F);
      *reinterpret_cast<Pack<T, Layout::pack>*>(to) = values;
    }
  }
}

}  // namespace ajet::cuda
