// Runs programs of the server, as its user.
//
// Memory:   at most kOutputBytesMax of what a program prints, the last of it.
// Threads:  run() blocks its caller.
// Errors:   not_found and permission (the program cannot be run), io, interrupted.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/posix_object_store.h"

namespace haul::restore {

struct ProgramOutcome {
  static constexpr std::size_t kOutputBytesMax = 65536;

  int status = -1;     // exit status; 128 and the signal
  std::string output;  // of both streams
};

class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;
  // The first word is a path, or a name to be looked for in PATH. Standard input is empty, the
  // working directory the top. A stop ends the program.
  virtual Result<ProgramOutcome> run(const std::vector<std::string>& command,
                                     std::stop_token stop) = 0;
};

// This machine's programs. With a user root becomes that one first.
class SystemProgramRunner final : public ProgramRunner {
 public:
  explicit SystemProgramRunner(std::optional<io::FileOwner> user) : user_(user) {}

  Result<ProgramOutcome> run(const std::vector<std::string>& command,
                             std::stop_token stop) override;

 private:
  const std::optional<io::FileOwner> user_;
};

}  // namespace haul::restore
