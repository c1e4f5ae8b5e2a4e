// A JSON value, parser and printer; nlohmann-json stays behind json.cc.
//
// Memory:   a value owns its children; parsing is bounded by the size of the text and
//           kJsonDepthMax.
// Threads:  values, no sharing.
// Errors:   corrupt (not JSON, nested too deeply, a member missing or of another type).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace haul {

inline constexpr int kJsonDepthMax = 32;

class Json {
 public:
  using Array = std::vector<Json>;
  // Members keep the order in which they were set, so that printing is deterministic.
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;
  Json(bool value) : value_(value) {}
  Json(std::int64_t value) : value_(value) {}
  Json(std::uint64_t value) : value_(value) {}
  Json(int value) : value_(static_cast<std::int64_t>(value)) {}
  Json(unsigned value) : value_(static_cast<std::uint64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}

  static Json object();
  static Json array();
  static Result<Json> parse(std::string_view text);

  // Adds or replaces a member of an object; chains. Asserts that this is an object.
  Json& set(std::string key, Json value) &;
  // Appends to an array. Asserts that this is one.
  void push(Json value);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }

  // The member, or null when this is no object or has no such member.
  const Json* find(std::string_view key) const;

  // Typed access to members of an object; a missing member or another type is `corrupt` naming the
  // key.
  Result<std::string> string_at(std::string_view key) const;
  Result<std::uint64_t> uint_at(std::string_view key) const;
  Result<std::int64_t> int_at(std::string_view key) const;
  Result<bool> bool_at(std::string_view key) const;
  Result<const Array*> array_at(std::string_view key) const;
  Result<const Json*> object_at(std::string_view key) const;

  Result<std::string> as_string() const;
  Result<std::uint64_t> as_uint() const;

  const Object& members() const;
  const Array& elements() const;

  enum class Layout { compact, indented };
  // Invalid UTF-8 in strings is replaced; no string makes this fail.
  std::string dump(Layout layout = Layout::compact) const;

  bool operator==(const Json&) const = default;

  using Value = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string,
                             Array, Object>;
  const Value& value() const { return value_; }

 private:
  Value value_;
};

}  // namespace haul
