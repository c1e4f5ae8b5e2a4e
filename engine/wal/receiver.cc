#include "engine/wal/receiver.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/wal/resume.h"
#include "engine/wal/tail_writer.h"

namespace haul::wal {
namespace {

using postgres::Keepalive;
using postgres::Quiet;
using postgres::ReplicationStream;
using postgres::ServerIdentity;
using postgres::StandbyStatus;
using postgres::StreamEvent;
using postgres::TimelineEnd;
using postgres::WalData;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Side = ReceiverEnvironment::Side;

// How long the loop waits for the server before it looks at everything else.
constexpr milliseconds kTurn{100};
constexpr nanoseconds kStatusInterval = std::chrono::seconds{10};
// A server that has nothing to send is told so long after the start what is stored.
constexpr nanoseconds kFirstReportDelay = std::chrono::seconds{1};
// A status asks for an answer; a server that gives none for so long is gone.
constexpr nanoseconds kSilenceMax = std::chrono::seconds{60};
constexpr nanoseconds kPauseMin = milliseconds{250};
constexpr nanoseconds kPauseMax = std::chrono::seconds{15};
// So much is not held back, whatever the interval: it bounds a piece, and what a flush takes.
constexpr std::size_t kPendingBytesMax = std::size_t{4} << 20;

// A failure of the server's side that another session may not meet.
bool is_passing(const Error& error) {
  return error.code() == ErrorCode::io || error.code() == ErrorCode::busy;
}

class Receiver {
 public:
  Receiver(const ReceiverOptions& options, ReceiverEnvironment& environment)
      : options_(options), environment_(environment), cluster_(*environment.cluster) {}

  Result<ReceiverReport> run() {
    HAUL_TRY(postgres::check_slot_name(options_.slot));
    while (!stopped()) {
      Status session = run_session();
      writer_.reset();
      stream_.reset();
      if (session) break;
      Error error = std::move(session).take_error();
      if (error.code() == ErrorCode::interrupted && stopped()) break;
      if (environment_.side != Side::server || !is_passing(error)) return error;
      // Nobody was there yet: more likely the options are wrong than the network.
      if (report_.sessions == 0 && error.code() == ErrorCode::io) {
        return Error(ErrorCode::server_state, error.message(), error.hint());
      }
      if (!stopped()) pause(error);
    }
    return report_;
  }

 private:
  bool stopped() const { return environment_.stop.stop_requested(); }
  nanoseconds now() const { return environment_.clock->now_monotonic(); }
  ReplicationStream& server() {
    environment_.side = Side::server;
    return *stream_;
  }
  TailWriter& writer() {
    environment_.side = Side::repository;
    return *writer_;
  }

  // Ends without an error when a stop is requested.
  Status run_session();
  Status check_identity(const ServerIdentity& identity);
  // The server's timeline and its ancestors; its history file is archived.
  Result<TimelineHistory> take_history(const ServerIdentity& identity);
  Status archive_history(TimelineId timeline, ByteSpan content);
  Result<Lsn> kept_by_slot();
  Result<ResumePoint> find_resume_point(const ServerIdentity& identity);
  Status start_stream(const ResumePoint& from);
  Error explained(Error error) const;

  Status stream_on();
  Status handle(const StreamEvent& event);
  Status take(const WalData& data);
  Status follow(const TimelineEnd& end);
  Status flush_if_due(bool quiet);
  Status flush();
  Status report_durable(StandbyStatus::Answer answer);
  Status report_if_due();
  milliseconds patience() const;
  void pause(const Error& why);

  const ReceiverOptions& options_;
  ReceiverEnvironment& environment_;
  const repository::Cluster& cluster_;
  ReceiverReport report_;

  // Of a session.
  std::unique_ptr<ReplicationStream> stream_;
  std::optional<TailWriter> writer_;
  ServerIdentity identity_;
  Lsn kept_;
  nanoseconds pending_since_{};  // when the oldest byte came that is not durable
  nanoseconds reported_at_{};
  nanoseconds heard_at_{};
  bool has_heard_ = false;

