#include "model/parameters.h"

#include "base/error.h"

namespace ajet {
namespace {

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

class LayoutBuilder {
 public:
  explicit LayoutBuilder(const StorageFormat& format) : format_(format) {}

  struct Part {
    std::string hf_name;
    int64_t rows;
  };

  void matrix(const std::string& name, int64_t cols, const std::vector<Part>& parts) {
    const int64_t rows = total_rows(parts);
    append({name, rows, cols, true, true, 0, format_.weight_elements(rows, cols)}, parts);
  }
  void vector(const std::string& name, const std::vector<Part>& parts) {
    const int64_t length = total_rows(parts);
    append({name, 1, length, false, false, 0, round_up(length, 16)}, parts);
  }
  // Matrices first.
  ParameterLayout take() {
    place([](const Parameter& p) { return p.matrix; });
    layout_.matrix_elements = layout_.elements;
    place([](const Parameter& p) { return !p.matrix; });
    return std::move(layout_);
  }

 private:
  static int64_t total_rows(const std::vector<Part>& parts) {
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    return rows;
  }
  template <typename Belongs>
  void place(const Belongs& belongs) {
    for (Parameter& parameter : layout_.parameters) {
      if (!belongs(parameter)) continue;
      parameter.offset = layout_.elements;
      layout_.elements += round_up(parameter.elements, 64);
    }
  }
  void append(Parameter parameter, const std::vector<Part>& parts) {
    const int index = static_cast<int>(layout_.parameters.size());
    layout_.parameters.push_back(std::move(parameter));
    int64_t first_row = 0;
    for (const Part& part : parts) {
      layout_.slices.push_back({part.hf_name, index, first_row, part.rows});
      first_row += part.rows;
    }
  }

  const StorageFormat& format_;
  ParameterLayout layout_;
};

void append_layer(LayoutBuilder& builder, const ModelConfig& config, int64_t index) {
  const std::string name = "layers." + std::to_string(index) + ".";
  const std::string hf = "model." + name;
  const std::string attention = hf + "self_attn.";
  const std::string mlp = hf + "mlp.";
  const int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const int64_t q_rows = config.heads * config.head_dim, kv_rows = config.kv_heads * config.head_dim;

  builder.vector(name + "input_norm", {{hf + "input_layernorm.weight", hidden}});
  builder.matrix(name + "qkv", hidden,
                 {{attention + "q_proj.weight", q_rows},
                  {attention + "k_proj.weight", kv_rows},
                  {attention + "v_proj.weight", kv_rows}});
  if (config.qkv_bias) {
    builder.vector(name + "qkv_bias", {{attention + "q_proj.bias", q_rows},
                                       {attention + "k_proj.bias", kv_rows},
                                       {attention + "v_proj.bias", kv_rows}});
  }
  if (config.qk_norm) {
    builder.vector(name + "q_norm", {{attention + "q_norm.weight", config.head_dim}});
    builder.vector(name + "k_norm", {{attention + "k_norm.weight", config.head_dim}});
  }
  builder.matrix(name + "output", q_rows, {{attention + "o_proj.weight", hidden}});
  if (config.output_bias) builder.vector(name + "output_bias", {{attention + "o_proj.bias", hidden}});
  builder.vector(name + "post_norm", {{hf + "post_attention_layernorm.weight", hidden}});
  builder.matrix(name + "gate_up", hidden,
                 {{mlp + "gate_proj.weight", intermediate}, {mlp + "up_proj.weight", intermediate}});
  if (config.mlp_bias) {
    builder.vector(name + "gate_up_bias",
                   {{mlp + "gate_proj.bias", intermediate}, {mlp + "up_proj.bias", intermediate}});
  }
  builder.matrix(name + "down", intermediate, {{mlp + "down_proj.weight", hidden}});
  if (config.mlp_bias) builder.vector(name + "down_bias", {{mlp + "down_proj.bias", hidden}});
}

}  // namespace

ParameterLayout ParameterLayout::build(const ModelConfig& config, const StorageFormat& format) {
  LayoutBuilder builder(format);
  builder.matrix("embedding", config.hidden_size, {{"model.embed_tokens.weight", config.vocab_size}});
  for (int64_t l = 0; l < config.layers; ++l) append_layer(builder, config, l);
  builder.vector("final_norm", {{"model.norm.weight", config.hidden_size}});
  if (!config.tie_word_embeddings) builder.matrix("head", config.hidden_size, {{"lm_head.weight", config.vocab_size}});
  return builder.take();
}

int ParameterLayout::find(const std::string& name) const {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

ArenaBytes ParameterArena::bytes(const ParameterLayout& layout, DType compute_dtype, ArenaUse use, MatrixPlace place) {
  const int64_t on_device = place == MatrixPlace::device ? layout.elements : layout.elements - layout.matrix_elements;
  ArenaBytes bytes{.device = static_cast<size_t>(on_device) * sizeof(float)};
  if (use == ArenaUse::weights && compute_dtype != DType::f32)
    bytes.device += static_cast<size_t>(layout.elements * dtype_bytes(compute_dtype));
  if (place == MatrixPlace::host) bytes.host = static_cast<size_t>(layout.matrix_elements) * sizeof(float);
  return bytes;
}

ParameterArena::ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout,
                               ArenaUse use, MatrixPlace place)
    : backend_(std::move(backend)), layout_(std::move(layout)), place_(place) {
  const DType dtype = backend_->compute_dtype();
  const bool with_copy = use == ArenaUse::weights && dtype != DType::f32;
  const bool split = with_copy || place == MatrixPlace::host;
  const auto bytes_of = [](int64_t elements, DType of) { return static_cast<size_t>(elements * dtype_bytes(of)); };
  const size_t bytes = bytes_of(split ? layout_->matrix_elements : layout_->elements, DType::f32);
  values_ = place == MatrixPlace::host ? backend_->allocate_host(bytes) : backend_->allocate(bytes);
  if (split) vectors_ = backend_->allocate(bytes_of(layout_->elements - layout_->matrix_elements, DType::f32));
  if (with_copy) compute_buffer_ = backend_->allocate(bytes_of(layout_->elements, dtype));
}

ParameterArena::ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout,
                               Buffer values, Buffer compute, Buffer vectors, MatrixPlace place)
    : backend_(std::move(backend)),
      layout_(std::move(layout)),
      values_(std::move(values)),
      place_(place),
      vectors_(std::move(vectors)),
      compute_buffer_(std::move(compute)) {}

