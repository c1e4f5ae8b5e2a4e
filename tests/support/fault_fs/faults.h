// What a fault_fs does wrong, and when.
//
// Threads:  every function may be called from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace haul::fault_fs {

inline constexpr std::size_t kPageBytes = 8192;

enum class Operation : std::uint8_t { read, write, sync };
enum class Fault : std::uint8_t { none, eio, shorten };

// "read:3:eio": the third; "read:3+:eio": it and all after; "read:3*:short": every third. With
// "@base/5/" at its end a rule counts only files whose path has that in it.
struct Rule {
  Operation operation = Operation::read;
  Fault fault = Fault::none;
  std::uint64_t first_call = 1;
  enum class Repeat : std::uint8_t { once, from_then_on, every } repeat = Repeat::once;
  std::string within;
  std::atomic<std::uint64_t> calls = 0;
};

class Faults {
 public:
  // Comma-separated rules, "tear:K" or "space:BYTES"; false when one cannot be understood.
  bool parse(std::string_view text);

  // What is to happen to this call.
  Fault next(Operation operation, const std::string& path);
  // How many of these bytes there is room for.
  std::uint64_t take_space(std::uint64_t size_bytes);
  bool has_space_for(std::uint64_t size_bytes) const;
  // Tears pages of a relation in what was read of it.
  void tear(const std::string& path, std::uint64_t offset, char* bytes, std::size_t size_bytes);

  std::string report() const;

 private:
  bool parse_rule(std::string_view text);
  bool is_torn_now(const std::string& path, std::uint64_t page);

  std::deque<Rule> rules_;
  std::uint64_t tear_every_ = 0;  // 0: none
  std::optional<std::uint64_t> space_bytes_;
  std::atomic<std::uint64_t> written_bytes_ = 0;
  std::atomic<std::uint64_t> calls_[3] = {};
  std::atomic<std::uint64_t> injected_ = 0;
  std::atomic<std::uint64_t> pages_ = 0;
  std::atomic<std::uint64_t> torn_ = 0;
  std::mutex mutex_;  // guards torn_pages_
  std::set<std::pair<std::string, std::uint64_t>> torn_pages_;
};

}  // namespace haul::fault_fs
