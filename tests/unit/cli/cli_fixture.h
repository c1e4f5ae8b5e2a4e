// The whole command line in process, on a simulated disk with a cluster that was shut down.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/fault_directory.h"
#include "io/sim_directory.h"
#include "tests/support/sim_host.h"
#include "tools/pghaul/cli.h"
#include "tools/pghaul/option_table.h"

namespace haul::cli {

// A machine that exists in memory only.
class TestPlatform final : public Platform {
 public:
  Result<std::unique_ptr<io::Directory>> open_directory(const std::string& path) override;
  Result<std::string> read_text(const std::string& path) override;
  std::optional<std::string> variable(const std::string& name) override;
  std::string working_directory() override { return "/here"; }
  repository::LocalOwner repository_owner() override { return owner; }
  void give_way() override { gives_way = true; }
  io::RingFactory rings() override { return io::open_ring; }
  wal::Host& host() override { return host_; }
  std::string boot_id() override { return "boot"; }
  Clock& clock() override { return clock_; }
  Random& random() override { return random_; }

  io::SimDisk disk;
  std::map<std::string, std::string> texts;
  std::map<std::string, std::string> variables;
  repository::LocalOwner owner = repository::LocalOwner::process;
  // Applied to every directory opened from now on, where there is one.
  std::shared_ptr<io::FaultPlan> faults;
  // The open_directory() of this number fails; 0: none does.
  std::uint64_t failing_open = 0;
  std::uint64_t opens = 0;
  bool gives_way = false;

 private:
  SystemClock clock_;
  SeededRandom random_{1};
  support::SimHost host_{disk};
};

struct Outcome {
  int status = 0;
  std::string out;
  std::string err;

  // What was printed as one JSON object.
  Json json() const { return Json::parse(out).value(); }
};

class Program {
 public:
  Outcome operator()(const std::vector<std::string>& words);
  // With --repo=/repo appended.
  Outcome on_repository(std::vector<std::string> words);

  // A cluster in /data, a repository in /repo.
  void make_cluster_and_repository();
  // An offline backup of /data; its name.
  std::string back_up();
  std::unique_ptr<io::Directory> top() { return platform.disk.open("").value(); }
  std::vector<std::string> objects(const std::string& part);
  void flip_byte(const std::string& path, std::uint64_t offset);

  TestPlatform platform;
  std::stop_source stop;
};

// What calls a command: its name's words, and as many arguments as it needs.
std::vector<std::string> words_calling(const CommandSpec& command);
// The text of a file of the source tree.
std::string source_file(const std::string& path);

}  // namespace haul::cli
