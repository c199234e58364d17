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
  int64_t elements = 0;  // of an arena

  static ParameterLayout build(const ModelConfig& config, const Backend& backend);
  int find(const std::string& name) const;  // index into parameters, -1 where there is none
};

// `weights` are what products read: where the backend computes in another type than f32, the arena keeps its matrices
// twice, the f32 master copy that the optimizer updates and a copy in that type. `values` (gradients, moments) are f32.
enum class ArenaUse { weights, values };

class ParameterArena {
 public:
  ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout,
                 ArenaUse use = ArenaUse::values);  // zeros
  // Over weights that lie somewhere already; `compute` is empty where compute_dtype() is f32.
  ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout, Buffer values,
                 Buffer compute);

  const ParameterLayout& layout() const { return *layout_; }
  std::shared_ptr<const ParameterLayout> shared_layout() const { return layout_; }
  float* data() const { return buffer_.f32(); }
  int64_t elements() const { return layout_->elements; }
  void* compute_data() const { return compute_buffer_.data(); }  // null where products read the f32 elements
  // The elements go to other host memory of their size.
  void move_to(Buffer values);
  Weight weight(int parameter) const;        // a matrix, as products read it
  void* compute_copy(int parameter) const;  // of a matrix; null where products read the f32 elements themselves
  Tensor vector(int parameter) const;  // a vector, one row
  void zero();
  void copy_from(const ParameterArena& other);
  // One Hugging Face tensor, row-major, f32. read: out has slice.rows * cols elements.
  void read(const ParameterSlice& slice, std::vector<float>& out) const;
  void write(const ParameterSlice& slice, const float* values);

 private:
  const Parameter& matrix(int parameter) const;
  Weight master(int parameter) const;

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const ParameterLayout> layout_;
  Buffer buffer_;
  Buffer compute_buffer_;  // same offsets, in the backend's compute type; empty where that is f32
};

}  // namespace ajet
