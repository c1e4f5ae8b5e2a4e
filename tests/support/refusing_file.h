// A file that can do nothing, for tests to teach the one thing they need.
//
// Threads:  one owner at a time.
// Errors:   io for everything.
#pragma once

#include "io/file.h"

namespace haul::support {

class RefusingFile : public io::File {
 public:
  Result<std::size_t> read_at(std::uint64_t, MutableByteSpan) override { return refused(); }
  Status write_at(std::uint64_t, ByteSpan) override { return refused(); }
  Status resize(std::uint64_t) override { return refused(); }
  Status preallocate(std::uint64_t) override { return refused(); }
  Status end_direct() override { return refused(); }
  Status set_mode(std::uint32_t) override { return refused(); }
  Status set_owner(std::uint32_t, std::uint32_t) override { return refused(); }
  Result<io::FileInfo> info() override { return refused(); }
  Status sync() override { return refused(); }
  Status finish() override { return refused(); }
  std::optional<int> descriptor() const override { return std::nullopt; }

 private:
  static Error refused() { return {ErrorCode::io, "not scripted"}; }
};

}  // namespace haul::support
