#include "tests/support/fault_fs/faults.h"

#include <algorithm>
#include <charconv>

namespace haul::fault_fs {

namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Operation> parse_operation(std::string_view text) {
  if (text == "read") return Operation::read;
  if (text == "write") return Operation::write;
  if (text == "sync") return Operation::sync;
  return std::nullopt;
}

// base/N/N and global/N: pages, that is.
bool is_relation(const std::string& path) {
  if (path.find("/base/") != 0 && path.find("/global/") != 0) return false;
  const std::string name = path.substr(path.rfind('/') + 1);
  return !name.empty() && name[0] >= '1' && name[0] <= '9';
}

// "3", "3+" or "3*".
bool parse_calls(std::string_view text, Rule& rule) {
  if (text.ends_with('+')) rule.repeat = Rule::Repeat::from_then_on;
  if (text.ends_with('*')) rule.repeat = Rule::Repeat::every;
  if (rule.repeat != Rule::Repeat::once) text.remove_suffix(1);
  const auto number = parse_number(text);
  if (!number || *number == 0) return false;
  rule.first_call = *number;
  return true;
}

bool concerns(const Rule& rule, std::uint64_t call) {
  switch (rule.repeat) {
    case Rule::Repeat::once: return call == rule.first_call;
    case Rule::Repeat::from_then_on: return call >= rule.first_call;
    case Rule::Repeat::every: return call % rule.first_call == 0;
  }
  return false;
}

}  // namespace

bool Faults::parse_rule(std::string_view text) {
  const std::size_t first = text.find(':');
  if (first == std::string_view::npos) return false;
  const std::string_view name = text.substr(0, first);
  if (name == "tear" || name == "space") {
    const auto number = parse_number(text.substr(first + 1));
    if (!number) return false;
    if (name == "tear") tear_every_ = *number;
    if (name == "space") space_bytes_ = *number;
    return true;
  }
  const std::size_t second = text.find(':', first + 1);
  const auto operation = parse_operation(name);
  if (second == std::string_view::npos || !operation) return false;
  Rule& rule = rules_.emplace_back();
  rule.operation = *operation;
  const std::size_t at = text.find('@', second);
  if (at != std::string_view::npos) rule.within = text.substr(at + 1);
  const std::string_view action = text.substr(second + 1, at - second - 1);
  if (action == "eio") rule.fault = Fault::eio;
  if (action == "short" && rule.operation != Operation::sync) rule.fault = Fault::shorten;
  return rule.fault != Fault::none && parse_calls(text.substr(first + 1, second - first - 1), rule);
}

bool Faults::parse(std::string_view text) {
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (!parse_rule(text.substr(0, comma))) return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

Fault Faults::next(Operation operation, const std::string& path) {
  ++calls_[static_cast<std::size_t>(operation)];
  Fault fault = Fault::none;
  for (Rule& rule : rules_) {
    if (rule.operation != operation || path.find(rule.within) == std::string::npos) continue;
    if (concerns(rule, ++rule.calls)) fault = rule.fault;
  }
  if (fault != Fault::none) ++injected_;
  return fault;
}

std::uint64_t Faults::take_space(std::uint64_t size_bytes) {
  const std::uint64_t before = written_bytes_.fetch_add(size_bytes);
  if (!space_bytes_ || before + size_bytes <= *space_bytes_) return size_bytes;
  const std::uint64_t taken = *space_bytes_ - std::min(before, *space_bytes_);
  written_bytes_ -= size_bytes - taken;
  ++injected_;
  return taken;
}

bool Faults::has_space_for(std::uint64_t size_bytes) const {
  return !space_bytes_ || written_bytes_ + size_bytes <= *space_bytes_;
}

// True once per page, for every `tear_every_`-th of them.
bool Faults::is_torn_now(const std::string& path, std::uint64_t page) {
  if (++pages_ % tear_every_ != 0) return false;
  const std::scoped_lock lock(mutex_);
  return torn_pages_.insert({path, page}).second;
}

void Faults::tear(const std::string& path, std::uint64_t offset, char* bytes,
                  std::size_t size_bytes) {
  if (tear_every_ == 0 || !is_relation(path)) return;
  for (std::uint64_t page = (offset + kPageBytes - 1) / kPageBytes;
       (page + 1) * kPageBytes <= offset + size_bytes; ++page) {
    if (!is_torn_now(path, page)) continue;
    // The other half's old content, whatever it was.
    char* const half = bytes + (page * kPageBytes - offset) + kPageBytes / 2;
    for (std::size_t i = 0; i < kPageBytes / 2; ++i) half[i] = static_cast<char>(half[i] ^ 0x5a);
    ++torn_;
  }
}

std::string Faults::report() const {
  const auto line = [](const char* name, std::uint64_t count) {
    return std::string(name) + " " + std::to_string(count) + "\n";
  };
  return line("read", calls_[0]) + line("write", calls_[1]) + line("sync", calls_[2]) +
         line("written_bytes", written_bytes_) + line("injected", injected_) +
         line("pages", pages_) + line("torn", torn_);
}

}  // namespace haul::fault_fs
