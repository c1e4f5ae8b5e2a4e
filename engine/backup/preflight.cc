#include "engine/backup/preflight.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <array>

#include "base/format.h"
#include "engine/postgres/postmaster_pid.h"
#include "engine/repository/snapshot.h"
#include "engine/wal/wal_archive.h"

namespace haul::backup {

namespace {

// A cluster's name belongs to the system identifier of its first use, a backup or WAL.
Status check_cluster_binding(const repository::Cluster& cluster, std::uint64_t system_identifier) {
  for (const std::string& id : HAUL_TRY(repository::list_snapshots(cluster))) {
    const auto snapshot = repository::read_snapshot(cluster, id);
    if (!snapshot) continue;  // a damaged one says nothing; verify reports it
    const auto facts = postgres::backup_facts_from_json(snapshot->facts);
    if (!facts) continue;
    if (facts->system_identifier == system_identifier) return ok();
    return Error(ErrorCode::server_state,
                 format("cluster {} holds backups of system {}, this server is system {}",
                        cluster.name, facts->system_identifier, system_identifier),
                 "give this server a name of its own with --cluster");
  }
  Status bound = wal::check_system(cluster, system_identifier);
  if (!bound && bound.error().code() == ErrorCode::corrupt) return ok();  // as above
  return bound;
}

// Where to connect when nothing was said: the server that runs on the data directory.
postgres::ConnectionOptions connection_of(const BackupOptions& options,
                                          io::Directory* data_directory) {
  postgres::ConnectionOptions connection = options.connection;
  const bool said =
      !connection.conninfo.empty() || !connection.host.empty() || !connection.port.empty();
  if (said || data_directory == nullptr) return connection;
  const auto running = postgres::read_postmaster_pid(*data_directory);
  if (!running || running->port == 0) return connection;
  connection.host = running->connect_host();
  connection.port = std::to_string(running->port);
  return connection;
}

Status check_server_and_directory(const postgres::ServerFacts& server, const Preflight& preflight,
                                  BackupEnvironment& environment) {
  const postgres::ControlFile& control = preflight.control;
  if (server.system_identifier != control.system_identifier) {
    return Error(
        ErrorCode::server_state,
        format("{} belongs to system {}, the server is system {}", preflight.data_directory,
               control.system_identifier, server.system_identifier),
        format("the server's data directory is {}", server.data_directory));
  }
  // A clone or a standby has the same identifier; only the directory itself tells them apart. Where
  // the server's own name for it means nothing here (another mount namespace), the identifier has
  // to do.
  const auto directory = environment.open_directory(server.data_directory);
  if (directory) {
    const io::FileInfo info = HAUL_TRY((*directory)->info(""));
    if (info.device != preflight.directory_info.device ||
        info.inode != preflight.directory_info.inode) {
      return Error(ErrorCode::server_state,
                   format("the server runs on {}, not on {}", server.data_directory,
                          preflight.data_directory),
                   "leave -D out, or connect to the server that runs on it");
    }
  }
  if (server.major != control.server_major || server.block_size_bytes != control.block_size_bytes ||
      server.wal_segment_size_bytes != control.wal_segment_size_bytes) {
    return Error(ErrorCode::server_state,
                 format("the server and {}/{} disagree on version or sizes",
                        preflight.data_directory, postgres::kControlFilePath));
  }
  return ok();
}

std::string name_of_user(std::uint32_t id) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(id, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return "";
  return found->pw_name;
}

std::string name_of_group(std::uint32_t id) {
  group entry{};
  group* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getgrgid_r(id, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return "";
  return found->gr_name;
}

std::string node_identity(const io::FileInfo& info) {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return format("{}:{}:{}", host.data(), info.device, info.inode);
}

// tablespace_map repeats a link as it is, and a server that recovers from it makes the link anew: a
// relative one leads elsewhere from another data directory.
Status check_tablespaces(const std::vector<postgres::TablespaceFact>& tablespaces) {
  for (const postgres::TablespaceFact& tablespace : tablespaces) {
    if (tablespace.in_place || tablespace.location.starts_with('/')) continue;
    return Error(
        ErrorCode::server_state,
        format("tablespace {} is a relative link to {}", tablespace.oid, tablespace.location),
        "replace the link in pg_tblspc by one to the absolute path while the server is stopped");
  }
  return ok();
}

void fill_facts(Preflight& preflight) {
  const postgres::ControlFile& control = preflight.control;
  postgres::BackupFacts& facts = preflight.facts;
  facts.online = preflight.session != nullptr;
  facts.server_version =
      facts.online ? preflight.session->facts().version : control.server_major * 10000;
  facts.from_standby = facts.online && preflight.session->facts().in_recovery;
  facts.system_identifier = control.system_identifier;
  facts.catalog_version = control.catalog_version;
  facts.block_size_bytes = control.block_size_bytes;
  facts.relation_segment_blocks = control.relation_segment_blocks;
  facts.wal_segment_size_bytes = control.wal_segment_size_bytes;
  facts.data_checksum_version = control.data_checksum_version;
  facts.wal_level = control.wal_level;
  facts.wal_log_hints = control.wal_log_hints;
  facts.data_directory = preflight.data_directory;
  facts.owner_user_id = preflight.directory_info.user;
  facts.owner_group_id = preflight.directory_info.group;
  facts.owner_user = name_of_user(facts.owner_user_id);
  facts.owner_group = name_of_group(facts.owner_group_id);
  facts.node = node_identity(preflight.directory_info);
  facts.tablespaces = preflight.source->tablespaces();
}

Status check_offline(const Preflight& preflight, io::Directory& directory) {
  postgres::SystemProcessProbe probe;
  if (HAUL_TRY(postgres::server_presence(directory, probe)) == postgres::ServerPresence::running) {
    return Error(ErrorCode::server_state, format("a server runs on {}", preflight.data_directory),
                 "stop it, or take an online backup without --offline");
  }
  if (!preflight.control.cleanly_shut_down()) {
    return Error(ErrorCode::server_state,
                 format("the cluster in {} was not shut down cleanly: it is {}",
                        preflight.data_directory, postgres::to_string(preflight.control.state)),
                 "start and stop the server once, or take an online backup");
  }
  return ok();
}

}  // namespace

Result<Preflight> run_preflight(const BackupOptions& options, BackupEnvironment& environment,
                                const repository::Cluster& cluster) {
  Preflight preflight;
  preflight.data_directory = options.data_directory;
  std::unique_ptr<io::Directory> directory;
  if (!preflight.data_directory.empty())
    directory = HAUL_TRY(environment.open_directory(preflight.data_directory));

  const bool online = options.mode == BackupOptions::Mode::online;
  if (online) {
    preflight.connection = connection_of(options, directory.get());
    postgres::SessionOptions session_options;
    session_options.connection = preflight.connection;
    auto session = postgres::BackupSession::open(session_options);
    if (!session && session.error().hint().empty()) {
      return std::move(session).take_error().with_hint(
          "name the server with -h, -p or -d, or its data directory with -D; --offline is for one "
          "that is shut down");
    }
    preflight.session = HAUL_TRY(std::move(session));
    if (!directory) {
      preflight.data_directory = preflight.session->facts().data_directory;
      directory = HAUL_TRY(environment.open_directory(preflight.data_directory));
    }
  } else if (!directory) {
    return Error(ErrorCode::usage, "an offline backup needs the data directory", "name it with -D");
  }
  preflight.directory_info = HAUL_TRY(directory->info(""));
  auto control = postgres::read_control_file(*directory, *environment.clock);
  if (!control) {
    // A disk that fails says nothing of whether it is the right directory.
    if (control.error().code() == ErrorCode::io) return std::move(control).take_error();
    return Error(ErrorCode::server_state,
                 format("{} is not a usable data directory: {}", preflight.data_directory,
                        control.error().message()),
                 "name the directory that holds PG_VERSION and global/pg_control with -D");
  }
  preflight.control = control->parsed;
  if (online) {
    HAUL_TRY(check_server_and_directory(preflight.session->facts(), preflight, environment));
  } else {
    HAUL_TRY(check_offline(preflight, *directory));
  }
  HAUL_TRY(check_cluster_binding(cluster, preflight.control.system_identifier));
  preflight.source = HAUL_TRY(
      SourceTree::open(preflight.data_directory, environment.open_directory, preflight.control));
  if (online) HAUL_TRY(check_tablespaces(preflight.source->tablespaces()));
  fill_facts(preflight);
  return preflight;
}

Status check_same_directory(const Preflight& preflight, BackupEnvironment& environment) {
  const auto directory = environment.open_directory(preflight.data_directory);
  if (directory) {
    const io::FileInfo info = HAUL_TRY((*directory)->info(""));
    if (info.device == preflight.directory_info.device &&
        info.inode == preflight.directory_info.inode)
      return ok();
  }
  return Error(ErrorCode::server_state,
               format("{} was moved or replaced while it was copied", preflight.data_directory));
}

Status check_control_file_unchanged(const postgres::ControlFile& before,
                                    const postgres::ControlFile& after) {
  if (before.system_identifier != after.system_identifier ||
      before.server_major != after.server_major) {
    return Error(ErrorCode::server_state,
                 "the data directory became another cluster's while it was copied");
  }
  if (before.data_checksum_version != after.data_checksum_version) {
    return Error(ErrorCode::server_state, "data checksums were switched while the backup ran",
                 "take the backup again");
  }
  if (before.timeline != after.timeline) {
    return Error(ErrorCode::server_state,
                 format("the server went from timeline {} to {} while the backup ran",
                        before.timeline.value, after.timeline.value),
                 "take the backup again");
  }
  return ok();
}

Status check_still_shut_down(const Preflight& preflight, Clock& clock) {
  const auto control =
      HAUL_TRY(postgres::read_control_file(preflight.source->data_directory(), clock));
  if (control.parsed.checkpoint != preflight.control.checkpoint ||
      !control.parsed.cleanly_shut_down()) {
    return Error(ErrorCode::server_state,
                 format("a server ran on {} while it was copied", preflight.data_directory));
  }
  postgres::SystemProcessProbe probe;
  const auto presence =
      HAUL_TRY(postgres::server_presence(preflight.source->data_directory(), probe));
  if (presence == postgres::ServerPresence::running) {
    return Error(ErrorCode::server_state, format("a server was started on {} while it was copied",
                                                 preflight.data_directory));
  }
  return ok();
}

}  // namespace haul::backup
