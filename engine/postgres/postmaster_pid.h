// postmaster.pid: which server runs on a data directory, and where to reach it.
//
// Threads:  functions over values; a ProcessProbe from any thread.
// Errors:   not_found (no such file: nothing runs), corrupt (not a lock file), io, permission.
// Format:   PostgreSQL's pidfile.h: pid, data directory, start time, port, socket directory, listen
//           address, shared memory key and id, status; one per line, later ones may be missing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/directory.h"

namespace haul::postgres {

inline constexpr std::string_view kPostmasterPidName = "postmaster.pid";

struct PostmasterPid {
  std::int64_t pid = 0;        // always positive
  bool standalone = false;     // a single-user backend, which nobody can connect to
  std::string data_directory;  // as the server names it
  std::int64_t start_time_s = 0;
  std::uint16_t port = 0;        // 0: not known yet
  std::string socket_directory;  // empty: none
  std::string listen_address;    // empty: none; "*": all
  std::uint64_t shared_memory_key = 0;
  std::uint64_t shared_memory_id = 0;
  bool has_shared_memory = false;
  std::string status;  // "starting", "standby", "ready" or "stopping"; empty: not said yet

  // What to give libpq as host: the socket directory, else the address; empty when there is
  // neither.
  std::string connect_host() const;
};

Result<PostmasterPid> parse_postmaster_pid(std::string_view text);
Result<PostmasterPid> read_postmaster_pid(io::Directory& data_directory);

// The machine's processes, behind an interface so that tests decide.
class ProcessProbe {
 public:
  enum class Answer : std::uint8_t { yes, no, unknown };

  virtual ~ProcessProbe() = default;
  // A process of any user with this id exists and has not exited.
  virtual bool alive(std::int64_t pid) = 0;
  // Its working directory is this one; a server works in its data directory.
  virtual Answer works_in(std::int64_t pid, std::uint64_t device, std::uint64_t inode) = 0;
  // Someone is attached to this System V segment: backends may outlive their postmaster.
  virtual bool shared_memory_in_use(const PostmasterPid& file) = 0;
};

class SystemProcessProbe final : public ProcessProbe {
 public:
  bool alive(std::int64_t pid) override;
  Answer works_in(std::int64_t pid, std::uint64_t device, std::uint64_t inode) override;
  bool shared_memory_in_use(const PostmasterPid& file) override;
};

enum class ServerPresence : std::uint8_t { running, not_running };

// True to the server's own rule: a lock file whose process is alive, or whose shared memory is
// still in use, means running. A process that certainly works elsewhere has reused the id. An
// unreadable or malformed file is an error, never "not running".
Result<ServerPresence> server_presence(io::Directory& data_directory, ProcessProbe& probe);

}  // namespace haul::postgres
