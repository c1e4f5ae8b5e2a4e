// What --json prints: one object per command, fields documented in docs/json.md.
//
// Units:    sizes are bytes, durations milliseconds, times UTC in ISO 8601.
// Threads:  functions over values.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/backup/backup.h"
#include "engine/backup/check.h"
#include "engine/repository/repository.h"
#include "engine/restore/recovery_window.h"
#include "engine/restore/restore.h"
#include "engine/verify/verify.h"
#include "engine/wal/receiver.h"
#include "engine/wal/wal_inventory.h"
#include "tools/pghaul/backup_changes.h"

namespace haul::cli {

// {"schema": 1}
Json versioned_json();
Json strings_json(const std::vector<std::string>& strings);
Json wal_gaps_json(const std::vector<wal::WalGap>& gaps);

Json init_json(const repository::Repository& repository);

// One backup in a few fields, and with all that is known of it.
Json backup_json(const repository::Snapshot& snapshot, const postgres::BackupFacts& facts);
Json check_json(const backup::CheckReport& report, const std::string& cluster);
// What can be recovered from a backup, in the answers of info.
Json recovery_json(const restore::RecoveryWindow& window);
Json backup_details_json(const repository::Snapshot& snapshot, const postgres::BackupFacts& facts);

// "changed", "added" or "removed".
const char* to_string(repository::FileDifference::Kind kind);
// What info --differences adds; null where there is no parent.
Json changes_json(const BackupChanges& changes);
Json map_use_json(const repository::MapUse& maps);

Json backup_result_json(const backup::BackupReport& report, std::chrono::nanoseconds duration);
Json backup_dry_run_json(const backup::BackupReport& report, const std::string& cluster);
Json entry_json(const repository::TreeEntry& entry, const std::string& shown_path);
Json restore_result_json(const restore::RestoreReport& report, const std::string& target);
Json wal_list_json(const repository::Repository& repository, const std::string& cluster,
                   const wal::WalInventory& inventory);
Json wal_receive_json(const std::string& cluster, const wal::ReceiverReport& report);
Json verify_result_json(const std::vector<std::pair<std::string, verify::VerifyReport>>& clusters);

}  // namespace haul::cli
