#include "tests/integration/main_job/program.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "base/format.h"

namespace haul::integration {

namespace fs = std::filesystem;

namespace {

enum class Identity : std::uint8_t { server, own };

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

pid_t start_shell(Identity identity, const std::string& command, const std::string& output) {
  const passwd* server = ::geteuid() == 0 ? ::getpwnam("postgres") : nullptr;
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (identity == Identity::server && server != nullptr) {
    if (::setgroups(1, &server->pw_gid) != 0 || ::setgid(server->pw_gid) != 0 ||
        ::setuid(server->pw_uid) != 0) {
      ::_exit(126);
    }
  }
  const int out = ::open((output + ".out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const int err = ::open((output + ".err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const int in = ::open("/dev/null", O_RDONLY);
  if (::chdir("/") == 0 && ::dup2(in, 0) >= 0 && ::dup2(out, 1) >= 0 && ::dup2(err, 2) >= 0) {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
  }
  ::_exit(127);
}

int wait_status(pid_t process) {
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string next_output(const std::string& directory) {
  static std::atomic<int> number = 0;
  return format("{}/output/{}", directory, ++number);
}

Outcome run_shell(Identity identity, const std::string& command, const std::string& directory) {
  const std::string output = next_output(directory);
  Outcome outcome;
  outcome.status = wait_status(start_shell(identity, command, output));
  outcome.out = read_text(output + ".out");
  outcome.err = read_text(output + ".err");
  return outcome;
}

}  // namespace

Workshop::Workshop() {
  std::string pattern = "/tmp/pghaul-it-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) std::abort();
  directory_ = pattern;
  fs::create_directory(path("output"));
  for (const auto& [from, to] :
       {std::pair(HAUL_PROGRAM, "pghaul"), std::pair(HAUL_FAULTY, "pghaul_faulty")}) {
    fs::copy_file(from, path(to));
    fs::permissions(path(to), fs::perms(0755));
  }
  if (const passwd* server = ::getpwnam("postgres"); ::geteuid() == 0 && server != nullptr) {
    EXPECT_EQ(::chown(directory_.c_str(), server->pw_uid, server->pw_gid), 0);
    EXPECT_EQ(::chown(path("output").c_str(), server->pw_uid, server->pw_gid), 0);
  }
}

Workshop::~Workshop() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

Outcome Workshop::shell_as_server(const std::string& command) const {
  return run_shell(Identity::server, command, directory_);
}

Outcome Workshop::shell(const std::string& command) const {
  return run_shell(Identity::own, command, directory_);
}

Outcome Workshop::pghaul(const std::string& arguments) const {
  return shell_as_server(format("exec {} {}", path("pghaul"), arguments));
}

Outcome Workshop::pghaul_with_faults(const std::string& faults,
                                     const std::string& arguments) const {
  return shell_as_server(
      format("PGHAUL_FAULTS='{}' exec {} {}", faults, path("pghaul_faulty"), arguments));
}

pid_t Workshop::start_pghaul(const std::string& arguments) const {
  return start_shell(Identity::server, format("exec {} {}", path("pghaul"), arguments),
                     path("output/background"));
}

pid_t Workshop::start(const std::string& command, const std::string& output) const {
  return start_shell(Identity::own, command, path("output/" + output));
}

Outcome Workshop::wait_for(pid_t process, const std::string& output) const {
  Outcome outcome;
  outcome.status = wait_status(process);
  outcome.out = read_text(path("output/" + output + ".out"));
  outcome.err = read_text(path("output/" + output + ".err"));
  return outcome;
}

Json json_of(const Outcome& outcome) {
  auto parsed = Json::parse(outcome.out);
  EXPECT_TRUE(parsed) << outcome.out << outcome.err;
  return parsed ? std::move(parsed).take() : Json::object();
}

}  // namespace haul::integration
