// WAL as a cluster's life writes it, record by record, on one timeline after another.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/restore/wal_survey.h"
#include "engine/wal/wal_archive.h"
#include "tests/support/wal_stream.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {

inline constexpr std::uint32_t kSegmentBytes = 1U << 20;

// So many seconds and microseconds after 2026-11-24 10:00:00 UTC.
UtcTime at(std::int64_t seconds, std::int64_t microseconds = 0);

postgres::WalGeometry test_geometry(int server_major = 15);

class WalScript {
 public:
  // Begins with segment 3 of timeline 1.
  explicit WalScript(int server_major = 15);
  // A timeline that leaves another one where that now ends.
  WalScript branch(TimelineId timeline) const;

  // Each returns where its record begins.
  Lsn filler(std::size_t bytes = 100);
  Lsn commit(std::uint32_t xid, UtcTime time);
  Lsn abort(std::uint32_t xid, UtcTime time);
  Lsn commit_prepared(std::uint32_t xid, UtcTime time);
  Lsn restore_point(std::string_view name, UtcTime time);
  Lsn create_tablespace(std::uint32_t oid, std::string_view path);
  Lsn shutdown_checkpoint();
  // Begins a timeline.
  Lsn end_of_recovery(TimelineId timeline, TimelineId previous);
  // As many records as lead to the segment after the next `count` ends.
  void fill_segments(std::size_t count);
  void switch_segment() { stream_.append_switch(); }

  Lsn position() const { return stream_.position(); }
  TimelineId timeline() const { return timeline_; }
  // By number: every segment that was begun.
  std::map<std::uint64_t, std::string> segments() const;

 private:
  support::WalStream stream_;
  TimelineId timeline_{1};
};

// Everything of it into the archive of the cluster "main", but for segments named in `without`.
void archive(TestRepository& repository, const WalScript& script,
             const std::vector<std::uint64_t>& without = {});
// Of its last segment so many bytes, as a receiver stores them, all that there is by default; the
// key of the piece.
std::string archive_tail(TestRepository& repository, const WalScript& script,
                         std::uint32_t size_bytes = 0);
// Its last segment, as a server archives it when it leaves the timeline.
void archive_partial(TestRepository& repository, const WalScript& script);
// "00000002.history": timeline 2 left timeline 1 at `point`; several for later ones.
void archive_history(TestRepository& repository, TimelineId timeline, const std::string& text);

// Facts and label of an online backup that began and ended there.
struct BackupSpan {
  Lsn start;
  Lsn stop;
  UtcTime stop_time;
  TimelineId timeline{1};
};
BackupBuilder& online_between(BackupBuilder& builder, const BackupSpan& span);

}  // namespace haul::restore
