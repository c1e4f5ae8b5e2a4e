#include "engine/postgres/postmaster_pid.h"

#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <limits>

#include "base/format.h"
#include "engine/postgres/internal/read_file.h"
#include "engine/postgres/internal/text.h"

namespace haul::postgres {
namespace {

// A lock file holds a handful of short lines and two paths.
constexpr std::size_t kFileSizeMaxBytes = std::size_t{64} * 1024;

Error corrupt(std::string_view what) {
  return {ErrorCode::corrupt, format("{}: {}", kPostmasterPidName, what)};
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// " 5432001    131072": key and id in fixed width.
Status parse_shared_memory(std::string_view line, PostmasterPid& file) {
  line = trimmed(line);
  if (line.empty()) return ok();  // not made yet
  const auto key = parse_number<std::uint64_t>(take_until(line, ' '));
  const auto id = parse_number<std::uint64_t>(trimmed(line));
  if (!key || !id) return corrupt("line 7 holds no shared memory key and id");
  file.shared_memory_key = *key;
  file.shared_memory_id = *id;
  file.has_shared_memory = true;
  return ok();
}

// Exited, but nobody has collected it: in containers that may stay so for ever.
bool is_zombie(std::int64_t pid) {
  std::ifstream file(format("/proc/{}/stat", pid));
  const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // "4711 (name) Z ...", where the name may contain anything.
  const std::size_t after_name = line.rfind(") ");
  if (after_name == std::string::npos || after_name + 2 >= line.size()) return false;
  const char state = line[after_name + 2];
  return state == 'Z' || state == 'X';
}

}  // namespace

std::string PostmasterPid::connect_host() const {
  if (!socket_directory.empty()) return socket_directory;
  return listen_address == "*" ? "localhost" : listen_address;
}

Result<PostmasterPid> parse_postmaster_pid(std::string_view text) {
  PostmasterPid file;
  const auto pid = parse_number<std::int64_t>(take_until(text, '\n'));
  if (!pid || *pid == 0 || *pid == std::numeric_limits<std::int64_t>::min()) {
    return corrupt("line 1 holds no process id");
  }
  file.standalone = *pid < 0;
  file.pid = file.standalone ? -*pid : *pid;
  file.data_directory = take_until(text, '\n');
  if (!file.data_directory.starts_with('/')) return corrupt("line 2 holds no absolute path");
  const auto start_time = parse_number<std::int64_t>(take_until(text, '\n'));
  if (!start_time) return corrupt("line 3 holds no start time");
  file.start_time_s = *start_time;
  const auto port = parse_number<std::uint16_t>(take_until(text, '\n'));
  if (!port) return corrupt("line 4 holds no port");
  file.port = *port;
  // From here on lines appear while the server starts.
  file.socket_directory = take_until(text, '\n');
  file.listen_address = take_until(text, '\n');
  HAUL_TRY(parse_shared_memory(take_until(text, '\n'), file));
  // Padded to overwrite one with another.
  file.status = take_until(text, ' ');
  while (file.status.ends_with('\n')) file.status.pop_back();
  return file;
}

Result<PostmasterPid> read_postmaster_pid(io::Directory& data_directory) {
  const std::vector<std::byte> bytes =
      HAUL_TRY(read_small_file(data_directory, kPostmasterPidName, kFileSizeMaxBytes));
  return parse_postmaster_pid(text_of(bytes));
}

bool SystemProcessProbe::alive(std::int64_t pid) {
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return false;
  // EPERM: it exists and is someone else's.
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno != EPERM) return false;
  return !is_zombie(pid);
}

ProcessProbe::Answer SystemProcessProbe::works_in(std::int64_t pid, std::uint64_t device,
                                                  std::uint64_t inode) {
  struct stat info = {};
  if (::stat(format("/proc/{}/cwd", pid).c_str(), &info) != 0) return Answer::unknown;
  return info.st_dev == device && info.st_ino == inode ? Answer::yes : Answer::no;
}

bool SystemProcessProbe::shared_memory_in_use(const PostmasterPid& file) {
  if (!file.has_shared_memory || file.shared_memory_id > std::numeric_limits<int>::max()) {
    return false;
  }
  struct shmid_ds info = {};
  if (::shmctl(static_cast<int>(file.shared_memory_id), IPC_STAT, &info) != 0) return false;
  // The id may belong to someone else's segment by now, the key then differs.
  const auto key = static_cast<std::uint32_t>(info.shm_perm.__key);
  return key == static_cast<std::uint32_t>(file.shared_memory_key) && info.shm_nattch > 0;
}

Result<ServerPresence> server_presence(io::Directory& data_directory, ProcessProbe& probe) {
  const Result<PostmasterPid> file = read_postmaster_pid(data_directory);
  if (!file) {
    if (file.error().code() == ErrorCode::not_found) return ServerPresence::not_running;
    return Error(file.error()).with_context(data_directory.name());
  }
  if (probe.alive(file->pid)) {
    const io::FileInfo info = HAUL_TRY(data_directory.info(""));
    if (probe.works_in(file->pid, info.device, info.inode) != ProcessProbe::Answer::no) {
      return ServerPresence::running;
    }
  }
  return probe.shared_memory_in_use(*file) ? ServerPresence::running : ServerPresence::not_running;
}

}  // namespace haul::postgres
