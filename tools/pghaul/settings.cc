#include "tools/pghaul/settings.h"

#include <charconv>
#include <filesystem>

#include "base/format.h"

namespace haul::cli {

namespace {

// The specification that holds for this command; some names mean different things to different
// ones.
const OptionSpec* spec_for(Command command, std::string_view name) {
  for (const OptionSpec& option : all_options()) {
    if (option.name == name && takes(command, option)) return &option;
  }
  return nullptr;
}

// Several values of one variable stand on lines of their own.
std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    if (end > start) lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

}  // namespace

std::string absolute_path(const std::string& working_directory, const std::string& path) {
  std::string result =
      (std::filesystem::path(working_directory) / path).lexically_normal().string();
  while (result.size() > 1 && result.back() == '/') result.pop_back();
  return result;
}

Result<Settings> Settings::load(CommandLine line, Platform& platform) {
  Settings settings;
  settings.command_ = *line.command;
  settings.arguments_ = std::move(line.arguments);
  settings.working_directory_ = platform.working_directory();
  settings.command_line_ = std::move(line.options);
  for (const OptionSpec& option : all_options()) {
    const bool read = option.source != OptionSource::command_line;
    if (!read || !takes(settings.command_, option)) continue;
    const auto value = platform.variable(variable_name(option.name));
    if (!value || value->empty()) continue;
    settings.environment_[std::string(option.name)] = option.kind == OptionKind::repeated
                                                          ? split_lines(*value)
                                                          : std::vector<std::string>{*value};
  }
  const auto named = settings.path("config");
  settings.config_name_ = named.value_or(std::string(kDefaultConfig));
  auto text = platform.read_text(settings.config_name_);
  if (!text) {
    if (!named && text.error().code() == ErrorCode::not_found) return settings;
    return std::move(text).take_error();
  }
  settings.config_ = HAUL_TRY(parse_config(*text, settings.config_name_));
  return settings;
}

std::optional<std::string> Settings::named_cluster() const {
  if (auto named = value("cluster")) return named;
  if (config_.clusters.size() == 1) return config_.clusters.begin()->first;
  return std::nullopt;
}

void Settings::select_cluster(const std::string& name) { cluster_ = name; }

const ConfigTable* Settings::selected_table() const {
  const auto found = config_.clusters.find(cluster_);
  return found == config_.clusters.end() ? nullptr : &found->second;
}

std::optional<Settings::Found> Settings::find(std::string_view option) const {
  const OptionSpec* spec = spec_for(command_, option);
  if (spec == nullptr) return std::nullopt;
  if (const auto typed = command_line_.find(option); typed != command_line_.end()) {
    return Found{&typed->second, format("--{}", option)};
  }
  if (const auto set = environment_.find(option); set != environment_.end()) {
    return Found{&set->second, variable_name(option)};
  }
  if (spec->source != OptionSource::everywhere) return std::nullopt;
  for (const ConfigTable* table : {selected_table(), &config_.repo}) {
    if (table == nullptr) continue;
    if (const auto set = table->find(option); set != table->end()) {
      return Found{&set->second, format("{} in {}", option, config_name_)};
    }
  }
  return std::nullopt;
}

std::string Settings::origin(std::string_view option) const {
  const auto found = find(option);
  return found ? found->origin : format("--{}", option);
}

std::optional<std::string> Settings::value(std::string_view option) const {
  const auto found = find(option);
  if (!found || found->values->empty()) return std::nullopt;
  return found->values->back();
}

std::string Settings::value_or(std::string_view option, std::string_view otherwise) const {
  return value(option).value_or(std::string(otherwise));
}

std::vector<std::string> Settings::values(std::string_view option) const {
  const auto found = find(option);
  return found ? *found->values : std::vector<std::string>{};
}

Result<bool> Settings::flag(std::string_view option) const {
  const auto text = value(option);
  if (!text) return false;
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (*text == yes) return true;
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (*text == no) return false;
  }
  return Error(ErrorCode::usage,
               format("{}: \"{}\" is neither true nor false", origin(option), *text));
}

Result<std::optional<std::uint64_t>> Settings::number(std::string_view option, Range range) const {
  const auto text = value(option);
  if (!text) return std::nullopt;
  std::uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc{} || stop != end || number < range.least || number > range.most) {
    return Error(ErrorCode::usage, format("{}: \"{}\" is not a number from {} to {}",
                                          origin(option), *text, range.least, range.most));
  }
  return std::optional(number);
}

std::optional<std::string> Settings::path(std::string_view option) const {
  const auto text = value(option);
  if (!text || text->empty()) return std::nullopt;
  return absolute_path(working_directory_, *text);
}

Result<std::string> Settings::required_path(std::string_view option) const {
  if (auto found = path(option)) return *std::move(found);
  return Error(
      ErrorCode::usage, format("--{} was not given", option),
      format("name it on the command line, in {} or in the configuration", variable_name(option)));
}

}  // namespace haul::cli
