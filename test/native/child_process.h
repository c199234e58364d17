// A second process, forked, that tells its maker lines of text.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "check.h"

namespace ajet::test {

class ChildProcess {
 public:
  using Tell = std::function<void(const std::string&)>;

  // The body's value is the exit code; what it throws is printed, and the code is 99. It must not use threads of its
  // maker.
  explicit ChildProcess(const std::function<int(const Tell&)>& body) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    std::fflush(nullptr);
    pid_ = fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      close(ends[0]);
      _exit(run(body, ends[1]));
    }
    close(ends[1]);
    lines_ = fdopen(ends[0], "r");
  }
  ~ChildProcess() {
    if (!waited_) {
      kill(SIGKILL);
      wait();
    }
    std::fclose(lines_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next line; waits for it.
  std::string hear() const {
    char line[256];
    if (std::fgets(line, sizeof(line), lines_) == nullptr) return "";
    const std::string text = line;
    return text.substr(0, text.find('\n'));
  }
  void kill(int signal_number) const { ::kill(pid_, signal_number); }
  // Its exit code, or minus the signal that ended it.
  int wait() const {
    int status = 0;
    waitpid(pid_, &status, 0);
    waited_ = true;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  // Until it has ended but is not waited for.
  void await_zombie() const {
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }

 private:
  static int run(const std::function<int(const Tell&)>& body, int descriptor) {
    try {
      return body([descriptor](const std::string& text) { dprintf(descriptor, "%s\n", text.c_str()); });
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      return 99;
    }
  }

  pid_t pid_;
  std::FILE* lines_;
  mutable bool waited_ = false;
};

}  // namespace ajet::test
