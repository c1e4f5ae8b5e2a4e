// Stores a stream of WAL: the segment that is being streamed in pieces, at once, and as a segment
// when it is complete.
//
// Each flush stores what has come since the last one as one more piece, or with the small pieces
// before it as one longer piece, which are then removed: at most one piece per MiB, and one more
// per power of two below. What is written so is bounded, too: pieces of a MiB are never written
// again.
//
// Durability: what lies before durable() survives a crash.
// Memory:   one segment, and what storing it takes (engine/wal/wal_archive.h).
// Threads:  one owner at a time.
// Errors:   already_exists (another content is stored in this place: two servers with one history),
//           corrupt (what is stored is damaged), server_state (the stream jumps, or is no WAL), and
//           the store's own. After a failure a writer is spent.
#pragma once

#include <vector>

#include "engine/wal/tail.h"
#include "engine/wal/wal_archive.h"

namespace haul::wal {

class TailWriter {
 public:
  // Where its bytes come from, for messages and for what is stored with them.
  struct Origin {
    std::uint64_t system_identifier = 0;
    std::uint32_t segment_size_bytes = 0;
    std::uint16_t server_major = 0;
    std::size_t workers = 1;
  };
  TailWriter(const repository::Cluster& cluster, const Origin& origin);

  // Goes to a segment, and takes over what of it is stored. The stream begins at its start: what is
  // stored is compared with what comes.
  Status open(TimelineId timeline, std::uint64_t segment_number);
  // Takes bytes of the stream until the segment is complete; how many.
  Result<std::size_t> append(Lsn at, ByteSpan bytes);
  // Everything that came is durable when this returns.
  Status flush();

  TimelineId timeline() const { return name_.timeline; }
  Lsn segment_start() const { return {number_ * origin_.segment_size_bytes}; }
  // Up to where the stream has come.
  Lsn position() const { return {segment_start().value + position_}; }
  Lsn durable() const { return {segment_start().value + durable_bytes_}; }
  std::size_t pending_bytes() const { return content_.size() - durable_bytes_; }
  // The whole segment was streamed; flush() stores it as one.
  bool is_complete() const { return position_ == origin_.segment_size_bytes; }
  std::size_t piece_count() const { return pieces_.size(); }
  // Of the last flush() of a complete segment.
  WalArchive::Put last_put() const { return last_put_; }

 private:
  WalFacts facts() const;
  Status take_over(const SegmentGroup& group);
  Status put_piece(const PieceName& name);
  Status store_piece();
  Status store_segment();
  Status remove(std::vector<PieceName> pieces);

  const repository::Cluster cluster_;
  const Origin origin_;
  const WalLayout layout_;
  WalArchive archive_;
  WalName name_;
  std::uint64_t number_ = 0;
  std::vector<std::byte> content_;  // of the segment, as far as it is known
  std::size_t position_ = 0;        // how much of it was streamed
  std::size_t durable_bytes_ = 0;
  std::vector<PieceName> pieces_;  // that cover the durable part
  std::vector<PieceName> strays_;  // behind a gap; they go with the segment
  WalArchive::Put last_put_ = WalArchive::Put::stored;
};

}  // namespace haul::wal
