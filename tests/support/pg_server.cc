#include "tests/support/pg_server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <system_error>

#include "base/format.h"
#include "io/unique_fd.h"

namespace haul::support {
namespace {

namespace fs = std::filesystem;

constexpr const char* kServerUser = "postgres";
// Private sockets make one number do for all.
constexpr int kPort = 54321;
constexpr std::size_t kOutputKeptBytes = 4000;

struct UserIds {
  uid_t user = 0;
  gid_t group = 0;
};

// Whom to become before a program starts; nothing when we are nobody special ourselves.
std::optional<UserIds> server_user() {
  if (::geteuid() != 0) return std::nullopt;
  const struct passwd* entry = ::getpwnam(kServerUser);
  if (entry == nullptr) return std::nullopt;
  return UserIds{entry->pw_uid, entry->pw_gid};
}

Status give_to_server_user(const std::string& path) {
  const auto ids = server_user();
  if (!ids) return ok();
  if (::chown(path.c_str(), ids->user, ids->group) != 0) {
    return error_from_errno(errno, format("chown {}", path));
  }
  return ok();
}

// Only calls that are safe between fork and exec.
[[noreturn]] void become_program(char* const* arguments, int output,
                                 const std::optional<UserIds>& ids) {
  const bool switched = !ids || (::setgroups(1, &ids->group) == 0 && ::setgid(ids->group) == 0 &&
                                 ::setuid(ids->user) == 0);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (switched && ::chdir("/") == 0 && ::dup2(nothing, STDIN_FILENO) >= 0 &&
      ::dup2(output, STDOUT_FILENO) >= 0 && ::dup2(output, STDERR_FILENO) >= 0) {
    ::execv(arguments[0], arguments);
  }
  ::_exit(127);
}

std::string read_all(int fd) {
  std::string output;
  char buffer[4096];
  while (true) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return output;
    output.append(buffer, static_cast<std::size_t>(count));
  }
}

Result<std::string> run_program(std::vector<std::string> command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const auto ids = server_user();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return error_from_errno(errno, "pipe");
  io::UniqueFd reader(ends[0]);
  io::UniqueFd writer(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return error_from_errno(errno, "fork");
  if (child == 0) become_program(arguments.data(), writer.get(), ids);
  HAUL_TRY(writer.finish());
  std::string output = read_all(reader.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  output.erase(0, output.size() - std::min(output.size(), kOutputKeptBytes));
  return Error(ErrorCode::server_state, format("{} failed: {}", command.front(), output));
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::optional<std::int64_t> pid_of(const std::string& data_directory) {
  std::ifstream file(data_directory + "/postmaster.pid");
  std::int64_t pid = 0;
  if (file >> pid && pid > 0) return pid;
  return std::nullopt;
}

const char* to_argument(PgServer::StopMode mode) {
  switch (mode) {
    case PgServer::StopMode::smart: return "smart";
    case PgServer::StopMode::fast: return "fast";
    case PgServer::StopMode::immediate: return "immediate";
  }
  return "fast";
}

}  // namespace

std::string pg_bin_directory() {
  if (const char* given = std::getenv("PGHAUL_PG_BIN"); given != nullptr) return given;
  int newest = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
    const std::string name = entry.path().filename();
    int major = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), major);
    if (parsed.ec == std::errc() && fs::exists(entry.path() / "bin/initdb")) {
      newest = std::max(newest, major);
    }
  }
  return newest == 0 ? "" : format("/usr/lib/postgresql/{}/bin", newest);
}

int pg_major() {
  static const int kMajor = [] {
    const auto version = run_program({pg_bin_directory() + "/postgres", "--version"});
    // "postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)"
    const std::size_t at = version ? version->find(") ") : std::string::npos;
    return at == std::string::npos ? 0 : std::atoi(version->c_str() + at + 2);
  }();
  return kMajor;
}

Result<std::unique_ptr<PgServer>> PgServer::create(const PgServerOptions& options) {
  if (pg_bin_directory().empty()) {
    return Error(ErrorCode::server_state, "no PostgreSQL server programs found",
                 "install postgresql or set PGHAUL_PG_BIN");
  }
  std::unique_ptr<PgServer> server(new PgServer);
  // Short: a socket's path has at most 107 bytes.
  std::string pattern = "/tmp/pghaul-pg-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return error_from_errno(errno, "mkdtemp");
  server->work_directory_ = pattern;
  HAUL_TRY(give_to_server_user(pattern));
  server->data_directory_ = pattern + "/data";
  HAUL_TRY(server->initialize(options));
  return server;
}

Result<std::unique_ptr<PgServer>> PgServer::adopt(const std::string& data_directory) {
  std::unique_ptr<PgServer> server(new PgServer);
  std::string pattern = "/tmp/pghaul-pg-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return error_from_errno(errno, "mkdtemp");
  server->work_directory_ = pattern;
  HAUL_TRY(give_to_server_user(pattern));
  server->data_directory_ = data_directory;
  server->socket_directory_ = HAUL_TRY(server->make_directory("s"));
  return server;
}

