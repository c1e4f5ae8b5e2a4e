#include "engine/postgres/backup_label.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/format.h"
#include "engine/postgres/internal/text.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres {
namespace {

// MAXPGPATH: the server refuses a longer one, in a link as in a map.
constexpr std::size_t kPathMaxBytes = 1024;

Error bad_label(const std::string& what) {
  return {ErrorCode::corrupt, format("{}: {}", kBackupLabelName, what)};
}

Error bad_map(const std::string& what) {
  return {ErrorCode::corrupt, format("{}: {}", kTablespaceMapName, what)};
}

// Takes the line "KEY: value\n" off the front.
Result<std::string_view> take_line(std::string_view& text, std::string_view key) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return bad_label(format("line \"{}\" is missing", key));
  const std::string_view line = text.substr(0, end);
  if (!line.starts_with(key) || !line.substr(key.size()).starts_with(": ")) {
    return bad_label(format("line \"{}\" is missing", key));
  }
  text.remove_prefix(end + 1);
  return line.substr(key.size() + 2);
}

Result<Lsn> parse_position(std::string_view text, std::string_view key) {
  const auto lsn = parse_lsn(text);
  if (!lsn || !lsn->valid()) return bad_label(format("\"{}\" holds no position", key));
  return *lsn;
}

// "0/2000028 (file 000000010000000000000002)"
Status parse_start(std::string_view value, BackupLabel& label) {
  constexpr std::string_view kKey = "START WAL LOCATION";
  constexpr std::string_view kFile = "(file ";
  label.start = HAUL_TRY(parse_position(take_until(value, ' '), kKey));
  if (!value.starts_with(kFile) || !value.ends_with(')')) {
    return bad_label(format("\"{}\" names no file", kKey));
  }
  value.remove_prefix(kFile.size());
  value.remove_suffix(1);
  label.start_wal_file = value;
  return ok();
}

Result<BackupLabel::Source> parse_source(std::string_view value) {
  // "master" until 13.
  if (value == "primary" || value == "master") return BackupLabel::Source::primary;
  if (value == "standby") return BackupLabel::Source::standby;
  return bad_label("\"BACKUP FROM\" is neither primary nor standby");
}

Status check_against_each_other(const BackupLabel& label, std::uint32_t wal_segment_size_bytes) {
  const WalSegment expected = segment_of(label.start, label.timeline, wal_segment_size_bytes);
  if (label.start_wal_file != to_name(expected, wal_segment_size_bytes)) {
    return bad_label(format("start {} of timeline {} is not in file {}", to_string(label.start),
                            label.timeline.value, label.start_wal_file));
  }
  if (label.checkpoint < label.start) {
    return bad_label(format("checkpoint {} lies before start {}", to_string(label.checkpoint),
                            to_string(label.start)));
  }
  return ok();
}

// One entry, its escapes undone, off the front; the text is not empty.
Result<std::string> take_map_line(std::string_view& text) {
  std::string line;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') {
      text.remove_prefix(at + 1);
      return line;
    }
    if (text[at] == '\r' || text[at] == '\0') return bad_map("stray control character");
    if (text[at] == '\\') ++at;
    if (at == text.size()) break;
    line.push_back(text[at]);
  }
  return bad_map("last line is not ended");
}

bool is_absolute(std::string_view path) {
  return path.starts_with('/') && path.size() < kPathMaxBytes &&
         path.find('\0') == std::string_view::npos;
}

Result<TablespaceMapEntry> parse_map_line(const std::string& line) {
  std::string_view location = line;
  const auto oid = parse_oid(take_until(location, ' '));
  if (!oid) return bad_map(format("line \"{}\" begins with no oid", line));
  if (!is_absolute(location)) return bad_map(format("tablespace {} has no absolute path", *oid));
  return TablespaceMapEntry{*oid, std::string(location)};
}

// "/a/b/" and "/a//b" as "/a/b", so that one place has one spelling.
std::string without_spare_slashes(std::string_view path) {
  std::string tidy;
  for (const char c : path) {
    if (c != '/' || !tidy.ends_with('/')) tidy.push_back(c);
  }
  if (tidy.size() > 1 && tidy.ends_with('/')) tidy.pop_back();
  return tidy;
}

bool is_same_or_beneath(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

Status check_apart(const TablespaceMap& map) {
  for (const TablespaceMapEntry& one : map) {
    for (const TablespaceMapEntry& other : map) {
      if (&one == &other) continue;
      if (is_same_or_beneath(without_spare_slashes(one.location),
                             without_spare_slashes(other.location))) {
        return Error(ErrorCode::usage, format("tablespaces {} and {} would share {}", one.oid,
                                              other.oid, other.location));
      }
    }
  }
  return ok();
}

}  // namespace

