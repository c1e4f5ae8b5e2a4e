#include "engine/postgres/wal_copier.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/format.h"
#include "engine/postgres/internal/read_file.h"
#include "engine/postgres/internal/server_answers.h"
#include "engine/postgres/internal/text.h"

namespace haul::postgres {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kBufferSizeBytes = std::size_t{1} << 20;
constexpr std::size_t kHistorySizeMaxBytes = std::size_t{16} << 20;
// max_replication_slots is exhausted.
constexpr std::string_view kConfigurationLimit = "53400";
constexpr std::string_view kObjectNotInState = "55000";

constexpr std::string_view kLostSlotHint =
    "raise max_slot_wal_keep_size, or write to a faster repository";

Status check_replication_right(PgConnection& connection) {
  const auto row = HAUL_TRY(
      connection.query_row("SELECT rolreplication OR rolsuper, quote_ident(rolname) FROM pg_roles"
                           " WHERE rolname = current_user"));
  if (row.size() == 2 && row[0] == "t") return ok();
  const std::string role = row.size() == 2 ? row[1].value_or("") : std::string();
  return Error(
      ErrorCode::permission,
      format("role {} may not create a replication slot, which copying the WAL needs", role),
      format("ALTER ROLE {} REPLICATION", role));
}

Status create_slot(PgConnection& connection, const std::string& name) {
  auto created = connection.query_row(
      "SELECT slot_name, lsn FROM pg_create_physical_replication_slot($1, true, true)", {name});
  if (created) return ok();
  Error error = std::move(created).take_error();
  const bool no_room = connection.last_sqlstate() == kConfigurationLimit ||
                       connection.last_sqlstate() == kObjectNotInState;
  if (no_room)
    error = std::move(error).with_hint("raise max_replication_slots and restart the server");
  return std::move(error).with_context("create a temporary replication slot");
}

// What the server says each time it is asked.
struct ServerWal {
  Lsn flushed;
  std::string slot_status;
};

class LiveWalCopier final : public WalCopier {
 public:
  struct Parts {
    std::unique_ptr<PgConnection> connection;
    io::Directory* wal_directory = nullptr;
    WalSink* sink = nullptr;
    WalGeometry geometry;
    std::string slot;
    milliseconds poll_interval;
    milliseconds flush_timeout;
  };

  explicit LiveWalCopier(Parts parts) : parts_(std::move(parts)), buffer_(kBufferSizeBytes) {}
  ~LiveWalCopier() override { cancel(); }

  const std::string& slot_name() const override { return parts_.slot; }
  Status start(Lsn start, TimelineId timeline) override;
  Status health() override;
  void prepare_stop() override;
  Result<WalCopyResult> finish(Lsn stop, TimelineId timeline) override;
  void cancel() override;

 private:
  struct Goal {
    Lsn stop;
    SteadyClock::time_point flush_deadline;
  };
  enum class Step : std::uint8_t { again, done };

  // The thread's own.
  Status work(const std::stop_token& stop);
  Result<Step> advance(const std::stop_token& stop);
  Result<ServerWal> ask_server();
  Status copy_finished(const std::stop_token& stop, std::uint64_t end_number);
  Status copy_last(Lsn stop_lsn);
  Status copy_segment(const WalSegment& segment, std::uint64_t needed_size_bytes);
  Status copy_pages(io::File& file, const WalSegment& segment, std::uint64_t needed_size_bytes);
  Status append_zeros(std::uint64_t size_bytes);
  Status release(Lsn before);
  Status copy_history_files();
  Error missing(const WalSegment& segment);
  Error slot_lost(const std::string& what) const;
  Error explained(Error error) const;
  std::uint32_t segment_size_bytes() const { return parts_.geometry.segment_size_bytes; }

  Parts parts_;
  std::vector<std::byte> buffer_;
  WalSegment next_;       // the thread's once it runs
  WalCopyResult result_;  // the same, the owner's again after it has ended

