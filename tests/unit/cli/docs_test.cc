// The documents keep to the program: manual page, completions, sample configuration, JSON fields.

#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/config_file.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/option_table.h"
#include "tools/pghaul/progress.h"

namespace haul::cli {
namespace {

using testing::IsSubsetOf;

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::set<std::string> found;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), expression);
       it != std::sregex_iterator(); ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

std::set<std::string> option_names() {
  std::set<std::string> names = {"version"};
  for (const OptionSpec& option : all_options()) names.insert(std::string(option.name));
  return names;
}

TEST(Documents, ManualPageDescribesEveryOptionAndNoOther) {
  const std::string page = source_file("tools/install/pghaul.1");
  std::string text;
  for (const char c : page) {
    if (c != '\\') text += c;
  }
  EXPECT_EQ(matches(text, "--([a-z][a-z-]+)"), option_names());
  for (const OptionSpec& option : all_options()) {
    if (option.letter == '\0') continue;
    EXPECT_TRUE(text.contains(format("-{}", option.letter))) << option.name;
  }
}

TEST(Documents, ManualPageDescribesEveryCommand) {
  const std::string page = source_file("tools/install/pghaul.1");
  for (const CommandSpec& command : all_commands()) {
    EXPECT_TRUE(page.contains(format("\n.B pghaul {}\n", command.name))) << command.name;
    EXPECT_TRUE(page.contains(format("\n.TP\n.B {}\n", command.name))) << command.name;
  }
}

TEST(Documents, BashCompletesTheOptionsOfEachCommand) {
  const std::string text = source_file("tools/install/completions/pghaul.bash");
  for (const CommandSpec& command : all_commands()) {
    const auto line = matches(text, format("\n +{}\\) options='([^']*)'", command.name));
    ASSERT_EQ(line.size(), 1U) << command.name;
    std::set<std::string> expected;
    for (const OptionSpec& option : all_options()) {
      if (takes(command.command, option)) expected.insert(std::string(option.name));
    }
    EXPECT_EQ(matches(*line.begin(), "--([a-z-]+)"), expected) << command.name;
  }
}

TEST(Documents, ZshCompletesTheOptionsOfEachCommand) {
  const std::string text = source_file("tools/install/completions/_pghaul");
  for (const CommandSpec& command : all_commands()) {
    const auto block = matches(text, format("\n +{}\\)([^;]*);;", command.name));
    ASSERT_EQ(block.size(), 1U) << command.name;
    std::set<std::string> expected;
    for (const OptionSpec& option : all_options()) {
      if (takes(command.command, option)) expected.insert(std::string(option.name));
    }
    EXPECT_EQ(matches(*block.begin(), "--([a-z-]+)"), expected) << command.name;
    EXPECT_TRUE(text.contains(format("'{}:", command.name))) << command.name;
  }
}

TEST(Documents, FishCompletesTheOptionsOfEachCommand) {
  const std::string text = source_file("tools/install/completions/pghaul.fish");
  for (const CommandSpec& command : all_commands()) {
    EXPECT_TRUE(text.contains(format("-a {} ", command.name))) << command.name;
    std::set<std::string> expected;
    for (const OptionSpec& option : all_options()) {
      if (takes(command.command, option)) expected.insert(std::string(option.name));
    }
    const std::string pattern = format("from {}'[^\n]* -l ([a-z-]+)", command.name);
    EXPECT_EQ(matches(text, pattern), expected) << command.name;
  }
}

// With every comment mark before a key taken away.
TEST(Documents, SampleConfigurationNamesEveryKeyAndIsValid) {
  const std::string sample = source_file("tools/install/pghaul.toml");
  const std::string active = std::regex_replace(sample, std::regex("(^|\n)# ([a-z-]+ = )"), "$1$2");
  const auto config = parse_config(active, "pghaul.toml");
  ASSERT_TRUE(config) << config.error().message();
  std::set<std::string> named;
  for (const auto& [key, values] : config->repo) named.insert(key);
  ASSERT_EQ(config->clusters.size(), 1U);
  for (const auto& [key, values] : config->clusters.at("main")) named.insert(key);
  // What is said anew each time is no matter for a file.
  static const std::set<std::string> kEachTime = {"dry-run", "json",    "verbose",    "quiet",
                                                  "data",    "offline", "no-password"};
  std::set<std::string> expected;
  for (const OptionSpec& option : all_options()) {
    const bool kept = option.source == OptionSource::everywhere;
    if (kept && !kEachTime.contains(std::string(option.name))) {
      expected.insert(std::string(option.name));
    }
  }
  EXPECT_EQ(named, expected);
  EXPECT_TRUE(parse_config(sample, "pghaul.toml"));
}

