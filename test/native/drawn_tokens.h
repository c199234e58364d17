// What Backend::sample() and top_logprobs() leave in device memory, as the host reads it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace ajet::test {

// Calls queue(drawn) with device memory for `count` tokens.
template <typename Queue>
std::vector<TokenLogprob> read_drawn(Backend& backend, size_t count, const Queue& queue) {
  const size_t bytes = count * sizeof(TokenLogprob);
  const Buffer buffer = backend.allocate(bytes);
  queue(std::span(static_cast<TokenLogprob*>(buffer.data()), count));
  const std::unique_ptr<Readback> readback = backend.make_readback(bytes);
  readback->start(buffer.data(), bytes);
  const auto* first = static_cast<const TokenLogprob*>(readback->wait());
  return {first, first + count};
}

}  // namespace ajet::test
