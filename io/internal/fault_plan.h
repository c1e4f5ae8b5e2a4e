// The rules of a fault plan and the counters they go by.
//
// Threads:  every function may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "io/fault_directory.h"

namespace haul::io::internal {

enum class FaultOperation : std::uint8_t {
  open,
  open_directory,
  create,
  publish,
  publish_over,
  info,
  list,
  read_link,
  make_directory,
  make_link,
  set_mode,
  set_owner,
  remove_file,
  remove_directory,
  sync_directory,
  sync_file_system,
  read,
  write,
  resize,
  preallocate,
  sync,
  close,
  any,     // of a rule: every one of the above
  mutate,  // of a rule: every one that changes something
};
inline constexpr std::size_t kFaultOperations = 24;

enum class FaultAction : std::uint8_t {
  kill_before,
  kill_after,
  stop_before,
  fail,
  shorten,
  flip,
  sleep,
};

struct FaultRule {
  FaultOperation operation = FaultOperation::any;
  std::uint64_t first_call = 1;
  std::uint64_t last_call = 1;
  FaultAction action = FaultAction::fail;
  std::uint64_t argument = 0;  // fail: the error number; sleep: milliseconds
};

// What is left to do about one call once it may begin.
struct Injection {
  std::uint64_t call = 0;  // of its operation, from 1
  std::optional<int> error_number;
  bool is_short = false;
  bool flips = false;
  bool kills_after = false;
};

class RuleFaultPlan final : public FaultPlan {
 public:
  explicit RuleFaultPlan(std::vector<FaultRule> rules) : rules_(std::move(rules)) {}

  std::uint64_t calls(std::string_view operation) const override;

  // Counts the call; sleeps, stops or dies as the rules say.
  Injection begin(FaultOperation operation);
  // Dies if the rules say so.
  static void end(const Injection& injection);

 private:
  const std::vector<FaultRule> rules_;
  std::array<std::atomic<std::uint64_t>, kFaultOperations> calls_{};
};

std::string_view to_string(FaultOperation operation);
Result<std::vector<FaultRule>> parse_fault_rules(std::string_view text);
// Every plan is one of rules.
std::shared_ptr<RuleFaultPlan> rules_of(std::shared_ptr<FaultPlan> plan);

// What an injected failure of a call on `name` looks like.
Error injected(int error_number, FaultOperation operation, const std::string& name);
// How many of the bytes that were read the reader is to see; one bit of them may change.
std::size_t spoiled_read(const Injection& injection, MutableByteSpan bytes);

// Carries out one call, or what the plan has instead.
template <typename Call>
auto faulted(RuleFaultPlan& plan, FaultOperation operation, const std::string& name, Call call)
    -> decltype(call()) {
  const Injection injection = plan.begin(operation);
  if (injection.error_number) return injected(*injection.error_number, operation, name);
  auto answer = call();
  RuleFaultPlan::end(injection);
  return answer;
}

}  // namespace haul::io::internal
