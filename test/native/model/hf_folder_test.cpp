// Models to and from Hugging Face folders.
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "check.h"
#include "model/float_formats.h"
#include "model/weights_io.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

std::string fixture(const std::string& name) { return std::string(AJET_FIXTURES) + "/parity/" + name; }

// A saved tiny model, and what was edited of it.
struct SavedModel {
  TemporaryFolder folder;
  std::shared_ptr<Model> model;
  explicit SavedModel(const std::string& family) : model(random_model(tiny_config(family), 21)) {
    model->save(folder.path(), "float32");
  }
  void replace_in_config(const std::string& from, const std::string& to) const {
    std::string text = read_text_file(folder.path("config.json"));
    const size_t place = text.find(from);
    CHECK(place != std::string::npos);
    write_file(folder.path("config.json"), text.replace(place, from.size(), to));
  }
  // Writes the weights again without `left_out`, with zeros [shape] as `added`.
  void rewrite(const std::string& left_out, const std::string& added, const std::vector<int64_t>& shape = {2}) const {
    SafetensorsWriter writer(folder.path("model.safetensors"), SafetensorsDType::f32);
    for (const ParameterSlice& slice : model->weights().layout().slices) {
      if (slice.hf_name == left_out) continue;
      const Parameter& parameter = model->weights().layout().parameters[static_cast<size_t>(slice.parameter)];
      std::vector<int64_t> full{slice.rows};
      if (parameter.matrix) full.push_back(parameter.cols);
      writer.add(slice.hf_name, full, [this, &slice](int64_t first, int64_t rows, std::vector<float>& out) {
        model->weights().read({slice.hf_name, slice.parameter, slice.first_row + first, rows}, out);
      });
    }
    if (!added.empty()) {
      const int64_t row = shape.size() > 1 ? shape[1] : 1;
      writer.add(added, shape, [row](int64_t, int64_t rows, std::vector<float>& out) {
        out.assign(static_cast<size_t>(rows * row), 0);
      });
    }
    writer.finish();
  }
  std::shared_ptr<Model> load() const { return Model::load(make_cpu_backend(1), folder.path()); }
};

}  // namespace

TEST("folder: float32 round trip keeps every bit of every family") {
  for (const std::string family : {"qwen2", "qwen3", "llama"}) {
    const SavedModel saved(family);
    const auto loaded = saved.load();
    CHECK(read_all(loaded->weights()) == read_all(saved.model->weights()));
    TokenTree tree;
    tree.append_node(-1, {1, 2, 3, 5, 8});
    CHECK(forward_hidden(*loaded, tree) == forward_hidden(*saved.model, tree));
  }
}

TEST("folder: bfloat16 holds the rounded weights, and saving those again changes nothing") {
  const SavedModel saved("llama");
  saved.model->save(saved.folder.path(), "bfloat16");
  const auto loaded = saved.load();
  auto expected = read_all(saved.model->weights());
  for (auto& tensor : expected) {
    for (float& value : tensor) value = bf16_to_f32(f32_to_bf16(value));
  }
  CHECK(read_all(loaded->weights()) == expected);
  const std::string before = read_text_file(saved.folder.path("model.safetensors"));
  loaded->save(saved.folder.path(), "bfloat16");
  CHECK(read_text_file(saved.folder.path("model.safetensors")) == before);
  CHECK_ERROR(loaded->save(saved.folder.path(), "float16"), "\"float32\" or \"bfloat16\" for `dtype`");
}

TEST("folder: shards written by transformers load, and save as the same tensors") {
  const auto sharded = Model::load(make_cpu_backend(1), fixture("qwen3-tied"));
  const TemporaryFolder folder;
  sharded->save(folder.path(), "float32");
  CHECK(read_all(Model::load(make_cpu_backend(1), folder.path())->weights()) == read_all(sharded->weights()));
}

TEST("folder: rotary tables and a redundant head are tolerated, an unknown tensor is not") {
  const SavedModel saved("qwen3");
  saved.rewrite("", "model.layers.0.self_attn.rotary_emb.inv_freq");
  saved.load();
  saved.rewrite("", "lm_head.weight", {37, 24});
  saved.load();
  saved.rewrite("", "model.layers.1.self_attn.q_proj.bias");
  CHECK_ERROR(saved.load(),
              "`model.layers.1.self_attn.q_proj.bias` is not one of this model's (config.json); the nearest "
              "is `model.layers.1.self_attn.");
}

