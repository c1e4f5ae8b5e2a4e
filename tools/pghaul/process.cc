#include "tools/pghaul/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "tools/pghaul/cli.h"
#include "tools/pghaul/exit_status.h"
#include "tools/pghaul/interruption.h"

namespace haul::cli {

namespace {

// Nothing that this program creates is anyone else's to read, and no core dump shows what it held.
void harden_process() {
  umask(077);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // A reader that went away is seen as a failed write.
  std::signal(SIGPIPE, SIG_IGN);
}

// Some 750 source files and 400 packs may be open at once. The soft limit is low for the sake of
// programs that call select(), which this one does not.
void raise_file_limit() {
  constexpr rlim_t kFiles = 4096;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kFiles) return;
  limit.rlim_cur = std::min(kFiles, limit.rlim_max);
  // Where it stays as it was, who opens one file too many says so.
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run_and_map_signal(const std::vector<std::string>& words, Platform& platform) {
  const Interruption interruption;
  Streams streams{&std::cout, &std::cerr, Streams::Err::file};
  if (isatty(STDERR_FILENO) != 0) streams.err_is = Streams::Err::terminal;
  const int status = run(words, streams, platform, interruption.stop_token());
  if (status != kInterrupted || interruption.signal_number() == 0) return status;
  return 128 + interruption.signal_number();
}

}  // namespace

int run_process(int argc, char** argv, Platform& platform) {
  int failure = kFailed;
  try {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    failure = failure_status(words);
    harden_process();
    raise_file_limit();
    std::ios::sync_with_stdio(false);
    return run_and_map_signal(words, platform);
  } catch (const std::exception& exception) {
    std::cerr << "pghaul: error: unexpected failure: " << exception.what() << std::endl;
  } catch (...) {
    std::cerr << "pghaul: error: unexpected failure" << std::endl;
  }
  return failure;
}

}  // namespace haul::cli
