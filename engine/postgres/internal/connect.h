// How sessions with a server are opened, and what owns libpq's things.
//
// Threads:  functions over values; owners are values.
// Errors:   usage (a connection string that cannot be parsed, or that has a password in it).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/postgres/connection.h"
#include "engine/postgres/internal/libpq.h"

namespace haul::postgres {

template <typename T>
struct FreeWith {
  void (*free)(T*) = nullptr;

  void operator()(T* pointer) const { free(pointer); }
};

template <typename T>
using Owned = std::unique_ptr<T, FreeWith<T>>;

using UniqueConn = Owned<PGconn>;
using UniqueResult = Owned<PGresult>;
using UniqueCancel = Owned<PGcancel>;
using UniqueConninfo = Owned<PQconninfoOption>;

// A server's text as one short line: it ends up on terminals and in logs.
std::string one_line(const char* text);

// A session of replication speaks the replication protocol, with no database, and may be given
// another application_name than ours: synchronous_standby_names goes by it.
enum class SessionKind { sql, replication };

// What PQconnectdbParams() and PQconnectStartParams() take.
class ConnectionParameters {
 public:
  // Of two settings with one name libpq takes the later one; empty values it ignores.
  void add(const char* keyword, std::string value) {
    settings_.emplace_back(keyword, std::move(value));
  }
  void expand_dbname() { expands_dbname_ = true; }

  // Ended by a null pointer each; valid as long as this is unchanged.
  std::vector<const char*> keywords() const;
  std::vector<const char*> values() const;
  // The first "dbname" is a whole connection string.
  bool expands_dbname() const { return expands_dbname_; }

 private:
  std::vector<std::pair<const char*, std::string>> settings_;
  bool expands_dbname_ = false;
};

Result<ConnectionParameters> connection_parameters(const LibPq& pq,
                                                   const ConnectionOptions& options,
                                                   SessionKind kind);

}  // namespace haul::postgres
