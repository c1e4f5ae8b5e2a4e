#include "engine/restore/owner.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/format.h"

namespace haul::restore {

namespace {

// Room for the strings of one entry; groups of thousands of members need it.
constexpr std::size_t kEntryBytes = 1 << 20;

}  // namespace

bool SystemUserDatabase::is_root() { return ::geteuid() == 0; }

std::optional<io::FileOwner> SystemUserDatabase::user(const std::string& name) {
  std::vector<char> strings(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, strings.data(), strings.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return io::FileOwner{found->pw_uid, found->pw_gid};
}

std::optional<std::uint32_t> SystemUserDatabase::group(const std::string& name) {
  std::vector<char> strings(kEntryBytes);
  ::group entry{};
  ::group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, strings.data(), strings.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return found->gr_gid;
}

std::optional<io::FileOwner> choose_owner(const RestoreOptions& options,
                                          const postgres::BackupFacts& facts, UserDatabase& users,
                                          std::vector<std::string>& warnings) {
  if (options.owner) return options.owner;
  if (!users.is_root()) return std::nullopt;
  const auto user = facts.owner_user.empty() ? std::nullopt : users.user(facts.owner_user);
  if (!user) {
    warnings.push_back(
        format("this machine has no user \"{}\": restored files belong to the "
               "original's numbers {}:{}",
               facts.owner_user, facts.owner_user_id, facts.owner_group_id));
    return io::FileOwner{facts.owner_user_id, facts.owner_group_id};
  }
  const auto group = facts.owner_group.empty() ? std::nullopt : users.group(facts.owner_group);
  return io::FileOwner{user->user, group.value_or(user->group)};
}

}  // namespace haul::restore
