// All weights of a model in one allocation, by name, and any number of arenas of the same layout beside it
// (gradients, AdamW's moments, a frozen copy).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/model_config.h"
#include "tensor/buffer.h"
#include "tensor/tensor.h"

namespace ajet {

// One stored parameter: a fused matrix (qkv, gate_up) or a vector.
struct Parameter {
  std::string name;  // "layers.3.qkv"
  int64_t rows;      // vectors: 1
  int64_t cols;
  bool matrix;       // stored as Weight panels; else plain floats, padded to a multiple of 16
  bool decay;        // weight decay applies (matrices; not norms, not biases)
  int64_t offset;    // elements from the arena's start, a multiple of 64
  int64_t elements;  // storage, padding included
};

// A Hugging Face tensor name and the rows of the stored parameter that it is.
struct ParameterSlice {
  std::string hf_name;  // "model.layers.3.self_attn.k_proj.weight"
  int parameter;        // index into ParameterLayout::parameters
  int64_t first_row;    // matrices: first row; vectors: first element
  int64_t rows;         // vectors: elements
};

struct ParameterLayout {
  std::vector<Parameter> parameters;
  std::vector<ParameterSlice> slices;
  int64_t elements = 0;         // of an arena
  int64_t matrix_elements = 0;  // of them: the matrices, which lie before the vectors

  static ParameterLayout build(const ModelConfig& config, const StorageFormat& format);
  int find(const std::string& name) const;  // index into parameters, -1 where there is none
};

// `weights` are what products read: where the backend computes in another type than f32, the arena keeps its matrices
// twice, the f32 master copy that the optimizer updates and a copy in that type. `values` (gradients, moments) are f32.
enum class ArenaUse { weights, values };

// Where the f32 elements of an arena's matrices lie. Vectors, a thousandth of a model, are always on the device.
enum class MatrixPlace {
  device,
  host,            // Backend::allocate_host()
  another_process  // in its host memory: products' copy is all there is here
};

struct ArenaBytes {
  size_t device = 0, host = 0;
};

class ParameterArena {
 public:
  ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout,
                 ArenaUse use = ArenaUse::values, MatrixPlace place = MatrixPlace::device);  // zeros
  // Over memory that is there already, as the members below hold it.
  ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout, Buffer values,
                 Buffer compute, Buffer vectors = Buffer(), MatrixPlace place = MatrixPlace::device);

  // What an arena takes.
  static ArenaBytes bytes(const ParameterLayout& layout, DType compute_dtype, ArenaUse use, MatrixPlace place);

  const ParameterLayout& layout() const { return *layout_; }
  std::shared_ptr<const ParameterLayout> shared_layout() const { return layout_; }
  float* data() const { return values_.f32(); }          // what the members below hold
  float* vector_data() const { return vectors_.f32(); }  // null where data() has the vectors too
  float* values(int parameter) const;                    // its f32 storage, wherever that lies; null in another process
  int64_t elements() const { return layout_->elements; }
  MatrixPlace matrix_place() const { return place_; }
  void* compute_data() const { return compute_buffer_.data(); }  // null where products read the f32 elements
  // All elements, which lie in one place, go to another of their size.
  void move_to(Buffer values);
  // The matrices' f32 elements go to host memory; products must have a copy of their own. Nothing else moves.
  void move_matrices_to_host();
  Weight weight(int parameter) const;       // a matrix, as products read it
  void* compute_copy(int parameter) const;  // of a matrix; null where products read the f32 elements themselves
  Tensor vector(int parameter) const;       // a vector, one row
  void zero();
  void copy_from(const ParameterArena& other);
  // One Hugging Face tensor, row-major, f32. read: out has slice.rows * cols elements; a matrix whose f32 elements lie
  // in another process is read as products read it.
  void read(const ParameterSlice& slice, std::vector<float>& out) const;
  void write(const ParameterSlice& slice, const float* source);

 private:
  const Parameter& matrix(int parameter) const;
  Weight master(int parameter) const;

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const ParameterLayout> layout_;
  // The f32 elements: all of them, or, where matrices may lie elsewhere than vectors (host memory, weights with a copy
  // for products), the matrices' alone.
  Buffer values_;
  MatrixPlace place_;
  Buffer vectors_;         // f32; empty where values_ holds them
  Buffer compute_buffer_;  // same offsets, in the backend's compute type; empty where that is f32
};

}  // namespace ajet