// "a[].b" for every value that is neither object nor array.
void collect_fields(const Json& json, const std::string& path, std::set<std::string>& fields) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.members()) {
      collect_fields(value, path.empty() ? key : path + "." + key, fields);
    }
  } else if (json.is_array()) {
    for (const Json& element : json.elements()) collect_fields(element, path + "[]", fields);
  } else {
    fields.insert(path);
  }
}

std::set<std::string> fields_of(const Json& json) {
  std::set<std::string> fields;
  collect_fields(json, "", fields);
  return fields;
}

// The fields that a section of docs/json.md documents: the quoted names in its table's first
// column.
std::set<std::string> documented(const std::string& section) {
  const std::string text = source_file("docs/json.md");
  const std::size_t begin = text.find("\n## " + section + "\n");
  EXPECT_NE(begin, std::string::npos) << section;
  const std::size_t end = std::min(text.find("\n## ", begin + 1), text.size());
  std::set<std::string> fields;
  for (const std::string& cell :
       matches(text.substr(begin, end - begin), "\n\\| ([^|]*) \\|(?=[^\n]*\\|)")) {
    for (const std::string& field : matches(cell, "`([^`]+)`")) fields.insert(field);
  }
  return fields;
}

postgres::BackupFacts full_facts() {
  postgres::BackupFacts facts;
  facts.tablespaces.push_back({1, "/t", false});
  facts.configuration.push_back({"/etc/x", "hba_file"});
  facts.bad_pages.push_back({"base/1/1", 0});
  return facts;
}

repository::Snapshot full_snapshot() {
  repository::Snapshot snapshot;
  snapshot.id = "20261123T020222Z-F";
  return snapshot;
}

backup::BackupReport full_backup_report() {
  backup::BackupReport report;
  report.snapshot = full_snapshot();
  report.facts = full_facts();
  report.warnings = {"w"};
  report.findings = {"f"};
  return report;
}

TEST(JsonDocument, BackupFieldsAreDocumented) {
  EXPECT_EQ(fields_of(backup_result_json(full_backup_report(), {})), documented("backup"));
}

TEST(JsonDocument, DescriptionOfABackupHasTheFieldsOfBackup) {
  EXPECT_THAT(fields_of(backup_details_json(full_snapshot(), full_facts())),
              IsSubsetOf(documented("backup")));
}

TEST(JsonDocument, DryBackupFieldsAreDocumented) {
  EXPECT_EQ(fields_of(backup_dry_run_json(full_backup_report(), "main")),
            documented("backup --dry-run"));
}

TEST(JsonDocument, RestoreFieldsAreDocumented) {
  restore::RestoreReport report;
  report.tablespaces = {{"/a", "/b"}};
  report.configuration = {{"/a", "/b"}};
  report.warnings = {"w"};
  report.findings = {"f"};
  EXPECT_EQ(fields_of(restore_result_json(report, "/x")), documented("restore"));
}

TEST(JsonDocument, VerifyFieldsAreDocumented) {
  verify::VerifyReport report;
  report.damage = {"d"};
  report.affected.push_back({});
  report.affected.back().lost_files = {"f"};
  EXPECT_EQ(fields_of(verify_result_json({{"main", report}})), documented("verify"));
}

TEST(JsonDocument, ProgressFieldsAreDocumented) {
  EXPECT_EQ(fields_of(progress_json({}, {})), documented("progress"));
}

TEST(JsonDocument, InitInfoAndLsFieldsAreDocumented) {
  Program pghaul;
  EXPECT_EQ(fields_of(pghaul({"init", "--repo=/other", "--json"}).json()), documented("init"));
  pghaul.make_cluster_and_repository();
  pghaul.back_up();
  EXPECT_EQ(fields_of(pghaul.on_repository({"info", "--json"}).json()), documented("info"));
  std::set<std::string> listed = fields_of(pghaul.on_repository({"ls", "latest", "--json"}).json());
  repository::TreeEntry link;
  link.kind = repository::EntryKind::link;
  for (const std::string& field : fields_of(entry_json(link, "x"))) {
    listed.insert("entries[]." + field);
  }
  EXPECT_EQ(listed, documented("ls"));
}

}  // namespace
}  // namespace haul::cli
