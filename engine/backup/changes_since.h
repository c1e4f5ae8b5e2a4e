// Finds out from WAL what has changed since the parent, or which condition for that does not hold.
//
// The conditions are those of docs/decisions/0012-changes-from-wal.md, and a refusal names its
// number. Nothing is copied before all of them hold.
//
// Memory:   see engine/wal/change_window.h.
// Threads:  blocks its caller.
// Errors:   server_state (a condition does not hold), corrupt (a pack of the parent is gone), those
//           of reading WAL and repository.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/backup/backup.h"
#include "engine/backup/change_selection.h"
#include "engine/backup/parent.h"
#include "engine/backup/preflight.h"
#include "engine/postgres/backup_session.h"

namespace haul::backup {

struct ChangesSince {
  const repository::Cluster* cluster = nullptr;
  const repository::Index* index = nullptr;
  repository::Findings* findings = nullptr;
  Parent* parent = nullptr;
  const Preflight* preflight = nullptr;
  postgres::StartResult start;
  AuditSize audit;
  std::size_t workers = 1;
  std::uint64_t seed = 0;
  std::stop_token stop;
};

// Before the server is asked to begin a backup: what can be refused by then. A reason to read
// everything instead, where it is one that has to be told and no failure.
Result<std::optional<std::string>> check_changes_usable(const repository::Cluster& cluster,
                                                        const repository::Snapshot& parent,
                                                        const postgres::BackupFacts& facts);

// While it begins, which may take minutes: reads WAL that is archived already, and keeps what it
// finds beside it. Of `start` only the timeline is known.
Status keep_archived_changes(const ChangesSince& since);

// Once it has begun.
Result<std::unique_ptr<const ChangeSelection>> select_changes(const ChangesSince& since);

// When it has ended at `stop`: what WAL says has changed meanwhile.
Result<postgres::ChangedBlocks> changes_during(const ChangesSince& since, Lsn stop);

// A page had changed and no WAL said so: until a backup has read everything, WAL is not trusted.
Status record_distrust(const repository::Cluster& cluster, const std::string& backup,
                       const Error& error);

}  // namespace haul::backup
