#include "engine/restore/owner.h"

#include <unistd.h>

#include <map>

#include <gtest/gtest.h>

namespace haul::restore {
namespace {

class FakeUsers final : public UserDatabase {
 public:
  bool is_root() override { return root; }
  std::optional<io::FileOwner> user(const std::string& name) override {
    const auto found = users.find(name);
    return found == users.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<std::uint32_t> group(const std::string& name) override {
    const auto found = groups.find(name);
    return found == groups.end() ? std::nullopt : std::optional(found->second);
  }

  bool root = true;
  std::map<std::string, io::FileOwner> users{{"postgres", {10, 11}}};
  std::map<std::string, std::uint32_t> groups{{"dba", 12}};
};

class ChooseOwnerTest : public testing::Test {
 protected:
  ChooseOwnerTest() {
    facts_.owner_user = "postgres";
    facts_.owner_group = "dba";
    facts_.owner_user_id = 20;
    facts_.owner_group_id = 21;
  }
  std::pair<std::uint32_t, std::uint32_t> chosen() {
    const auto owner = choose_owner(options_, facts_, users_, warnings_);
    return owner ? std::pair(owner->user, owner->group) : std::pair(0U, 0U);
  }

  RestoreOptions options_;
  postgres::BackupFacts facts_;
  FakeUsers users_;
  std::vector<std::string> warnings_;
};

using Owner = std::pair<std::uint32_t, std::uint32_t>;

TEST_F(ChooseOwnerTest, RootUsesTheRecordedNames) {
  EXPECT_EQ(chosen(), (Owner{10, 12}));
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(ChooseOwnerTest, UnknownGroupFallsBackToTheUsers) {
  facts_.owner_group = "nobody-knows";
  EXPECT_EQ(chosen(), (Owner{10, 11}));
}

TEST_F(ChooseOwnerTest, UnknownUserFallsBackToNumbersAndWarns) {
  facts_.owner_user = "nobody-knows";
  EXPECT_EQ(chosen(), (Owner{20, 21}));
  EXPECT_EQ(warnings_.size(), 1U);
}

TEST_F(ChooseOwnerTest, NoRecordedNameFallsBackToNumbers) {
  facts_.owner_user.clear();
  EXPECT_EQ(chosen(), (Owner{20, 21}));
}

TEST_F(ChooseOwnerTest, OptionCountsMost) {
  options_.owner = io::FileOwner{30, 31};
  EXPECT_EQ(chosen(), (Owner{30, 31}));
}

TEST_F(ChooseOwnerTest, WhoeverIsNotRootKeepsTheFiles) {
  users_.root = false;
  EXPECT_FALSE(choose_owner(options_, facts_, users_, warnings_).has_value());
}

TEST(SystemUserDatabase, KnowsRootAndNobodyElse) {
  SystemUserDatabase users;
  EXPECT_EQ(users.is_root(), ::geteuid() == 0);
  EXPECT_EQ(users.user("root")->user, 0U);
  EXPECT_EQ(users.group("root"), 0U);
  EXPECT_FALSE(users.user("no such user").has_value());
  EXPECT_FALSE(users.group("no such group").has_value());
}

}  // namespace
}  // namespace haul::restore
