// The documents keep to the program: manual page, completions, sample configuration, JSON fields.

#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/restore/recovery_plan.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/completions.h"
#include "tools/pghaul/config_file.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/option_table.h"
#include "tools/pghaul/progress.h"
#include "tools/pghaul/status_report.h"

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

// Long names of the options that a command takes.
std::set<std::string> options_of(const CommandSpec& command) {
  std::set<std::string> names;
  for (const OptionSpec& option : all_options()) {
    if (takes(command.command, option)) names.insert(std::string(option.name));
  }
  return names;
}

TEST(Completions, BashKnowsTheOptionsOfEachCommand) {
  const std::string text = bash_completion();
  for (const CommandSpec& command : all_commands()) {
    const auto line = matches(text, format("\n +'{}'\\) options='([^']*)'", command.name));
    ASSERT_EQ(line.size(), 1U) << command.name;
    EXPECT_EQ(matches(*line.begin(), "--([a-z-]+)"), options_of(command)) << command.name;
  }
  EXPECT_TRUE(text.contains("compgen -W 'push get list"));
  EXPECT_TRUE(text.contains("-c | --checkpoint)"));
}

TEST(Completions, ZshKnowsTheOptionsOfEachCommand) {
  const std::string text = zsh_completion();
  for (const CommandSpec& command : all_commands()) {
    const auto block = matches(text, format("\n +'{}'\\)([^;]*);;", command.name));
    ASSERT_EQ(block.size(), 1U) << command.name;
    EXPECT_EQ(matches(*block.begin(), "'--([a-z-]+)"), options_of(command)) << command.name;
  }
  EXPECT_TRUE(text.contains("{'-c+','--checkpoint='}"));
}

TEST(Completions, FishKnowsTheOptionsOfEachCommand) {
  const std::string text = fish_completion();
  for (const CommandSpec& command : all_commands()) {
    const std::string last(command.name.substr(command.name.rfind(' ') + 1));
    EXPECT_EQ(matches(text, format("_from {}'[^\n]* -l ([a-z-]+)", last)), options_of(command))
        << command.name;
  }
}

// The shells themselves judge, where they are installed.
TEST(Completions, AreValidScripts) {
  for (const auto& [shell, script] :
       {std::pair("bash", bash_completion()), std::pair("zsh", zsh_completion()),
        std::pair("fish", fish_completion())}) {
    if (std::system(format("command -v {} >/dev/null 2>&1", shell).c_str()) != 0) continue;
    FILE* const pipe = ::popen(format("{} -n", shell).c_str(), "w");
    ASSERT_NE(pipe, nullptr);
    EXPECT_EQ(std::fwrite(script.data(), 1, script.size(), pipe), script.size());
    EXPECT_EQ(::pclose(pipe), 0) << shell << '\n' << script;
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
  restore::RecoveryPlan recovery;
  recovery.lineage = wal::first_timeline(TimelineId{1});
  recovery.settings = {{"a", "b"}};
  recovery.survey.stop.emplace();
  recovery.survey.last_transaction.emplace();
  report.recovery = std::make_shared<const restore::RecoveryPlan>(std::move(recovery));
  report.server.emplace();
  report.delta.emplace();
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
  report.affected.back().whole_in["f"] = "b";
  report.lost_moments.emplace_back();
  EXPECT_EQ(fields_of(verify_result_json({{"main", report}})), documented("verify"));
}

TEST(JsonDocument, StatusFieldsAreDocumented) {
  ClusterStatus status;
  status.report.backups.push_back({full_snapshot(), full_facts(), {}});
  status.report.newest = 0;
  status.report.exposed.emplace();
  status.report.gaps.emplace_back();
  status.report.problems = {"p"};
  status.breaches = {"b"};
  EXPECT_EQ(fields_of(status_json(status)), documented("status"));
}

TEST(JsonDocument, WalListFieldsAreDocumented) {
  Program pghaul;
  pghaul.make_cluster_and_repository();
  const auto push = [&](const std::string& name, const std::string& content) {
    static_cast<void>(pghaul.top()->remove_file("data/pg_wal/" + name));
    HAUL_ASSERT(support::write_file(*pghaul.top(), "data/pg_wal/" + name, content).has_value());
    HAUL_ASSERT(pghaul.on_repository({"wal", "push", "/data/pg_wal/" + name}).status == 0);
  };
  for (const std::uint64_t number : {3U, 4U, 6U}) {
    push("00000001000000000000000" + std::to_string(number), support::fake_wal_segment(number));
  }
  push("000000010000000000000007.partial", support::fake_wal_segment(7));
  push("00000002.history", "1\t0/700100\tx\n");
  push("000000010000000000000003.00000028.backup",
       "START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n");
  std::string piece = "repo/" + pghaul.objects("/000000010000000000000006").at(0);
  piece.replace(piece.size() - 1, 1, "8.00000000-00000400");
  HAUL_ASSERT(support::write_file(*pghaul.top(), piece, "x").has_value());
  // The header from which the size of segments would be read first.
  pghaul.flip_byte("repo/" + pghaul.objects("/000000010000000000000003").at(0), 40);
  EXPECT_EQ(fields_of(pghaul.on_repository({"wal", "list", "--json"}).json()),
            documented("wal list"));
}

TEST(JsonDocument, WalReceiveFieldsAreDocumented) {
  EXPECT_EQ(fields_of(wal_receive_json("main", {})), documented("wal receive"));
}

TEST(JsonDocument, CheckFieldsAreDocumented) {
  EXPECT_EQ(fields_of(check_json({{"p"}, {"w"}}, "main")), documented("check"));
}

TEST(JsonDocument, ProgressFieldsAreDocumented) {
  EXPECT_EQ(fields_of(progress_json({}, {})), documented("progress"));
}

TEST(JsonDocument, DifferencesAreDocumented) {
  BackupChanges changes;
  EXPECT_TRUE(changes_json(changes).is_null());
  changes.parent = "20261123T020222Z-F";
  changes.databases[5] = {};
  changes.files.emplace_back();
  Json json = Json::object();
  json.set("differences", changes_json(changes));
  json.set("maps", map_use_json(changes.maps));
  std::set<std::string> fields = fields_of(json);
  fields.insert("differences");
  EXPECT_EQ(fields, documented("info --differences"));
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
