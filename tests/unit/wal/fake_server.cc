#include "tests/unit/wal/fake_server.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/wal/tail.h"

namespace haul::wal::testing {

namespace {

using postgres::StreamEvent;

class FakeStream final : public postgres::ReplicationStream {
 public:
  FakeStream(FakeServer& server, support::ManualClock& clock) : server_(server), clock_(clock) {}

  Result<postgres::ServerIdentity> identify() override {
    return postgres::ServerIdentity{server_.system, TimelineId{server_.timeline}, server_.flushed,
                                    kSegmentBytes, server_.major};
  }
  Result<std::optional<postgres::SlotState>> find_slot(const std::string&) override {
    return server_.slot;
  }
  Status create_slot(const std::string& name) override {
    server_.slots_made.push_back(name);
    server_.slot = postgres::SlotState{server_.redo};
    return ok();
  }
  Result<std::vector<std::byte>> timeline_history(TimelineId timeline) override {
    const std::string text = server_.history(timeline.value);
    const ByteSpan bytes = bytes_of(text);
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }
  Status start(const postgres::StreamStart& from) override {
    server_.starts.push_back(from);
    timeline_ = from.timeline.value;
    position_ = from.position;
    return ok();
  }

  Result<StreamEvent> next(std::chrono::milliseconds patience) override {
    if (server_.silent) {
      clock_.advance(std::chrono::seconds{20});
      return postgres::Quiet{};
    }
    if (server_.pauses && std::exchange(has_sent_, false)) return postgres::Quiet{};
    if (position_ < server_.oldest) return Error(ErrorCode::not_found, "WAL was removed");
    const bool leaves = server_.switches.contains(timeline_);
    const Lsn end = leaves ? server_.switches.at(timeline_) : server_.flushed;
    if (position_ < end) return send(end);
    if (leaves) return postgres::TimelineEnd{TimelineId{timeline_ + 1}, end};
    if (server_.asks_for_reply) {
      server_.asks_for_reply = false;
      return postgres::Keepalive{end, postgres::Keepalive::Reply::at_once};
    }
    if (server_.false_end) return *std::exchange(server_.false_end, std::nullopt);
    clock_.advance(std::max(patience, std::chrono::milliseconds{1}));
    if (server_.when_quiet) server_.when_quiet();
    return postgres::Quiet{};
  }

  Status report(const postgres::StandbyStatus& status) override {
    server_.reports.push_back(status);
    if (server_.when_reported) server_.when_reported(status.durable);
    return ok();
  }
  Status finish() override {
    ++server_.finished;
    if (server_.finish_fails) return Error(ErrorCode::io, "connection lost");
    return ok();
  }

 private:
  Result<StreamEvent> send(Lsn end) {
    std::size_t size = std::min<std::uint64_t>(server_.message_bytes, end.value - position_.value);
    if (server_.lost_after_bytes) {
      if (*server_.lost_after_bytes == 0) {
        server_.lost_after_bytes.reset();
        return Error(ErrorCode::io, "connection lost");
      }
      size = std::min(size, *server_.lost_after_bytes);
      *server_.lost_after_bytes -= size;
    }
    message_.clear();
    while (message_.size() < size) {
      const Lsn at{position_.value + message_.size()};
      const std::string segment = server_.segment(timeline_, at.value / kSegmentBytes);
      message_ += segment.substr(at.value % kSegmentBytes, size - message_.size());
    }
    const postgres::WalData data{position_, bytes_of(message_)};
    position_ = data.end();
    has_sent_ = true;
    return data;
  }

