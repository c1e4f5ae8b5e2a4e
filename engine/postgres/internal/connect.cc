#include "engine/postgres/internal/connect.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/format.h"

namespace haul::postgres {
namespace {

constexpr std::size_t kMessageMaxBytes = 500;

const char* value_of(const UniqueConninfo& options, std::string_view keyword) {
  if (!options) return nullptr;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (keyword == option->keyword) return option->val;
  }
  return nullptr;
}

bool is_connection_string(std::string_view text) {
  return text.find('=') != std::string_view::npos || text.starts_with("postgresql://") ||
         text.starts_with("postgres://");
}

// What the user gave as a connection string, checked; nothing when it is a database's name alone.
Result<UniqueConninfo> parse_conninfo(const LibPq& pq, const ConnectionOptions& options) {
  const bool is_name = !options.conninfo.empty() && !is_connection_string(options.conninfo);
  UniqueConninfo given(is_name ? nullptr : pq.PQconninfoParse(options.conninfo.c_str(), nullptr),
                       {pq.PQconninfoFree});
  if (is_name) return given;
  // What libpq would say may quote a secret.
  if (!given) return Error(ErrorCode::usage, "the connection string cannot be parsed");
  for (const char* keyword : {"password", "sslpassword"}) {
    if (value_of(given, keyword) != nullptr) {
      return Error(ErrorCode::usage, format("the connection string contains a {}", keyword),
                   "keep it in a .pgpass file or a service file");
    }
  }
  return given;
}

// The name to connect to where the user named none; libpq itself would take the user's name.
std::string choose_database(const LibPq& pq, const ConnectionOptions& options,
                            const UniqueConninfo& given) {
  if (!options.dbname.empty()) return options.dbname;
  if (!given) return options.conninfo;
  // Whatever names one there, libpq finds it; in a service file only libpq can look.
  if (value_of(given, "dbname") != nullptr || value_of(given, "service") != nullptr) return "";
  const UniqueConninfo defaults(pq.PQconndefaults(), {pq.PQconninfoFree});
  if (value_of(defaults, "dbname") != nullptr || std::getenv("PGSERVICE") != nullptr) return "";
  return "postgres";
}

}  // namespace

std::string one_line(const char* text) {
  std::string line = text == nullptr ? "" : text;
  line.resize(std::min(line.find('\n'), line.size()));
  line.resize(std::min(line.size(), kMessageMaxBytes));
  std::ranges::replace_if(line, [](char c) { return c >= 0 && c < ' '; }, ' ');
  return line;
}

std::vector<const char*> ConnectionParameters::keywords() const {
  std::vector<const char*> pointers;
  for (const auto& [keyword, value] : settings_) pointers.push_back(keyword);
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<const char*> ConnectionParameters::values() const {
  std::vector<const char*> pointers;
  for (const auto& [keyword, value] : settings_) pointers.push_back(value.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

Result<ConnectionParameters> connection_parameters(const LibPq& pq,
                                                   const ConnectionOptions& options,
                                                   SessionKind kind) {
  const UniqueConninfo given = HAUL_TRY(parse_conninfo(pq, options));
  ConnectionParameters parameters;
  if (is_connection_string(options.conninfo)) {
    parameters.add("dbname", options.conninfo);
    parameters.expand_dbname();
  }
  // A second "dbname" replaces the name within the first, not the rest of it.
  if (kind == SessionKind::sql) {
    parameters.add("dbname", choose_database(pq, options, given));
    parameters.add("application_name", "pghaul");
  } else {
    // The name by which .pgpass knows such sessions.
    parameters.add("dbname", "replication");
    parameters.add("replication", "true");
    parameters.add("fallback_application_name", "pghaul");
  }
  parameters.add("host", options.host);
  parameters.add("port", options.port);
  parameters.add("user", options.user);
  parameters.add("client_encoding", "UTF8");
  parameters.add("connect_timeout", format("{}", options.connect_timeout.count()));
  // A dead peer is noticed within a minute, also while a query waits for its answer.
  parameters.add("keepalives", "1");
  parameters.add("keepalives_idle", "10");
  parameters.add("keepalives_interval", "10");
  parameters.add("keepalives_count", "3");
  parameters.add("tcp_user_timeout", "60000");
  return parameters;
}

}  // namespace haul::postgres
