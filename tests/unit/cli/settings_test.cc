#include "tools/pghaul/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/cli_fixture.h"

namespace haul::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kConfig = "/etc/pghaul/pghaul.toml";

class SettingsTest : public testing::Test {
 protected:
  Result<Settings> load(const std::vector<std::string>& words) {
    return Settings::load(parse_command_line(words).value(), platform);
  }

  TestPlatform platform;
};

TEST_F(SettingsTest, CommandLinePrecedesEnvironmentPrecedesConfigurationPrecedesDefault) {
  EXPECT_EQ(load({"backup"})->value_or("label", "default"), "default");
  platform.texts[kConfig] = "[repo]\nlabel = \"repo\"\n[cluster.main]\nlabel = \"cluster\"\n";
  Settings settings = load({"backup"}).value();
  EXPECT_EQ(settings.value("label"), "repo");
  EXPECT_EQ(settings.origin("label"), "label in /etc/pghaul/pghaul.toml");
  settings.select_cluster("main");
  EXPECT_EQ(settings.value("label"), "cluster");
  platform.variables["PGHAUL_LABEL"] = "environment";
  settings = load({"backup"}).value();
  EXPECT_EQ(settings.value("label"), "environment");
  EXPECT_EQ(settings.origin("label"), "PGHAUL_LABEL");
  settings = load({"backup", "-l", "line"}).value();
  EXPECT_EQ(settings.value("label"), "line");
  EXPECT_EQ(settings.origin("label"), "--label");
}

TEST_F(SettingsTest, EmptyVariableIsNone) {
  platform.variables["PGHAUL_LABEL"] = "";
  EXPECT_EQ(load({"backup"})->value("label"), std::nullopt);
}

TEST_F(SettingsTest, OptionsOfOtherCommandsAreIgnored) {
  platform.variables["PGHAUL_DATA"] = "nonsense";
  platform.texts[kConfig] = "[repo]\noffline = true\n";
  const Settings settings = load({"info"}).value();
  EXPECT_EQ(settings.value("data"), std::nullopt);
  EXPECT_EQ(settings.value("offline"), std::nullopt);
}

TEST_F(SettingsTest, EveryOptionIsAVariable) {
  for (const CommandSpec& command : all_commands()) {
    for (const OptionSpec& option : all_options()) {
      if (!takes(command.command, option) || option.name == "help" || option.name == "config") {
        continue;
      }
      platform.variables = {{variable_name(option.name), "true"}};
      EXPECT_EQ(load(words_calling(command))->value(option.name), "true")
          << command.name << " " << option.name;
    }
  }
}

TEST_F(SettingsTest, RepeatedOptionTakesLinesOfTheVariable) {
  platform.variables["PGHAUL_TABLESPACE_MAPPING"] = "/a=/b\n/c=/d\n";
  EXPECT_THAT(load({"restore"})->values("tablespace-mapping"), ElementsAre("/a=/b", "/c=/d"));
  EXPECT_THAT(load({"restore", "-T", "/x=/y"})->values("tablespace-mapping"), ElementsAre("/x=/y"));
  EXPECT_THAT(load({"backup"})->values("tablespace-mapping"), IsEmpty());
}

TEST_F(SettingsTest, ConfigurationIsReadFromWhereItIsNamed) {
  platform.texts["/here/mine.toml"] = "[repo]\nrepo = \"/r\"\n";
  EXPECT_EQ(load({"info", "--config=mine.toml"})->value("repo"), "/r");
  platform.variables["PGHAUL_CONFIG"] = "/here/mine.toml";
  EXPECT_EQ(load({"info"})->value("repo"), "/r");
}

TEST_F(SettingsTest, ConfigurationThatWasNamedMustBeThere) {
  EXPECT_EQ(load({"info", "--config=/no.toml"}).error().code(), ErrorCode::not_found);
  EXPECT_TRUE(load({"info"}));
}

TEST_F(SettingsTest, ClusterIsNamedByTheOnlyTable) {
  EXPECT_EQ(load({"info"})->named_cluster(), std::nullopt);
  platform.texts[kConfig] = "[cluster.sales]\n";
  EXPECT_EQ(load({"info"})->named_cluster(), "sales");
  EXPECT_EQ(load({"info", "--cluster=x"})->named_cluster(), "x");
  platform.texts[kConfig] = "[cluster.sales]\n[cluster.stock]\n";
  EXPECT_EQ(load({"info"})->named_cluster(), std::nullopt);
  platform.texts[kConfig] += "[repo]\ncluster = \"stock\"\n";
  EXPECT_EQ(load({"info"})->named_cluster(), "stock");
}

