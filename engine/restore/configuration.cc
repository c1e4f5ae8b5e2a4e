#include "engine/restore/configuration.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "base/format.h"
#include "engine/restore/leaf.h"

namespace haul::restore {

using repository::TreeEntry;

namespace {

// Settings of the original place. Their defaults lie in the data directory, where the files now
// are; the postmaster's second pid file may still belong to the original server.
constexpr std::array<std::string_view, 4> kPlaceSettings = {"data_directory", "hba_file",
                                                            "ident_file", "external_pid_file"};
// Gone since PostgreSQL 15; before, only an absolute one leads out of the data directory.
constexpr std::string_view kStatisticsDirectory = "stats_temp_directory";

// Named with an absolute path, each of these keeps a server from starting when it is absent.
constexpr std::array<std::string_view, 9> kOutsideSettings = {
    "ssl_cert_file", "ssl_key_file",       "ssl_ca_file",        "ssl_crl_file",
    "ssl_crl_dir",   "ssl_dh_params_file", "krb_server_keyfile", "unix_socket_directories",
    "log_directory"};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? "" : path.substr(0, slash));
}

std::string name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || static_cast<unsigned char>(c) >= 0x80;
}

std::string_view without_leading_spaces(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// What the characters after a backslash stand for; `at` is moved to the last of them.
char unescape(std::string_view text, std::size_t& at) {
  switch (text[at]) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: break;
  }
  if (!is_octal(text[at])) return text[at];
  unsigned value = 0;
  std::size_t count = 0;
  for (; count < 3 && at + count < text.size() && is_octal(text[at + count]); ++count) {
    value = value * 8 + static_cast<unsigned>(text[at + count] - '0');
  }
  at += count - 1;
  return static_cast<char>(value);
}

// After the opening quote; false when there is no closing one.
bool take_quoted(std::string_view text, std::string& value) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\'') {
      if (at + 1 >= text.size() || text[at + 1] != '\'') return true;
      ++at;
    } else if (text[at] == '\\' && at + 1 < text.size()) {
      ++at;
      value.push_back(unescape(text, at));
      continue;
    }
    value.push_back(text[at]);
  }
  return false;
}

}  // namespace

bool parse_setting_line(std::string_view line, SettingLine& setting) {
  std::string_view rest = without_leading_spaces(line);
  std::size_t end = 0;
  while (end < rest.size() && is_name_character(rest[end])) ++end;
  if (end == 0) return false;
  setting.name.assign(rest.substr(0, end));
  std::ranges::transform(setting.name, setting.name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  setting.value.clear();
  rest = without_leading_spaces(rest.substr(end));
  if (rest.starts_with('=')) rest = without_leading_spaces(rest.substr(1));
  if (rest.starts_with('\'')) return take_quoted(rest.substr(1), setting.value);
  end = 0;
  while (end < rest.size() && !is_space(rest[end]) && rest[end] != '#') ++end;
  setting.value.assign(rest.substr(0, end));
  return !setting.value.empty();
}

std::string quote_setting(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    // A string ends with its line.
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\'' || c == '\\') text.push_back(c);
    text.push_back(c);
  }
  return text + "'";
}

namespace {

// Where each file goes, decided before any is changed.
class Destinations {
 public:
  explicit Destinations(const RestorePlan& plan) {
    for (const postgres::ConfigurationFact& fact : plan.facts.configuration) {
      if (fact.role == "config_file") main_directory_ = parent_of(fact.path);
    }
    for (const postgres::ConfigurationFact& fact : plan.facts.configuration) {
      by_source_.emplace(fact.path, destination_of(fact));
      if (fact.role == "include") included_.insert(fact.path);
    }
  }

  const std::string* find(const std::string& from) const {
    const auto found = by_source_.find(from);
    return found == by_source_.end() ? nullptr : &found->second;
  }

  // Destinations of the included files that lay in this directory, in the order in which they were
  // read.
  std::vector<std::string> of_directory(const std::string& directory) const {
    std::vector<std::string> result;
    for (const std::string& from : included_) {
      if (parent_of(from) == directory && from.ends_with(".conf")) result.push_back(*find(from));
    }
    return result;
  }

 private:
  std::string destination_of(const postgres::ConfigurationFact& fact) const {
    if (fact.role == "config_file") return "postgresql.conf";
    if (fact.role == "hba_file") return "pg_hba.conf";
    if (fact.role == "ident_file") return "pg_ident.conf";
    const std::string beneath = main_directory_ + "/";
    if (!main_directory_.empty() && fact.path.starts_with(beneath)) {
      return fact.path.substr(beneath.size());
    }
    const std::string directory = name_of(parent_of(fact.path));
    return directory.ends_with(".d") ? directory + "/" + name_of(fact.path) : name_of(fact.path);
  }

