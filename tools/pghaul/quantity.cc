#include "tools/pghaul/quantity.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/format.h"

namespace haul::cli {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};

constexpr std::array kPrinted = {
    Unit{"B", 1},
    Unit{"KiB", 1ULL << 10},
    Unit{"MiB", 1ULL << 20},
    Unit{"GiB", 1ULL << 30},
    Unit{"TiB", 1ULL << 40},
    Unit{"PiB", 1ULL << 50},
};

// The largest unit of which there is one; a value that would be printed as 1024.0 is in the next.
const Unit& unit_of(std::uint64_t size_bytes) {
  std::size_t i = 0;
  while (i + 1 < kPrinted.size() &&
         static_cast<double>(size_bytes) >= 1023.95 * static_cast<double>(kPrinted[i].bytes)) {
    ++i;
  }
  // Bytes are whole, so that 1023 of them are no KiB.
  return i == 1 && size_bytes < 1024 ? kPrinted[0] : kPrinted[i];
}

std::string print_in(std::uint64_t size_bytes, const Unit& unit) {
  if (unit.bytes == 1) return std::to_string(size_bytes);
  return format("{:.1f}", static_cast<double>(size_bytes) / static_cast<double>(unit.bytes));
}

// 0 for what is no unit.
std::uint64_t bytes_of_unit(std::string_view unit) {
  if (unit.empty()) return 1024;
  if (unit == "B") return 1;
  const std::string_view rest = unit.substr(1);
  if (!rest.empty() && rest != "B" && rest != "iB") return 0;
  switch (unit[0]) {
    case 'k':
    case 'K': return 1ULL << 10;
    case 'M': return 1ULL << 20;
    case 'G': return 1ULL << 30;
    case 'T': return 1ULL << 40;
    default: return 0;
  }
}

// 0 for what is no unit.
std::uint64_t milliseconds_of_unit(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit == "s" || unit.empty()) return 1000;
  if (unit == "min") return 60'000;
  if (unit == "h") return 3'600'000;
  if (unit == "d") return 86'400'000;
  return 0;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::uint64_t unit =
      bytes_of_unit(text.substr(static_cast<std::size_t>(stop - text.data())));
  const bool fits = unit != 0 && number <= std::numeric_limits<std::uint64_t>::max() / unit;
  if (error != std::errc{} || !fits) {
    return Error(
        ErrorCode::usage, format("\"{}\" is not a size", text),
        "write a whole number and k, M, G or T, for example 64MiB; without a unit it is kB");
  }
  return number * unit;
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::uint64_t unit =
      milliseconds_of_unit(text.substr(static_cast<std::size_t>(stop - text.data())));
  constexpr std::uint64_t kMilliseconds =
      std::chrono::milliseconds(std::chrono::years(100)).count();
  if (error != std::errc{} || unit == 0 || number > kMilliseconds / unit) {
    return Error(
        ErrorCode::usage, format("\"{}\" is not a time span", text),
        "write a whole number and ms, s, min, h or d, for example 90s; without a unit it is "
        "seconds");
  }
  return std::chrono::milliseconds(number * unit);
}

std::string print_size(std::uint64_t size_bytes) {
  const Unit& unit = unit_of(size_bytes);
  return format("{} {}", print_in(size_bytes, unit), unit.name);
}

std::string print_sizes(std::uint64_t part_bytes, std::uint64_t whole_bytes) {
  const Unit& unit = unit_of(whole_bytes);
  return format("{}/{} {}", print_in(part_bytes, unit), print_in(whole_bytes, unit), unit.name);
}

std::string print_age(std::chrono::nanoseconds age) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (seconds < 60) return format("{} s", seconds);
  const auto minutes = seconds / 60;
  if (minutes < 60) return format("{} min {} s", minutes, seconds % 60);
  const auto hours = minutes / 60;
  if (hours < 48) return format("{} h {} min", hours, minutes % 60);
  return format("{} d {} h", hours / 24, hours % 24);
}

std::string print_duration(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  const auto minutes = seconds / 60;
  if (minutes < 60) return format("{}:{:02}", minutes, seconds % 60);
  return format("{}:{:02}:{:02}", minutes / 60, minutes % 60, seconds % 60);
}

}  // namespace haul::cli
