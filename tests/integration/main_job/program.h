// Runs the built pghaul as the server's user, from a place that user can reach.
//
// Threads:  one owner at a time; run() may be called from several.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

struct Outcome {
  int status = -1;  // exit status; 128 + signal
  std::string out;
  std::string err;
};

// A private directory of the server's user with a copy of the programs, and everything a test puts
// there; removed at the end.
class Workshop {
 public:
  Workshop();
  ~Workshop();
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  // Any shell command, as the server's user or as whoever runs the test.
  Outcome shell_as_server(const std::string& command) const;
  Outcome shell(const std::string& command) const;
  // pghaul with these arguments, as the server's user.
  Outcome pghaul(const std::string& arguments) const;
  // The same with faults (io/fault_directory.h).
  Outcome pghaul_with_faults(const std::string& faults, const std::string& arguments) const;
  // Started in the background; the outcome is collected by wait_for().
  pid_t start_pghaul(const std::string& arguments) const;
  Outcome wait_for(pid_t process) const { return wait_for(process, "background"); }
  // A shell command as whoever runs the test; `output` tells such processes apart.
  pid_t start(const std::string& command, const std::string& output) const;
  Outcome wait_for(pid_t process, const std::string& output) const;

 private:
  std::string directory_;
};

// The one JSON object on standard output.
Json json_of(const Outcome& outcome);

}  // namespace haul::integration