  std::string main_directory_;
  std::map<std::string, std::string> by_source_;
  std::set<std::string> included_;
};

// Rewrites one file.
class Adapter {
 public:
  Adapter(const Destinations& destinations, const PathProbe& exists, ConfigurationFile& file,
          std::vector<std::string>& warnings)
      : destinations_(destinations), exists_(exists), file_(file), warnings_(warnings) {}

  void run() {
    std::string adapted;
    std::string_view rest = file_.content;
    while (!rest.empty()) {
      const std::size_t feed = rest.find('\n');
      const std::size_t length = feed == std::string_view::npos ? rest.size() : feed;
      adapt_line(rest.substr(0, length), adapted);
      if (feed == std::string_view::npos) break;
      adapted.push_back('\n');
      rest.remove_prefix(feed + 1);
    }
    file_.content = std::move(adapted);
  }

  // Directories that a relative include_dir names, beneath the data directory; the server does not
  // start without them.
  const std::set<std::string>& included_directories() const { return included_directories_; }

 private:
  void adapt_line(std::string_view line, std::string& out) {
    SettingLine setting;
    if (!parse_setting_line(line, setting)) {
      out += line;
    } else if (contains(kPlaceSettings, setting.name) ||
               (setting.name == kStatisticsDirectory && setting.value.starts_with('/'))) {
      comment_out(line, setting, out);
    } else if (setting.name == "include" || setting.name == "include_if_exists") {
      adapt_include(line, setting, out);
    } else if (setting.name == "include_dir") {
      adapt_include_directory(line, setting, out);
    } else {
      if (contains(kOutsideSettings, setting.name)) warn_if_absent(setting);
      out += line;
    }
  }

  void comment_out(std::string_view line, const SettingLine& setting, std::string& out) {
    out += "# commented out by pghaul restore, it names a place of the original cluster:\n#";
    out += line;
    warnings_.push_back(
        format("{}: {} = {} is commented out", file_.to, setting.name, setting.value));
  }

  void replace(std::string_view line, const std::string& replacement, std::string& out) {
    out += format("# changed by pghaul restore, was:\n#{}\n{}", line, replacement);
    warnings_.push_back(format("{}: changed to {}", file_.to, replacement));
  }

  // What a path in this file meant where the file was; relative ones start at its directory.
  std::string source_of(const std::string& value) const {
    const std::filesystem::path path =
        value.starts_with('/') ? value : parent_of(file_.from) + "/" + value;
    std::string text = path.lexically_normal().string();
    if (text.size() > 1 && text.ends_with('/')) text.pop_back();
    return text;
  }

  // A destination as this file has to name it.
  std::string from_here(const std::string& destination) const {
    const std::string here = parent_of(file_.to);
    if (here.empty()) return destination;
    return std::filesystem::path(destination).lexically_relative(here).string();
  }

  void adapt_include(std::string_view line, const SettingLine& setting, std::string& out) {
    const std::string* to = destinations_.find(source_of(setting.value));
    if (to != nullptr) {
      if (from_here(*to) == setting.value) {
        out += line;
      } else {
        replace(line, format("{} {}", setting.name, quote_setting(from_here(*to))), out);
      }
    } else if (setting.name == "include_if_exists") {
      out += line;
    } else if (setting.value.starts_with('/') && exists_(setting.value)) {
      keep_outside(line, setting, out);
    } else {
      comment_out(line, setting, out);
    }
  }

  void adapt_include_directory(std::string_view line, const SettingLine& setting,
                               std::string& out) {
    const std::string source = source_of(setting.value);
    const std::vector<std::string> files = destinations_.of_directory(source);
    if (files.empty()) {
      if (!setting.value.starts_with('/')) {
        keep_empty_directory(line, setting, out);
      } else if (exists_(setting.value)) {
        keep_outside(line, setting, out);
      } else {
        comment_out(line, setting, out);
      }
      return;
    }
    const std::string directory = parent_of(files.front());
    const bool together = std::ranges::all_of(
        files, [&](const std::string& file) { return parent_of(file) == directory; });
    if (together && !directory.empty()) {
      if (from_here(directory) == setting.value) {
        out += line;
      } else {
        replace(line, format("include_dir {}", quote_setting(from_here(directory))), out);
      }
      return;
    }
    std::string includes;
    for (const std::string& file : files) {
      if (!includes.empty()) includes.push_back('\n');
      includes += format("include {}", quote_setting(from_here(file)));
    }
    replace(line, includes, out);
  }

