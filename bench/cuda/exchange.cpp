#include "exchange.h"

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace ajet::bench {

namespace fs = std::filesystem;

void exchange_model(const std::string& exchange, const std::string& name, const Model& model) {
  if (exchange.empty()) return;
  const fs::path folder = fs::path(exchange) / "models" / name;
  if (fs::exists(folder / "model.safetensors")) return;
  fs::create_directories(folder);
  model.save(folder, model.backend()->compute_dtype() == DType::bf16 ? "bfloat16" : "float32");
}

void exchange_inputs(const std::string& exchange, const std::string& figure, bool first, const Json& inputs) {
  if (exchange.empty()) return;
  const fs::path folder = fs::path(exchange) / "inputs";
  fs::create_directories(folder);
  std::ofstream file(folder / (figure + ".jsonl"), first ? std::ios::trunc : std::ios::app);
  file << inputs.dump() << '\n';
  if (!file.flush()) fail(ErrorCode::io, "[bench] Could not write to " + folder.string());
}

}  // namespace ajet::bench