Status PgServer::initialize(const PgServerOptions& options) {
  socket_directory_ = HAUL_TRY(make_directory("s"));
  std::vector<std::string> command = {"initdb",
                                      "--no-sync",
                                      "--auth=trust",
                                      "--username=postgres",
                                      "--encoding=UTF8",
                                      "--locale=C",
                                      format("--wal-segsize={}", options.wal_segment_size_mb),
                                      "--pgdata=" + data_directory_};
  if (options.checksums == PgServerOptions::Checksums::on) {
    command.emplace_back("--data-checksums");
  } else if (pg_major() >= 18) {
    command.emplace_back("--no-data-checksums");
  }
  HAUL_TRY(run(command));
  // Releases that were unpacked beside the system cannot load what they compile queries with.
  HAUL_TRY(configure({"listen_addresses = ''", "jit = off", "fsync = off", "shared_buffers = 32MB",
                      "max_connections = 50", "logging_collector = off"}));
  return configure(options.settings);
}

PgServer::~PgServer() {
  if (started_ && is_running()) {
    if (!stop(StopMode::immediate)) ::kill(static_cast<pid_t>(postmaster_pid()), SIGKILL);
  }
  std::error_code ignored;
  if (!work_directory_.empty()) fs::remove_all(work_directory_, ignored);
}

Status PgServer::start() {
  // The socket and the port are given here, so that an adopted directory need not name ours.
  const std::string server_options =
      format("-p {} -c unix_socket_directories={} -c listen_addresses=", kPort,
             shell_quoted(socket_directory_));
  auto started = run({"pg_ctl", "--pgdata=" + data_directory_, "--log=" + log_file(), "--wait",
                      "--timeout=120", "-o", server_options, "start"});
  if (!started) {
    const std::string log = read_whole_file(log_file()).value_or("");
    return std::move(started).take_error().with_context(
        log.substr(log.size() - std::min(log.size(), kOutputKeptBytes)));
  }
  started_ = true;
  return ok();
}

Status PgServer::stop(StopMode mode) {
  HAUL_TRY(run({"pg_ctl", "--pgdata=" + data_directory_, "--wait", "--timeout=120",
                format("--mode={}", to_argument(mode)), "stop"}));
  started_ = false;
  return ok();
}

Status PgServer::restart() {
  HAUL_TRY(stop());
  return start();
}

bool PgServer::is_running() const {
  const auto pid = pid_of(data_directory_);
  return pid && ::kill(static_cast<pid_t>(*pid), 0) == 0;
}

std::int64_t PgServer::postmaster_pid() const { return pid_of(data_directory_).value_or(0); }

Result<std::string> PgServer::make_directory(const std::string& name) {
  std::string path = work_directory_ + "/" + name;
  if (::mkdir(path.c_str(), 0700) != 0) return error_from_errno(errno, format("mkdir {}", path));
  HAUL_TRY(give_to_server_user(path));
  return path;
}

std::string PgServer::conninfo(const std::string& user) const {
  return format("host={} port={} user={} dbname=postgres", socket_directory_, kPort, user);
}

Result<std::string> PgServer::query(const std::string& sql, const std::string& dbname) const {
  std::string output = HAUL_TRY(run({"psql", "--no-psqlrc", "-At", "-q", "-v", "ON_ERROR_STOP=1",
                                     "-d", conninfo() + " dbname=" + dbname, "-c", sql}));
  if (output.ends_with('\n')) output.pop_back();
  return output;
}

Status PgServer::check_relations() const {
  if (pg_major() >= 14) {
    HAUL_TRY(run({"pg_amcheck", "--all", "--install-missing", "--heapallindexed", "--rootdescend",
                  "-h", socket_directory_, "-p", format("{}", kPort), "-U", "postgres"}));
    return ok();
  }
  const std::string databases =
      HAUL_TRY(query("SELECT string_agg(datname, E'\\n') FROM pg_database WHERE datallowconn"));
  std::istringstream names(databases);
  for (std::string name; std::getline(names, name);) {
    HAUL_TRY(query("CREATE EXTENSION IF NOT EXISTS amcheck", name));
    HAUL_TRY(query(
        "SELECT bt_index_parent_check(c.oid, true, true) FROM pg_class c JOIN pg_am a ON a.oid = "
        "c.relam JOIN pg_index i ON i.indexrelid = c.oid WHERE a.amname = 'btree' AND c.relkind = "
        "'i' AND i.indisvalid AND c.relpersistence <> 't'",
        name));
  }
  return ok();
}

Status PgServer::configure(const std::vector<std::string>& settings) const {
  std::ofstream file(data_directory_ + "/postgresql.conf", std::ios::app);
  for (const std::string& setting : settings) file << setting << '\n';
  file.close();
  if (!file)
    return Error(ErrorCode::io, format("cannot append to {}/postgresql.conf", data_directory_));
  return ok();
}

Status PgServer::pgbench_initialize(int scale) const {
  HAUL_TRY(run({"pgbench", "-i", "-q", "-s", format("{}", scale), "-h", socket_directory_, "-p",
                format("{}", kPort), "-U", "postgres", "postgres"}));
  return ok();
}

Status PgServer::run_pgbench(int clients, int seconds) const {
  HAUL_TRY(run({"pgbench", "-n", "-c", format("{}", clients), "-T", format("{}", seconds), "-h",
                socket_directory_, "-p", format("{}", kPort), "-U", "postgres", "postgres"}));
  return ok();
}

Result<std::string> PgServer::run(const std::vector<std::string>& command) const {
  std::vector<std::string> whole = command;
  if (!whole.front().starts_with('/')) whole.front() = pg_bin_directory() + "/" + whole.front();
  return run_program(std::move(whole));
}

Result<std::string> read_whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return Error(ErrorCode::io, format("cannot read {}", path));
  return content;
}

}  // namespace haul::support
