#include <napi.h>

#include <algorithm>
#include <string>
#include <utility>

#include "backend/device.h"
#include "base/error.h"
#include "binding/core_options.h"
#include "binding/functions.h"
#include "binding/model_core.h"
#include "binding/options.h"
#include "binding/typed_arrays.h"
#include "model/weights_access.h"

namespace ajet::binding {

DeviceRequest read_load_options(const char* op, Napi::Value value) {
  constexpr int64_t max_bytes = 1LL << 52;
  Options options(op, value);
  DeviceRequest out;
  out.device = options.text("device", "auto");
  out.dtype = options.text("dtype", "");
  out.threads = static_cast<int>(options.integer("threads", 0, 0, 256));
  out.isa = options.text("isa", "");
  out.memory_limit_bytes = static_cast<size_t>(options.integer("memoryLimitBytes", 0, 0, max_bytes));
  options.finish();
  return out;
}

namespace {

std::string text_argument(const char* op, const char* name, Napi::Value value) {
  if (!value.IsString()) {
    fail(ErrorCode::invalid_argument,
         std::string("[") + op + "] Expected a string for `" + name + "` but received " + describe(value));
  }
  return value.As<Napi::String>().Utf8Value();
}

// The handle of a core whose model has been made.
Result opened(std::shared_ptr<ModelCore> core) {
  const Model& model = *core->model;
  core->config = model.config();
  core->device_name = model.backend()->name();
  core->device_description = model.backend()->description();
  for (const ParameterSlice& slice : model.weights().layout().slices) core->weight_names.push_back(slice.hf_name);
  core->publish_version();
  return [core = std::move(core)](Napi::Env env) -> Napi::Value { return make_handle(env, core); };
}

// Makes the model on the device thread; the promise's value is its handle.
template <typename Make>
Napi::Promise open_model(Napi::Env env, const DeviceRequest& request, Make make) {
  return AddonData::get(env).submit(env, {}, JobKind::heavy, [request, make = std::move(make)]() -> Result {
    auto core = std::make_shared<ModelCore>();
    const auto [backend, why_not_cuda] = make_backend(request);
    core->why_not_cuda = why_not_cuda;
    core->host_bytes = allocated_bytes(*backend, [&, &device = backend] { core->model = make(device); });
    return opened(std::move(core));
  });
}

const ParameterSlice& find_slice(const char* op, const ParameterLayout& layout, const std::string& name) {
  const auto found = std::find_if(layout.slices.begin(), layout.slices.end(),
                                  [&name](const ParameterSlice& slice) { return slice.hf_name == name; });
  if (found == layout.slices.end()) {
    fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected the name of a weight but received \"" + name +
                                          "\"; weightNames() lists them");
  }
  return *found;
}

int64_t slice_elements(const ParameterLayout& layout, const ParameterSlice& slice) {
  const Parameter& parameter = layout.parameters[static_cast<size_t>(slice.parameter)];
  return parameter.matrix ? slice.rows * parameter.cols : slice.rows;
}

}  // namespace

// (directory, options) => Promise<ModelHandle>
Napi::Value load_model(const Napi::CallbackInfo& info) {
  const std::string directory = text_argument("loadModel", "dir", info[0]);
  return open_model(info.Env(), read_load_options("loadModel", info[1]),
                    [directory](const std::shared_ptr<Backend>& backend) { return Model::load(backend, directory); });
}

// (configJson, seed, options) => Promise<ModelHandle>
Napi::Value create_model(const Napi::CallbackInfo& info) {
  const ModelConfig config = parse_model_config(text_argument("createModel", "config", info[0]));
  bool lossless = false;
  const uint64_t seed = info[1].IsBigInt() ? info[1].As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) {
    fail(ErrorCode::invalid_argument,
         "[createModel] Expected a bigint in [0, 2^64) for `seed` but received " + describe(info[1]));
  }
  return open_model(
      info.Env(), read_load_options("createModel", info[2]),
      [config, seed](const std::shared_ptr<Backend>& backend) { return Model::random(backend, config, seed); });
}

// (segment, options) => Promise<ModelHandle>
Napi::Value attach_model(const Napi::CallbackInfo& info) {
  const std::string segment = text_argument("attachModel", "segment", info[0]);
  Options options("attachModel", info[1]);
  DeviceRequest request;
  request.threads = static_cast<int>(options.integer("threads", 0, 0, 256));
  request.isa = options.text("isa", "");
  options.finish();
  return AddonData::get(info.Env()).submit(info.Env(), {}, JobKind::heavy, [segment, request]() mutable -> Result {
    auto core = std::make_shared<ModelCore>();
    core->attached = AttachedWeights::open(segment);
    request.device = device_of(core->attached->device());
    request.dtype = core->attached->dtype() == DType::f32 ? "float32" : "bfloat16";
    core->model = std::make_shared<Model>(make_backend(request).backend, core->attached);
    return opened(std::move(core));
  });
}

// (model) => Promise<string>
Napi::Value model_share(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<ModelCore>("model.share", info[0]);
  return AddonData::get(info.Env()).submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy, [core]() -> Result {
    return [path = core->open_model().share()](Napi::Env env) { return Napi::String::New(env, path); };
  });
}

// (model) => "own" | "live" | "ended" | "half_written"
Napi::Value model_writer(const Napi::CallbackInfo& info) {
  const ModelCore& core = *holder_argument<ModelCore>("model.writer", info[0]).core;
  const char* name = "own";
  if (core.attached) {
    switch (core.attached->reader().writer()) {
      case WriterState::live: name = "live"; break;
      case WriterState::ended: name = "ended"; break;
      case WriterState::half_written: name = "half_written"; break;
    }
  }
  return Napi::String::New(info.Env(), name);
}

