#include "infer/pipeline.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace ajet {

Pipeline::Pipeline(std::shared_ptr<Model> model, const EngineConfig& config)
    : model_(std::move(model)), recorded_(config.recorded), sampler_(model_, config.max_sequences) {
  Backend& backend = *model_->backend();
  hidden_buffer_ = backend.allocate(engine_bytes(config, model_->config(), backend).hidden);
  for (Pass& pass : passes_)
    pass.readback = backend.make_readback(Sampler::max_drawn(config.max_sequences) * sizeof(TokenLogprob));
}

void Pipeline::launch(const Schedule& schedule, const KvCache& cache, uint64_t version) {
  if (in_flight_ == max_in_flight) fail(ErrorCode::internal, "[engine] Expected a free pass");
  Backend& backend = *model_->backend();
  for (const BlockCopy& copy : schedule.copies) backend.kv_copy_block(cache, copy.to, copy.from, copy.tokens);
  batch_.build(schedule.runs);
  const int64_t width = model_->config().hidden_size;
  const Tensor hidden{hidden_buffer_.data(), cache.dtype, schedule.rows, width, width};
  const auto compute = [&] {
    model_->forward_paged(hidden, batch_.tokens(), batch_.layout(), cache, sampler_.drawn());
    sampler_.draw(hidden, batch_.due_rows(), batch_.due_sequences());
  };
  if (recorded_ && batch_.all_decode()) {
    backend.run_recorded({this, schedule.rows}, compute);
  } else {
    compute();
  }
  Pass& pass = passes_[(first_ + in_flight_) % max_in_flight];
  pass.version = version;
  pass.due.clear();
  for (Sequence* sequence : batch_.due_sequences()) {
    sequence->drawn_row = static_cast<int32_t>(pass.due.size());
    pass.due.push_back({sequence, sequence->sampling.top_logprobs});
  }
  pass.readback->start(sampler_.drawn().data(), sampler_.drawn().size_bytes());
  ++in_flight_;
}

void Pipeline::wait() {
  Pass& pass = oldest();
  pass.drawn = static_cast<const TokenLogprob*>(pass.readback->wait());
  for (size_t i = 0; i < pass.due.size(); ++i) {
    if (pass.due[i].sequence == nullptr || pass.drawn[i].token >= 0) continue;
    fail(ErrorCode::numeric, "[engine.step] Expected finite logits but received NaN or infinity for request " +
                                 std::to_string(pass.due[i].sequence->request));
  }
}

std::vector<Drawn> Pipeline::take() {
  Pass& pass = oldest();
  std::vector<Drawn> all;
  const TokenLogprob* top = pass.drawn + pass.due.size();
  for (size_t i = 0; i < pass.due.size(); ++i) {
    const auto [sequence, top_logprobs] = pass.due[i];
    const TokenLogprob* end = top + top_logprobs;
    if (sequence != nullptr) {
      TokenEvent& event = all.emplace_back(Drawn{sequence, {}}).event;
      event.request = sequence->request;
      event.choice = sequence->choice;
      event.token = pass.drawn[i].token;
      event.logprob = pass.drawn[i].logprob;
      event.version = pass.version;
      for (const TokenLogprob* entry = top; entry != end; ++entry) {
        event.top_tokens.push_back(entry->token);
        event.top_logprobs.push_back(entry->logprob);
      }
    }
    top = end;
  }
  first_ = (first_ + 1) % max_in_flight;
  --in_flight_;
  return all;
}

void Pipeline::forget(uint64_t request, std::optional<int32_t> choice) {
  for (size_t i = 0; i < in_flight_; ++i) {
    for (Due& due : passes_[(first_ + i) % max_in_flight].due) {
      const Sequence* sequence = due.sequence;
      if (sequence != nullptr && sequence->request == request && sequence->choice == choice.value_or(sequence->choice))
        due.sequence = nullptr;
    }
  }
}

void Pipeline::drop() { in_flight_ = 0; }

}  // namespace ajet
