// Result<T> and Status: how every operating failure travels.
//
// A failure is a code (what the caller can do about it), one lowercase line that names the object,
// and, where the user can do something, a hint. Results are [[nodiscard]]; HAUL_TRY hands a failure
// on to the caller.
//
// Memory:   an Error owns its strings; a success of Result<T> costs nothing beyond T.
// Threads:  values, no sharing.
#pragma once

#include <expected>
#include <string>
#include <type_traits>
#include <utility>

#include "base/assert.h"

namespace haul {

// What a caller can do about a failure. Add one only when a caller will act differently.
enum class ErrorCode {
  usage,           // the request itself is wrong
  not_found,       // the named file, object or backup does not exist
  already_exists,  // the name is taken
  busy,            // someone else holds it
  corrupt,         // stored bytes are not what was written
  io,              // the device or the network failed
  no_space,        // no room left: disk, quota or inodes
  permission,      // not allowed
  no_repository,   // there is no repository at this place
  unsupported,     // a format or version this program does not know
  inconsistent,    // what has to agree does not: a source of knowledge is not to be trusted
  server_state,    // PostgreSQL is unreachable, the wrong one, or in the wrong state
  interrupted,     // the user asked to stop
};

// The code's own name, for logs and --json.
const char* to_string(ErrorCode code);

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  Error(ErrorCode code, std::string message, std::string hint)
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  // Empty where there is nothing to advise.
  const std::string& hint() const { return hint_; }

  // "context: message"; the code and an existing hint stay.
  Error with_context(const std::string& context) &&;
  // Replaces the hint.
  Error with_hint(std::string hint) &&;

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
};

// The error for a failed system call: code by errno, message "<what>: <strerror>".
Error error_from_errno(int error_number, const std::string& what);

template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result(Error error) : std::expected<T, Error>(std::unexpect, std::move(error)) {}

  // Moves the value out; asserts that there is one.
  T take() && {
    HAUL_ASSERT(this->has_value());
    if constexpr (!std::is_void_v<T>) return std::move(**this);
  }
  Error take_error() && {
    HAUL_ASSERT(!this->has_value());
    return std::move(this->error());
  }
};

using Status = Result<void>;

inline Status ok() { return Status(); }

}  // namespace haul

// Evaluates an expression of type Result<T>; on failure returns its error from the enclosing
// function, else yields the T (moved out).
#define HAUL_TRY(expression) \
  HAUL_TRY_NAMED(expression, HAUL_TRY_JOIN(haul_try_result_, __COUNTER__))

// The parts of HAUL_TRY; a name of its own per use lets uses nest.
#define HAUL_TRY_JOIN(left, right) HAUL_TRY_JOIN_EXPANDED(left, right)
#define HAUL_TRY_JOIN_EXPANDED(left, right) left##right
#define HAUL_TRY_NAMED(expression, result)   \
  __extension__({                            \
    auto result = (expression);              \
    if (!result) [[unlikely]]                \
      return std::move(result).take_error(); \
    std::move(result).take();                \
  })
