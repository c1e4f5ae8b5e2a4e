// File systems that fail: one that is small, one that does what a fault_fs is told.
//
// Threads:  one owner at a time.
// Errors:   what fails here is a failure of the test; mounting takes root.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/integration/main_job/program.h"

namespace haul::integration {

// A file system in memory, of any size at any time.
class SmallFileSystem {
 public:
  SmallFileSystem(const Workshop& workshop, const std::string& name);
  ~SmallFileSystem();
  SmallFileSystem(const SmallFileSystem&) = delete;
  SmallFileSystem& operator=(const SmallFileSystem&) = delete;

  std::string path(const std::string& name) const { return place_ + "/" + name; }
  std::uint64_t used_bytes() const;
  // Room for so much more, whole pages.
  void leave_bytes(std::uint64_t size_bytes) const;
  void leave_plenty() const { leave_bytes(std::uint64_t{1} << 30); }

 private:
  const Workshop& workshop_;
  const std::string place_;
};

// A directory seen through tests/support/fault_fs.
class FaultFileSystem {
 public:
  FaultFileSystem(const Workshop& workshop, const std::string& source, const std::string& rules);
  ~FaultFileSystem();
  FaultFileSystem(const FaultFileSystem&) = delete;
  FaultFileSystem& operator=(const FaultFileSystem&) = delete;

  const std::string& path() const { return place_; }
  // Ends it; what it counted ("read", "injected", ...).
  std::map<std::string, std::uint64_t> unmount();

 private:
  const Workshop& workshop_;
  const std::string place_;
  pid_t process_ = 0;  // 0: ended
};

// An ext4 on a loop device on a file, which may lie on a fault_fs: then the kernel's own block
// layer reports the errors, to io_uring as well.
class DiskImage {
 public:
  // Makes the file, with an empty directory of the server's user: "top".
  static void make(const Workshop& workshop, const std::string& image);

  DiskImage(const Workshop& workshop, const std::string& image);
  ~DiskImage();
  DiskImage(const DiskImage&) = delete;
  DiskImage& operator=(const DiskImage&) = delete;

  std::string path(const std::string& name) const { return place_ + "/top/" + name; }
  // Names and attributes are in memory afterwards.
  void read_metadata() const;

 private:
  const Workshop& workshop_;
  const std::string place_;
};

}  // namespace haul::integration
