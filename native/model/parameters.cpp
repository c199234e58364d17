#include "model/parameters.h"

#include "base/error.h"

namespace ajet {
namespace {

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

class LayoutBuilder {
 public:
  explicit LayoutBuilder(const Backend& backend) : backend_(backend) {}

  struct Part {
    std::string hf_name;
    int64_t rows;
  };

  void matrix(const std::string& name, int64_t cols, const std::vector<Part>& parts) {
    const int64_t rows = total_rows(parts);
    append({name, rows, cols, true, true, 0, backend_.weight_elements(rows, cols)}, parts);
  }
  void vector(const std::string& name, const std::vector<Part>& parts) {
    const int64_t length = total_rows(parts);
    append({name, 1, length, false, false, 0, round_up(length, 16)}, parts);
  }
  ParameterLayout take() { return std::move(layout_); }

 private:
  static int64_t total_rows(const std::vector<Part>& parts) {
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    return rows;
  }
  void append(Parameter parameter, const std::vector<Part>& parts) {
    const int index = static_cast<int>(layout_.parameters.size());
    parameter.offset = layout_.elements;
    layout_.elements += round_up(parameter.elements, 64);
    layout_.parameters.push_back(std::move(parameter));
    int64_t first_row = 0;
    for (const Part& part : parts) {
      layout_.slices.push_back({part.hf_name, index, first_row, part.rows});
      first_row += part.rows;
    }
  }

  const Backend& backend_;
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

ParameterLayout ParameterLayout::build(const ModelConfig& config, const Backend& backend) {
  LayoutBuilder builder(backend);
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

ParameterArena::ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout,
                               ArenaUse use)
    : backend_(std::move(backend)),
      layout_(std::move(layout)),
      buffer_(backend_->allocate(static_cast<size_t>(layout_->elements) * sizeof(float))) {
  const DType dtype = backend_->compute_dtype();
  if (use == ArenaUse::weights && dtype != DType::f32)
    compute_buffer_ = backend_->allocate(static_cast<size_t>(layout_->elements * dtype_bytes(dtype)));
}

ParameterArena::ParameterArena(std::shared_ptr<Backend> backend, std::shared_ptr<const ParameterLayout> layout,
                               Buffer values, Buffer compute)
    : backend_(std::move(backend)),
      layout_(std::move(layout)),
      buffer_(std::move(values)),
      compute_buffer_(std::move(compute)) {}

void ParameterArena::move_to(Buffer values) {
  backend_->copy(values.data(), buffer_.data(), buffer_.bytes());
  buffer_ = std::move(values);
}

const Parameter& ParameterArena::matrix(int parameter) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(parameter));
  if (!p.matrix) fail(ErrorCode::internal, "[weight] Expected a matrix but `" + p.name + "` is a vector");
  return p;
}

Weight ParameterArena::master(int parameter) const {
  const Parameter& p = matrix(parameter);
  return {data() + p.offset, DType::f32, p.rows, p.cols};
}

Weight ParameterArena::weight(int parameter) const {
  const Parameter& p = matrix(parameter);
  if (compute_buffer_.data() == nullptr) return master(parameter);
  return {compute_copy(parameter), backend_->compute_dtype(), p.rows, p.cols};
}

void* ParameterArena::compute_copy(int parameter) const {
  if (compute_buffer_.data() == nullptr) return nullptr;
  return static_cast<char*>(compute_buffer_.data()) +
         matrix(parameter).offset * dtype_bytes(backend_->compute_dtype());
}

Tensor ParameterArena::vector(int parameter) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(parameter));
  if (p.matrix) fail(ErrorCode::internal, "[vector] Expected a vector but `" + p.name + "` is a matrix");
  return {data() + p.offset, DType::f32, 1, p.cols, p.cols};
}

void ParameterArena::zero() {
  backend_->zero(data(), buffer_.bytes());
  backend_->zero(compute_buffer_.data(), compute_buffer_.bytes());
}

void ParameterArena::copy_from(const ParameterArena& other) {
  if (other.elements() != elements()) {
    fail(ErrorCode::invalid_argument, "[copy_from] Expected an arena of " + std::to_string(elements()) +
                                          " elements but received " + std::to_string(other.elements()));
  }
  if (other.compute_buffer_.bytes() != compute_buffer_.bytes())
    fail(ErrorCode::invalid_argument, "[copy_from] Expected an arena of the same use");
  backend_->copy(data(), other.data(), buffer_.bytes());
  backend_->copy(compute_buffer_.data(), other.compute_buffer_.data(), compute_buffer_.bytes());
}

void ParameterArena::read(const ParameterSlice& slice, std::vector<float>& out) const {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(slice.parameter));
  out.resize(static_cast<size_t>(p.matrix ? slice.rows * p.cols : slice.rows));
  if (p.matrix) {
    backend_->read_weight_rows(out.data(), master(slice.parameter), slice.first_row, slice.rows);
  } else {
    backend_->download(out.data(), data() + p.offset + slice.first_row, out.size() * sizeof(float));
  }
}

void ParameterArena::write(const ParameterSlice& slice, const float* values) {
  const Parameter& p = layout_->parameters.at(static_cast<size_t>(slice.parameter));
  if (p.matrix) {
    backend_->write_weight_rows(master(slice.parameter), slice.first_row, slice.rows, values);
    if (compute_copy(slice.parameter) != nullptr)
      backend_->write_weight_rows(weight(slice.parameter), slice.first_row, slice.rows, values);
  } else {
    backend_->upload(data() + p.offset + slice.first_row, values, static_cast<size_t>(slice.rows) * sizeof(float));
  }
}

}  // namespace ajet
