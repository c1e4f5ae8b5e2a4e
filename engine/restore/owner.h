// Who restored files belong to.
//
// Threads:  functions over values; the system's user database is asked.
// Errors:   none; a name that this machine does not know becomes a warning.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/backup_facts.h"
#include "engine/restore/restore.h"

namespace haul::restore {

// Who runs this process, and what the machine's names mean; tests bring their own.
class UserDatabase {
 public:
  virtual ~UserDatabase() = default;
  virtual bool is_root() = 0;
  virtual std::optional<io::FileOwner> user(const std::string& name) = 0;  // and its own group
  virtual std::optional<std::uint32_t> group(const std::string& name) = 0;
};

class SystemUserDatabase final : public UserDatabase {
 public:
  bool is_root() override;
  std::optional<io::FileOwner> user(const std::string& name) override;
  std::optional<std::uint32_t> group(const std::string& name) override;
};

// Nothing: whoever runs this process.
std::optional<io::FileOwner> choose_owner(const RestoreOptions& options,
                                          const postgres::BackupFacts& facts, UserDatabase& users,
                                          std::vector<std::string>& warnings);

}  // namespace haul::restore
