#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace haul {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage: return "usage";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::already_exists: return "already_exists";
    case ErrorCode::busy: return "busy";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::io: return "io";
    case ErrorCode::no_space: return "no_space";
    case ErrorCode::permission: return "permission";
    case ErrorCode::no_repository: return "no_repository";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::inconsistent: return "inconsistent";
    case ErrorCode::server_state: return "server_state";
    case ErrorCode::interrupted: return "interrupted";
  }
  return "unknown";
}

Error Error::with_context(const std::string& context) && {
  message_ = context + ": " + message_;
  return std::move(*this);
}

Error Error::with_hint(std::string hint) && {
  hint_ = std::move(hint);
  return std::move(*this);
}

namespace {

ErrorCode code_from_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR: return ErrorCode::not_found;
    case EEXIST: return ErrorCode::already_exists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return ErrorCode::no_space;
    case EACCES:
    case EPERM: return ErrorCode::permission;
    default: return ErrorCode::io;
  }
}

}  // namespace

Error error_from_errno(int error_number, const std::string& what) {
  char buffer[128];
  // The GNU strerror_r: may return a static string instead of filling the buffer.
  const char* text = strerror_r(error_number, buffer, sizeof buffer);
  std::string message = what + ": " + text;
  return Error(code_from_errno(error_number), std::move(message));
}

}  // namespace haul
