// The program without its process: parses, runs a command, prints, and returns the exit status.
//
// Threads:  run() blocks its caller; several may run at once.
#pragma once

#include <ostream>
#include <span>
#include <stop_token>
#include <string>

#include "tools/pghaul/platform.h"

namespace haul::cli {

struct Streams {
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  enum class Err { file, terminal } err_is = Err::file;
};

// "pghaul 0.1.0"
std::string program_version();

// The status of a failure that run() had no part in.
int failure_status(std::span<const std::string> words);

// `words` are the arguments without the program's own name. A request to stop ends the command in
// order, with the status of an interruption.
int run(std::span<const std::string> words, const Streams& streams, Platform& platform,
        std::stop_token stop);

}  // namespace haul::cli
