#include "engine/restore/seal.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/format.h"
#include "engine/postgres/backup_label.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/crc32c.h"
#include "engine/restore/manifest.h"

namespace haul::restore {

namespace {

constexpr std::string_view kWalPrefix = "pg_wal/";

class Sealer {
 public:
  Sealer(const SealInput& input, Target& target)
      : plan_(*input.plan), input_(input), target_(target) {}

  Status run() {
    HAUL_TRY(write_labels());
    HAUL_TRY(write_configuration());
    HAUL_TRY(make_links());
    HAUL_TRY(make_durable());
    HAUL_TRY(write_manifest());
    return publish_control_file();
  }

 private:
  Status write(std::string_view path, std::uint32_t mode, std::string_view content) {
    HAUL_TRY(target_.write_file(path, mode, bytes_of(content)));
    if (path.starts_with(kWalPrefix)) return ok();
    written_.push_back({std::string(path), content.size(), postgres::crc32c(bytes_of(content))});
    return ok();
  }

  // Mode bits are bounded by the target; 0640 lets the group read where the cluster has it so.
  Status write_labels() {
    const postgres::BackupFacts& facts = plan_.facts;
    if (!facts.backup_label.empty()) {
      HAUL_TRY(write(postgres::kBackupLabelName, 0640, facts.backup_label));
    }
    if (facts.tablespace_map.empty()) return ok();
    return write(postgres::kTablespaceMapName, 0640, HAUL_TRY(moved_tablespace_map()));
  }

  // Byte for byte where nothing moved.
  Result<std::string> moved_tablespace_map() const {
    postgres::TablespaceMap map =
        HAUL_TRY(postgres::parse_tablespace_map(plan_.facts.tablespace_map));
    bool moved = false;
    for (postgres::TablespaceMapEntry& entry : map) {
      for (const TablespacePlace& place : target_.layout().tablespaces) {
        if (place.oid != entry.oid || entry.location == place.to) continue;
        entry.location = place.to;
        moved = true;
      }
    }
    return moved ? postgres::serialize(map) : plan_.facts.tablespace_map;
  }

  Status write_configuration() {
    for (const std::string& path : input_.configuration->directories) {
      HAUL_TRY(target_.make_directory(path, 0750));
    }
    for (const auto* files : {&input_.configuration->files, &input_.configuration->rewritten}) {
      for (const ConfigurationFile& file : *files) {
        HAUL_TRY(write(file.to, file.mode, file.content));
      }
    }
    // A manifest has no signal files: a server removes them.
    const std::string& signal = input_.configuration->signal_file;
    return signal.empty() ? ok() : target_.write_file(signal, 0600, {});
  }

  Status make_links() {
    io::Directory& data_directory = target_.data_directory();
    for (const TablespacePlace& place : target_.layout().tablespaces) {
      const std::string path = tablespace_path(place.oid);
      HAUL_TRY(data_directory.make_link(place.to, path));
      if (const auto& owner = target_.rules().owner) {
        HAUL_TRY(data_directory.set_owner(path, owner->user, owner->group));
      }
    }
    return ok();
  }

  Status make_durable() {
    std::vector<std::string> directories;
    for (const auto& entry : plan_.directories) directories.push_back(entry.path);
    std::ranges::copy(input_.configuration->directories, std::back_inserter(directories));
    return target_.make_durable(directories);
  }

  // WAL is not listed: it is judged by what its records say, and recovery adds to it.
  Status write_manifest() {
    const auto file = HAUL_TRY(target_.create_file(kManifestName, 0640, io::Caching::buffered));
    ManifestWriter manifest(
        *file, {plan_.facts.server_version / 10000, plan_.facts.system_identifier, input_.now});
    std::size_t number = 0;
    const auto list = [&](const repository::TreeEntry& entry) -> Status {
      HAUL_ASSERT(number < input_.crcs.size());
      const std::uint32_t crc = input_.crcs[number++];
      if (entry.path.starts_with(kWalPrefix)) return ok();
      return manifest.add({entry.path, entry.size_bytes, crc});
    };
    HAUL_TRY(for_each_file(*input_.chunks, plan_, list));
    for (const ManifestFile& written : written_) HAUL_TRY(manifest.add(written));
    HAUL_TRY(manifest.add({std::string(postgres::kControlFilePath), plan_.control_bytes.size(),
                           postgres::crc32c(plan_.control_bytes)}));
    const WalRange wal{plan_.facts.start_timeline, plan_.facts.start, plan_.facts.stop};
    // A range that crosses a switch of timelines cannot be told without their history.
    const bool has_range =
        plan_.facts.online && plan_.facts.start_timeline == plan_.facts.stop_timeline;
    HAUL_TRY(manifest.finish(has_range ? &wal : nullptr));
    HAUL_TRY(target_.finish_file(*file, kManifestName, Target::Sync::now));
    return target_.sync_roots();
  }

  // Everything that can fail for lack of space happens while the marker still stands.
  Status publish_control_file() {
    io::Directory& data_directory = target_.data_directory();
    const auto file = HAUL_TRY(data_directory.create_temporary("global", io::Caching::buffered));
    HAUL_TRY(file->write_at(0, plan_.control_bytes));
    HAUL_TRY(file->set_mode(target_.rules().file_mode_of(plan_.control_file.mode)));
    if (const auto& owner = target_.rules().owner) {
      HAUL_TRY(file->set_owner(owner->user, owner->group));
    }
    HAUL_TRY(file->sync());
    HAUL_TRY(target_.remove_marker());
    HAUL_TRY(data_directory.publish(*file, postgres::kControlFilePath));
    Status named = data_directory.sync_directory("global");
    if (named) named = file->finish();
    // A restore that reports a failure leaves nothing that starts.
    if (!named) static_cast<void>(data_directory.remove_file(postgres::kControlFilePath));
    return named;
  }

  const RestorePlan& plan_;
  const SealInput& input_;
  Target& target_;
  std::vector<ManifestFile> written_;
};

}  // namespace

Status seal(const SealInput& input, Target& target) { return Sealer(input, target).run(); }

}  // namespace haul::restore
