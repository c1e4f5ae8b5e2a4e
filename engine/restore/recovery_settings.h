// What a restored server is told about its recovery: the settings, and the files that hold them.
//
// Exactly one recovery_target* is ever written. A second one anywhere keeps the server from
// starting, and an empty one undoes the first, so what a backup brought along is taken out of
// postgresql.auto.conf and commented out in postgresql.conf and the files that it includes.
//
// Values are data, whatever is in them: quoted for the shell, with the per cent signs that are no
// placeholders doubled, and then as a setting.
//
// Memory:   configuration files, at most kConfigurationBytesMax each.
// Threads:  functions over values.
// Errors:   io; a file that cannot be read is no error here but lost.
// Format:   PostgreSQL's guc-file.l and replace_percent_placeholders().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "engine/repository/chunk_reader.h"
#include "engine/restore/configuration.h"
#include "engine/restore/plan.h"
#include "engine/restore/recovery_target.h"

namespace haul::restore {

// How the server reaches the archive.
struct ArchiveAccess {
  std::string program;        // pghaul, absolute
  std::string repository;     // absolute
  std::string repository_id;  // lowercase hexadecimal
  std::string cluster;
};

// "/usr/bin/pghaul wal get --repo /r --repo-id 0123 --cluster main %f %p"
std::string restore_command(const ArchiveAccess& archive);

struct Setting {
  std::string name;
  std::string value;

  bool operator==(const Setting&) const = default;
};

// What is to be written, in order. A standby follows the latest timeline, everyone else `timeline`.
std::vector<Setting> recovery_settings(const RecoveryTarget& target, TimelineId timeline,
                                       const ArchiveAccess& archive);

// "recovery.signal" or "standby.signal".
std::string signal_file_of(const RecoveryTarget& target);

// postgresql.auto.conf with the settings, and without those of the backup that have to do with
// recovery, replication and (but when it is taken over) archiving. What goes is said in `warnings`.
std::string edit_auto_configuration(std::string_view content, const RecoveryTarget& target,
                                    const std::vector<Setting>& settings,
                                    std::vector<std::string>& warnings);

// A configuration file in which nothing interferes with recovery any more; `path` is for the
// warnings. The very same text when nothing did.
std::string comment_out_recovery(std::string_view content, const RecoveryTarget& target,
                                 std::string_view path, std::vector<std::string>& warnings);

// Changes the files of a plan accordingly: those that came from outside where they are planned,
// those of the data directory by taking them out of what is placed, to be written anew. Adds the
// signal file. `data_directory` is where the cluster goes.
struct RecoveryFiles {
  RecoveryTarget target;
  std::vector<Setting> settings;
  std::string data_directory;
};
Status plan_recovery_files(const RecoveryFiles& recovery, repository::ChunkReader& chunks,
                           RestorePlan& plan, ConfigurationPlan& configuration);

// A WAL file in the place of the backup's own, if that has one of its name.
struct WalFile {
  std::string path;  // beneath the data directory
  std::string content;
};
void plan_wal_file(WalFile file, RestorePlan& plan, ConfigurationPlan& configuration);

}  // namespace haul::restore