  void keep_empty_directory(std::string_view line, const SettingLine& setting, std::string& out) {
    const std::string path =
        std::filesystem::path(join(parent_of(file_.to), setting.value)).lexically_normal().string();
    // Outside of the data directory, or the directory itself.
    if (path.starts_with("..") || !io::is_plain_path(path)) {
      comment_out(line, setting, out);
      return;
    }
    included_directories_.insert(path);
    out += line;
  }

  void keep_outside(std::string_view line, const SettingLine& setting, std::string& out) {
    out += line;
    warnings_.push_back(format("{}: {} = {} leads out of the data directory and is left as it is",
                               file_.to, setting.name, setting.value));
  }

  void warn_if_absent(const SettingLine& setting) {
    std::string_view rest = setting.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      std::string_view path = without_leading_spaces(rest.substr(0, comma));
      while (!path.empty() && is_space(path.back())) path.remove_suffix(1);
      if (path.starts_with('/') && !exists_(std::string(path))) {
        warnings_.push_back(
            format("{}: {} names {}, which does not exist here", file_.to, setting.name, path));
      }
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }

  const Destinations& destinations_;
  const PathProbe& exists_;
  ConfigurationFile& file_;
  std::vector<std::string>& warnings_;
  std::set<std::string> included_directories_;
};

class ConfigurationPlanner {
 public:
  ConfigurationPlanner(const RestorePlan& plan, repository::ChunkReader& chunks,
                       const PathProbe& exists)
      : plan_(plan), chunks_(chunks), exists_(exists), destinations_(plan) {}

  Result<ConfigurationPlan> run() {
    for (const postgres::ConfigurationFact& fact : plan_.facts.configuration) {
      const auto entry = std::ranges::find_if(plan_.configuration, [&](const TreeEntry& candidate) {
        return "/" + candidate.path == fact.path;
      });
      if (entry != plan_.configuration.end()) HAUL_TRY(add(fact, *entry));
    }
    warn_of_outside_main_file();
    std::ranges::sort(result_.directories);
    return std::move(result_);
  }

 private:
  Status add(const postgres::ConfigurationFact& fact, const TreeEntry& entry) {
    ConfigurationFile file{fact.path, *destinations_.find(fact.path), entry.mode, ""};
    if (plan_.has_file(file.to)) {
      result_.warnings.push_back(
          format("{} is not restored: the data directory has a {} of its own", file.from, file.to));
      return ok();
    }
    if (!is_free(file.to)) {
      result_.warnings.push_back(
          format("{} is not restored: {} is no free name", file.from, file.to));
      return ok();
    }
    taken_.insert(file.to);
    const auto bytes = read_whole(chunks_, entry, kConfigurationBytesMax);
    if (!bytes) {
      if (bytes.error().code() != ErrorCode::corrupt) return bytes.error();
      result_.lost_files.push_back(file.from);
      return ok();
    }
    file.content = text_of(*bytes);
    if (fact.role == "config_file" || fact.role == "include") {
      Adapter adapter(destinations_, exists_, file, result_.warnings);
      adapter.run();
      for (const std::string& directory : adapter.included_directories()) {
        if (is_free(directory)) add_directory(directory);
      }
    }
    add_directory(parent_of(file.to));
    result_.files.push_back(std::move(file));
    return ok();
  }

  // A control character could end a line of the file that names it.
  bool is_free(const std::string& path) const {
    const bool has_control = std::ranges::any_of(
        path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (has_control || !io::is_plain_path(path) || is_reserved_name(path)) return false;
    if (plan_.has_directory(path)) return false;
    for (std::string at = path; !at.empty(); at = parent_of(at)) {
      if (plan_.has_file(at) || taken_.contains(at)) return false;
    }
    return true;
  }

  // With its parents, which sort before it.
  void add_directory(const std::string& path) {
    for (std::string at = path; !at.empty() && !plan_.has_directory(at); at = parent_of(at)) {
      if (std::ranges::find(result_.directories, at) == result_.directories.end()) {
        result_.directories.push_back(at);
      }
    }
  }

  // A postgresql.conf in the data directory is restored byte for byte, whatever it names.
  void warn_of_outside_main_file() {
    if (!plan_.has_file("postgresql.conf")) return;
    for (const ConfigurationFile& file : result_.files) {
      result_.warnings.push_back(
          format("postgresql.conf may still name {}, which is now {}", file.from, file.to));
    }
  }

  const RestorePlan& plan_;
  repository::ChunkReader& chunks_;
  const PathProbe& exists_;
  const Destinations destinations_;
  std::set<std::string> taken_;
  ConfigurationPlan result_;
};

}  // namespace

Result<ConfigurationPlan> plan_configuration(const RestorePlan& plan,
                                             repository::ChunkReader& chunks,
                                             const PathProbe& exists) {
  return ConfigurationPlanner(plan, chunks, exists).run();
}

}  // namespace haul::restore