  FakeServer& server_;
  support::ManualClock& clock_;
  std::uint32_t timeline_ = 0;
  Lsn position_;
  std::string message_;
  bool has_sent_ = false;
};

}  // namespace

WalName segment_name(std::uint32_t timeline, std::uint64_t number) {
  return {WalFileKind::segment, TimelineId{timeline},
          postgres::to_name({TimelineId{timeline}, number}, kSegmentBytes)};
}

// A timeline begins with a copy of what its parent had in the segment of the switch.
std::string FakeServer::segment(std::uint32_t on_timeline, std::uint64_t number) const {
  FakeSegment fake;
  fake.timeline = on_timeline;
  fake.number = number;
  fake.system = system;
  fake.seed = seed + number + std::uint64_t{on_timeline} * 1000;
  const std::string key = format("{} {} {} {}", system, seed, on_timeline, number);
  if (!made.contains(key)) made[key] = fake.content();
  const std::string& content = made[key];
  const auto left = switches.find(on_timeline - 1);
  if (left == switches.end() || left->second.value / kSegmentBytes != number) return content;
  const std::size_t copied = left->second.value % kSegmentBytes;
  return segment(on_timeline - 1, number).substr(0, copied) + content.substr(copied);
}

std::string FakeServer::history(std::uint32_t of) const {
  std::string text;
  for (const auto& [timeline_left, lsn] : switches) {
    if (timeline_left < of) text += format("{}\t{}\tpromoted\n", timeline_left, to_string(lsn));
  }
  return text;
}

std::unique_ptr<postgres::ReplicationStream> connect_to(FakeServer& server,
                                                        support::ManualClock& clock) {
  return std::make_unique<FakeStream>(server, clock);
}

ReceiverFixture::ReceiverFixture() {
  server.when_reported = [this](Lsn durable) {
    if (durable >= server.flushed && !server.switches.contains(server.timeline)) {
      stop.request_stop();
    }
  };
}

Result<ReceiverReport> ReceiverFixture::receive() {
  const repository::Cluster main = cluster();
  SeededRandom random(1);
  ReceiverEnvironment environment;
  environment.cluster = &main;
  environment.connect = [&]() -> Result<std::unique_ptr<postgres::ReplicationStream>> {
    ++server.sessions;
    if (!server.connects.empty()) {
      const auto failure = server.connects.front();
      server.connects.erase(server.connects.begin());
      if (failure) return *failure;
    }
    return connect_to(server, clock);
  };
  environment.clock = &clock;
  environment.random = &random;
  environment.observer = &observer;
  environment.stop = stop.get_token();
  auto report = receive_wal(options, environment);
  side_of_failure = environment.side;
  stop = std::stop_source();
  return report;
}

std::string ReceiverFixture::stored(std::uint32_t timeline, std::uint64_t number) const {
  const WalName name = segment_name(timeline, number);
  const auto whole = WalArchive(cluster(), server.system).get(name);
  if (whole) return std::string(text_of(*whole));
  const auto tail = read_tail(cluster(), server.system, name);
  return tail ? std::string(text_of(tail->bytes)) : std::string();
}

std::vector<std::string> ReceiverFixture::pieces(std::uint32_t timeline,
                                                 std::uint64_t number) const {
  const WalName name = segment_name(timeline, number);
  const std::string prefix = WalLayout(cluster().layout, server.system).prefix(name);
  std::vector<std::string> names;
  const SegmentGroup group = list_segment_group(cluster(), prefix).value();
  for (const PieceName& piece : group.pieces) {
    if (piece.segment == name) names.push_back(piece.text().substr(name.text.size() + 1));
  }
  return names;
}

bool ReceiverFixture::holds_everything_before(Lsn lsn) const {
  for (std::uint64_t number = kFirstSegment; at_segment(number) < lsn; ++number) {
    const std::size_t needed =
        std::min<std::uint64_t>(kSegmentBytes, lsn.value - at_segment(number).value);
    bool found = false;
    for (std::uint32_t timeline = server.timeline; timeline > 0 && !found; --timeline) {
      const std::string content = stored(timeline, number);
      const std::string whole = server.segment(timeline, number);
      if (content != whole.substr(0, content.size())) return false;
      // A segment of a timeline that was left counts up to where it was left.
      const auto left = server.switches.find(timeline);
      const bool reaches = left == server.switches.end() || lsn <= left->second ||
                           at_segment(number + 1) <= left->second;
      found = content.size() >= needed && reaches;
    }
    if (!found) return false;
  }
  return true;
}

}  // namespace haul::wal::testing