void ParameterArena::move_to(Buffer values) {
  backend_->copy(values.data(), values_.data(), values_.bytes());
  values_ = std::move(values);
}

void ParameterArena::move_matrices_to_host() {
  if (place_ == MatrixPlace::host) return;
  if (place_ != MatrixPlace::device || compute_buffer_.data() == nullptr)
    fail(ErrorCode::internal, "[move_matrices_to_host] Expected matrices on the device and a copy for products");
  Buffer matrices = backend_->allocate_host(values_.bytes());
  backend_->copy(matrices.data(), values_.data(), values_.bytes());
  values_ = std::move(matrices);
  place_ = MatrixPlace::host;
}

float* ParameterArena::values(int parameter) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(parameter));
  if (!p.matrix && vectors_.data() != nullptr) return vectors_.f32() + (p.offset - layout_->matrix_elements);
  return values_.data() == nullptr ? nullptr : values_.f32() + p.offset;
}

const Parameter& ParameterArena::matrix(int parameter) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(parameter));
  if (!p.matrix) fail(ErrorCode::internal, "[weight] Expected a matrix but `" + p.name + "` is a vector");
  return p;
}

Weight ParameterArena::master(int parameter) const {
  const Parameter& p = matrix(parameter);
  return {values(parameter), DType::f32, p.rows, p.cols};
}

Weight ParameterArena::weight(int parameter) const {
  const Parameter& p = matrix(parameter);
  if (compute_buffer_.data() == nullptr) return master(parameter);
  return {compute_copy(parameter), backend_->compute_dtype(), p.rows, p.cols};
}

void* ParameterArena::compute_copy(int parameter) const {
  if (compute_buffer_.data() == nullptr) return nullptr;
  return static_cast<char*>(compute_buffer_.data()) + matrix(parameter).offset * dtype_bytes(backend_->compute_dtype());
}

Tensor ParameterArena::vector(int parameter) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(parameter));
  if (p.matrix) fail(ErrorCode::internal, "[vector] Expected a vector but `" + p.name + "` is a matrix");
  return {values(parameter), DType::f32, 1, p.cols, p.cols};
}

void ParameterArena::zero() {
  backend_->zero(values_.data(), values_.bytes());
  backend_->zero(vectors_.data(), vectors_.bytes());
  backend_->zero(compute_buffer_.data(), compute_buffer_.bytes());
}

void ParameterArena::copy_from(const ParameterArena& other) {
  if (other.elements() != elements()) {
    fail(ErrorCode::invalid_argument, "[copy_from] Expected an arena of " + std::to_string(elements()) +
                                          " elements but received " + std::to_string(other.elements()));
  }
  if (other.values_.bytes() != values_.bytes() || other.compute_buffer_.bytes() != compute_buffer_.bytes())
    fail(ErrorCode::invalid_argument, "[copy_from] Expected an arena of the same use");
  backend_->copy(values_.data(), other.values_.data(), values_.bytes());
  backend_->copy(vectors_.data(), other.vectors_.data(), vectors_.bytes());
  backend_->copy(compute_buffer_.data(), other.compute_buffer_.data(), compute_buffer_.bytes());
}

void ParameterArena::read(const ParameterSlice& slice, std::vector<float>& out) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(slice.parameter));
  out.resize(static_cast<size_t>(p.matrix ? slice.rows * p.cols : slice.rows));
  if (p.matrix) {
    const Weight stored = place_ == MatrixPlace::another_process ? weight(slice.parameter) : master(slice.parameter);
    backend_->read_weight_rows(out.data(), stored, slice.first_row, slice.rows);
  } else {
    backend_->download(out.data(), values(slice.parameter) + slice.first_row, out.size() * sizeof(float));
  }
}

void ParameterArena::write(const ParameterSlice& slice, const float* source) {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(slice.parameter));
  if (p.matrix) {
    backend_->write_weight_rows(master(slice.parameter), slice.first_row, slice.rows, source);
    if (compute_copy(slice.parameter) != nullptr)
      backend_->write_weight_rows(weight(slice.parameter), slice.first_row, slice.rows, source);
  } else {
    const size_t bytes = static_cast<size_t>(slice.rows) * sizeof(float);
    backend_->upload(values(slice.parameter) + slice.first_row, source, bytes);
  }
}

}  // namespace ajet
