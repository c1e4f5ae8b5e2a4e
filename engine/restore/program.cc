#include "engine/restore/program.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/format.h"
#include "io/unique_fd.h"

namespace haul::restore {

namespace {

constexpr int kPollMs = 100;
constexpr int kCannotRun = 127;

struct Identity {
  io::FileOwner owner;
  std::vector<gid_t> groups;
};

// The user's own groups as well: a key file may be readable by one of them alone.
Identity identity_of(const io::FileOwner& owner) {
  Identity identity{owner, {owner.group}};
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(owner.user, &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return identity;
  }
  int count = 64;
  identity.groups.resize(static_cast<std::size_t>(count));
  if (::getgrouplist(entry.pw_name, owner.group, identity.groups.data(), &count) < 0) {
    identity.groups = {owner.group};
  } else {
    identity.groups.resize(static_cast<std::size_t>(count));
  }
  return identity;
}

// Only calls that are safe between fork and exec. Signals that this process holds back are the
// program's again. What went wrong is written where the parent reads it.
[[noreturn]] void become_program(char* const* arguments, int output, int failure,
                                 const std::optional<Identity>& identity) {
  sigset_t none;
  ::sigemptyset(&none);
  const bool is_user =
      !identity || (::setgroups(identity->groups.size(), identity->groups.data()) == 0 &&
                    ::setgid(identity->owner.group) == 0 && ::setuid(identity->owner.user) == 0);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (is_user && ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0 &&
      ::signal(SIGPIPE, SIG_DFL) != SIG_ERR && ::chdir("/") == 0 &&
      ::dup2(nothing, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
      ::dup2(output, STDERR_FILENO) >= 0) {
    ::execvp(arguments[0], arguments);
  }
  const int error_number = errno;
  static_cast<void>(::write(failure, &error_number, sizeof error_number) == 0);
  ::_exit(kCannotRun);
}

// A program that was started: its output is read until it ends.
class Child {
 public:
  Child(pid_t process, io::UniqueFd output) : process_(process), output_(std::move(output)) {}

  Result<ProgramOutcome> wait(const std::stop_token& stop) {
    ProgramOutcome outcome;
    int status = 0;
    bool told_to_end = false;
    // What it started may keep its output open: its own end counts.
    for (;;) {
      const pid_t ended = ::waitpid(process_, &status, WNOHANG);
      if (ended < 0 && errno != EINTR) return error_from_errno(errno, "waitpid");
      read_into(outcome.output, ended > 0 ? 0 : kPollMs);
      if (ended > 0) break;
      if (stop.stop_requested() && !told_to_end) {
        ::kill(process_, SIGTERM);
        told_to_end = true;
      }
    }
    if (told_to_end) return Error(ErrorCode::interrupted, "interrupted");
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome;
  }

 private:
  // What is there, or comes within the time; the last of it is kept.
  void read_into(std::string& text, int timeout_ms) {
    pollfd waiting{output_.get(), POLLIN, 0};
    if (at_end_) {
      ::poll(nullptr, 0, timeout_ms);
      return;
    }
    while (::poll(&waiting, 1, timeout_ms) > 0) {
      std::array<char, 4096> buffer{};
      const ssize_t count = ::read(output_.get(), buffer.data(), buffer.size());
      if (count <= 0) {
        at_end_ = count == 0;
        return;
      }
      text.append(buffer.data(), static_cast<std::size_t>(count));
      if (text.size() > ProgramOutcome::kOutputBytesMax) {
        text.erase(0, text.size() - ProgramOutcome::kOutputBytesMax);
      }
      timeout_ms = 0;
    }
  }

  const pid_t process_;
  const io::UniqueFd output_;
  bool at_end_ = false;
};

struct Pipe {
  io::UniqueFd reader;
  io::UniqueFd writer;
};

Result<Pipe> open_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return error_from_errno(errno, "pipe");
  return Pipe{io::UniqueFd(ends[0]), io::UniqueFd(ends[1])};
}

}  // namespace

Result<ProgramOutcome> SystemProgramRunner::run(const std::vector<std::string>& command,
                                                std::stop_token stop) {
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const bool changes_user = user_ && ::geteuid() == 0;
  const auto identity = changes_user ? std::optional(identity_of(*user_)) : std::nullopt;
  Pipe output = HAUL_TRY(open_pipe());
  Pipe failure = HAUL_TRY(open_pipe());
  const pid_t process = ::fork();
  if (process < 0) return error_from_errno(errno, "fork");
  if (process == 0) {
    become_program(arguments.data(), output.writer.get(), failure.writer.get(), identity);
  }
  HAUL_TRY(output.writer.finish());
  HAUL_TRY(failure.writer.finish());
  Child child(process, std::move(output.reader));
  // Closed by a program that runs.
  int error_number = 0;
  const bool failed =
      ::read(failure.reader.get(), &error_number, sizeof error_number) == sizeof error_number;
  auto outcome = child.wait(stop);
  if (failed) return error_from_errno(error_number, command.front());
  return outcome;
}

}  // namespace haul::restore
