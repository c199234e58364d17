// A model as a Hugging Face folder.
#include "base/error.h"
#include "base/file.h"
#include "model/activations.h"
#include "model/model.h"
#include "model/weights_io.h"

namespace ajet {

std::shared_ptr<Model> Model::load(std::shared_ptr<Backend> backend, const std::string& directory) {
  const std::string config_path = directory + "/config.json";
  const std::string config_json = read_text_file(config_path);
  ModelConfig config;
  try {
    config = parse_model_config(config_json);
  } catch (const Error& error) {
    fail(error.code(), "[load] " + config_path + ": " + error.what());
  }
  const std::vector<SafetensorsFile> files = open_weight_files(directory);
  auto model = std::make_shared<Model>(std::move(backend), config);
  read_parameters(model->weights_, files);
  return model;
}

void Model::save(const std::string& directory, const std::string& dtype) const {
  if (dtype != "float32" && dtype != "bfloat16") {
    fail(ErrorCode::invalid_argument,
         "[save] Expected \"float32\" or \"bfloat16\" for `dtype` but received \"" + dtype + "\"");
  }
  SafetensorsWriter writer(directory + "/model.safetensors",
                           dtype == "float32" ? SafetensorsDType::f32 : SafetensorsDType::bf16);
  add_parameters(writer, weights_);
  writer.finish();
  AtomicFile config_file(directory + "/config.json");
  const std::string config_json = model_config_to_json(config_, dtype);
  config_file.write(config_json.data(), config_json.size());
  config_file.commit();
}

}  // namespace ajet
