#include "engine/postgres/backup_facts.h"

#include <utility>

#include "base/format.h"

namespace haul::postgres {

namespace {

// Paths and texts of the server may be in any encoding, and JSON holds only UTF-8.
std::string to_hex_text(const std::string& text) { return to_hex(bytes_of(text)); }

Result<std::string> text_at(const Json& json, std::string_view key) {
  const std::string hex = HAUL_TRY(json.string_at(key));
  std::string text(hex.size() / 2, '\0');
  if (!from_hex(hex, std::as_writable_bytes(std::span(text)))) {
    return Error(ErrorCode::corrupt, format("JSON member \"{}\" is not hexadecimal", key));
  }
  return text;
}

Result<std::uint32_t> u32_at(const Json& json, std::string_view key) {
  const std::uint64_t value = HAUL_TRY(json.uint_at(key));
  if (value > UINT32_MAX)
    return Error(ErrorCode::corrupt, format("JSON member \"{}\" is too large", key));
  return static_cast<std::uint32_t>(value);
}

Result<Lsn> lsn_at(const Json& json, std::string_view key) {
  const auto lsn = parse_lsn(HAUL_TRY(json.string_at(key)));
  if (!lsn) return Error(ErrorCode::corrupt, format("JSON member \"{}\" is no WAL position", key));
  return *lsn;
}

Json lists_to_json(const BackupFacts& facts, Json json) {
  Json tablespaces = Json::array();
  for (const TablespaceFact& tablespace : facts.tablespaces) {
    Json entry = Json::object();
    entry.set("oid", tablespace.oid);
    entry.set("location_hex", to_hex_text(tablespace.location));
    entry.set("in_place", tablespace.in_place);
    tablespaces.push(std::move(entry));
  }
  json.set("tablespaces", std::move(tablespaces));
  Json configuration = Json::array();
  for (const ConfigurationFact& file : facts.configuration) {
    Json entry = Json::object();
    entry.set("path_hex", to_hex_text(file.path));
    entry.set("role", file.role);
    configuration.push(std::move(entry));
  }
  json.set("configuration", std::move(configuration));
  json.set("bad_page_count", facts.bad_page_count);
  Json bad_pages = Json::array();
  for (const BadPage& page : facts.bad_pages) {
    Json entry = Json::object();
    entry.set("path", page.path);
    entry.set("block", page.block);
    bad_pages.push(std::move(entry));
  }
  json.set("bad_pages", std::move(bad_pages));
  return json;
}

Status lists_from_json(const Json& json, BackupFacts& facts) {
  for (const Json& entry : *HAUL_TRY(json.array_at("tablespaces"))) {
    TablespaceFact tablespace;
    tablespace.oid = HAUL_TRY(u32_at(entry, "oid"));
    tablespace.location = HAUL_TRY(text_at(entry, "location_hex"));
    tablespace.in_place = HAUL_TRY(entry.bool_at("in_place"));
    facts.tablespaces.push_back(std::move(tablespace));
  }
  for (const Json& entry : *HAUL_TRY(json.array_at("configuration"))) {
    ConfigurationFact file;
    file.path = HAUL_TRY(text_at(entry, "path_hex"));
    file.role = HAUL_TRY(entry.string_at("role"));
    facts.configuration.push_back(std::move(file));
  }
  facts.bad_page_count = HAUL_TRY(json.uint_at("bad_page_count"));
  for (const Json& entry : *HAUL_TRY(json.array_at("bad_pages"))) {
    BadPage page;
    page.path = HAUL_TRY(entry.string_at("path"));
    page.block = HAUL_TRY(u32_at(entry, "block"));
    facts.bad_pages.push_back(std::move(page));
  }
  return ok();
}

Status server_from_json(const Json& json, BackupFacts& facts) {
  facts.online = HAUL_TRY(json.bool_at("online"));
  const std::uint32_t version = HAUL_TRY(u32_at(json, "server_version"));
  if (!std::in_range<int>(version)) {
    return Error(ErrorCode::corrupt, "JSON member \"server_version\" is not valid");
  }
  facts.server_version = static_cast<int>(version);
  facts.system_identifier = HAUL_TRY(json.uint_at("system_identifier"));
  facts.catalog_version = HAUL_TRY(u32_at(json, "catalog_version"));
  facts.block_size_bytes = HAUL_TRY(u32_at(json, "block_size_bytes"));
  facts.relation_segment_blocks = HAUL_TRY(u32_at(json, "relation_segment_blocks"));
  facts.wal_segment_size_bytes = HAUL_TRY(u32_at(json, "wal_segment_size_bytes"));
  facts.data_checksum_version = HAUL_TRY(u32_at(json, "data_checksum_version"));
  const std::uint32_t level = HAUL_TRY(u32_at(json, "wal_level"));
  if (level > static_cast<std::uint32_t>(WalLevel::logical)) {
    return Error(ErrorCode::corrupt, "JSON member \"wal_level\" is not valid");
  }
  facts.wal_level = static_cast<WalLevel>(level);
  facts.wal_log_hints = HAUL_TRY(json.bool_at("wal_log_hints"));
  facts.from_standby = HAUL_TRY(json.bool_at("from_standby"));
  facts.data_directory = HAUL_TRY(text_at(json, "data_directory_hex"));
  facts.owner_user = HAUL_TRY(json.string_at("owner_user"));
  facts.owner_group = HAUL_TRY(json.string_at("owner_group"));
  facts.owner_user_id = HAUL_TRY(u32_at(json, "owner_user_id"));
  facts.owner_group_id = HAUL_TRY(u32_at(json, "owner_group_id"));
  facts.node = HAUL_TRY(json.string_at("node"));
  return ok();
}

}  // namespace

Json to_json(const BackupFacts& facts) {
  Json json = Json::object();
  json.set("online", facts.online);
  json.set("server_version", facts.server_version);
  json.set("system_identifier", facts.system_identifier);
  json.set("catalog_version", facts.catalog_version);
  json.set("block_size_bytes", facts.block_size_bytes);
  json.set("relation_segment_blocks", facts.relation_segment_blocks);
  json.set("wal_segment_size_bytes", facts.wal_segment_size_bytes);
  json.set("data_checksum_version", facts.data_checksum_version);
  json.set("wal_level", static_cast<std::uint32_t>(facts.wal_level));
  json.set("wal_log_hints", facts.wal_log_hints);
  json.set("from_standby", facts.from_standby);
  json.set("start_lsn", to_string(facts.start));
  json.set("stop_lsn", to_string(facts.stop));
  json.set("start_timeline", facts.start_timeline.value);
  json.set("stop_timeline", facts.stop_timeline.value);
  json.set("wal_included", facts.wal_included);
  json.set("label", facts.label);
  json.set("start_time", facts.start_time);
  json.set("stop_time", facts.stop_time);
  json.set("backup_label_hex", to_hex_text(facts.backup_label));
  json.set("tablespace_map_hex", to_hex_text(facts.tablespace_map));
  json.set("data_directory_hex", to_hex_text(facts.data_directory));
  json.set("owner_user", facts.owner_user);
  json.set("owner_group", facts.owner_group);
  json.set("owner_user_id", facts.owner_user_id);
  json.set("owner_group_id", facts.owner_group_id);
  json.set("node", facts.node);
  return lists_to_json(facts, std::move(json));
}

Result<BackupFacts> backup_facts_from_json(const Json& json) {
  BackupFacts facts;
  HAUL_TRY(server_from_json(json, facts));
  facts.start = HAUL_TRY(lsn_at(json, "start_lsn"));
  facts.stop = HAUL_TRY(lsn_at(json, "stop_lsn"));
  facts.start_timeline.value = HAUL_TRY(u32_at(json, "start_timeline"));
  facts.stop_timeline.value = HAUL_TRY(u32_at(json, "stop_timeline"));
  facts.wal_included = HAUL_TRY(json.bool_at("wal_included"));
  facts.label = HAUL_TRY(json.string_at("label"));
  facts.start_time = HAUL_TRY(json.string_at("start_time"));
  facts.stop_time = HAUL_TRY(json.string_at("stop_time"));
  facts.backup_label = HAUL_TRY(text_at(json, "backup_label_hex"));
  facts.tablespace_map = HAUL_TRY(text_at(json, "tablespace_map_hex"));
  HAUL_TRY(lists_from_json(json, facts));
  return facts;
}

}  // namespace haul::postgres
