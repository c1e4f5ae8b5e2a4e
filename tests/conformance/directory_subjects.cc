#include "tests/conformance/directory_subjects.h"

#include <fcntl.h>

#include "base/assert.h"
#include "io/fault_directory.h"
#include "io/internal/posix_directory.h"
#include "io/posix_directory.h"
#include "io/sim_directory.h"
#include "tests/support/temporary_directory.h"

namespace haul::conformance {
namespace {

class PosixSubject final : public DirectorySubject {
 public:
  std::unique_ptr<io::Directory> open() override {
    return io::open_posix_directory(top_.path()).take();
  }

 private:
  support::TemporaryDirectory top_;
};

class ReducedPosixSubject final : public DirectorySubject {
 public:
  explicit ReducedPosixSubject(io::internal::PosixFeatures features) : features_(features) {}

  std::unique_ptr<io::Directory> open() override {
    io::UniqueFd root(::open(top_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    HAUL_ASSERT(root);
    return io::internal::make_posix_directory(std::move(root), top_.path(), features_);
  }

 private:
  const io::internal::PosixFeatures features_;
  support::TemporaryDirectory top_;
};

class SimSubject final : public DirectorySubject {
 public:
  std::unique_ptr<io::Directory> open() override { return disk_.open("").take(); }

 private:
  io::SimDisk disk_;
};

class FaultSubject final : public DirectorySubject {
 public:
  std::unique_ptr<io::Directory> open() override {
    return io::make_fault_directory(io::open_posix_directory(top_.path()).take(),
                                    io::parse_fault_plan("").take());
  }

 private:
  support::TemporaryDirectory top_;
};

template <typename Subject>
std::unique_ptr<DirectorySubject> make() {
  return std::make_unique<Subject>();
}

}  // namespace

std::vector<DirectoryKind> directory_kinds() {
  return {
      {"Posix", make<PosixSubject>},
      {"PosixNamedTemporaries",
       []() -> std::unique_ptr<DirectorySubject> {
         return std::make_unique<ReducedPosixSubject>(
             io::internal::PosixFeatures{.nameless_files = false, .rename_noreplace = true});
       }},
      {"PosixLinksOnly",
       []() -> std::unique_ptr<DirectorySubject> {
         return std::make_unique<ReducedPosixSubject>(
             io::internal::PosixFeatures{.nameless_files = false, .rename_noreplace = false});
       }},
      {"Sim", make<SimSubject>},
      {"FaultWithoutRules", make<FaultSubject>},
  };
}

}  // namespace haul::conformance
