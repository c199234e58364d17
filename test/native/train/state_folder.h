// A folder for a trainer's state, removed at the end of the test.
#pragma once

#include <filesystem>
#include <string>

#include "check.h"

namespace ajet::test {

class StateFolder {
 public:
  StateFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ajet_state_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw Failure("mkdtemp failed");
    path_ = pattern;
  }
  ~StateFolder() { std::filesystem::remove_all(path_); }
  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;
  std::string path() const { return path_.string(); }
  std::string state() const { return (path_ / "trainer_state.safetensors").string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace ajet::test
