#include "binding/call_arrays.h"

#include <cmath>
#include <string>

#include "base/error.h"
#include "binding/options.h"
#include "binding/typed_arrays.h"

namespace ajet::binding {
namespace {

[[noreturn]] void refuse(const char* op, const std::string& what) {
  fail(ErrorCode::invalid_argument, std::string("[") + op + "] Expected " + what);
}

std::string element(const char* name, size_t index) {
  return '`' + std::string(name) + '[' + std::to_string(index) + "]`";
}

void check_offsets(const char* op, const char* name, const std::vector<int32_t>& offsets, size_t calls, size_t length) {
  bool valid = offsets.size() == calls + 1 && offsets.front() == 0 && offsets.back() == static_cast<int64_t>(length);
  for (size_t i = 0; valid && i < calls; ++i) valid = offsets[i] <= offsets[i + 1];
  if (!valid) {
    refuse(op, std::to_string(calls + 1) + " ascending offsets from 0 to " + std::to_string(length) + " for `" + name +
                   '`');
  }
}

void check_tokens(const char* op, const char* name, const std::vector<int32_t>& tokens, int64_t vocab_size) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab_size) {
      refuse(op, "token ids in [0, " + std::to_string(vocab_size) + ") for " + element(name, i) + " but received " +
                     std::to_string(tokens[i]));
    }
  }
}

void check_values(const char* op, const CallArrays& calls, int64_t episodes) {
  for (size_t i = 0; i < calls.episodes.size(); ++i) {
    if (calls.episodes[i] < 0 || calls.episodes[i] >= episodes) {
      refuse(op, "an episode in [0, " + std::to_string(episodes) + ") for " + element("episode", i) + " but received " +
                     std::to_string(calls.episodes[i]));
    }
    if (!std::isfinite(calls.temperatures[i]) || calls.temperatures[i] < 0) {
      refuse(op, "a finite number >= 0 for " + element("temperature", i) + " but received " +
                     std::to_string(calls.temperatures[i]));
    }
    const int32_t logprobs = calls.logprob_offsets[i + 1] - calls.logprob_offsets[i];
    const int32_t sampled = calls.sampled_offsets[i + 1] - calls.sampled_offsets[i];
    if (logprobs != 0 && logprobs != sampled) {
      refuse(op, std::to_string(sampled) + " values (one a sampled token, or none) for " + element("logprobs", i) +
                     " but received " + std::to_string(logprobs));
    }
  }
  for (size_t i = 0; i < calls.logprobs.size(); ++i) {
    if (!std::isfinite(calls.logprobs[i])) refuse(op, "finite values for " + element("logprobs", i));
  }
  for (size_t i = 0; i < calls.masks.size(); ++i) {
    if (calls.masks[i] > 1) {
      refuse(op, "0 or 1 for " + element("mask", i) + " but received " + std::to_string(calls.masks[i]));
    }
  }
}

}  // namespace

std::vector<CallChoice> CallArrays::choices() const {
  std::vector<CallChoice> out;
  out.reserve(episodes.size());
  const auto range = [](const auto& values, const std::vector<int32_t>& offsets, size_t i) {
    return std::span(values).subspan(static_cast<size_t>(offsets[i]), static_cast<size_t>(offsets[i + 1] - offsets[i]));
  };
  for (size_t i = 0; i < episodes.size(); ++i) {
    out.push_back({episodes[i], range(prompts, prompt_offsets, i), range(sampled, sampled_offsets, i),
                   range(logprobs, logprob_offsets, i), temperatures[i],
                   masks.empty() ? std::span<const uint8_t>() : range(masks, sampled_offsets, i)});
  }
  return out;
}

CallArrays copy_calls(const char* op, Napi::Value value, int64_t episodes, int64_t vocab_size) {
  Options fields(op, value);
  CallArrays calls;
  calls.episodes = copy_int32(op, "episodes", fields.value("episodes"));
  calls.temperatures = copy_float32(op, "temperatures", fields.value("temperatures"));
  calls.prompt_offsets = copy_int32(op, "promptOffsets", fields.value("promptOffsets"));
  calls.prompts = copy_int32(op, "prompts", fields.value("prompts"));
  calls.sampled_offsets = copy_int32(op, "sampledOffsets", fields.value("sampledOffsets"));
  calls.sampled = copy_int32(op, "sampled", fields.value("sampled"));
  calls.logprob_offsets = copy_int32(op, "logprobOffsets", fields.value("logprobOffsets"));
  calls.logprobs = copy_float32(op, "logprobs", fields.value("logprobs"));
  if (fields.given("masks")) calls.masks = copy_uint8(op, "masks", fields.value("masks"));

  const size_t count = calls.episodes.size();
  if (calls.temperatures.size() != count) refuse(op, "one temperature a call");
  check_offsets(op, "promptOffsets", calls.prompt_offsets, count, calls.prompts.size());
  check_offsets(op, "sampledOffsets", calls.sampled_offsets, count, calls.sampled.size());
  check_offsets(op, "logprobOffsets", calls.logprob_offsets, count, calls.logprobs.size());
  if (!calls.masks.empty() && calls.masks.size() != calls.sampled.size()) {
    refuse(op, std::to_string(calls.sampled.size()) + " values for `masks` but received " +
                   std::to_string(calls.masks.size()));
  }
  for (size_t i = 0; i < count; ++i) {
    if (calls.prompt_offsets[i] == calls.prompt_offsets[i + 1])
      refuse(op, "at least 1 token for " + element("prompt", i));
  }
  check_tokens(op, "prompt", calls.prompts, vocab_size);
  check_tokens(op, "sampled", calls.sampled, vocab_size);
  check_values(op, calls, episodes);
  return calls;
}

}  // namespace ajet::binding
