#include "tools/pghaul/completions.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "base/format.h"
#include "tools/pghaul/option_table.h"

namespace haul::cli {

namespace {

// "a|b" as "a b"; empty where the argument is no choice of words.
std::string choices_of(const OptionSpec& option) {
  if (option.name == "compress") return "lz4 zstd none";
  if (!option.argument.contains('|')) return "";
  std::string choices(option.argument);
  std::ranges::replace(choices, '|', ' ');
  return choices;
}

bool takes_path(const OptionSpec& option) {
  return option.argument == "PATH" || option.argument == "DIR" || option.argument == "FILE";
}

// The help up to its first parenthesis or semicolon: what fits beside a completion.
std::string short_help(const OptionSpec& option) {
  const std::string_view help = option.help.substr(0, option.help.find(';'));
  const std::size_t end = help.find(" (");
  return std::string(end == 0 ? help : help.substr(0, end));
}

// Every occurrence of each character gets `before` in front of it.
std::string escaped(std::string_view text, std::string_view characters, std::string_view before) {
  std::string result;
  for (const char c : text) {
    if (characters.contains(c)) result += before;
    result += c;
  }
  return result;
}

// The words that may come first, each once and in the table's order.
std::vector<std::string> first_words() {
  std::vector<std::string> words;
  for (const CommandSpec& command : all_commands()) {
    std::string word(command.name.substr(0, command.name.find(' ')));
    if (std::ranges::find(words, word) == words.end()) words.push_back(std::move(word));
  }
  return words;
}

// Those that may follow a first word.
std::vector<const CommandSpec*> commands_beneath(std::string_view first_word) {
  std::vector<const CommandSpec*> commands;
  for (const CommandSpec& command : all_commands()) {
    if (command.name.starts_with(format("{} ", first_word))) commands.push_back(&command);
  }
  return commands;
}

std::string second_words(std::string_view first_word) {
  std::string words;
  for (const CommandSpec* command : commands_beneath(first_word)) {
    words += words.empty() ? "" : " ";
    words += command->name.substr(first_word.size() + 1);
  }
  return words;
}

std::string summary_of(std::string_view first_word) {
  const std::vector<const CommandSpec*> beneath = commands_beneath(first_word);
  if (!beneath.empty()) return format("one of: {}", second_words(first_word));
  const auto command = std::ranges::find(all_commands(), first_word, &CommandSpec::name);
  return std::string(command->summary);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string zsh_option(const OptionSpec& option) {
  // In single quotes, a quote is "'\''".
  std::string help_quoted;
  for (const char c : escaped(short_help(option), ":[]", "\\")) {
    help_quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  std::string argument;
  if (option.kind != OptionKind::flag) {
    const std::string choices = choices_of(option);
    argument = format(":{}:{}", option.name,
                      choices.empty() ? takes_path(option) ? "_files" : "" : "(" + choices + ")");
  }
  const std::string_view equals = option.kind == OptionKind::flag ? "" : "=";
  if (option.letter == '\0')
    return format("'--{}{}[{}]{}'", option.name, equals, help_quoted, argument);
  const std::string letter = option.letter == '?' ? "\\?" : std::string(1, option.letter);
  return format("{{'-{}{}','--{}{}'}}'[{}]{}'", letter, equals.empty() ? "" : "+", option.name,
                equals, help_quoted, argument);
}

std::string fish_quoted(std::string_view text) { return "'" + escaped(text, "'\\", "\\") + "'"; }

}  // namespace

std::string bash_completion() {
  std::string text =
      "# Completion of pghaul for bash.\n"
      "# shellcheck shell=bash\n\n"
      "_pghaul() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
      "  local command=${COMP_WORDS[1]} options=''\n"
      "  COMPREPLY=()\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n";
  text += format(
      "    mapfile -t COMPREPLY < <(compgen -W '{} --help --version' -- \"$current\")\n"
      "    return\n  fi\n",
      joined(first_words()));
  for (const std::string& word : first_words()) {
    if (commands_beneath(word).empty()) continue;
    text += format(
        "  if [[ $command == {0} && $COMP_CWORD -eq 2 ]]; then\n"
        "    mapfile -t COMPREPLY < <(compgen -W '{1}' -- \"$current\")\n"
        "    return\n  fi\n"
        "  [[ $command == {0} ]] && command=\"{0} ${{COMP_WORDS[2]}}\"\n",
        word, second_words(word));
  }
  text += "  case $previous in\n";
  std::set<std::string_view> done;
  for (const OptionSpec& option : all_options()) {
    const std::string choices = choices_of(option);
    if (choices.empty() || !done.insert(option.name).second) continue;
    const std::string letter = option.letter == '\0' ? "" : format("-{} | ", option.letter);
    text += format(
        "    {}--{})\n      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n"
        "      return\n      ;;\n",
        letter, option.name, choices);
  }
  text += "  esac\n  case $command in\n";
  for (const CommandSpec& command : all_commands()) {
    std::string options;
    for (const OptionSpec& option : all_options()) {
      if (takes(command.command, option))
        options += format("{}--{}", options.empty() ? "" : " ", option.name);
    }
    text += format("    '{}') options='{}' ;;\n", command.name, options);
  }
  text +=
      "  esac\n"
      "  if [[ $current == -* ]]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
      "  else\n"
      "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "  fi\n}\n\n"
      "complete -o filenames -F _pghaul pghaul\n";
  return text;
}

std::string zsh_completion() {
  std::string text =
      "#compdef pghaul\n# Completion of pghaul for zsh.\n\nlocal -a commands\ncommands=(\n";
  for (const std::string& word : first_words()) {
    text += format("  '{}:{}'\n", word, escaped(summary_of(word), ":", "\\"));
  }
  text +=
      ")\nif ((CURRENT == 2)); then\n  _describe command commands\n  return\nfi\n"
      "local command=$words[2]\nshift words\n((CURRENT--))\n";
  for (const std::string& word : first_words()) {
    if (commands_beneath(word).empty()) continue;
    text += format(
        "if [[ $command == {0} ]]; then\n"
        "  if ((CURRENT == 2)); then\n    _values command {1}\n    return\n  fi\n"
        "  command=\"{0} $words[2]\"\n  shift words\n  ((CURRENT--))\nfi\n",
        word, second_words(word));
  }
  text += "case $command in\n";
  for (const CommandSpec& command : all_commands()) {
    text += format("  '{}')\n    _arguments \\\n", command.name);
    for (const OptionSpec& option : all_options()) {
      if (takes(command.command, option)) text += format("      {} \\\n", zsh_option(option));
    }
    text += "      '*:argument:_files'\n    ;;\n";
  }
  return text + "esac\n";
}

std::string fish_completion() {
  std::string text = "# Completion of pghaul for fish.\n\n";
  for (const std::string& word : first_words()) {
    text += format("complete -c pghaul -n __fish_use_subcommand -f -a {} -d {}\n", word,
                   fish_quoted(summary_of(word)));
    for (const CommandSpec* command : commands_beneath(word)) {
      text += format(
          "complete -c pghaul -n '__fish_seen_subcommand_from {0}; and not "
          "__fish_seen_subcommand_from {1}' -f -a {2} -d {3}\n",
          word, second_words(word), command->name.substr(word.size() + 1),
          fish_quoted(command->summary));
    }
  }
  text += "complete -c pghaul -n __fish_use_subcommand -s V -l version -d 'print the version'\n";
  for (const CommandSpec& command : all_commands()) {
    text += "\n";
    std::string seen;
    std::string_view rest = command.name;
    for (;;) {
      const std::size_t space = rest.find(' ');
      seen += format("{}__fish_seen_subcommand_from {}", seen.empty() ? "" : "; and ",
                     rest.substr(0, space));
      if (space == std::string_view::npos) break;
      rest.remove_prefix(space + 1);
    }
    for (const OptionSpec& option : all_options()) {
      if (!takes(command.command, option)) continue;
      const std::string choices = choices_of(option);
      text += format("complete -c pghaul -n '{}'", seen);
      if (option.letter == '?') text += " -s '?'";
      if (option.letter != '\0' && option.letter != '?') text += format(" -s {}", option.letter);
      text += format(" -l {}", option.name);
      if (option.kind != OptionKind::flag) text += takes_path(option) ? " -r" : " -r -f";
      if (!choices.empty()) text += format(" -a '{}'", choices);
      text += format(" -d {}\n", fish_quoted(short_help(option)));
    }
  }
  return text;
}

}  // namespace haul::cli
