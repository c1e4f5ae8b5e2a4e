#include "engine/restore/recovery_settings.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "base/format.h"
#include "engine/restore/leaf.h"

namespace haul::restore {

namespace {

constexpr std::string_view kAutoConfiguration = "postgresql.auto.conf";
constexpr std::string_view kMainConfiguration = "postgresql.conf";
constexpr std::uint32_t kNewFileMode = 0600;

// A delay counts in every recovery, not only in a standby's.
constexpr std::array<std::string_view, 5> kRecoverySettings = {
    "restore_command", "recovery_end_command", "archive_cleanup_command", "promote_trigger_file",
    "recovery_min_apply_delay"};
constexpr std::array<std::string_view, 2> kReplicationSettings = {"primary_conninfo",
                                                                  "primary_slot_name"};
constexpr std::array<std::string_view, 4> kArchivingSettings = {
    "archive_mode", "archive_command", "archive_library", "archive_timeout"};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// In whatever file, it would change what recovery does.
bool interferes(std::string_view name, const RecoveryTarget& target) {
  if (name.starts_with("recovery_target") || name == "restore_command") return true;
  // A standby's delay and its way to be promoted are its own.
  const bool is_standby = target.role == RecoveryTarget::Role::standby;
  return contains(kRecoverySettings, name) &&
         !(is_standby && (name == "recovery_min_apply_delay" || name == "promote_trigger_file"));
}

bool goes_from_auto_configuration(std::string_view name, const RecoveryTarget& target) {
  if (interferes(name, target)) return true;
  if (target.role != RecoveryTarget::Role::standby && contains(kReplicationSettings, name)) {
    return true;
  }
  return target.archiving == RecoveryTarget::Archiving::off && contains(kArchivingSettings, name);
}

bool is_plain(std::string_view word) {
  constexpr std::string_view kPlain = "_./:=@+,-";
  return !word.empty() && std::ranges::all_of(word, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kPlain.find(c) != std::string_view::npos;
  });
}

std::string quoted_for_shell(std::string_view word) {
  if (is_plain(word)) return std::string(word);
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// The server puts names in the place of %f and %p, and a per cent sign in that of two.
std::string without_placeholders(std::string_view text) {
  std::string result;
  for (const char c : text) {
    result.push_back(c);
    if (c == '%') result.push_back(c);
  }
  return result;
}

// Calls `visit` with each line, without its end, and with that.
void for_each_line(std::string_view text,
                   const std::function<void(std::string_view, std::string_view)>& visit) {
  while (!text.empty()) {
    const std::size_t feed = text.find('\n');
    const std::size_t length = std::min(feed, text.size());
    const std::size_t whole = std::min(length + 1, text.size());
    visit(text.substr(0, length), text.substr(length, whole - length));
    text.remove_prefix(whole);
  }
}

void add_target(const RecoveryTarget& target, std::vector<Setting>& settings) {
  switch (target.kind) {
    case RecoveryTarget::Kind::unspecified:
    case RecoveryTarget::Kind::latest: return;
    case RecoveryTarget::Kind::immediate:
      settings.push_back({"recovery_target", "immediate"});
      break;
    case RecoveryTarget::Kind::time:
      settings.push_back({"recovery_target_time", to_target_time(target.time)});
      break;
    case RecoveryTarget::Kind::lsn:
      settings.push_back({"recovery_target_lsn", to_string(target.lsn)});
      break;
    case RecoveryTarget::Kind::xid:
      settings.push_back({"recovery_target_xid", std::to_string(target.xid)});
      break;
    case RecoveryTarget::Kind::name:
      settings.push_back({"recovery_target_name", target.name});
      break;
  }
  const bool inclusive = target.bound == RecoveryTarget::Bound::inclusive;
  settings.push_back({"recovery_target_inclusive", inclusive ? "true" : "false"});
  settings.push_back({"recovery_target_action", std::string(to_string(target.action))});
}

// Goes through postgresql.conf and what it includes, each file once.
class ConfigurationEditor {
 public:
  ConfigurationEditor(const RecoveryFiles& recovery, repository::ChunkReader& chunks,
                      RestorePlan& plan, ConfigurationPlan& configuration)
      : recovery_(recovery), chunks_(chunks), plan_(plan), configuration_(configuration) {}

  Status run() {
    HAUL_TRY(edit(std::string(kMainConfiguration)));
    return write_auto_configuration();
  }

 private:
  Status edit(const std::string& path) {
    if (!visited_.insert(path).second) return ok();
    ConfigurationFile* planned = planned_file(path);
    if (planned == nullptr && !plan_.has_file(path)) return ok();
    const auto content =
        planned != nullptr ? std::optional(planned->content) : HAUL_TRY(read(path));
    if (!content) return ok();
    std::string edited =
        comment_out_recovery(*content, recovery_.target, path, configuration_.warnings);
    if (edited != *content) {
      if (planned != nullptr) {
        planned->content = std::move(edited);
      } else {
        rewrite(path, std::move(edited));
      }
    }
    return edit_included(path, *content);
  }

  Status edit_included(const std::string& path, std::string_view content) {
    std::vector<std::string> included;
    for_each_line(content, [&](std::string_view line, std::string_view) {
      SettingLine setting;
      if (!parse_setting_line(line, setting)) return;
      const auto place = inner_path(path, setting.value);
      if (!place) return;
      if (setting.name == "include" || setting.name == "include_if_exists") {
        included.push_back(*place);
      } else if (setting.name == "include_dir") {
        add_files_of(*place, included);
      }
    });
    for (const std::string& file : included) HAUL_TRY(edit(file));
    return ok();
  }

  // What a path in the file at `from` means within the data directory; nothing when it leads out.
  std::optional<std::string> inner_path(const std::string& from, const std::string& value) const {
    const std::filesystem::path home = recovery_.data_directory;
    const std::filesystem::path here = (home / from).parent_path();
    const std::string path = (here / value).lexically_normal().lexically_relative(home).string();
    if (!io::is_plain_path(path)) return std::nullopt;
    return path;
  }

  void add_files_of(const std::string& directory, std::vector<std::string>& files) const {
    const auto is_in_it = [&](const std::string& path) {
      return path.starts_with(directory + "/") && path.ends_with(".conf") &&
             path.find('/', directory.size() + 1) == std::string::npos;
    };
    for (const auto& [path, entry] : plan_.known_files) {
      if (is_in_it(path)) files.push_back(path);
    }
    for (const ConfigurationFile& file : configuration_.files) {
      if (is_in_it(file.to)) files.push_back(file.to);
    }
  }

  ConfigurationFile* planned_file(const std::string& path) {
    const auto found = std::ranges::find(configuration_.files, path, &ConfigurationFile::to);
    return found == configuration_.files.end() ? nullptr : &*found;
  }

  // Nothing when it is lost.
  Result<std::optional<std::string>> read(const std::string& path) {
    const auto bytes = read_whole(chunks_, plan_.known_files.at(path), kConfigurationBytesMax);
    if (bytes) return std::optional(std::string(text_of(*bytes)));
    if (bytes.error().code() != ErrorCode::corrupt) return bytes.error();
    configuration_.lost_files.push_back(path);
    return std::nullopt;
  }

  void rewrite(const std::string& path, std::string content) {
    const std::uint32_t mode =
        plan_.has_file(path) ? plan_.known_files.at(path).mode : kNewFileMode;
    if (plan_.has_file(path)) plan_.take_out(path);
    configuration_.rewritten.push_back({"", path, mode, std::move(content)});
  }

  Status write_auto_configuration() {
    const std::string path(kAutoConfiguration);
    std::string content;
    if (plan_.has_file(path)) {
      auto read_content = HAUL_TRY(read(path));
      if (!read_content) return ok();
      content = *std::move(read_content);
    }
    rewrite(path, edit_auto_configuration(content, recovery_.target, recovery_.settings,
                                          configuration_.warnings));
    return ok();
  }

  const RecoveryFiles& recovery_;
  repository::ChunkReader& chunks_;
  RestorePlan& plan_;
  ConfigurationPlan& configuration_;
  std::set<std::string> visited_;
};

}  // namespace

std::string restore_command(const ArchiveAccess& archive) {
  std::string command;
  for (const std::string& word :
       {archive.program, std::string("wal"), std::string("get"), std::string("--repo"),
        archive.repository, std::string("--repo-id"), archive.repository_id,
        std::string("--cluster"), archive.cluster}) {
    command += quoted_for_shell(word) + " ";
  }
  return without_placeholders(command) + "%f %p";
}

std::vector<Setting> recovery_settings(const RecoveryTarget& target, TimelineId timeline,
                                       const ArchiveAccess& archive) {
  std::vector<Setting> settings = {{"restore_command", restore_command(archive)}};
  add_target(target, settings);
  const bool is_standby = target.role == RecoveryTarget::Role::standby;
  settings.push_back(
      {"recovery_target_timeline", is_standby ? "latest" : std::to_string(timeline.value)});
  if (target.archiving == RecoveryTarget::Archiving::off) {
    settings.push_back({"archive_mode", "off"});
  }
  return settings;
}

std::string signal_file_of(const RecoveryTarget& target) {
  const bool is_standby = target.role == RecoveryTarget::Role::standby;
  return std::string(is_standby ? kStandbySignal : kRecoverySignal);
}

std::string edit_auto_configuration(std::string_view content, const RecoveryTarget& target,
                                    const std::vector<Setting>& settings,
                                    std::vector<std::string>& warnings) {
  std::string edited;
  for_each_line(content, [&](std::string_view line, std::string_view end) {
    SettingLine setting;
    if (parse_setting_line(line, setting) && goes_from_auto_configuration(setting.name, target)) {
      // Its value may hold a password.
      warnings.push_back(format("{}: {} was set and is removed", kAutoConfiguration, setting.name));
      return;
    }
    edited += line;
    edited += end;
  });
  if (!edited.empty() && !edited.ends_with('\n')) edited.push_back('\n');
  edited += "# written by pghaul restore\n";
  for (const Setting& setting : settings) {
    edited += format("{} = {}\n", setting.name, quote_setting(setting.value));
  }
  return edited;
}

std::string comment_out_recovery(std::string_view content, const RecoveryTarget& target,
                                 std::string_view path, std::vector<std::string>& warnings) {
  std::string edited;
  for_each_line(content, [&](std::string_view line, std::string_view end) {
    SettingLine setting;
    if (parse_setting_line(line, setting) && interferes(setting.name, target)) {
      edited += "# commented out by pghaul restore, it has to do with another recovery:\n#";
      warnings.push_back(format("{}: {} was set and is commented out", path, setting.name));
    }
    edited += line;
    edited += end;
  });
  return edited;
}

void plan_wal_file(WalFile file, RestorePlan& plan, ConfigurationPlan& configuration) {
  if (plan.has_file(file.path)) plan.take_out(file.path);
  configuration.rewritten.push_back(
      {"", std::move(file.path), kNewFileMode, std::move(file.content)});
}

Status plan_recovery_files(const RecoveryFiles& recovery, repository::ChunkReader& chunks,
                           RestorePlan& plan, ConfigurationPlan& configuration) {
  configuration.signal_file = signal_file_of(recovery.target);
  return ConfigurationEditor(recovery, chunks, plan, configuration).run();
}

}  // namespace haul::restore
