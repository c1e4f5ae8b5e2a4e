#include "engine/postgres/replication_stream.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/format.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/internal/connect.h"
#include "engine/postgres/internal/replication_answers.h"

namespace haul::postgres {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How often a wait looks whether it should end.
constexpr milliseconds kPollSlice{100};
// An answer that is not there by then does not come.
constexpr milliseconds kAnswerPatience{60'000};
constexpr milliseconds kFinishPatience{2'000};
constexpr std::size_t kSlotNameLengthMax = 63;
// READ_REPLICATION_SLOT is there from here on.
constexpr int kReadSlotMajor = 15;

using UniqueMessage = Owned<void>;

void ignore_notice(void*, const PGresult*) {}

ReplicationRow first_row(const LibPq& pq, const PGresult* result) {
  ReplicationRow row;
  if (pq.PQntuples(result) < 1) return row;
  for (int column = 0; column < pq.PQnfields(result); ++column) {
    if (pq.PQgetisnull(result, 0, column) != 0) {
      row.emplace_back(std::nullopt);
      continue;
    }
    const auto length = static_cast<std::size_t>(pq.PQgetlength(result, 0, column));
    row.emplace_back(std::string(pq.PQgetvalue(result, 0, column), length));
  }
  return row;
}

class LiveStream final : public ReplicationStream {
 public:
  LiveStream(const LibPq& pq, const ConnectionOptions& options, std::stop_token stop)
      : pq_(pq), options_(options), stop_(std::move(stop)) {}

  Status connect();

  Result<ServerIdentity> identify() override;
  Result<std::optional<SlotState>> find_slot(const std::string& name) override;
  Status create_slot(const std::string& name) override;
  Result<std::vector<std::byte>> timeline_history(TimelineId timeline) override;
  Status start(const StreamStart& from) override;
  Result<StreamEvent> next(milliseconds patience) override;
  Status report(const StandbyStatus& status) override;
  Status finish() override;

 private:
  // Blocks until the socket is ready, for a slice at most. POLLIN or POLLOUT.
  Status poll_socket(short events, milliseconds patience);
  Status connect_by(SteadyClock::time_point deadline);
  // Blocks until there is a result to take; null where there is none any more.
  Result<UniqueResult> take_result(SteadyClock::time_point deadline);
  Result<UniqueResult> execute(const std::string& command);
  Result<ReplicationRow> ask(const std::string& command);
  Result<std::optional<SlotState>> find_slot_by_sql(const std::string& name) const;
  // Of the message that waits, if one does; below 1 as PQgetCopyData() has it.
  int take_message();
  Result<StreamEvent> end_of_copy();
  Error lost();
  Error refusal(const PGresult* result) const;

  const LibPq pq_;
  const ConnectionOptions options_;
  const std::stop_token stop_;
  UniqueConn conn_;
  std::string name_;
  UniqueMessage message_;
  std::size_t message_bytes_ = 0;
};

Error LiveStream::lost() {
  return {ErrorCode::io,
          format("connection to {} lost: {}", name_, one_line(pq_.PQerrorMessage(conn_.get())))};
}

Error LiveStream::refusal(const PGresult* result) const {
  const char* sqlstate = pq_.PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* primary = pq_.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return {code_of_refusal(sqlstate == nullptr ? "" : sqlstate),
          format("server {}: {}", name_,
                 one_line(primary != nullptr ? primary : pq_.PQresultErrorMessage(result))),
          one_line(pq_.PQresultErrorField(result, PG_DIAG_MESSAGE_HINT))};
}

Status LiveStream::poll_socket(short events, milliseconds patience) {
  struct pollfd socket = {pq_.PQsocket(conn_.get()), events, 0};
  const auto slice = std::clamp(patience, milliseconds{0}, kPollSlice);
  if (::poll(&socket, 1, static_cast<int>(slice.count())) < 0 && errno != EINTR) {
    return error_from_errno(errno, format("poll connection to {}", name_));
  }
  return ok();
}

Status LiveStream::connect_by(SteadyClock::time_point deadline) {
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    if (SteadyClock::now() > deadline) {
      return Error(ErrorCode::io, format("cannot connect to PostgreSQL: no answer in {} s",
                                         options_.connect_timeout.count()));
    }
    if (status == PGRES_POLLING_FAILED) {
      return Error(ErrorCode::io, format("cannot connect to PostgreSQL: {}",
                                         one_line(pq_.PQerrorMessage(conn_.get()))));
    }
    struct pollfd socket = {pq_.PQsocket(conn_.get()),
                            static_cast<short>(status == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                            0};
    const int ready = ::poll(&socket, 1, static_cast<int>(kPollSlice.count()));
    if (ready > 0) status = pq_.PQconnectPoll(conn_.get());
  }
  return ok();
}

Status LiveStream::connect() {
  const ConnectionParameters parameters =
      HAUL_TRY(connection_parameters(pq_, options_, SessionKind::replication));
  conn_ =
      UniqueConn(pq_.PQconnectStartParams(parameters.keywords().data(), parameters.values().data(),
                                          parameters.expands_dbname() ? 1 : 0),
                 {pq_.PQfinish});
  if (!conn_) return Error(ErrorCode::server_state, "out of memory for a connection");
  if (pq_.PQstatus(conn_.get()) == CONNECTION_BAD) {
    return Error(ErrorCode::io, format("cannot connect to PostgreSQL: {}",
                                       one_line(pq_.PQerrorMessage(conn_.get()))));
  }
  HAUL_TRY(connect_by(SteadyClock::now() + options_.connect_timeout));
  pq_.PQsetNoticeReceiver(conn_.get(), ignore_notice, nullptr);
  name_ = format("{}:{}", one_line(pq_.PQhost(conn_.get())), one_line(pq_.PQport(conn_.get())));
  return ok();
}

Result<UniqueResult> LiveStream::take_result(SteadyClock::time_point deadline) {
  while (pq_.PQisBusy(conn_.get()) != 0) {
    if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    if (SteadyClock::now() > deadline) {
      return Error(ErrorCode::io, format("no answer from {}", name_));
    }
    HAUL_TRY(poll_socket(POLLIN, kPollSlice));
    if (pq_.PQconsumeInput(conn_.get()) == 0) return lost();
  }
  return UniqueResult(pq_.PQgetResult(conn_.get()), {pq_.PQclear});
}

// The one result of a command. One that streams has no end to wait for.
Result<UniqueResult> LiveStream::execute(const std::string& command) {
  if (pq_.PQsendQuery(conn_.get(), command.c_str()) == 0) return lost();
  const auto deadline = SteadyClock::now() + kAnswerPatience;
  UniqueResult first = HAUL_TRY(take_result(deadline));
  if (!first) return Error(ErrorCode::server_state, format("server {}: no answer", name_));
  if (pq_.PQresultStatus(first.get()) == PGRES_COPY_BOTH) return first;
  while (HAUL_TRY(take_result(deadline))) {
  }
  const ExecStatusType status = pq_.PQresultStatus(first.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return refusal(first.get());
  return first;
}

Result<ReplicationRow> LiveStream::ask(const std::string& command) {
  const UniqueResult result = HAUL_TRY(execute(command));
  return first_row(pq_, result.get());
}

Result<ServerIdentity> LiveStream::identify() {
  const int major = pq_.PQserverVersion(conn_.get()) / 10000;
  if (major < kServerMajorMin || major > kServerMajorMax) {
    return Error(ErrorCode::unsupported, format("server version {} is not supported", major));
  }
  ServerIdentity identity = HAUL_TRY(parse_identity(HAUL_TRY(ask("IDENTIFY_SYSTEM"))));
  identity.wal_segment_size_bytes =
      HAUL_TRY(parse_segment_size(HAUL_TRY(ask("SHOW wal_segment_size"))));
  identity.major = major;
  return identity;
}

Result<std::optional<SlotState>> LiveStream::find_slot(const std::string& name) {
  HAUL_TRY(check_slot_name(name));
  if (pq_.PQserverVersion(conn_.get()) / 10000 < kReadSlotMajor) return find_slot_by_sql(name);
  return parse_slot(HAUL_TRY(ask(format("READ_REPLICATION_SLOT \"{}\"", name))));
}

// Sessions of replication take no SQL.
Result<std::optional<SlotState>> LiveStream::find_slot_by_sql(const std::string& name) const {
  auto connection = PgConnection::open(options_);
  // It was reachable a moment ago.
  if (!connection) return Error(ErrorCode::io, connection.error().message());
  Rows rows = HAUL_TRY(
      (*connection)
          ->query("SELECT slot_type, restart_lsn FROM pg_replication_slots WHERE slot_name = $1",
                  {name}));
  if (rows.count() == 0) return std::nullopt;
  return parse_slot(rows.values.front());
}

Status LiveStream::create_slot(const std::string& name) {
  HAUL_TRY(check_slot_name(name));
  auto created = execute(format("CREATE_REPLICATION_SLOT \"{}\" PHYSICAL RESERVE_WAL", name));
  if (created) return ok();
  return std::move(created).take_error().with_context(format("create replication slot {}", name));
}

Result<std::vector<std::byte>> LiveStream::timeline_history(TimelineId timeline) {
  return parse_history(timeline, HAUL_TRY(ask(format("TIMELINE_HISTORY {}", timeline.value))));
}

Status LiveStream::start(const StreamStart& from) {
  HAUL_TRY(check_slot_name(from.slot));
  const UniqueResult result =
      HAUL_TRY(execute(format("START_REPLICATION SLOT \"{}\" PHYSICAL {} TIMELINE {}", from.slot,
                              to_string(from.position), from.timeline.value)));
  if (pq_.PQresultStatus(result.get()) == PGRES_COPY_BOTH) return ok();
  return Error(ErrorCode::server_state,
               format("server {}: timeline {} has nothing from {} on", name_, from.timeline.value,
                      to_string(from.position)));
}

int LiveStream::take_message() {
  char* buffer = nullptr;
  const int size = pq_.PQgetCopyData(conn_.get(), &buffer, 1);
  message_ = UniqueMessage(buffer, {pq_.PQfreemem});
  message_bytes_ = size > 0 ? static_cast<std::size_t>(size) : 0;
  return size;
}

Result<StreamEvent> LiveStream::next(milliseconds patience) {
  int size = take_message();
  if (size == 0) {
    HAUL_TRY(poll_socket(POLLIN, patience));
    if (pq_.PQconsumeInput(conn_.get()) == 0) return lost();
    size = take_message();
  }
  if (size == 0) return Quiet{};
  if (size == -1) return end_of_copy();
  if (size < 0) return lost();
  auto message =
      parse_replication_message({static_cast<const std::byte*>(message_.get()), message_bytes_});
  if (!message) {
    return Error(ErrorCode::server_state,
                 format("server {}: {}", name_, message.error().message()));
  }
  return std::visit([](const auto& known) -> StreamEvent { return known; }, *message);
}

// The server has no more to send: it failed, it ends, or its timeline does.
Result<StreamEvent> LiveStream::end_of_copy() {
  const auto deadline = SteadyClock::now() + kAnswerPatience;
  UniqueResult result = HAUL_TRY(take_result(deadline));
  if (result && pq_.PQresultStatus(result.get()) == PGRES_COPY_IN) {
    if (pq_.PQputCopyEnd(conn_.get(), nullptr) != 1 || pq_.PQflush(conn_.get()) < 0) return lost();
    result = HAUL_TRY(take_result(deadline));
  }
  if (!result) return lost();
  const ExecStatusType status = pq_.PQresultStatus(result.get());
  if (status == PGRES_COMMAND_OK) {
    return Error(ErrorCode::io, format("server {} ended the stream", name_));
  }
  if (status != PGRES_TUPLES_OK) return refusal(result.get());
  const TimelineEnd end = HAUL_TRY(parse_timeline_end(first_row(pq_, result.get())));
  while (HAUL_TRY(take_result(deadline))) {
  }
  return end;
}

Status LiveStream::report(const StandbyStatus& status) {
  const auto message = encode_standby_status(status);
  if (pq_.PQputCopyData(conn_.get(), reinterpret_cast<const char*>(message.data()),
                        static_cast<int>(message.size())) != 1 ||
      pq_.PQflush(conn_.get()) < 0) {
    return lost();
  }
  return ok();
}

// A socket that is closed with bytes unread takes back what was sent last.
Status LiveStream::finish() {
  if (pq_.PQputCopyEnd(conn_.get(), nullptr) != 1 || pq_.PQflush(conn_.get()) < 0) return lost();
  const auto deadline = SteadyClock::now() + kFinishPatience;
  while (SteadyClock::now() < deadline) {
    const int size = take_message();
    if (size < 0) return ok();
    if (size > 0) continue;
    HAUL_TRY(poll_socket(POLLIN, kPollSlice));
    if (pq_.PQconsumeInput(conn_.get()) == 0) return lost();
  }
  return Error(ErrorCode::io, format("server {} does not end its stream", name_));
}

}  // namespace

Status check_slot_name(const std::string& name) {
  const bool plain = std::ranges::all_of(
      name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (plain && !name.empty() && name.size() <= kSlotNameLengthMax) return ok();
  return Error(ErrorCode::usage, format("\"{}\" cannot name a replication slot", name),
               "use at most 63 lowercase letters, digits and '_'");
}

Result<std::unique_ptr<ReplicationStream>> open_replication_stream(const ConnectionOptions& options,
                                                                   std::stop_token stop) {
  auto stream = std::make_unique<LiveStream>(HAUL_TRY(load_libpq()), options, std::move(stop));
  HAUL_TRY(stream->connect());
  return stream;
}

}  // namespace haul::postgres