TEST_F(SettingsTest, FlagsTakeWordsForYesAndNo) {
  for (const std::string yes : {"true", "yes", "on", "1"}) {
    platform.variables["PGHAUL_DATA"] = yes;
    EXPECT_TRUE(load({"verify"})->flag("data").value()) << yes;
  }
  for (const std::string no : {"false", "no", "off", "0"}) {
    platform.variables["PGHAUL_DATA"] = no;
    EXPECT_FALSE(load({"verify"})->flag("data").value()) << no;
  }
  platform.variables["PGHAUL_DATA"] = "perhaps";
  const Settings settings = load({"verify"}).value();
  const auto flag = settings.flag("data");
  ASSERT_FALSE(flag);
  EXPECT_EQ(flag.error().code(), ErrorCode::usage);
  EXPECT_THAT(flag.error().message(), HasSubstr("PGHAUL_DATA"));
  EXPECT_FALSE(load({"verify", "--data=no"})->flag("data").value());
}

TEST_F(SettingsTest, NumbersKeepToTheirRange) {
  const auto number = [this](const std::string& text) {
    return load({"backup", "--jobs=" + text})->number("jobs", {1, 8});
  };
  EXPECT_EQ(number("1").value(), 1U);
  EXPECT_EQ(number("8").value(), 8U);
  for (const std::string wrong : {"0", "9", "-1", "1x", " 1", "99999999999999999999"}) {
    EXPECT_EQ(number(wrong).error().code(), ErrorCode::usage) << wrong;
  }
  EXPECT_EQ(load({"backup"})->number("jobs", {1, 8}).value(), std::nullopt);
}

TEST_F(SettingsTest, PathsBecomeAbsolute) {
  const auto path = [this](const std::string& text) {
    return load({"info", "--repo=" + text})->path("repo").value();
  };
  EXPECT_EQ(path("repo"), "/here/repo");
  EXPECT_EQ(path("../x/./y/"), "/x/y");
  EXPECT_EQ(path("/a//b/"), "/a/b");
  EXPECT_EQ(path("/"), "/");
}

TEST(ConfigFile, TablesAndTypesAreRead) {
  const ConfigFile config = parse_config(
                                "[repo]\nrepo = \"/r\"\n"
                                "[cluster.main]\njobs = 4\noffline = true\n"
                                "tablespace-mapping = [\"/a=/b\", \"/c=/d\"]\n",
                                "x.toml")
                                .value();
  EXPECT_THAT(config.repo.at("repo"), ElementsAre("/r"));
  const ConfigTable& cluster = config.clusters.at("main");
  EXPECT_THAT(cluster.at("jobs"), ElementsAre("4"));
  EXPECT_THAT(cluster.at("offline"), ElementsAre("true"));
  EXPECT_THAT(cluster.at("tablespace-mapping"), ElementsAre("/a=/b", "/c=/d"));
}

TEST(ConfigFile, WhatIsWrongIsNamed) {
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"[repo\n", "x.toml:1"},
           {"[repo]\n\nrepo = \n", "x.toml:3"},
           {"repo = \"/r\"\n", "\"repo\""},
           {"[repository]\n", "\"repository\""},
           {"[repo]\nrpeo = \"x\"\n", "\"rpeo\""},
           {"[repo]\nconfig = \"x\"\n", "\"config\""},
           {"[repo]\nhelp = true\n", "\"help\""},
           {"[repo]\nrepo = [\"a\"]\n", "\"repo\""},
           {"[repo]\nrepo = 1.5\n", "\"repo\""},
           {"[cluster.main]\njobs = {}\n", "[cluster.main]"},
           {"[repo]\ntablespace-mapping = [[]]\n", "tablespace-mapping"},
           {"[cluster]\nmain = 1\n", "cluster"},
       }) {
    const auto config = parse_config(text, "x.toml");
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().code(), ErrorCode::usage) << text;
    EXPECT_THAT(config.error().message(), HasSubstr(part)) << text;
    EXPECT_THAT(config.error().message(), HasSubstr("x.toml")) << text;
  }
}

}  // namespace
}  // namespace haul::cli
