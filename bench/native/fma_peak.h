// The most fused multiply-adds a second that the threads of a pool reach together, without any memory access.
#pragma once

namespace ajet {

class ThreadPool;

double fma_peak_gflops(ThreadPool& pool);

}  // namespace ajet