// (model) => NativeModelShape
Napi::Value model_shape(const Napi::CallbackInfo& info) {
  const ModelCore& core = *holder_argument<ModelCore>("model.shape", info[0]).core;
  const ModelConfig& config = core.config;
  const Napi::Object out = Napi::Object::New(info.Env());
  out.Set("modelType", config.model_type);
  const auto set = [&out](const char* name, int64_t value) { out.Set(name, static_cast<double>(value)); };
  set("vocabSize", config.vocab_size);
  set("hiddenSize", config.hidden_size);
  set("intermediateSize", config.intermediate_size);
  set("layers", config.layers);
  set("heads", config.heads);
  set("kvHeads", config.kv_heads);
  set("headDim", config.head_dim);
  set("maxPositionEmbeddings", config.max_position_embeddings);
  set("parameters", config.parameters());
  out.Set("tiedHead", config.tie_word_embeddings);
  out.Set("device", core.device_name);
  out.Set("deviceDescription", core.device_description);
  out.Set("whyNotCuda", core.why_not_cuda);
  return out;
}

// (model) => number
Napi::Value model_version(const Napi::CallbackInfo& info) {
  const ModelCore& core = *holder_argument<ModelCore>("model.version", info[0]).core;
  return Napi::Number::New(info.Env(), static_cast<double>(core.latest_version()));
}

// (model) => string[]
Napi::Value model_weight_names(const Napi::CallbackInfo& info) {
  const ModelCore& core = *holder_argument<ModelCore>("model.weightNames", info[0]).core;
  const Napi::Array out = Napi::Array::New(info.Env(), core.weight_names.size());
  for (uint32_t i = 0; i < core.weight_names.size(); ++i) out.Set(i, core.weight_names[i]);
  return out;
}

// (model, directory, dtype) => Promise<void>
Napi::Value model_save(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<ModelCore>("model.save", info[0]);
  const std::string directory = text_argument("model.save", "dir", info[1]);
  const std::string dtype = text_argument("model.save", "dtype", info[2]);
  if (dtype != "float32" && dtype != "bfloat16") {
    fail(ErrorCode::invalid_argument,
         "[model.save] Expected \"float32\" or \"bfloat16\" for `dtype` but received \"" + dtype + '"');
  }
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy, [core, directory, dtype]() -> Result {
        Model& model = core->open_model();
        read_whole_weights(model, [&] { model.save(directory, dtype); });
        return [](Napi::Env env) { return env.Undefined(); };
      });
}

// (model, name) => Promise<Float32Array>
Napi::Value model_read_weight(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<ModelCore>("model.readWeight", info[0]);
  const std::string name = text_argument("model.readWeight", "name", info[1]);
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy, [core, name]() -> Result {
        Model& model = core->open_model();
        const ParameterSlice& slice = find_slice("model.readWeight", model.weights().layout(), name);
        std::vector<float> values;
        read_whole_weights(model, [&] { model.weights().read(slice, values); });
        return [values = std::move(values)](Napi::Env env) -> Napi::Value { return to_js(env, values); };
      });
}

// (model) => Promise<DeviceMemory>
Napi::Value model_memory(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<ModelCore>("model.memory", info[0]);
  return AddonData::get(info.Env()).submit(info.Env(), info[0].As<Napi::Object>(), JobKind::light, [core]() -> Result {
    return [use = core->open_model().backend()->memory()](Napi::Env env) -> Napi::Value {
      const Napi::Object out = Napi::Object::New(env);
      out.Set("activeBytes", static_cast<double>(use.active_bytes));
      out.Set("peakBytes", static_cast<double>(use.peak_bytes));
      return out;
    };
  });
}

// (model, name, values, bumpVersion) => Promise<void>
Napi::Value model_write_weight(const Napi::CallbackInfo& info) {
  const auto& core = core_argument<ModelCore>("model.writeWeight", info[0]);
  const std::string name = text_argument("model.writeWeight", "name", info[1]);
  std::vector<float> values = copy_float32("model.writeWeight", "values", info[2]);
  const bool bump_version = info[3].ToBoolean();
  return AddonData::get(info.Env())
      .submit(info.Env(), info[0].As<Napi::Object>(), JobKind::heavy,
              [core, name, values = std::move(values), bump_version]() -> Result {
                Model& model = core->open_model();
                const ParameterLayout& layout = model.weights().layout();
                const ParameterSlice& slice = find_slice("model.writeWeight", layout, name);
                const int64_t expected = slice_elements(layout, slice);
                if (static_cast<int64_t>(values.size()) != expected) {
                  fail(ErrorCode::invalid_argument, "[model.writeWeight] Expected " + std::to_string(expected) +
                                                        " values for `" + name + "` but received " +
                                                        std::to_string(values.size()));
                }
                WeightsUpdate update("model.writeWeight", model);
                model.weights().write(slice, values.data());
                if (bump_version) model.weights_changed();
                update.finish();
                core->publish_version();
                return [](Napi::Env env) { return env.Undefined(); };
              });
}

// (model) => Promise<void>
Napi::Value model_dispose(const Napi::CallbackInfo& info) {
  ModelCore& core = *holder_argument<ModelCore>("model.dispose", info[0]).core;
  std::vector<std::shared_ptr<Core>> dying;
  for (const auto& child : core.children) {
    if (auto alive = child.lock()) {
      alive->closing = true;
      dying.push_back(std::move(alive));
    }
  }
  core.children.clear();
  return dispose_handle<ModelCore>("model.dispose", info, std::move(dying));
}

}  // namespace ajet::binding
