// A server that archives into a repository, and restores from there that are started by restore
// itself.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <memory>
#include <string>

#include "tests/integration/main_job/program.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

class ArchivingServer {
 public:
  // Runs, and archives with wal push. Nothing when it could not be made.
  static std::unique_ptr<ArchivingServer> make(const support::PgServerOptions& options);
  // Ends the restores that run.
  ~ArchivingServer();

  const Workshop& workshop() const { return workshop_; }
  support::PgServer& server() const { return *server_; }
  std::string repository() const { return workshop_.path("repo"); }

  // The backup's JSON.
  Outcome back_up(const std::string& options) const;
  // Of a backup that was made.
  std::string backup_name(const std::string& options) const;
  // Ends a segment and waits until it is archived. Its name.
  std::string archive_segment() const;

  std::string directory(const std::string& restored) const { return workshop_.path(restored); }
  // The command that restores into a new directory of this name, as JSON.
  std::string restore_command(const std::string& restored, const std::string& options) const;
  // By the server's user.
  Outcome restore(const std::string& restored, const std::string& options) const;
  // Of the restored server that runs.
  std::string query(const std::string& sql) const;
  // Ends it, if it runs, and takes the directory away.
  void discard(const std::string& restored) const;

 private:
  ArchivingServer() = default;

  Workshop workshop_;
  std::unique_ptr<support::PgServer> server_;
};

}  // namespace haul::integration
