// Reads the WAL that a server would replay, and finds where it would stop.
//
// Segments are unpacked and decoded side by side, each by itself; what was found is put together in
// order, and nothing behind the stop counts. The rules are those of the server's
// recoveryStopsBefore() and recoveryStopsAfter(), the same from 13 to 18: the first record in the
// order of WAL that fits the target ends the replay, also when it lies before the backup is
// consistent.
//
// Units:    positions are Lsn, times are UTC to the microsecond.
// Memory:   about kSurveyBytesMax of segments, but always three of them.
// Threads:  blocks its caller; up to `workers` threads of its own call the loader.
// Errors:   corrupt (WAL that has to be there is no WAL), those of the loader, interrupted.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/wal_facts.h"
#include "engine/postgres/wal_segment.h"
#include "engine/restore/recovery_target.h"

namespace haul::restore {

inline constexpr std::uint64_t kSurveyBytesMax = 192 << 20;

// A segment as the server will find it.
struct WalPiece {
  postgres::WalSegment segment;
  // Of a tail and of a partial segment there is only the beginning.
  enum class Source : std::uint8_t { archive, backup, tail, partial } source = Source::archive;
  // What begins from here on does not count: it is not on the path.
  Lsn limit{std::numeric_limits<std::uint64_t>::max()};

  bool is_unfinished() const { return source == Source::tail || source == Source::partial; }

  bool operator==(const WalPiece&) const = default;
};

// The whole content of a piece; called from several threads.
using PieceLoader = std::function<Result<std::vector<std::byte>>(const WalPiece& piece)>;

// The end of a transaction that is replayed.
struct ReplayedTransaction {
  Lsn lsn;  // where its record begins
  std::uint32_t xid = 0;
  UtcTime time;
  postgres::TransactionEnd::Outcome outcome = postgres::TransactionEnd::Outcome::committed;

  bool operator==(const ReplayedTransaction&) const = default;
};

struct StopPoint {
  enum class Side : std::uint8_t { before, after };

  Side side = Side::before;
  Lsn lsn;  // where the record begins that replay stops at
  // Of what the record is, where it is the end of a transaction or a restore point.
  std::optional<ReplayedTransaction> transaction;
  std::optional<UtcTime> restore_point_time;
  // The backup is whole by then; else the server refuses to end here.
  bool is_consistent = false;
};

// A tablespace that replay makes, and in doing so removes what lies in its place.
struct ReplayedTablespace {
  Lsn lsn;
  std::uint32_t oid = 0;
  std::string path;  // absolute

  bool operator==(const ReplayedTablespace&) const = default;
};

struct Survey {
  std::optional<StopPoint> stop;  // nothing: the WAL ends first
  Lsn end;                        // of the last record that is replayed
  TimelineId timeline;            // of the end
  bool is_consistent = false;     // at the end
  std::string end_reason;         // why there is no more, where the WAL ended first
  std::optional<ReplayedTransaction> last_transaction;  // before the end
  std::vector<ReplayedTablespace> tablespaces;
  std::uint64_t records = 0;
  std::uint64_t segments = 0;
};

struct SurveyRequest {
  postgres::WalGeometry geometry;
  RecoveryTarget target;
  std::vector<WalPiece> pieces;  // one after another, the first one holds `start`
  TimelineId timeline;           // the last one of the path
  Lsn start;                     // of replay
  TimelineId start_timeline;
  // Where the backup is consistent: when a record is replayed that ends there or later; nothing:
  // from the start, as a cluster that was cleanly shut down is.
  Lsn consistent;
  PieceLoader load;
  std::size_t workers = 1;
  std::stop_token stop;
};

Result<Survey> survey_wal(const SurveyRequest& request);

}  // namespace haul::restore