TEST("folder: a missing tensor and a wrong shape are named") {
  const SavedModel saved("qwen2");
  saved.rewrite("model.layers.1.mlp.up_proj.weight", "");
  CHECK_ERROR(saved.load(), "model.safetensors: tensor `model.layers.1.mlp.up_proj.weight` is missing");
  saved.rewrite("lm_head.weight", "");
  CHECK_ERROR(saved.load(), "tie_word_embeddings");
  saved.rewrite("model.norm.weight", "model.norm.weight", {23});
  CHECK_ERROR(saved.load(), "`model.norm.weight` has shape [23], but config.json says [24]");
  saved.rewrite("", "");
  saved.replace_in_config("\"vocab_size\": 37", "\"vocab_size\": 36");
  CHECK_ERROR(saved.load(), "`model.embed_tokens.weight` has shape [37, 24], but config.json says [36, 24]");
  saved.replace_in_config("\"silu\"", "\"relu\"");
  CHECK_ERROR(saved.load(), saved.folder.path("config.json"));
}

TEST("folder: an incomplete set of shards is named") {
  const TemporaryFolder folder;
  const auto copy = [&] {
    std::filesystem::copy(fixture("llama-untied"), folder.path(),
                          std::filesystem::copy_options::overwrite_existing | std::filesystem::copy_options::recursive);
  };
  const auto load = [&] { return Model::load(make_cpu_backend(1), folder.path()); };
  copy();
  load();
  std::filesystem::remove(folder.path("model-00002-of-00003.safetensors"));
  CHECK_ERROR(load(), "shard model-00002-of-00003.safetensors is missing (it should hold `");
  std::filesystem::copy(folder.path("model-00001-of-00003.safetensors"),
                        folder.path("model-00002-of-00003.safetensors"));
  CHECK_ERROR(load(), "is missing");
  copy();
  write_file(folder.path("model.safetensors.index.json"), R"({"weight_map": {"x": "../x.safetensors"}})");
  CHECK_ERROR(load(), "the place of `x` is not a file name");
  write_file(folder.path("model.safetensors.index.json"), R"({"weight_map": )");
  CHECK_ERROR(load(), "model.safetensors.index.json: [json]");
  write_file(folder.path("model.safetensors.index.json"), "{}");
  CHECK_ERROR(load(), "no object `weight_map`");
  std::filesystem::remove(folder.path("model.safetensors.index.json"));
  CHECK_ERROR(load(), "Expected model.safetensors or model.safetensors.index.json in");
  std::filesystem::remove(folder.path("config.json"));
  CHECK_ERROR(load(), "config.json: No such file or directory");
}

TEST("folder: a truncated download is named") {
  const SavedModel saved("qwen2");
  const std::string bytes = read_text_file(saved.folder.path("model.safetensors"));
  for (const size_t size : {size_t{0}, size_t{4}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    write_file(saved.folder.path("model.safetensors"), bytes.substr(0, size));
    try {
      saved.load();
      fail_at(__FILE__, __LINE__, "a file cut to ", size, " bytes was loaded");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::corrupt_file);
      CHECK(std::strstr(error.what(), saved.folder.path("model.safetensors").c_str()) != nullptr);
    }
  }
}

TEST("folder: parameters of two arenas share a file under prefixes, as a trainer saves its moments") {
  const auto model = random_model(tiny_config("qwen3"), 1), other = random_model(tiny_config("qwen3"), 2);
  const TemporaryFolder folder;
  const std::string path = folder.path("moments.safetensors");
  SafetensorsWriter writer(path, SafetensorsDType::f32, {{"step", "3"}});
  add_parameters(writer, model->weights(), "m.");
  add_parameters(writer, other->weights(), "v.");
  writer.finish();
  const SafetensorsFile file = SafetensorsFile::open(path);
  ParameterArena arena(model->backend(), model->weights().shared_layout());
  read_parameters(arena, {&file, 1}, "v.");
  CHECK(read_all(arena) == read_all(other->weights()));
  read_parameters(arena, {&file, 1}, "m.");
  CHECK(read_all(arena) == read_all(model->weights()));
}

}  // namespace ajet::test
