// Reads WAL record by record, over pages and segments, from whoever has the pages.
//
// Serves two ways of reading: a long range in order, and each segment on its own, in parallel: a
// record that began before the first page is skipped, one that begins before the last byte wanted
// is completed from the pages behind it.
//
// Units:    positions are Lsn, sizes are bytes.
// Memory:   one record that lies on more than one page; else records stay where the source has
// them. Grows with the pages of a record as they come, never by what a length alone says.
// Threads:  one owner at a time; readers of one source each, side by side.
// Errors:   usage, unsupported (open); corrupt, not_found (a range that has to be there); those of
// the source.
// Format:   PostgreSQL's xlog_internal.h and xlogrecord.h, 13 to 18.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/wal_record.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres {

// Where pages come from: a directory, an archive, memory. Asked for a run of pages at a time, in
// ascending order but for the first page of a segment, which may be asked for first.
class WalPageSource {
 public:
  virtual ~WalPageSource() = default;
  // Whole pages from the one at `page` on, at least one and as many as are at hand, all of one
  // segment. They stay valid until the next call. A page that is not written to its end yet is
  // filled up with zeros. Nothing where there is no WAL (yet).
  virtual Result<ByteSpan> pages_at(Lsn page) = 0;
};

// Pages in memory, one after another from `start`: a segment, or several. Does not own them.
class WalPagesInMemory final : public WalPageSource {
 public:
  // `bytes` beyond the last whole page are not looked at.
  WalPagesInMemory(Lsn start, ByteSpan bytes, const WalGeometry& geometry)
      : start_(start), bytes_(bytes), geometry_(geometry) {}

  Result<ByteSpan> pages_at(Lsn page) override;

 private:
  Lsn start_;
  ByteSpan bytes_;
  WalGeometry geometry_;
};

// Which records are read.
struct WalRange {
  // A record begins here, or a page: then the first record is the first that begins on it or on a
  // page behind it.
  Lsn begin;
  // Records from here on are not read.
  Lsn stop = {std::numeric_limits<std::uint64_t>::max()};
  // Up to here WAL is known to have been written: what cannot be read before it is an error, behind
  // it the end.
  Lsn required_end = {};
};

// Where reading ended, and why.
struct WalEnd {
  enum class Kind : std::uint8_t {
    stopped,   // at WalRange::stop
    absent,    // the source has no page
    no_record  // what is here is not a record: unwritten, overwritten later, cut off or damaged
  };

  Kind kind = Kind::stopped;
  // Where the next record would have begun.
  Lsn lsn;
  std::string reason;
};

class WalReader {
 public:
  // Pages may be of `timeline` or its ancestors; which segment belongs to which is the source's
  // affair. The source must outlive the reader.
  static Result<WalReader> open(const WalGeometry& geometry, TimelineId timeline,
                                const WalRange& range, WalPageSource& source);

  // The next record, valid until the next call; null at the end, and from then on.
  Result<const WalRecord*> next();
  // After next() gave null.
  const WalEnd& end() const;

 private:
  WalReader(const WalGeometry& geometry, TimelineId timeline, const WalRange& range,
            WalPageSource& source);

  // Those that return bool tell whether there is what they look for; where not, end_ says why.
  Result<bool> begin();
  Result<bool> skip_to_first_record();
  Result<bool> read_record();
  Result<bool> load_page(Lsn page);
  bool check_page(Lsn page);
  Result<bool> take_record_bytes(ByteSpan& bytes);
  // A server that crashed within a record leaves a part of it; another one stands where it would
  // go on, and says so.
  enum class Assembly : std::uint8_t { whole, overwritten, ended };
  Result<Assembly> assemble(std::uint32_t size_bytes);
  bool accept(ByteSpan bytes);
  bool check_overwrite();

  bool end_at(Lsn lsn, WalEnd::Kind kind, std::string reason);
  bool no_record(std::string reason);
  Error failure() const;

  Lsn page_of(Lsn lsn) const;
  std::size_t header_size(Lsn page) const;
  Lsn after_page_header(Lsn lsn) const;

  WalGeometry geometry_;
  TimelineId timeline_;
  WalRange range_;
  WalPageSource* source_;

  bool begun_ = false;
  Lsn next_;      // where the next record begins
  Lsn previous_;  // the last record; nothing before the first
  std::optional<Lsn> overwritten_;

  ByteSpan run_;  // what the source gave last
  Lsn run_start_;
  std::optional<Lsn> page_;  // the page last loaded, and checked
  ByteSpan page_bytes_;
  WalPageHeader page_header_;
  Lsn newest_page_;  // the last in order, and its timeline
  TimelineId newest_timeline_;

  Lsn record_end_;
  std::vector<std::byte> assembly_;
  WalRecord record_;
  std::optional<WalEnd> end_;
};

}  // namespace haul::postgres
