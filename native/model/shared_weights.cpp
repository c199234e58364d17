#include "model/shared_weights.h"

#include <cstring>
#include <new>
#include <span>

#include "base/error.h"

namespace ajet {
namespace {

constexpr size_t header_bytes = SharedMemory::mapping_alignment;  // control block and configuration
constexpr size_t config_offset = 64 << 10;
static_assert(sizeof(WeightsControl) <= config_offset);

size_t master_bytes(const ParameterLayout& layout) { return static_cast<size_t>(layout.elements) * sizeof(float); }

// FNV-1a, 64 bits, of everything that decides where a weight lies and what it is.
uint64_t table_digest(const ParameterLayout& layout, const Backend& backend) {
  const DType dtype = backend.compute_dtype();
  std::string table = (backend.shared_device().empty() ? "panels " : "rows ") + std::to_string(dtype_bytes(dtype));
  for (const Parameter& p : layout.parameters) {
    table += '\n' + p.name;
    for (const int64_t number : {p.rows, p.cols, p.offset, p.elements, int64_t{p.matrix}})
      table += ' ' + std::to_string(number);
  }
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : table) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

[[noreturn]] void fail_segment(const std::string& path, const std::string& problem) {
  fail(ErrorCode::corrupt_file, "[attach] " + path + ": " + problem);
}

}  // namespace

SharedWeights::SharedWeights(Backend& backend, const ModelConfig& config, ParameterArena& weights, uint64_t version)
    : on_device_(!backend.shared_device().empty()) {
  const ParameterLayout& layout = weights.layout();
  const size_t weights_bytes = on_device_ ? 0 : master_bytes(layout);
  const std::string config_json = model_config_to_json(config, "float32");
  const std::string device = backend.shared_device();
  if (config_offset + config_json.size() > header_bytes || device.size() >= sizeof(WeightsControl::device))
    fail(ErrorCode::internal, "[share] The header does not hold the model's configuration");
  memory_ = std::make_shared<SharedMemory>(SharedMemory::create("ajet-weights", header_bytes + weights_bytes));
  auto* header = static_cast<char*>(memory_->map(0, header_bytes, MapAccess::read_write));
  auto* control = new (header) WeightsControl{};
  control->layout = WeightsControl::expected_layout;
  control->dtype = static_cast<uint32_t>(backend.compute_dtype());
  control->segment_bytes = memory_->bytes();
  control->config_offset = config_offset;
  control->config_bytes = config_json.size();
  control->weights_offset = header_bytes;
  control->weights_bytes = weights_bytes;
  control->table_digest = table_digest(layout, backend);
  std::memcpy(control->device, device.c_str(), device.size() + 1);
  std::memcpy(header + config_offset, config_json.data(), config_json.size());
  if (on_device_) {
    control->matrices_on_host = weights.matrix_place() == MatrixPlace::host;
    if (control->matrices_on_host == 0) control->master = backend.export_memory(weights.data());
    if (weights.compute_data() != nullptr) {
      control->vectors = backend.export_memory(weights.vector_data());
      control->compute = backend.export_memory(weights.compute_data());
    }
    backend.synchronize();
  } else {
    void* moved = memory_->map(header_bytes, weights_bytes, MapAccess::read_write);
    weights.move_to(Buffer::within(memory_, moved, weights_bytes));
  }
  control->writer = this_process().packed();
  control->version.store(version);
  control->magic = WeightsControl::expected_magic;
  writer_ = std::make_unique<WeightsWriter>(*control);
}

// Device memory goes with this process; a segment stays with those who have it.
SharedWeights::~SharedWeights() {
  if (writer_) writer_->close(on_device_);
}

std::shared_ptr<AttachedWeights> AttachedWeights::open(const std::string& path) {
  return std::shared_ptr<AttachedWeights>(new AttachedWeights(SharedMemory::open(path), path));
}

AttachedWeights::AttachedWeights(SharedMemory memory, const std::string& path) : memory_(std::move(memory)) {
  if (memory_.bytes() < header_bytes) {
    fail_segment(path, "Expected a segment of weights, of at least " + std::to_string(header_bytes) +
                           " bytes, but it has " + std::to_string(memory_.bytes()));
  }
  auto* header = static_cast<char*>(memory_.map(0, header_bytes, MapAccess::read_write));
  control_ = reinterpret_cast<WeightsControl*>(header);
  check_header(path);
  config_ = parse_model_config(std::string(header + control_->config_offset, control_->config_bytes));
  reader_ = std::make_unique<WeightsReader>(*control_, control_->device[0] == '\0');
}

void AttachedWeights::check_header(const std::string& path) const {
  const WeightsControl& c = *control_;
  if (c.magic != WeightsControl::expected_magic) fail_segment(path, "It is not a segment of weights");
  if (c.layout != WeightsControl::expected_layout) {
    fail_segment(path, "Its layout is " + std::to_string(c.layout) + " but this build reads " +
                           std::to_string(WeightsControl::expected_layout) + ": run and server must be of one version");
  }
  const auto lies_within = [](uint64_t offset, uint64_t bytes, uint64_t end) {
    return offset <= end && bytes <= end - offset;
  };
  const bool known_dtype =
      c.dtype == static_cast<uint32_t>(DType::f32) || c.dtype == static_cast<uint32_t>(DType::bf16);
  const std::span device(c.device);
  if (c.segment_bytes != memory_.bytes() || !lies_within(c.config_offset, c.config_bytes, header_bytes) ||
      c.weights_offset != header_bytes || !lies_within(c.weights_offset, c.weights_bytes, memory_.bytes()) ||
      !known_dtype || std::memchr(device.data(), '\0', device.size()) == nullptr)
    fail_segment(path, "Its header does not fit its " + std::to_string(memory_.bytes()) + " bytes");
}

ParameterArena AttachedWeights::arena(const std::shared_ptr<AttachedWeights>& self,
                                      const std::shared_ptr<Backend>& backend) {
  auto layout = std::make_shared<const ParameterLayout>(ParameterLayout::build(self->config_, *backend));
  WeightsControl& control = *self->control_;
  const size_t bytes = master_bytes(*layout);
  const bool on_device = !self->device().empty();
  if (table_digest(*layout, *backend) != control.table_digest || self->dtype() != backend->compute_dtype() ||
      (!on_device && control.weights_bytes != bytes)) {
    fail_segment(self->memory_.path(), "Its weights are laid out otherwise than " + backend->description() +
                                           " lays them out: run and server must be of one version");
  }
  if (!on_device) {
    void* data = self->memory_.map(control.weights_offset, bytes, MapAccess::read_only);
    return ParameterArena(backend, layout, Buffer::within(self, data, bytes), Buffer());
  }
  const auto import = [&](const DeviceMemoryHandle& handle, int64_t elements, DType dtype) {
    return backend->import_memory(handle, static_cast<size_t>(elements * dtype_bytes(dtype)));
  };
  const bool on_host = control.matrices_on_host != 0;
  const bool with_copy = self->dtype() != DType::f32;
  Buffer values, vectors, compute;
  if (!on_host) values = import(control.master, with_copy ? layout->matrix_elements : layout->elements, DType::f32);
  if (with_copy) {
    vectors = import(control.vectors, layout->elements - layout->matrix_elements, DType::f32);
    compute = import(control.compute, layout->elements, self->dtype());
  }
  return ParameterArena(backend, layout, std::move(values), std::move(compute), std::move(vectors),
                        on_host ? MatrixPlace::another_process : MatrixPlace::device);
}

}  // namespace ajet
