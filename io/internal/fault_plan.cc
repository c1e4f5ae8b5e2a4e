#include "io/internal/fault_plan.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <limits>
#include <string>
#include <thread>

#include "base/assert.h"
#include "base/format.h"
#include "io/internal/posix_calls.h"

namespace haul::io::internal {
namespace {

enum class Effect { reads, mutates };

struct OperationName {
  std::string_view name;
  Effect effect;
};

// In the order of FaultOperation.
constexpr std::array<OperationName, kFaultOperations> kOperations = {{
    {"open", Effect::reads},
    {"open_directory", Effect::reads},
    {"create", Effect::mutates},
    {"publish", Effect::mutates},
    {"publish_over", Effect::mutates},
    {"info", Effect::reads},
    {"list", Effect::reads},
    {"read_link", Effect::reads},
    {"make_directory", Effect::mutates},
    {"make_link", Effect::mutates},
    {"set_mode", Effect::mutates},
    {"set_owner", Effect::mutates},
    {"remove_file", Effect::mutates},
    {"remove_directory", Effect::mutates},
    {"sync_directory", Effect::mutates},
    {"sync_file_system", Effect::mutates},
    {"read", Effect::reads},
    {"write", Effect::mutates},
    {"resize", Effect::mutates},
    {"preallocate", Effect::mutates},
    {"sync", Effect::mutates},
    {"close", Effect::mutates},
    {"any", Effect::reads},
    {"mutate", Effect::mutates},
}};

struct ActionName {
  std::string_view name;
  FaultAction action;
  int error_number;
};

constexpr std::array<ActionName, 9> kActions = {{
    {"kill_before", FaultAction::kill_before, 0},
    {"kill_after", FaultAction::kill_after, 0},
    {"stop_before", FaultAction::stop_before, 0},
    {"eio", FaultAction::fail, EIO},
    {"enospc", FaultAction::fail, ENOSPC},
    {"eacces", FaultAction::fail, EACCES},
    {"enoent", FaultAction::fail, ENOENT},
    {"short", FaultAction::shorten, 0},
    {"flip", FaultAction::flip, 0},
}};

constexpr std::size_t index_of(FaultOperation operation) {
  return static_cast<std::size_t>(operation);
}

[[noreturn]] void die() {
  for (;;) ::kill(::getpid(), SIGKILL);
}

std::optional<FaultOperation> operation_named(std::string_view name) {
  for (std::size_t i = 0; i < kOperations.size(); ++i) {
    if (kOperations[i].name == name) return static_cast<FaultOperation>(i);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "3", "3+" or "*".
bool parse_calls(std::string_view text, FaultRule& rule) {
  constexpr std::uint64_t kNoEnd = std::numeric_limits<std::uint64_t>::max();
  if (text == "*") {
    rule.last_call = kNoEnd;
    return true;
  }
  const bool is_open = text.ends_with('+');
  if (is_open) text.remove_suffix(1);
  const std::optional<std::uint64_t> number = parse_number(text);
  if (!number || *number == 0) return false;
  rule.first_call = *number;
  rule.last_call = is_open ? kNoEnd : *number;
  return true;
}

bool parse_action(std::string_view text, FaultRule& rule) {
  constexpr std::string_view kSleep = "sleep_";
  if (text.starts_with(kSleep)) {
    const std::optional<std::uint64_t> duration_ms = parse_number(text.substr(kSleep.size()));
    if (!duration_ms) return false;
    rule.action = FaultAction::sleep;
    rule.argument = *duration_ms;
    return true;
  }
  for (const ActionName& known : kActions) {
    if (known.name != text) continue;
    rule.action = known.action;
    rule.argument = static_cast<std::uint64_t>(known.error_number);
    return true;
  }
  return false;
}

// A rule that can never do anything is a mistake in the plan.
bool makes_sense(const FaultRule& rule) {
  const bool may_read =
      rule.operation == FaultOperation::read || rule.operation == FaultOperation::any;
  const bool may_write = rule.operation == FaultOperation::write ||
                         rule.operation == FaultOperation::any ||
                         rule.operation == FaultOperation::mutate;
  if (rule.action == FaultAction::flip) return may_read;
  if (rule.action == FaultAction::shorten) return may_read || may_write;
  return true;
}

std::optional<FaultRule> parse_rule(std::string_view text) {
  const std::size_t first = text.find(':');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = text.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  FaultRule rule;
  const std::optional<FaultOperation> operation = operation_named(text.substr(0, first));
  if (!operation) return std::nullopt;
  rule.operation = *operation;
  if (!parse_calls(text.substr(first + 1, second - first - 1), rule)) return std::nullopt;
  if (!parse_action(text.substr(second + 1), rule)) return std::nullopt;
  if (!makes_sense(rule)) return std::nullopt;
  return rule;
}

}  // namespace

std::string_view to_string(FaultOperation operation) {
  return kOperations[index_of(operation)].name;
}

Result<std::vector<FaultRule>> parse_fault_rules(std::string_view text) {
  std::vector<FaultRule> rules;
  if (text.empty()) return rules;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::optional<FaultRule> rule = parse_rule(part);
    if (!rule) return Error(ErrorCode::usage, format("not a fault rule: '{}'", part));
    rules.push_back(*rule);
    if (comma == std::string_view::npos) return rules;
    text.remove_prefix(comma + 1);
  }
}

std::shared_ptr<RuleFaultPlan> rules_of(std::shared_ptr<FaultPlan> plan) {
  auto rules = std::dynamic_pointer_cast<RuleFaultPlan>(std::move(plan));
  HAUL_ASSERT(rules != nullptr);
  return rules;
}

Error injected(int error_number, FaultOperation operation, const std::string& name) {
  return path_error(error_number, to_string(operation), name);
}

std::size_t spoiled_read(const Injection& injection, MutableByteSpan bytes) {
  const std::size_t count = injection.is_short ? bytes.size() / 2 : bytes.size();
  if (injection.flips && count > 0) bytes[injection.call % count] ^= std::byte{1};
  return count;
}

std::uint64_t RuleFaultPlan::calls(std::string_view operation) const {
  const std::optional<FaultOperation> known = operation_named(operation);
  HAUL_ASSERT(known.has_value());
  return calls_[index_of(*known)].load();
}

Injection RuleFaultPlan::begin(FaultOperation operation) {
  const bool mutates = kOperations[index_of(operation)].effect == Effect::mutates;
  const std::uint64_t call = calls_[index_of(operation)].fetch_add(1) + 1;
  const std::uint64_t call_of_any = calls_[index_of(FaultOperation::any)].fetch_add(1) + 1;
  const std::uint64_t mutation =
      mutates ? calls_[index_of(FaultOperation::mutate)].fetch_add(1) + 1 : 0;
  Injection injection;
  injection.call = call;
  for (const FaultRule& rule : rules_) {
    std::uint64_t number = 0;  // as this rule counts; 0: it does not concern the operation
    if (rule.operation == operation) number = call;
    if (rule.operation == FaultOperation::any) number = call_of_any;
    if (rule.operation == FaultOperation::mutate) number = mutation;
    if (number < rule.first_call || number > rule.last_call) continue;
    switch (rule.action) {
      case FaultAction::kill_before: die();
      case FaultAction::kill_after: injection.kills_after = true; break;
      case FaultAction::stop_before: ::kill(::getpid(), SIGSTOP); break;
      case FaultAction::fail: injection.error_number = static_cast<int>(rule.argument); break;
      case FaultAction::shorten: injection.is_short = true; break;
      case FaultAction::flip: injection.flips = true; break;
      case FaultAction::sleep:
        std::this_thread::sleep_for(std::chrono::milliseconds(rule.argument));
        break;
    }
  }
  return injection;
}

void RuleFaultPlan::end(const Injection& injection) {
  if (injection.kills_after) die();
}

}  // namespace haul::io::internal
