// What the figures share: their options, the device, and the record that each measurement leaves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "backend/device.h"
#include "base/json.h"
#include "train/trainer.h"

namespace ajet::bench {

// full: the shapes that targets are set for. small: the same code in seconds, on any device.
enum class Scale : uint8_t { full, small };

struct Options {
  DeviceRequest device;
  Scale scale = Scale::full;
  double seconds = 1.0;             // of one measurement, warm-up apart
  std::vector<std::string> models;  // names of model_shape(); empty: the figure's own
  int64_t batch_tokens = 0;         // TrainerConfig::max_batch_tokens; 0: the whole tree at once
  // Of updates; unset: what the trainer chooses, and for `long` what saves memory beside it.
  std::optional<Recompute> recompute;
  std::optional<OptimizerOffload> offload;
  std::string exchange;  // folder for the PyTorch twin's inputs; empty: none are written
};

// Seconds of one call, over samples that each ended with the device idle.
struct Times {
  double median = 0, best = 0;
  int64_t samples = 0;
};

// One JSON line. Rates and fractions are for the reader to compute: work over time.
struct Record {
  std::string figure, name;  // "update", "qwen3-0.6b, 8 x (512 + 1024)"
  Times times = {};
  double bytes = 0;        // read and written, the fewest that the work needs; 0: not bound by them
  double flops = 0;        // a multiply-add counts two; 0: not bound by them
  double tokens = 0;       // what a rate in tokens/s counts; 0: none
  Json::Object more = {};  // further facts
};

class Bench {
 public:
  Bench(Options options, std::ostream& out);

  const Options& options() const { return options_; }
  bool small() const { return options_.scale == Scale::small; }
  // `full` at full scale, else `small`.
  template <typename T>
  T pick(T full, T small_value) const {
    return small() ? small_value : full;
  }
  // A backend of its own, so that its peak memory is that of one case.
  std::shared_ptr<Backend> backend() const;
  void report(const Record& record);

 private:
  Options options_;
  std::ostream& out_;
};

struct Figure {
  const char* name;
  void (*run)(Bench&);
};
const std::vector<Figure>& figures();

// ---- one function a figure ----------------------------------------------------------------------------------
void measure_copy(Bench& bench);
void measure_product(Bench& bench);
void measure_attention(Bench& bench);
void measure_norms(Bench& bench);
void measure_adamw(Bench& bench);
void measure_head(Bench& bench);
void measure_update(Bench& bench);
void measure_long(Bench& bench);
void measure_decode(Bench& bench);

}  // namespace ajet::bench
