// What the command line reaches for outside itself; tests bring their own.
//
// Threads:  every function may be called from any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/host.h"

namespace haul::cli {

class Platform {
 public:
  virtual ~Platform() = default;

  // Opens an existing directory by its absolute path; everything on disk is reached through this.
  virtual Result<std::unique_ptr<io::Directory>> open_directory(const std::string& path) = 0;
  // A small text file by its path; for the configuration.
  virtual Result<std::string> read_text(const std::string& path) = 0;
  // An environment variable.
  virtual std::optional<std::string> variable(const std::string& name) = 0;
  // Relative paths start here; absolute.
  virtual std::string working_directory() = 0;
  virtual repository::LocalOwner repository_owner() = 0;
  // Lets every other program on this machine go first on its processors, from now on.
  virtual void give_way() = 0;
  // Through which files are read and written.
  virtual io::RingFactory rings() = 0;
  virtual wal::Host& host() = 0;
  // Changes with every start of the machine.
  virtual std::string boot_id() = 0;
  virtual Clock& clock() = 0;
  virtual Random& random() = 0;
};

// This machine and this process.
class PosixPlatform : public Platform {
 public:
  Result<std::unique_ptr<io::Directory>> open_directory(const std::string& path) override;
  Result<std::string> read_text(const std::string& path) override;
  std::optional<std::string> variable(const std::string& name) override;
  std::string working_directory() override;
  repository::LocalOwner repository_owner() override;
  void give_way() override;
  io::RingFactory rings() override;
  wal::Host& host() override { return *host_; }
  std::string boot_id() override;
  Clock& clock() override { return clock_; }
  Random& random() override { return random_; }

 private:
  SystemClock clock_;
  SystemRandom random_;
  const std::unique_ptr<wal::Host> host_ = wal::make_local_host();
};

}  // namespace haul::cli