  nanoseconds next_pause_ = kPauseMin;
};

Status Receiver::run_session() {
  environment_.side = Side::server;
  stream_ = HAUL_TRY(environment_.connect());
  const ServerIdentity identity = HAUL_TRY(server().identify());
  HAUL_TRY(check_identity(identity));
  identity_ = identity;
  const ResumePoint from = HAUL_TRY(find_resume_point(identity));
  environment_.side = Side::repository;
  writer_.emplace(cluster_,
                  TailWriter::Origin{identity.system_identifier, identity.wal_segment_size_bytes,
                                     static_cast<std::uint16_t>(identity.major), options_.workers});
  HAUL_TRY(start_stream(from));
  if (report_.sessions++ == 0) report_.start = from.position;
  next_pause_ = kPauseMin;
  environment_.observer->streaming(report_);
  HAUL_TRY(stream_on());
  HAUL_TRY(flush());
  HAUL_TRY(report_durable(StandbyStatus::Answer::none));
  return server().finish();
}

Status Receiver::check_identity(const ServerIdentity& identity) {
  environment_.side = Side::repository;
  HAUL_TRY(check_system(cluster_, identity.system_identifier));
  const bool first = report_.system_identifier == 0;
  environment_.side = Side::server;
  if (!first && report_.system_identifier != identity.system_identifier) {
    return Error(ErrorCode::server_state,
                 format("the server has system identifier {} now, and had {}",
                        identity.system_identifier, report_.system_identifier));
  }
  report_.system_identifier = identity.system_identifier;
  return ok();
}

Result<TimelineHistory> Receiver::take_history(const ServerIdentity& identity) {
  if (identity.timeline.value == 1) return first_timeline(identity.timeline);
  const auto content = HAUL_TRY(server().timeline_history(identity.timeline));
  auto history = parse_timeline_history(identity.timeline, text_of(content));
  if (!history) return Error(ErrorCode::server_state, history.error().message());
  HAUL_TRY(archive_history(identity.timeline, content));
  return history;
}

Status Receiver::archive_history(TimelineId timeline, ByteSpan content) {
  environment_.side = Side::repository;
  WalArchive archive(cluster_, identity_.system_identifier);
  const WalName name{WalFileKind::history, timeline, postgres::timeline_history_name(timeline)};
  HAUL_TRY(archive.put(name, WalFacts{}, content));
  return archive.make_durable();
}

Result<Lsn> Receiver::kept_by_slot() {
  auto slot = HAUL_TRY(server().find_slot(options_.slot));
  if (!slot) {
    HAUL_TRY(server().create_slot(options_.slot));
    slot = HAUL_TRY(server().find_slot(options_.slot));
  }
  if (!slot) {
    return Error(ErrorCode::server_state,
                 format("replication slot {} was dropped at once", options_.slot));
  }
  // A slot that was invalidated keeps nothing; the server says so when the stream is to start.
  return slot->restart.value_or(identity_.flushed);
}

Result<ResumePoint> Receiver::find_resume_point(const ServerIdentity& identity) {
  const TimelineHistory lineage = HAUL_TRY(take_history(identity));
  kept_ = HAUL_TRY(kept_by_slot());
  environment_.side = Side::repository;
  const WalInventory inventory = HAUL_TRY(WalInventory::read(cluster_, identity.system_identifier));
  const ResumePoint from =
      resume_point(lineage, {&inventory, kept_, identity.wal_segment_size_bytes});
  environment_.side = Side::server;
  if (from.timeline == identity.timeline && from.position > identity.flushed) {
    return Error(ErrorCode::io, format("the server has WAL up to {}, the archive up to {}",
                                       to_string(identity.flushed), to_string(from.position)));
  }
  return from;
}

Status Receiver::start_stream(const ResumePoint& from) {
  const std::uint32_t segment_size = identity_.wal_segment_size_bytes;
  HAUL_TRY(writer().open(from.timeline, from.position.value / segment_size));
  report_.timeline = from.timeline;
  report_.durable = std::max(report_.durable, writer().durable());
  HAUL_TRY(server().start({options_.slot, from.timeline, from.position}));
  heard_at_ = now();
  reported_at_ = heard_at_ - kStatusInterval + kFirstReportDelay;
  has_heard_ = false;
  return ok();
}

Error Receiver::explained(Error error) const {
  if (error.code() != ErrorCode::not_found) return error;
  return {ErrorCode::server_state,
          format("the server has no more WAL from {} on, where the archive ends; it keeps WAL from "
                 "{} on for slot {}: {}",
                 to_string(writer_->position()), to_string(kept_), options_.slot, error.message()),
          "what lies between is lost to this archive unless it is pushed; otherwise stream into "
          "another --cluster, and take a backup there"};
}

Status Receiver::stream_on() {
  while (!stopped()) {
    const auto event = server().next(patience());
    if (!event) return explained(event.error());
    HAUL_TRY(handle(*event));
    HAUL_TRY(flush_if_due(std::holds_alternative<Quiet>(*event)));
    HAUL_TRY(report_if_due());
    environment_.observer->alive(report_);
  }
  return ok();
}

Status Receiver::handle(const StreamEvent& event) {
  if (std::holds_alternative<Quiet>(event)) {
    if (now() - heard_at_ <= kSilenceMax) return ok();
    environment_.side = Side::server;
    return Error(ErrorCode::io, "the server has become silent");
  }
  heard_at_ = now();
  if (const auto* end = std::get_if<TimelineEnd>(&event)) return follow(*end);
  // A report moves the slot, also back to where the server has nothing any more; what it sends, it
  // has.
  if (!std::exchange(has_heard_, true)) HAUL_TRY(report_durable(StandbyStatus::Answer::none));
  if (const auto* data = std::get_if<WalData>(&event)) return take(*data);
  if (std::get<Keepalive>(event).reply != Keepalive::Reply::at_once) return ok();
  // Whoever waits for a reply may wait for the flush: a server that ends does.
  HAUL_TRY(flush());
  return report_durable(StandbyStatus::Answer::none);
}

Status Receiver::take(const WalData& data) {
  WalData rest = data;
  while (!rest.bytes.empty()) {
    const bool first = writer().pending_bytes() == 0;
    auto taken = writer().append(rest.start, rest.bytes);
    if (!taken) {
      environment_.side = Side::server;
      return std::move(taken).take_error();
    }
    if (first && writer().pending_bytes() > 0) pending_since_ = now();
    rest = {{rest.start.value + *taken}, rest.bytes.subspan(*taken)};
    if (!writer().is_complete()) continue;
    HAUL_TRY(flush());
    HAUL_TRY(report_durable(StandbyStatus::Answer::none));
  }
  return ok();
}

// What was streamed of the old timeline's last segment stays as it is, in pieces: it has no right
// to the segment's name, and the name of a partial segment is the server's to give.
Status Receiver::follow(const TimelineEnd& end) {
  const TimelineId left = writer_->timeline();
  const Lsn position = writer_->position();
  environment_.side = Side::server;
  if (end.next <= left || end.switch_point > position) {
    return Error(
        ErrorCode::server_state,
        format("timeline {} ends at {} for timeline {}, and was streamed up to {}", left.value,
               to_string(end.switch_point), end.next.value, to_string(position)));
  }
  HAUL_TRY(flush());
  const auto content = HAUL_TRY(server().timeline_history(end.next));
  HAUL_TRY(archive_history(end.next, content));
  const std::uint32_t segment_size = identity_.wal_segment_size_bytes;
  const Lsn start{end.switch_point.value - end.switch_point.value % segment_size};
  HAUL_TRY(start_stream({end.next, start}));
  environment_.observer->streaming(report_);
  return ok();
}

Status Receiver::flush_if_due(bool quiet) {
  const std::size_t pending = writer_->pending_bytes();
  if (pending == 0) return ok();
  // The other half is for the disk.
  const bool late = now() - pending_since_ >= options_.flush_interval / 2;
  const bool at_once = options_.flush_interval.count() == 0;
  const bool due = at_once ? quiet : late;
  if (!due && pending < kPendingBytesMax) return ok();
  HAUL_TRY(flush());
  return report_durable(StandbyStatus::Answer::none);
}

Status Receiver::flush() {
  TailWriter& tail = writer();
  if (tail.pending_bytes() == 0 && !tail.is_complete()) return ok();
  HAUL_TRY(tail.flush());
  report_.durable = std::max(report_.durable, tail.durable());
  if (!tail.is_complete()) return ok();
  const bool stored = tail.last_put() == WalArchive::Put::stored;
  ++(stored ? report_.segments_stored : report_.segments_present);
  const Lsn next = tail.position();
  return tail.open(tail.timeline(), next.value / identity_.wal_segment_size_bytes);
}

Status Receiver::report_durable(StandbyStatus::Answer answer) {
  reported_at_ = now();
  return server().report({report_.durable, environment_.clock->now_utc(), answer});
}

Status Receiver::report_if_due() {
  if (now() - reported_at_ < kStatusInterval) return ok();
  return report_durable(StandbyStatus::Answer::wanted);
}

milliseconds Receiver::patience() const {
  if (writer_->pending_bytes() == 0) return kTurn;
  const nanoseconds left = pending_since_ + options_.flush_interval / 2 - now();
  return std::clamp(std::chrono::ceil<milliseconds>(left), milliseconds{0}, kTurn);
}

void Receiver::pause(const Error& why) {
  std::uint8_t dice = 0;
  // Without randomness the pause is as good.
  static_cast<void>(environment_.random->fill(std::as_writable_bytes(std::span(&dice, 1))));
  // From half of it on, so that many receivers do not come back at once.
  const auto length =
      std::chrono::ceil<milliseconds>(next_pause_ / 2 + next_pause_ / 2 * dice / 255);
  next_pause_ = std::min(next_pause_ * 2, kPauseMax);
  environment_.observer->lost(why, length);
  const nanoseconds end = now() + length;
  while (!stopped() && now() < end) {
    environment_.clock->sleep_for(std::min<nanoseconds>(kTurn, end - now()));
    environment_.observer->alive(report_);
  }
}

}  // namespace

Result<ReceiverReport> receive_wal(const ReceiverOptions& options,
                                   ReceiverEnvironment& environment) {
  return Receiver(options, environment).run();
}

}  // namespace haul::wal
