#include "tests/integration/faults/mounts.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "base/format.h"

namespace haul::integration {

namespace {

constexpr const char* kOutput = "fault_fs";

bool is_mounted(const std::string& place) {
  struct stat there{};
  struct stat above{};
  return ::stat(place.c_str(), &there) == 0 && ::stat((place + "/..").c_str(), &above) == 0 &&
         there.st_dev != above.st_dev;
}

void must_succeed(const Workshop& workshop, const std::string& command) {
  const Outcome outcome = workshop.shell(command);
  EXPECT_EQ(outcome.status, 0) << command << ": " << outcome.err;
}

}  // namespace

SmallFileSystem::SmallFileSystem(const Workshop& workshop, const std::string& name)
    : workshop_(workshop), place_(workshop.path(name)) {
  must_succeed(workshop_, "mkdir -p " + place_);
  must_succeed(workshop_, format("mount -t tmpfs -o mode=0777,size=1g none {}", place_));
}

SmallFileSystem::~SmallFileSystem() { must_succeed(workshop_, "umount -l " + place_); }

std::uint64_t SmallFileSystem::used_bytes() const {
  struct statvfs info{};
  EXPECT_EQ(::statvfs(place_.c_str(), &info), 0);
  return (info.f_blocks - info.f_bfree) * info.f_frsize;
}

void SmallFileSystem::leave_bytes(std::uint64_t size_bytes) const {
  // Less than a page would be no limit at all.
  const std::uint64_t limit_bytes = std::max<std::uint64_t>(used_bytes() + size_bytes, 4096);
  must_succeed(workshop_, format("mount -o remount,size={} {}", limit_bytes, place_));
}

FaultFileSystem::FaultFileSystem(const Workshop& workshop, const std::string& source,
                                 const std::string& rules)
    : workshop_(workshop), place_(workshop.path("view")) {
  must_succeed(workshop_, "mkdir -p " + place_);
  process_ =
      workshop_.start(format("exec {} {} {} {}", HAUL_FAULT_FS, source, place_, rules), kOutput);
  for (int i = 0; i < 500 && !is_mounted(place_); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(is_mounted(place_));
}

FaultFileSystem::~FaultFileSystem() { unmount(); }

std::map<std::string, std::uint64_t> FaultFileSystem::unmount() {
  std::map<std::string, std::uint64_t> counts;
  if (process_ == 0) return counts;
  must_succeed(workshop_, "umount " + place_);
  const Outcome outcome = workshop_.wait_for(process_, kOutput);
  process_ = 0;
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  std::string name;
  for (std::uint64_t count = 0; lines >> name >> count;) counts[name] = count;
  return counts;
}

void DiskImage::make(const Workshop& workshop, const std::string& image) {
  must_succeed(workshop, format("truncate -s 128M {0} && /sbin/mkfs.ext4 -q -F {0}", image));
  const DiskImage disk(workshop, image);
  must_succeed(workshop, format("mkdir -m 0700 {0} && chown --reference={1} {0}", disk.path(""),
                                workshop.path("")));
}

DiskImage::DiskImage(const Workshop& workshop, const std::string& image)
    : workshop_(workshop), place_(workshop.path("disk")) {
  must_succeed(workshop_, "mkdir -p " + place_);
  must_succeed(workshop_, format("mount -o loop {} {}", image, place_));
}

DiskImage::~DiskImage() { must_succeed(workshop_, "umount " + place_); }

void DiskImage::read_metadata() const {
  must_succeed(workshop_, format("find {} -size +1 | wc -l", path("")));
}

}  // namespace haul::integration