  std::mutex mutex_;  // guards the four below
  std::condition_variable_any changed_;
  bool stopping_ = false;
  std::optional<Goal> goal_;
  std::optional<Error> failure_;
  bool ended_ = false;

  std::jthread thread_;
};

Status LiveWalCopier::start(Lsn start, TimelineId timeline) {
  HAUL_ASSERT(!thread_.joinable());
  next_ = segment_of(start, timeline, segment_size_bytes());
  result_.first = next_;
  thread_ = std::jthread([this](const std::stop_token& stop) {
    Status status = work(stop);
    const std::lock_guard lock(mutex_);
    if (!status && !failure_) failure_ = std::move(status).take_error();
    ended_ = true;
    changed_.notify_all();
  });
  return ok();
}

Status LiveWalCopier::health() {
  const std::lock_guard lock(mutex_);
  if (failure_) return Error(*failure_);
  return ok();
}

void LiveWalCopier::prepare_stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
}

Result<WalCopyResult> LiveWalCopier::finish(Lsn stop, TimelineId timeline) {
  HAUL_ASSERT(thread_.joinable());
  std::unique_lock lock(mutex_);
  HAUL_ASSERT(stopping_ && !goal_);
  if (timeline != result_.first.timeline) {
    return Error(ErrorCode::server_state,
                 format("the WAL changed from timeline {} to {} during the backup",
                        result_.first.timeline.value, timeline.value));
  }
  goal_ = Goal{stop, SteadyClock::now() + parts_.flush_timeout};
  changed_.notify_all();
  changed_.wait(lock, [&] { return ended_; });
  if (failure_) return Error(*failure_);
  return result_;
}

void LiveWalCopier::cancel() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    if (!ended_ && !failure_)
      failure_ = Error(ErrorCode::interrupted, "copying the WAL was cancelled");
  }
  thread_.request_stop();
  parts_.connection->cancel();
}

Status LiveWalCopier::work(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (HAUL_TRY(advance(stop)) == Step::done) return ok();
    std::unique_lock lock(mutex_);
    // A goal changes what is to be done; once it is known only the server can change something.
    const bool had_goal = goal_.has_value();
    changed_.wait_for(lock, stop, parts_.poll_interval, [&] { return !had_goal && goal_; });
  }
  return Error(ErrorCode::interrupted, "copying the WAL was cancelled");
}

Result<LiveWalCopier::Step> LiveWalCopier::advance(const std::stop_token& stop) {
  const ServerWal server = HAUL_TRY(ask_server());
  std::optional<Goal> goal;
  {
    const std::lock_guard lock(mutex_);
    goal = goal_;
    // Between prepare_stop() and finish() nobody knows which segment is the last. What the server
    // said before prepare_stop() lies before the stop.
    if (stopping_ && !goal) return Step::again;
  }
  const std::uint64_t finished = server.flushed.value / segment_size_bytes();
  if (!goal) {
    HAUL_TRY(copy_finished(stop, finished));
    return Step::again;
  }
  const WalSegment last = segment_before(goal->stop, next_.timeline, segment_size_bytes());
  HAUL_TRY(copy_finished(stop, std::min(finished, last.number)));
  if (stop.stop_requested()) return Step::again;
  if (server.flushed < goal->stop) {
    if (SteadyClock::now() < goal->flush_deadline) return Step::again;
    return Error(
        ErrorCode::server_state,
        format("the server has not flushed its WAL up to {} in {} ms, only up to {}",
               to_string(goal->stop), parts_.flush_timeout.count(), to_string(server.flushed)));
  }
  HAUL_TRY(copy_last(goal->stop));
  HAUL_TRY(copy_history_files());
  return Step::done;
}

