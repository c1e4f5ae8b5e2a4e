#include "tools/pghaul/config_file.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/format.h"
#include "tools/pghaul/option_table.h"

namespace haul::cli {

namespace {

std::optional<std::string> scalar(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  return std::nullopt;
}

// A scalar, or for an option that may be repeated an array of them.
std::optional<std::vector<std::string>> values_of(const toml::node& node, OptionKind kind) {
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    auto value = scalar(node);
    if (!value) return std::nullopt;
    return std::vector{*std::move(value)};
  }
  if (kind != OptionKind::repeated) return std::nullopt;
  std::vector<std::string> values;
  for (const toml::node& element : *array) {
    auto value = scalar(element);
    if (!value) return std::nullopt;
    values.push_back(*std::move(value));
  }
  return values;
}

Result<ConfigTable> read_table(const toml::table& table, const std::string& place) {
  ConfigTable result;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const OptionSpec* option = find_option(name);
    if (option == nullptr || option->source != OptionSource::everywhere) {
      return Error(ErrorCode::usage, format("{}: there is no key \"{}\"", place, name),
                   "keys are the long names of options");
    }
    auto values = values_of(node, option->kind);
    if (!values) {
      return Error(ErrorCode::usage,
                   format("{}: the value of \"{}\" has the wrong type", place, name));
    }
    result.emplace(name, *std::move(values));
  }
  return result;
}

Error unknown_table(const std::string& name, std::string_view key) {
  return Error(ErrorCode::usage, format("{}: there is no table \"{}\"", name, key),
               "tables are [repo] and [cluster.NAME]");
}

}  // namespace

Result<ConfigFile> parse_config(std::string_view text, const std::string& name) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    return Error(ErrorCode::usage, format("{}:{}: {}", name, parsed.error().source().begin.line,
                                          parsed.error().description()));
  }
  ConfigFile config;
  for (const auto& [key, node] : parsed.table()) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return unknown_table(name, key.str());
    if (key.str() == "repo") {
      config.repo = HAUL_TRY(read_table(*table, format("{}: [repo]", name)));
      continue;
    }
    if (key.str() != "cluster") return unknown_table(name, key.str());
    for (const auto& [cluster, entry] : *table) {
      const toml::table* options = entry.as_table();
      if (options == nullptr) return unknown_table(name, "cluster");
      config.clusters[std::string(cluster.str())] =
          HAUL_TRY(read_table(*options, format("{}: [cluster.{}]", name, cluster.str())));
    }
  }
  return config;
}

}  // namespace haul::cli
