#include "command_line.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"

namespace ajet::bench {
namespace {

[[noreturn]] void fail_value(const std::string& expected, const std::string& name, const std::string& value) {
  fail(ErrorCode::invalid_argument, "[bench] Expected " + expected + " for " + name + " but received \"" + value + '"');
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

double number(const std::string& name, const std::string& text, double least) {
  size_t read = 0;
  double value = 0;
  try {
    value = std::stod(text, &read);
  } catch (const std::exception&) {
    read = 0;
  }
  if (read == 0 || read != text.size() || !(value >= least)) {
    fail_value("a number from " + std::to_string(static_cast<int64_t>(least)) + " on", name, text);
  }
  return value;
}

const Figure& figure_named(const std::string& name) {
  const auto found = std::ranges::find(figures(), name, [](const Figure& figure) { return std::string(figure.name); });
  if (found != figures().end()) return *found;
  std::string names = "all";
  for (const Figure& figure : figures()) names += std::string(", ") + figure.name;
  fail_value("one of " + names, "the figure", name);
}

template <typename T>
T choice(const std::string& name, const std::string& text, const std::vector<std::pair<std::string, T>>& choices) {
  std::string names;
  for (const auto& [known, value] : choices) {
    if (known == text) return value;
    names += (names.empty() ? "" : ", ") + known;
  }
  fail_value("one of " + names, name, text);
}

void set_option(Options& options, const std::string& name, const std::string& value) {
  if (name == "--device") {
    options.device.device = value;
  } else if (name == "--dtype") {
    options.device.dtype = value;
  } else if (name == "--threads") {
    options.device.threads = static_cast<int>(number(name, value, 0));
  } else if (name == "--scale") {
    options.scale = choice<Scale>(name, value, {{"full", Scale::full}, {"small", Scale::small}});
  } else if (name == "--seconds") {
    options.seconds = number(name, value, 0);
  } else if (name == "--models") {
    options.models = split(value);
  } else if (name == "--batch-tokens") {
    options.batch_tokens = static_cast<int64_t>(number(name, value, 1));
  } else if (name == "--recompute") {
    options.recompute = choice<Recompute>(name, value, {{"none", Recompute::none}, {"layers", Recompute::layers}});
  } else if (name == "--offload") {
    options.offload = choice<OptimizerOffload>(name, value,
                                               {{"none", OptimizerOffload::none},
                                                {"moments", OptimizerOffload::moments},
                                                {"moments_and_master", OptimizerOffload::moments_and_master}});
  } else if (name == "--exchange") {
    options.exchange = value;
  } else {
    fail(ErrorCode::invalid_argument, "[bench] Unknown option " + name);
  }
}

}  // namespace

Command parse_command(const std::vector<std::string>& arguments) {
  Command command;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "all") {
      command.figures = figures();
    } else if (!name.starts_with("--")) {
      command.figures.push_back(figure_named(name));
    } else if (++i < arguments.size()) {
      set_option(command.options, name, arguments[i]);
    } else {
      fail(ErrorCode::invalid_argument, "[bench] Expected a value behind " + name);
    }
  }
  if (command.figures.empty()) figure_named("");
  return command;
}

}  // namespace ajet::bench