Result<ServerWal> LiveWalCopier::ask_server() {
  auto answer = parts_.connection->query_row(
      "SELECT pg_current_wal_flush_lsn(),"
      " (SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1)",
      {parts_.slot});
  if (!answer) return explained(std::move(answer).take_error());
  const Row row = std::move(answer).take();
  if (row.size() != 2) return slot_lost("the server's answer makes no sense");
  if (!row[1]) return slot_lost("does not exist any more");
  if (*row[1] == "lost") return slot_lost("was invalidated");
  return ServerWal{HAUL_TRY(parse_position({row[0]})), *row[1]};
}

// The server ends the session that holds a slot in order to invalidate it.
Error LiveWalCopier::explained(Error error) const {
  if (error.code() == ErrorCode::interrupted) return error;
  if (error.hint().empty()) error = std::move(error).with_hint(std::string(kLostSlotHint));
  return std::move(error).with_context(format("replication slot {}", parts_.slot));
}

Error LiveWalCopier::slot_lost(const std::string& what) const {
  return {ErrorCode::server_state, format("replication slot {} {}", parts_.slot, what),
          std::string(kLostSlotHint)};
}

// Segments before `end_number` are finished and durable.
Status LiveWalCopier::copy_finished(const std::stop_token& stop, std::uint64_t end_number) {
  while (next_.number < end_number && !stop.stop_requested()) {
    HAUL_TRY(copy_segment(next_, segment_size_bytes()));
    HAUL_TRY(release(next_.end(segment_size_bytes())));
    ++next_.number;
  }
  return ok();
}

Status LiveWalCopier::copy_last(Lsn stop_lsn) {
  HAUL_ASSERT(next_.end(segment_size_bytes()) >= stop_lsn);
  if (stop_lsn <= next_.start(segment_size_bytes())) {
    return Error(ErrorCode::server_state,
                 format("backup stopped at {}, before WAL that was flushed when it still ran",
                        to_string(stop_lsn)));
  }
  return copy_segment(next_, stop_lsn.value - next_.start(segment_size_bytes()).value);
}

Status LiveWalCopier::copy_segment(const WalSegment& segment, std::uint64_t needed_size_bytes) {
  const std::string name = to_name(segment, segment_size_bytes());
  auto opened = parts_.wal_directory->open_file(name, io::Caching::buffered);
  if (!opened) {
    if (opened.error().code() == ErrorCode::not_found) return missing(segment);
    return std::move(opened).take_error();
  }
  const std::unique_ptr<io::File> file = std::move(opened).take();
  const io::FileInfo info = HAUL_TRY(file->info());
  if (info.size_bytes != segment_size_bytes()) {
    return Error(ErrorCode::corrupt, format("WAL segment {}: {} bytes instead of {}", name,
                                            info.size_bytes, segment_size_bytes()));
  }
  HAUL_TRY(parts_.sink->begin_segment(name, segment_size_bytes()));
  HAUL_TRY(copy_pages(*file, segment, needed_size_bytes));
  HAUL_TRY(parts_.sink->finish_segment());
  result_.last = segment;
  ++result_.segments;
  return ok();
}

Status LiveWalCopier::copy_pages(io::File& file, const WalSegment& segment,
                                 std::uint64_t needed_size_bytes) {
  const std::uint64_t block = parts_.geometry.block_size_bytes;
  const std::uint64_t needed_end = (needed_size_bytes + block - 1) / block * block;
  SegmentChecker checker(parts_.geometry, segment, needed_size_bytes);
  for (std::uint64_t offset = 0; offset < needed_end;) {
    const auto size_bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), needed_end - offset));
    const MutableByteSpan piece(buffer_.data(), size_bytes);
    if (HAUL_TRY(file.read_at(offset, piece)) != size_bytes) {
      return Error(ErrorCode::corrupt, format("WAL segment {}: ends within its page at offset {}",
                                              to_name(segment, segment_size_bytes()), offset));
    }
    HAUL_TRY(checker.check(piece));
    HAUL_TRY(parts_.sink->append(piece));
    offset += size_bytes;
  }
  return append_zeros(segment_size_bytes() - needed_end);
}

