// pghaul with faults: every directory that it opens fails as PGHAUL_FAULTS says
// (io/fault_directory.h has the grammar). Never installed.

#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>

#include "io/fault_directory.h"
#include "tools/pghaul/process.h"

namespace {

class FaultyPlatform final : public haul::cli::PosixPlatform {
 public:
  explicit FaultyPlatform(std::shared_ptr<haul::io::FaultPlan> plan) : plan_(std::move(plan)) {}

  haul::Result<std::unique_ptr<haul::io::Directory>> open_directory(
      const std::string& path) override {
    auto directory = PosixPlatform::open_directory(path);
    if (!directory) return directory;
    return haul::io::make_fault_directory(std::move(directory).take(), plan_);
  }

 private:
  const std::shared_ptr<haul::io::FaultPlan> plan_;
};

}  // namespace

int main(int argc, char** argv) {
  const char* text = std::getenv("PGHAUL_FAULTS");
  auto plan = haul::io::parse_fault_plan(text == nullptr ? "" : text);
  if (!plan) {
    std::cerr << "pghaul_faulty: " << plan.error().message() << std::endl;
    return 2;
  }
  FaultyPlatform platform(std::move(plan).take());
  return haul::cli::run_process(argc, argv, platform);
}
