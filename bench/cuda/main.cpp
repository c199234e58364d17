// What a device reaches, figure by figure, one JSON line a measurement on stdout.
//   ajet_bench_cuda FIGURE... [options of command_line.h]
#include <cstdio>
#include <exception>
#include <iostream>

#include "command_line.h"

int main(int argc, char** argv) {
  using namespace ajet::bench;
  try {
    const Command command = parse_command({argv + 1, argv + argc});
    Bench bench(command.options, std::cout);
    for (const Figure& figure : command.figures) figure.run(bench);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
