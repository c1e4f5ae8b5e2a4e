#include "base/json.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/format.h"

namespace haul {

namespace {

using Library = nlohmann::ordered_json;

Json from_library(const Library& source) {
  switch (source.type()) {
    case Library::value_t::boolean: return Json(source.get<bool>());
    case Library::value_t::number_integer: return Json(source.get<std::int64_t>());
    case Library::value_t::number_unsigned: return Json(source.get<std::uint64_t>());
    case Library::value_t::number_float: return Json(source.get<double>());
    case Library::value_t::string: return Json(source.get<std::string>());
    case Library::value_t::array: {
      Json result = Json::array();
      for (const Library& element : source) result.push(from_library(element));
      return result;
    }
    case Library::value_t::object: {
      Json result = Json::object();
      for (const auto& [key, value] : source.items()) result.set(key, from_library(value));
      return result;
    }
    default: return Json();
  }
}

Library to_library(const Json& source) {
  struct Visitor {
    Library operator()(std::monostate) const { return nullptr; }
    Library operator()(bool v) const { return v; }
    Library operator()(std::int64_t v) const { return v; }
    Library operator()(std::uint64_t v) const { return v; }
    Library operator()(double v) const { return v; }
    Library operator()(const std::string& v) const { return v; }
    Library operator()(const Json::Array& v) const {
      Library result = Library::array();
      for (const Json& element : v) result.push_back(to_library(element));
      return result;
    }
    Library operator()(const Json::Object& v) const {
      Library result = Library::object();
      for (const auto& [key, value] : v) result[key] = to_library(value);
      return result;
    }
  };
  return std::visit(Visitor{}, source.value());
}

Error wrong_member(std::string_view key, std::string_view expected) {
  return Error(ErrorCode::corrupt,
               format("JSON member \"{}\" is missing or not {}", key, expected));
}

// The parser recurses; a hostile text must not exhaust the stack.
bool nested_too_deeply(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json Json::object() {
  Json result;
  result.value_ = Object{};
  return result;
}

Json Json::array() {
  Json result;
  result.value_ = Array{};
  return result;
}

Result<Json> Json::parse(std::string_view text) {
  if (nested_too_deeply(text)) return Error(ErrorCode::corrupt, "JSON is nested too deeply");
  const Library parsed = Library::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Error(ErrorCode::corrupt, "not valid JSON");
  return from_library(parsed);
}

Json& Json::set(std::string key, Json value) & {
  HAUL_ASSERT(is_object());
  auto& object = std::get<Object>(value_);
  for (auto& [existing, slot] : object) {
    if (existing == key) {
      slot = std::move(value);
      return *this;
    }
  }
  object.emplace_back(std::move(key), std::move(value));
  return *this;
}

void Json::push(Json value) {
  HAUL_ASSERT(is_array());
  std::get<Array>(value_).push_back(std::move(value));
}

const Json* Json::find(std::string_view key) const {
  const auto* object = std::get_if<Object>(&value_);
  if (object == nullptr) return nullptr;
  for (const auto& [existing, value] : *object) {
    if (existing == key) return &value;
  }
  return nullptr;
}

Result<std::string> Json::as_string() const {
  if (const auto* text = std::get_if<std::string>(&value_)) return *text;
  return Error(ErrorCode::corrupt, "JSON value is not a string");
}

Result<std::uint64_t> Json::as_uint() const {
  if (const auto* u = std::get_if<std::uint64_t>(&value_)) return *u;
  if (const auto* i = std::get_if<std::int64_t>(&value_); i != nullptr && *i >= 0)
    return static_cast<std::uint64_t>(*i);
  return Error(ErrorCode::corrupt, "JSON value is not an unsigned number");
}

Result<std::string> Json::string_at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_string()) return wrong_member(key, "a string");
  return member->as_string();
}

Result<std::uint64_t> Json::uint_at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr) return wrong_member(key, "an unsigned number");
  auto value = member->as_uint();
  if (!value) return wrong_member(key, "an unsigned number");
  return value;
}

Result<std::int64_t> Json::int_at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr) return wrong_member(key, "a number");
  if (const auto* i = std::get_if<std::int64_t>(&member->value_)) return *i;
  if (const auto* u = std::get_if<std::uint64_t>(&member->value_);
      u != nullptr && *u <= INT64_MAX) {
    return static_cast<std::int64_t>(*u);
  }
  return wrong_member(key, "a number");
}

Result<bool> Json::bool_at(std::string_view key) const {
  const Json* member = find(key);
  const bool* value = member == nullptr ? nullptr : std::get_if<bool>(&member->value_);
  if (value == nullptr) return wrong_member(key, "true or false");
  return *value;
}

Result<const Json::Array*> Json::array_at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_array()) return wrong_member(key, "an array");
  return &member->elements();
}

Result<const Json*> Json::object_at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_object()) return wrong_member(key, "an object");
  return member;
}

const Json::Object& Json::members() const {
  HAUL_ASSERT(is_object());
  return std::get<Object>(value_);
}

const Json::Array& Json::elements() const {
  HAUL_ASSERT(is_array());
  return std::get<Array>(value_);
}

std::string Json::dump(Layout layout) const {
  return to_library(*this).dump(layout == Layout::indented ? 2 : -1, ' ', false,
                                Library::error_handler_t::replace);
}

}  // namespace haul
