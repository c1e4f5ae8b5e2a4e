#include "tests/conformance/object_store_subjects.h"

#include "io/fault_directory.h"
#include "io/fault_ring.h"
#include "io/posix_directory.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/memory_object_store.h"
#include "tests/support/temporary_directory.h"

namespace haul::conformance {
namespace {

class PosixStoreSubject final : public StoreSubject {
 public:
  PosixStoreSubject()
      : store_(io::make_posix_object_store(io::open_posix_directory(top_.path()).take(), {})) {}

  io::ObjectStore& store() override { return *store_; }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<io::ObjectStore> store_;
};

class SimStoreSubject final : public StoreSubject {
 public:
  SimStoreSubject() : store_(io::make_posix_object_store(disk_.open("").take(), {})) {}

  io::ObjectStore& store() override { return *store_; }

 private:
  io::SimDisk disk_;
  std::unique_ptr<io::ObjectStore> store_;
};

class FaultStoreSubject final : public StoreSubject {
 public:
  FaultStoreSubject()
      : store_(io::make_posix_object_store(
            io::make_fault_directory(io::open_posix_directory(top_.path()).take(),
                                     io::parse_fault_plan("").take()),
            {})) {}

  io::ObjectStore& store() override { return *store_; }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<io::ObjectStore> store_;
};

// Written behind, by the rings that the kernel has.
class RingStoreSubject final : public StoreSubject {
 public:
  RingStoreSubject()
      : store_(io::make_posix_object_store(io::open_posix_directory(top_.path()).take(),
                                           {.rings = io::open_ring})) {}

  io::ObjectStore& store() override { return *store_; }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<io::ObjectStore> store_;
};

class ThreadRingOnSimSubject final : public StoreSubject {
 public:
  ThreadRingOnSimSubject()
      : store_(io::make_posix_object_store(
            disk_.open("").take(), {.rings = [](const io::RingOptions& options) {
              return Result<std::unique_ptr<io::Ring>>(
                  io::make_thread_ring(options.capacity, options.threads));
            }})) {}

  io::ObjectStore& store() override { return *store_; }

 private:
  io::SimDisk disk_;
  std::unique_ptr<io::ObjectStore> store_;
};

class FaultRingStoreSubject final : public StoreSubject {
 public:
  FaultRingStoreSubject() {
    const auto plan = io::parse_fault_plan("").take();
    store_ = io::make_posix_object_store(
        io::make_fault_directory(io::open_posix_directory(top_.path()).take(), plan),
        {.rings = io::make_fault_rings(io::open_ring, plan)});
  }

  io::ObjectStore& store() override { return *store_; }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<io::ObjectStore> store_;
};

class MemoryStoreSubject final : public StoreSubject {
 public:
  MemoryStoreSubject() : store_(support::make_memory_object_store()) {}

  io::ObjectStore& store() override { return *store_; }

 private:
  std::unique_ptr<io::ObjectStore> store_;
};

template <typename Subject>
std::unique_ptr<StoreSubject> make() {
  return std::make_unique<Subject>();
}

}  // namespace

std::vector<StoreKind> store_kinds() {
  return {
      {"Posix", make<PosixStoreSubject>},
      {"PosixOnSim", make<SimStoreSubject>},
      {"PosixWithFaultsOff", make<FaultStoreSubject>},
      {"PosixWithRings", make<RingStoreSubject>},
      {"PosixWithRingsOnSim", make<ThreadRingOnSimSubject>},
      {"PosixWithRingsAndFaultsOff", make<FaultRingStoreSubject>},
      {"Memory", make<MemoryStoreSubject>},
  };
}

}  // namespace haul::conformance
