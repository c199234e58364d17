#include "figure.h"

#include <utility>

namespace ajet::bench {

const std::vector<Figure>& figures() {
  static const std::vector<Figure> all{
      {"copy", measure_copy},     {"product", measure_product}, {"attention", measure_attention},
      {"norms", measure_norms},   {"adamw", measure_adamw},     {"head", measure_head},
      {"update", measure_update}, {"long", measure_long},       {"decode", measure_decode},
  };
  return all;
}

Bench::Bench(Options options, std::ostream& out) : options_(std::move(options)), out_(out) {}

std::shared_ptr<Backend> Bench::backend() const { return make_backend(options_.device).backend; }

void Bench::report(const Record& record) {
  Json::Object line{{"side", "ajet"},
                    {"figure", record.figure},
                    {"name", record.name},
                    {"seconds", record.times.median},
                    {"best_seconds", record.times.best},
                    {"samples", record.times.samples}};
  const std::pair<const char*, double> counts[] = {
      {"bytes", record.bytes}, {"flops", record.flops}, {"tokens", record.tokens}};
  for (const auto& [key, value] : counts)
    if (value > 0) line.emplace_back(key, value);
  line.insert(line.end(), record.more.begin(), record.more.end());
  out_ << Json(line).dump() << std::endl;
}

}  // namespace ajet::bench