Status LiveWalCopier::append_zeros(std::uint64_t size_bytes) {
  std::ranges::fill(buffer_, std::byte{0});
  while (size_bytes > 0) {
    const auto piece =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), size_bytes));
    HAUL_TRY(parts_.sink->append(ByteSpan(buffer_.data(), piece)));
    size_bytes -= piece;
  }
  return ok();
}

// The sink has everything before this position: the server need not keep it for us.
Status LiveWalCopier::release(Lsn before) {
  auto advanced =
      parts_.connection->query("SELECT end_lsn FROM pg_replication_slot_advance($1, $2::pg_lsn)",
                               {parts_.slot, to_string(before)});
  if (!advanced) return explained(std::move(advanced).take_error());
  return ok();
}

Error LiveWalCopier::missing(const WalSegment& segment) {
  const std::string name = to_name(segment, segment_size_bytes());
  Error error(ErrorCode::not_found,
              format("WAL segment {} is missing from {}", name, parts_.wal_directory->name()));
  // Why it is gone is worth a word, if the server still gives one.
  Result<ServerWal> server = ask_server();
  if (server) return error;
  return std::move(server).take_error().with_context(error.message());
}

Status LiveWalCopier::copy_history_files() {
  const TimelineId own = result_.first.timeline;
  bool own_found = own.value == 1;
  for (const io::DirectoryEntry& entry : HAUL_TRY(parts_.wal_directory->list(""))) {
    const auto timeline = parse_timeline_history_name(entry.name);
    if (!timeline || *timeline > own || entry.kind != io::FileKind::regular) continue;
    const std::vector<std::byte> bytes =
        HAUL_TRY(read_small_file(*parts_.wal_directory, entry.name, kHistorySizeMaxBytes));
    HAUL_TRY(parts_.sink->take_history(entry.name, bytes));
    ++result_.history_files;
    own_found = own_found || *timeline == own;
  }
  if (own_found) return ok();
  return Error(ErrorCode::not_found,
               format("timeline history file {} is missing from {}", timeline_history_name(own),
                      parts_.wal_directory->name()));
}

Result<WalGeometry> read_geometry(PgConnection& connection) {
  const Row row = HAUL_TRY(connection.query_row(server_facts_sql()));
  const ServerFacts facts = HAUL_TRY(parse_server_facts(row, connection.server_version()));
  if (facts.in_recovery) {
    return Error(ErrorCode::unsupported, "the WAL of a standby cannot be copied along",
                 "back up the primary, or rely on the archive with --wal archive");
  }
  if (wal_page_magic(facts.major) == 0) {
    return Error(ErrorCode::unsupported, format("server version {} is not supported", facts.major));
  }
  return WalGeometry{facts.major, facts.system_identifier, facts.wal_segment_size_bytes,
                     facts.wal_block_size_bytes};
}

}  // namespace

Result<std::unique_ptr<WalCopier>> WalCopier::open(const WalCopierOptions& options,
                                                   io::Directory& wal_directory, WalSink& sink) {
  LiveWalCopier::Parts parts;
  parts.connection = HAUL_TRY(PgConnection::open(options.connection));
  parts.wal_directory = &wal_directory;
  parts.sink = &sink;
  parts.geometry = HAUL_TRY(read_geometry(*parts.connection));
  HAUL_TRY(check_replication_right(*parts.connection));
  // A temporary slot dies with its session, so the process id is unique among the living.
  parts.slot = format("pghaul_{}", parts.connection->backend_pid());
  HAUL_TRY(create_slot(*parts.connection, parts.slot));
  parts.poll_interval = std::max(options.poll_interval, milliseconds{1});
  parts.flush_timeout = options.flush_timeout;
  return std::make_unique<LiveWalCopier>(std::move(parts));
}

}  // namespace haul::postgres
