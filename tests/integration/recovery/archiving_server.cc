#include "tests/integration/recovery/archiving_server.h"

#include <gtest/gtest.h>

#include "base/format.h"

namespace haul::integration {

using support::PgServer;

namespace {

// Of restored servers; the source is started with another.
constexpr int kPort = 54332;

}  // namespace

std::unique_ptr<ArchivingServer> ArchivingServer::make(const support::PgServerOptions& options) {
  std::unique_ptr<ArchivingServer> archiving(new ArchivingServer);
  const Workshop& workshop = archiving->workshop_;
  EXPECT_EQ(workshop.shell_as_server("mkdir " + workshop.path("sockets")).status, 0);
  EXPECT_EQ(workshop.pghaul("init --repo " + archiving->repository()).status, 0);
  support::PgServerOptions with_archive = options;
  with_archive.settings.insert(
      with_archive.settings.end(),
      {format("port = {}", kPort),
       format("unix_socket_directories = '{}'", workshop.path("sockets")), "archive_mode = on",
       format("archive_command = '{} wal push --repo {} %p'", workshop.path("pghaul"),
              archiving->repository())});
  auto made = PgServer::create(with_archive);
  EXPECT_TRUE(made) << made.error().message();
  if (!made) return nullptr;
  archiving->server_ = std::move(made).take();
  const Status started = archiving->server_->start();
  EXPECT_TRUE(started) << started.error().message();
  return started ? std::move(archiving) : nullptr;
}

ArchivingServer::~ArchivingServer() {
  const std::string running =
      workshop_.shell(format("ls {}/*/postmaster.pid", workshop_.path(""))).out;
  for (std::size_t begin = 0; begin < running.size();) {
    const std::size_t end = running.find('\n', begin);
    const std::string path = running.substr(begin, running.rfind('/', end) - begin);
    discard(path.substr(path.rfind('/') + 1));
    begin = end + 1;
  }
}

Outcome ArchivingServer::back_up(const std::string& options) const {
  return workshop_.pghaul(format("backup --repo {} -D {} -c fast --json -q {}", repository(),
                                 server_->data_directory(), options));
}

std::string ArchivingServer::backup_name(const std::string& options) const {
  const Outcome backup = back_up(options);
  EXPECT_EQ(backup.status, 0) << backup.err;
  return json_of(backup).string_at("backup").value_or("");
}

std::string ArchivingServer::archive_segment() const {
  // With something in it: from 17 on the server names the segment that begins where another one has
  // just ended.
  EXPECT_TRUE(server_->query("SELECT pg_logical_emit_message(false, 'pghaul', 'end')"));
  std::string segment = server_->query("SELECT pg_walfile_name(pg_switch_wal())").value_or("?");
  const std::string there =
      format("SELECT coalesce(max(last_archived_wal), '') >= '{}' FROM pg_stat_archiver", segment);
  for (int i = 0; i < 1200 && server_->query(there).value_or("f") != "t"; ++i) {
    workshop_.shell("sleep 0.05");
  }
  EXPECT_EQ(server_->query(there).value_or("?"), "t") << segment << " was not archived";
  return segment;
}

std::string ArchivingServer::restore_command(const std::string& restored,
                                             const std::string& options) const {
  return format("{} restore --repo {} -D {} --json -q --pg-bin {} {}", workshop_.path("pghaul"),
                repository(), directory(restored), support::pg_bin_directory(), options);
}

Outcome ArchivingServer::restore(const std::string& restored, const std::string& options) const {
  return workshop_.shell_as_server("exec " + restore_command(restored, options));
}

std::string ArchivingServer::query(const std::string& sql) const {
  Outcome outcome = workshop_.shell_as_server(
      format("{}/psql -X -At -q -v ON_ERROR_STOP=1 -h {} -p {} -U postgres -d postgres -c \"{}\"",
             support::pg_bin_directory(), workshop_.path("sockets"), kPort, sql));
  EXPECT_EQ(outcome.status, 0) << outcome.err << sql;
  if (outcome.out.ends_with('\n')) outcome.out.pop_back();
  return outcome.out;
}

void ArchivingServer::discard(const std::string& restored) const {
  workshop_.shell_as_server(
      format("test ! -e {0}/postmaster.pid || {1}/pg_ctl -D {0} -s -w -m immediate stop",
             directory(restored), support::pg_bin_directory()));
  workshop_.shell_as_server("rm -rf " + directory(restored));
}

}  // namespace haul::integration