Result<BackupLabel> parse_backup_label(std::string_view text,
                                       std::uint32_t wal_segment_size_bytes) {
  if (text.empty()) return bad_label("empty");
  BackupLabel label;
  HAUL_TRY(parse_start(HAUL_TRY(take_line(text, "START WAL LOCATION")), label));
  const std::string_view checkpoint = HAUL_TRY(take_line(text, "CHECKPOINT LOCATION"));
  label.checkpoint = HAUL_TRY(parse_position(checkpoint, "CHECKPOINT LOCATION"));
  if (HAUL_TRY(take_line(text, "BACKUP METHOD")) != "streamed") {
    return bad_label("\"BACKUP METHOD\" is not streamed");
  }
  label.source = HAUL_TRY(parse_source(HAUL_TRY(take_line(text, "BACKUP FROM"))));
  label.start_time = HAUL_TRY(take_line(text, "START TIME"));
  label.label = HAUL_TRY(take_line(text, "LABEL"));
  const auto timeline = parse_oid(HAUL_TRY(take_line(text, "START TIMELINE")));
  if (!timeline) return bad_label("\"START TIMELINE\" holds no timeline");
  label.timeline = TimelineId{*timeline};
  if (!text.empty()) return bad_label("unknown lines at the end");
  HAUL_TRY(check_against_each_other(label, wal_segment_size_bytes));
  return label;
}

Result<TablespaceMap> parse_tablespace_map(std::string_view text) {
  TablespaceMap map;
  std::set<std::uint32_t> oids;
  std::set<std::string> locations;
  while (!text.empty()) {
    TablespaceMapEntry entry = HAUL_TRY(parse_map_line(HAUL_TRY(take_map_line(text))));
    if (!oids.insert(entry.oid).second) return bad_map(format("tablespace {} twice", entry.oid));
    if (!locations.insert(entry.location).second) {
      return bad_map(format("location of tablespace {} twice", entry.oid));
    }
    map.push_back(std::move(entry));
  }
  return map;
}

std::string serialize(const TablespaceMap& map) {
  std::string text;
  for (const TablespaceMapEntry& entry : map) {
    text += format("{} ", entry.oid);
    for (const char c : entry.location) {
      if (c == '\n' || c == '\r' || c == '\\') text.push_back('\\');
      text.push_back(c);
    }
    text.push_back('\n');
  }
  return text;
}

Result<TablespaceMapping> parse_tablespace_mapping(std::string_view text) {
  const auto refuse = [&](std::string_view what) {
    return Error(ErrorCode::usage, format("tablespace mapping \"{}\": {}", text, what),
                 "write OLD=NEW with two absolute paths, an equals sign within one as \\=");
  };
  TablespaceMapping mapping;
  std::string* side = &mapping.from;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] == '=') {
      side->push_back(text[++at]);
    } else if (text[at] == '=') {
      if (side == &mapping.to) return refuse("more than one equals sign");
      side = &mapping.to;
    } else {
      side->push_back(text[at]);
    }
  }
  if (side == &mapping.from) return refuse("no equals sign");
  if (!is_absolute(mapping.from)) return refuse("OLD is no absolute path");
  if (!is_absolute(mapping.to)) return refuse("NEW is no absolute path");
  mapping.from = without_spare_slashes(mapping.from);
  mapping.to = without_spare_slashes(mapping.to);
  return mapping;
}

Result<TablespaceMap> remap(TablespaceMap map, const std::vector<TablespaceMapping>& mappings) {
  // Found before anything changes: a NEW may be another's OLD.
  std::vector<TablespaceMapEntry*> places;
  for (const TablespaceMapping& mapping : mappings) {
    const auto found = std::ranges::find_if(map, [&](const TablespaceMapEntry& entry) {
      return without_spare_slashes(entry.location) == without_spare_slashes(mapping.from);
    });
    if (found == map.end()) {
      return Error(ErrorCode::usage, format("no tablespace at {} in this backup", mapping.from));
    }
    if (std::ranges::find(places, &*found) != places.end()) {
      return Error(ErrorCode::usage, format("tablespace at {} is mapped twice", mapping.from));
    }
    places.push_back(&*found);
  }
  for (std::size_t i = 0; i < places.size(); ++i) places[i]->location = mappings[i].to;
  if (!mappings.empty()) HAUL_TRY(check_apart(map));
  return map;
}

}  // namespace haul::postgres
