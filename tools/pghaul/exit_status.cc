#include "tools/pghaul/exit_status.h"

#include <array>

namespace haul::cli {

namespace {

struct Rule {
  ErrorCode code;
  int status;
};

constexpr std::array kRules = {
    Rule{ErrorCode::usage, kUsage},
    Rule{ErrorCode::not_found, kNoBackup},
    Rule{ErrorCode::already_exists, kFailed},
    Rule{ErrorCode::busy, kBusy},
    Rule{ErrorCode::corrupt, kDamaged},
    Rule{ErrorCode::io, kStorage},
    Rule{ErrorCode::no_space, kStorage},
    Rule{ErrorCode::permission, kPermission},
    Rule{ErrorCode::no_repository, kNoRepository},
    Rule{ErrorCode::unsupported, kFailed},
    Rule{ErrorCode::inconsistent, kFailed},
    Rule{ErrorCode::server_state, kServer},
    Rule{ErrorCode::interrupted, kInterrupted},
};

struct Exception {
  Subject subject;
  ErrorCode code;
  int status;
};

constexpr std::array kExceptions = {
    // A configuration that was named and is not there.
    Exception{Subject::request, ErrorCode::not_found, kUsage},
    // The parent of the new directory; a repository that exists already.
    Exception{Subject::init, ErrorCode::not_found, kUsage},
    Exception{Subject::init, ErrorCode::already_exists, kUsage},
    // The data directory is not there, is not one, or belongs to a version that is not known.
    Exception{Subject::source, ErrorCode::not_found, kServer},
    Exception{Subject::source, ErrorCode::corrupt, kServer},
    Exception{Subject::source, ErrorCode::unsupported, kServer},
    // The backup was found before; it is the target that went away.
    Exception{Subject::target, ErrorCode::not_found, kStorage},
};

}  // namespace

int exit_status(ErrorCode code, Subject subject) {
  for (const Exception& exception : kExceptions) {
    if (exception.subject == subject && exception.code == code) return exception.status;
  }
  for (const Rule& rule : kRules) {
    if (rule.code == code) return rule.status;
  }
  return kFailed;
}

int status_for_server(std::optional<Command> command, int failure) {
  // Past 125 the server's archiver ends, and starts again, without counting a failure.
  if (command == Command::wal_push && failure > 125) return kFailed;
  if (command == Command::wal_get && failure <= 125) return kWalNotDelivered;
  return failure;
}

}  // namespace haul::cli
