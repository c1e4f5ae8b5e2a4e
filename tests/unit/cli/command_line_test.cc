#include "tools/pghaul/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/cli_fixture.h"

namespace haul::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

CommandLine parsed(const std::vector<std::string>& words) {
  auto line = parse_command_line(words);
  EXPECT_TRUE(line) << line.error().message();
  return line.value_or(CommandLine{});
}

Error refused(const std::vector<std::string>& words) {
  auto line = parse_command_line(words);
  EXPECT_FALSE(line);
  return line ? Error(ErrorCode::io, "") : line.error();
}

TEST(CommandLine, ShortAndLongNamesAreTheSame) {
  const CommandLine brief = parsed({"backup", "-D", "/d", "-h", "host", "-p", "1", "-U", "u", "-j",
                                    "2", "-c", "fast", "-Z", "none", "-l", "x", "-P", "-w"});
  const CommandLine full =
      parsed({"backup", "--pgdata=/d", "--host", "host", "--port=1", "--username=u", "--jobs=2",
              "--checkpoint=fast", "--compress=none", "--label=x", "--progress", "--no-password"});
  EXPECT_EQ(brief.options, full.options);
  EXPECT_EQ(brief.options.size(), 10U);
}

TEST(CommandLine, ValueMayBeginWithADash) {
  EXPECT_THAT(parsed({"backup", "--label=-x"}).options["label"], ElementsAre("-x"));
}

TEST(CommandLine, LastValueCounts) {
  EXPECT_THAT(parsed({"info", "--repo=a", "--repo=b"}).options["repo"], ElementsAre("b"));
}

TEST(CommandLine, MappingsAddUp) {
  const CommandLine line = parsed({"restore", "-T", "/a=/b", "-D", "/d", "-T", "/c=/d", "latest"});
  EXPECT_THAT(line.options.at("tablespace-mapping"), ElementsAre("/a=/b", "/c=/d"));
  EXPECT_THAT(line.arguments, ElementsAre("latest"));
}

TEST(CommandLine, ArgumentsMayStandAnywhere) {
  EXPECT_THAT(parsed({"cat", "--repo", "r", "b", "-v", "p"}).arguments, ElementsAre("b", "p"));
  EXPECT_THAT(parsed({"verify", "a", "b", "c", "--data"}).arguments, ElementsAre("a", "b", "c"));
}

TEST(CommandLine, FlagsMayBeDenied) {
  EXPECT_THAT(parsed({"verify", "--data"}).options["data"], ElementsAre("true"));
  EXPECT_THAT(parsed({"verify", "--data=false"}).options["data"], ElementsAre("false"));
  EXPECT_FALSE(parsed({"verify"}).options.contains("data"));
}

TEST(CommandLine, HelpIsGivenWhateverElseIsWrong) {
  const CommandLine line = parsed({"backup", "--nonsense", "-?"});
  EXPECT_EQ(line.request, CommandLine::Request::help);
  EXPECT_EQ(line.command, Command::backup);
}

TEST(CommandLine, DashHIsTheHost) {
  EXPECT_THAT(parsed({"backup", "-h", "here"}).options["host"], ElementsAre("here"));
}

TEST(CommandLine, WhatIsWrongIsNamedInOneLine) {
  for (const auto& [words, text] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"bakup"}, "bakup"},
           {{"--repo=x", "backup"}, "--repo=x"},
           {{"backup", "--nonsense"}, "--nonsense"},
           {{"backup", "--kind=full"}, "--kind"},
           {{"init", "--cluster=x"}, "--cluster"},
           {{"backup", "--host"}, "--host"},
           {{"backup", "stray"}, "stray"},
           {{"info", "a", "b"}, "b"},
           {{"cat", "a"}, "BACKUP PATH"},
           {{"ls"}, "BACKUP"},
       }) {
    const Error error = refused(words);
    EXPECT_EQ(error.code(), ErrorCode::usage);
    EXPECT_THAT(error.message(), HasSubstr(text));
    EXPECT_FALSE(error.message().contains('\n'));
    EXPECT_FALSE(error.message().ends_with('.'));
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(CommandLine, EveryOptionOfEveryCommandIsUnderstood) {
  for (const CommandSpec& command : all_commands()) {
    for (const OptionSpec& option : all_options()) {
      if (!takes(command.command, option) || option.name == "help") continue;
      std::vector<std::string> words = words_calling(command);
      words.push_back("--" + std::string(option.name));
      if (option.kind != OptionKind::flag) words.back() += "=value";
      EXPECT_TRUE(parsed(words).options.contains(option.name)) << command.name << words.back();
    }
  }
}

TEST(OptionTable, HelpNamesEveryOptionOfItsCommandAndNoOther) {
  for (const CommandSpec& command : all_commands()) {
    const std::string help = command_help(command.command);
    for (const OptionSpec& option : all_options()) {
      const std::string name =
          "--" + std::string(option.name) + (option.argument.empty() ? " " : "=");
      bool any = false;
      for (const OptionSpec& same : all_options()) {
        any = any || (same.name == option.name && takes(command.command, same));
      }
      // "--data" takes no value and stands before spaces.
      EXPECT_EQ(help.contains(name), any) << command.name << " " << name;
    }
  }
}

TEST(OptionTable, VariablesAreNamedAfterOptions) {
  EXPECT_EQ(variable_name("chunk-pages"), "PGHAUL_CHUNK_PAGES");
}

}  // namespace
}  // namespace haul::cli
