// A server that streams made-up WAL, as far as a receiver can tell.
//
// Threads:  one owner at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/replication_stream.h"
#include "engine/wal/receiver.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal::testing {

inline constexpr std::uint64_t kFirstSegment = 5;

inline Lsn at_segment(std::uint64_t number, std::uint64_t offset = 0) {
  return {number * kSegmentBytes + offset};
}

struct FakeServer {
  std::uint64_t system = kSystem;
  std::uint32_t timeline = 1;
  Lsn flushed = at_segment(kFirstSegment + 2, 300'000);
  int major = 15;
  // Nothing: there is no slot.
  std::optional<postgres::SlotState> slot = postgres::SlotState{at_segment(kFirstSegment)};
  // What a new slot keeps.
  Lsn redo = at_segment(kFirstSegment, 40);
  // WAL before it is gone.
  Lsn oldest = at_segment(1);
  // Switch points by the timeline that was left; the next one has the next number.
  std::map<std::uint32_t, Lsn> switches;
  std::size_t message_bytes = 100'000;
  // Seed of the WAL's content: another one is another server with the same history.
  std::uint64_t seed = 1;

  // Failures: of connect(), of what follows; in order, nothing for a call that works.
  std::vector<std::optional<Error>> connects;
  // Quiet after every message.
  bool pauses = false;
  // The connection is lost after so many bytes, once.
  std::optional<std::size_t> lost_after_bytes;
  // finish() finds the connection lost.
  bool finish_fails = false;
  // Nothing comes any more.
  bool silent = false;
  // After everything was sent, before it is quiet: a keepalive that wants a reply.
  bool asks_for_reply = false;
  // Said in place of silence, once.
  std::optional<postgres::TimelineEnd> false_end;
  // Told of everything, after it was sent.
  std::function<void()> when_quiet;
  std::function<void(Lsn)> when_reported;

  // What was asked and said.
  std::vector<postgres::StreamStart> starts;
  std::vector<postgres::StandbyStatus> reports;
  std::vector<std::string> slots_made;
  int finished = 0;
  int sessions = 0;

  // The whole segment, flushed or not.
  std::string segment(std::uint32_t on_timeline, std::uint64_t number) const;
  std::string history(std::uint32_t of) const;
  mutable std::map<std::string, std::string> made;  // segments, by what they depend on
  Lsn reported() const { return reports.empty() ? Lsn{} : reports.back().durable; }
};

// Lets time pass when nothing comes.
std::unique_ptr<postgres::ReplicationStream> connect_to(FakeServer& server,
                                                        support::ManualClock& clock);

class RecordingObserver final : public ReceiverObserver {
 public:
  void streaming(const ReceiverReport&) override { ++streams; }
  void alive(const ReceiverReport&) override { ++turns; }
  void lost(const Error& why, std::chrono::nanoseconds pause) override {
    losses.push_back(why.message());
    pauses.push_back(pause);
  }

  int streams = 0;
  int turns = 0;
  std::vector<std::string> losses;
  std::vector<std::chrono::nanoseconds> pauses;
};

// An archive, a server, and a receiver between them.
class ReceiverFixture : public ArchiveFixture {
 public:
  ReceiverFixture();

  // Ends when everything the server has was reported, unless the server's hooks do otherwise.
  Result<ReceiverReport> receive();
  // What is stored of a segment: whole, or its tail.
  std::string stored(std::uint32_t timeline, std::uint64_t number) const;
  std::vector<std::string> pieces(std::uint32_t timeline, std::uint64_t number) const;
  // Everything before this is stored as the server has it.
  bool holds_everything_before(Lsn lsn) const;

  FakeServer server;
  ReceiverOptions options;
  RecordingObserver observer;
  ReceiverEnvironment::Side side_of_failure = ReceiverEnvironment::Side::server;
};

WalName segment_name(std::uint32_t timeline, std::uint64_t number);

}  // namespace haul::wal::testing
