#include "engine/restore/server_start.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/file_grammar.h"
#include "io/file.h"

namespace haul::restore {

using Action = RecoveryTarget::Action;

namespace {

constexpr std::chrono::milliseconds kPollInterval{100};
constexpr int kUnansweredMax = 50;
constexpr const char* kIsInRecovery = "SELECT pg_is_in_recovery()";
constexpr std::size_t kLogBytesShown = 2000;

std::string program(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : format("{}/{}", directory, name);
}

// "pg_ctl (PostgreSQL) 15.14"
int major_in(std::string_view version) {
  const std::size_t at = version.find(") ");
  int major = 0;
  for (std::size_t i = at == std::string_view::npos ? version.size() : at + 2;
       i < version.size() && version[i] >= '0' && version[i] <= '9' && major < 1000; ++i) {
    major = major * 10 + (version[i] - '0');
  }
  return major;
}

std::string without_last_feed(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

class ServerStarter {
 public:
  ServerStarter(const ServerStart& start, const ServerEnvironment& environment)
      : start_(start), environment_(environment) {}

  Result<ServerReport> run() {
    before_ = HAUL_TRY(read_control_file()).bytes;
    const auto begin = now();
    auto launched = launch();
    if (!launched) return stop_again(std::move(launched).take_error());
    auto reached = wait(begin);
    if (!reached) return stop_again(std::move(reached).take_error());
    ServerReport report;
    report.outcome = *reached;
    const auto replayed = now();
    report.replay_time = replayed - begin;
    if (report.outcome == ServerOutcome::shut_down || !takes_queries_) return report;
    HAUL_TRY(check_first_query(report.outcome));
    report.first_query_time = now() - replayed;
    return report;
  }

 private:
  std::chrono::nanoseconds now() const { return environment_.clock->now_monotonic(); }

  // A server that ended at its target is no failure of pg_ctl's, whatever it says: wait() tells.
  Status launch() {
    const auto limit = std::chrono::duration_cast<std::chrono::seconds>(kReplayTimeMax);
    const ProgramOutcome outcome = HAUL_TRY(environment_.runner->run(
        {program(start_.programs, "pg_ctl"), "start", "-D", start_.data_directory, "-s", "-w", "-t",
         format("{}", limit.count()), "-l",
         format("{}/{}", start_.data_directory, postgres::kStartLogName)},
        environment_.stop));
    pg_ctl_said_ = without_last_feed(outcome.output);
    return ok();
  }

  Result<ServerOutcome> wait(std::chrono::nanoseconds begin) {
    while (now() - begin < kReplayTimeMax) {
      if (environment_.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      const auto outcome = HAUL_TRY(look());
      if (outcome) return *outcome;
      environment_.clock->sleep_for(kPollInterval);
    }
    return failed("has not ended its recovery in time");
  }

  // Nothing: it is still on its way.
  Result<std::optional<ServerOutcome>> look() {
    const auto file = postgres::read_postmaster_pid(*environment_.directory);
    const bool is_there = file && environment_.processes->alive(file->pid);
    if (!is_there) {
      if (HAUL_TRY(ended_at_target())) return ServerOutcome::shut_down;
      return failed("ended");
    }
    const bool is_standby = start_.target.role == RecoveryTarget::Role::standby;
    // A server without hot standby takes nobody in until its recovery has ended.
    takes_queries_ = file->status == "ready";
    if (file->status == "standby" && is_standby) return ServerOutcome::standby;
    // "ready" only says that it takes someone in.
    if (!takes_queries_) return std::optional<ServerOutcome>();
    // Asking one that is about to shut down tells nothing.
    if (stops_with(Action::shutdown)) return std::optional<ServerOutcome>();
    const auto is_in_recovery = HAUL_TRY(ask(kIsInRecovery));
    if (!is_in_recovery) return std::optional<ServerOutcome>();
    if (*is_in_recovery == "f") {
      if (is_standby) return failed("is no standby");
      return ServerOutcome::ready;
    }
    if (is_standby) return ServerOutcome::standby;
    if (stops_with(Action::pause) && HAUL_TRY(is_paused())) return ServerOutcome::paused;
    return std::optional<ServerOutcome>();
  }

  bool stops_with(Action action) const {
    return start_.target.stops() && start_.target.action == action;
  }

  Result<postgres::ControlFileImage> read_control_file() const {
    return postgres::read_control_file(*environment_.directory, *environment_.clock);
  }

  // Without hot standby a server shuts down where it should pause. A backup may have been taken in
  // that state already.
  Result<bool> ended_at_target() {
    if (!stops_with(Action::shutdown) && !stops_with(Action::pause)) return false;
    const auto image = HAUL_TRY(read_control_file());
    return image.parsed.state == postgres::DatabaseState::shut_down_in_recovery &&
           image.bytes != before_;
  }

  // A server also pauses where its settings do not suffice, which is not the target.
  Result<bool> is_paused() {
    const std::string paused = start_.server_major >= 14
                                   ? "pg_get_wal_replay_pause_state() = 'paused'"
                                   : "pg_is_wal_replay_paused()";
    const auto answer = HAUL_TRY(ask(format("SELECT {}, pg_last_wal_replay_lsn()", paused)));
    if (!answer || !answer->starts_with("t|")) return false;
    const auto replayed = parse_lsn(std::string_view(*answer).substr(2));
    if (!replayed) return failed(format("said \"{}\" of its replay", *answer));
    if (*replayed >= start_.replayed) return true;
    return failed(format("has paused at {}, before its target", to_string(*replayed)));
  }

  Status check_first_query(ServerOutcome outcome) {
    const std::string answer = HAUL_TRY(query(kIsInRecovery));
    const std::string_view expected = outcome == ServerOutcome::ready ? "f" : "t";
    if (answer == expected) return ok();
    return failed(format("said \"{}\" when asked whether it is in recovery", answer));
  }

  // A server that fails takes its sessions along before it is gone: one that cannot be asked is
  // looked at again, and counts as such only after a while. Nothing: not now.
  Result<std::optional<std::string>> ask(const std::string& sql) {
    auto answer = query(sql);
    if (answer) {
      unanswered_ = 0;
      return std::optional(std::move(answer).take());
    }
    const bool is_refusal = answer.error().code() == ErrorCode::server_state;
    if (!is_refusal || ++unanswered_ >= kUnansweredMax) return std::move(answer).take_error();
    return std::optional<std::string>();
  }

  Result<std::string> query(const std::string& sql) {
    const auto file = HAUL_TRY(postgres::read_postmaster_pid(*environment_.directory));
    std::vector<std::string> command = {
        program(start_.programs, "psql"), "-X", "-A", "-t", "-q", "-w", "-p",
        format("{}", file.port)};
    if (const std::string host = file.connect_host(); !host.empty()) {
      command.insert(command.end(), {"-h", host});
    }
    command.insert(command.end(), {"-d", "postgres", "-c", sql});
    ProgramOutcome outcome = HAUL_TRY(environment_.runner->run(command, environment_.stop));
    std::string output = without_last_feed(std::move(outcome.output));
    if (outcome.status == 0) return output;
    return Error(ErrorCode::server_state,
                 format("the server in {} runs, but cannot be asked: {}", start_.data_directory,
                        on_one_line(output)),
                 "psql, run by the server's user, has to be let in; PGUSER and .pgpass count");
  }

  static std::string on_one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
  }

  Error failed(std::string_view what) const {
    return {ErrorCode::server_state, format("the server in {} {}", start_.data_directory, what),
            format("the end of its log:\n{}", log_end())};
  }

  std::string log_end() const {
    std::string log = tail_of(postgres::kStartLogName);
    // A collector writes elsewhere: "stderr log/postgresql-2026-11-24_100000.log".
    const std::string current = tail_of("current_logfiles");
    const std::size_t begin = current.find(' ');
    if (begin != std::string::npos) {
      const std::string path = current.substr(begin + 1, current.find('\n', begin) - begin - 1);
      if (io::is_plain_path(path)) log += "\n" + tail_of(path);
    }
    if (!pg_ctl_said_.empty()) log += "\n" + pg_ctl_said_;
    return log;
  }

  // Empty when it cannot be read.
  std::string tail_of(std::string_view path) const {
    const auto file = environment_.directory->open_file(path, io::Caching::buffered);
    if (!file) return "";
    const auto info = (*file)->info();
    if (!info) return "";
    const std::size_t size = std::min<std::size_t>(info->size_bytes, kLogBytesShown);
    std::vector<std::byte> bytes(size);
    const auto count = (*file)->read_at(info->size_bytes - size, bytes);
    if (!count) return "";
    return without_last_feed(std::string(text_of(ByteSpan(bytes).first(*count))));
  }

  // What was interrupted does not go on by itself. A server that failed is left as it is.
  Error stop_again(Error error) {
    if (error.code() != ErrorCode::interrupted) return error;
    static_cast<void>(environment_.runner->run({program(start_.programs, "pg_ctl"), "stop", "-D",
                                                start_.data_directory, "-s", "-w", "-m", "fast"},
                                               {}));
    return error;
  }

  const ServerStart& start_;
  const ServerEnvironment& environment_;
  std::vector<std::byte> before_;  // pg_control
  std::string pg_ctl_said_;
  bool takes_queries_ = false;
  int unanswered_ = 0;  // questions, one after another
};

}  // namespace

std::string_view to_string(ServerOutcome outcome) {
  switch (outcome) {
    case ServerOutcome::ready: return "ready";
    case ServerOutcome::paused: return "paused";
    case ServerOutcome::standby: return "standby";
    case ServerOutcome::shut_down: return "shut_down";
  }
  return "ready";
}

Result<std::string> find_server_programs(ProgramRunner& runner, const std::string& given,
                                         int server_major) {
  std::vector<std::string> places = {given};
  if (given.empty()) places = {format("/usr/lib/postgresql/{}/bin", server_major), ""};
  for (const std::string& place : places) {
    const auto outcome = runner.run({program(place, "pg_ctl"), "--version"}, {});
    if (outcome && outcome->status == 0 && major_in(outcome->output) == server_major) return place;
  }
  return Error(ErrorCode::usage,
               format("there are no programs of PostgreSQL {} in {}", server_major,
                      given.empty() ? places.front() + ", nor in PATH" : given),
               "install that release, or say where it is: --pg-bin");
}

Result<ServerReport> start_server(const ServerStart& start, const ServerEnvironment& environment) {
  return ServerStarter(start, environment).run();
}

}  // namespace haul::restore
