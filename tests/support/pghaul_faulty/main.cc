// pghaul with faults: every directory that it opens fails as PGHAUL_FAULTS says
// (io/fault_directory.h has the grammar). Never installed.
//
// PGHAUL_FAULT_COUNTS names a file that is to tell how often each operation was called, a line
// "<operation> <calls>" each: the points at which a fault can be put.

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <utility>

#include "io/fault_directory.h"
#include "io/fault_ring.h"
#include "tools/pghaul/process.h"

namespace {

constexpr const char* kOperations[] = {
    "any",
    "mutate",
    "open",
    "open_directory",
    "create",
    "publish",
    "info",
    "list",
    "publish_over",
    "read_link",
    "set_mode",
    "set_owner",
    "make_link",
    "make_directory",
    "read",
    "write",
    "remove_file",
    "sync_directory",
    "resize",
    "preallocate",
    "sync_file_system",
    "remove_directory",
    "sync",
    "close",
};

class FaultyPlatform final : public haul::cli::PosixPlatform {
 public:
  explicit FaultyPlatform(std::shared_ptr<haul::io::FaultPlan> plan) : plan_(std::move(plan)) {}

  haul::Result<std::unique_ptr<haul::io::Directory>> open_directory(
      const std::string& path) override {
    auto directory = PosixPlatform::open_directory(path);
    if (!directory) return directory;
    return haul::io::make_fault_directory(std::move(directory).take(), plan_);
  }

  haul::io::RingFactory rings() override {
    return haul::io::make_fault_rings(PosixPlatform::rings(), plan_);
  }

 private:
  const std::shared_ptr<haul::io::FaultPlan> plan_;
};

bool write_counts(const haul::io::FaultPlan& plan, const char* path) {
  std::ofstream file(path);
  for (const char* operation : kOperations) {
    file << operation << ' ' << plan.calls(operation) << '\n';
  }
  file.close();
  return !file.fail();
}

}  // namespace

int main(int argc, char** argv) {
  const char* text = std::getenv("PGHAUL_FAULTS");
  const char* counts = std::getenv("PGHAUL_FAULT_COUNTS");
  auto plan = haul::io::parse_fault_plan(text == nullptr ? "" : text);
  if (!plan) {
    std::cerr << "pghaul_faulty: " << plan.error().message() << std::endl;
    return 2;
  }
  FaultyPlatform platform(*plan);
  const int status = haul::cli::run_process(argc, argv, platform);
  if (counts != nullptr && !write_counts(**plan, counts)) {
    std::cerr << "pghaul_faulty: cannot write " << counts << std::endl;
    return 2;
  }
  return status;
}
