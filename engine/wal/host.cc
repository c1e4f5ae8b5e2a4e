#include "engine/wal/host.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "base/format.h"
#include "io/unique_fd.h"

namespace haul::wal {
namespace {

constexpr const char* kThisProgram = "/proc/self/exe";
constexpr mode_t kPrivateFileMode = 0600;

struct flock whole_file(short type) {
  struct flock range{};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  return range;
}

// In the child, where nothing but plain system calls may be used.
[[noreturn]] void become(char* const* arguments) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // The server waits for the end of its log pipe, and for its own process group.
  const bool apart = ::setsid() >= 0 && ::chdir("/") == 0 && ::close_range(0, ~0U, 0) == 0;
  const bool quiet = apart && ::open("/dev/null", O_RDWR) == STDIN_FILENO &&
                     ::dup2(STDIN_FILENO, STDOUT_FILENO) >= 0 &&
                     ::dup2(STDIN_FILENO, STDERR_FILENO) >= 0;
  if (quiet) ::execv(kThisProgram, arguments);
  ::_exit(127);
}

class LocalHost final : public Host {
 public:
  Status move_file(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return ok();
    return error_from_errno(errno, format("move {} to {}", from, to));
  }

  Result<bool> lock(const std::string& path) override {
    io::UniqueFd file = HAUL_TRY(open_lock(path));
    struct flock range = whole_file(F_WRLCK);
    if (::fcntl(file.get(), F_OFD_SETLK, &range) != 0) {
      if (errno == EAGAIN || errno == EACCES) return false;
      return error_from_errno(errno, format("lock {}", path));
    }
    held_.push_back(std::move(file));
    return true;
  }

  Result<bool> is_locked(const std::string& path) override {
    const io::UniqueFd file = HAUL_TRY(open_lock(path));
    struct flock range = whole_file(F_WRLCK);
    if (::fcntl(file.get(), F_OFD_GETLK, &range) != 0) {
      return error_from_errno(errno, format("examine the lock {}", path));
    }
    return range.l_type != F_UNLCK;
  }

  Status start_detached(const std::vector<std::string>& words) override {
    std::vector<std::string> copies = words;
    std::string program = "pghaul";
    std::vector<char*> arguments = {program.data()};
    for (std::string& word : copies) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return error_from_errno(errno, "start a process");
    if (child == 0) become(arguments.data());
    return ok();
  }

 private:
  static Result<io::UniqueFd> open_lock(const std::string& path) {
    io::UniqueFd file(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kPrivateFileMode));
    if (!file) return error_from_errno(errno, format("open {}", path));
    return file;
  }

  std::vector<io::UniqueFd> held_;
};

}  // namespace

std::unique_ptr<Host> make_local_host() { return std::make_unique<LocalHost>(); }

}  // namespace haul::wal
