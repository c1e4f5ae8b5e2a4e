// The WAL of a lineage as pages: each segment from the archive, or else from a server's pg_wal.
//
// Of a segment in which timelines change it is the newer one's, which begins with the older one's
// pages.
//
// Memory:   a frame of 1 MiB, stored and unpacked.
// Threads:  one owner at a time; sources of one WalRoute side by side.
// Errors:   corrupt (also: WAL of another system, release or size), those of store and directory.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/postgres/wal_reader.h"
#include "engine/wal/timeline_history.h"
#include "engine/wal/wal_object.h"
#include "io/directory.h"

namespace haul::wal {

struct WalRoute {
  repository::Cluster cluster;
  postgres::WalGeometry geometry;
  TimelineHistory lineage;
  // A server's pg_wal; may be null. Outlives the route.
  io::Directory* wal_directory = nullptr;

  postgres::WalSegment segment(std::uint64_t number) const;
  WalName name(const postgres::WalSegment& segment) const;
};

class LineageSource final : public postgres::WalPageSource {
 public:
  // The route outlives the source.
  explicit LineageSource(const WalRoute& route) : route_(&route) {}

  Result<ByteSpan> pages_at(Lsn page) override;

  // The newest timeline of the segments that pages came from.
  TimelineId newest_timeline() const { return newest_timeline_; }
  // Of what was read, in whole frames.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  Status enter(std::uint64_t number);
  Status load(std::size_t frame);
  Result<std::vector<std::byte>> read_file(std::size_t frame) const;

  const WalRoute* route_;
  std::optional<std::uint64_t> number_;  // of the segment that is open
  std::optional<WalFrames> archived_;
  std::unique_ptr<io::File> file_;
  std::optional<std::size_t> frame_;  // that is loaded
  std::vector<std::byte> from_file_;
  ByteSpan content_;
  TimelineId newest_timeline_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace haul::wal
