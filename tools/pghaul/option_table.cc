#include "tools/pghaul/option_table.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/format.h"

namespace haul::cli {

namespace {

constexpr std::uint32_t bit(Command command) { return 1U << static_cast<unsigned>(command); }

constexpr std::uint32_t kInit = bit(Command::init);
constexpr std::uint32_t kBackup = bit(Command::backup);
constexpr std::uint32_t kRestore = bit(Command::restore);
constexpr std::uint32_t kVerify = bit(Command::verify);
constexpr std::uint32_t kInfo = bit(Command::info);
constexpr std::uint32_t kLook = kInfo | bit(Command::ls) | bit(Command::cat);
constexpr std::uint32_t kWork = kBackup | kRestore | kVerify;
constexpr std::uint32_t kWalPush = bit(Command::wal_push);
constexpr std::uint32_t kWalGet = bit(Command::wal_get);
constexpr std::uint32_t kLookAhead = kWalGet | bit(Command::wal_prefetch);
constexpr std::uint32_t kWalReceive = bit(Command::wal_receive);
constexpr std::uint32_t kWal = kWalPush | kLookAhead | bit(Command::wal_list) | kWalReceive;
constexpr std::uint32_t kCheck = bit(Command::check);
constexpr std::uint32_t kStatus = bit(Command::status);
// Those that ask the server, and those of them that look into its data directory.
constexpr std::uint32_t kSource = kBackup | kCheck;
constexpr std::uint32_t kServer = kSource | kWalReceive | kStatus;
constexpr std::uint32_t kAll = kInit | kLook | kWork | kWal | kCheck | kStatus;
// These print nothing that a program would read.
constexpr std::uint32_t kSilent = bit(Command::cat) | kWalPush | kLookAhead;

constexpr std::size_t kManyArguments = 1'000'000;

constexpr std::array kCommands = {
    CommandSpec{Command::init, "init", "", 0, 0, "create a repository"},
    CommandSpec{Command::backup, "backup", "", 0, 0,
                "back up a running cluster, or one that was cleanly shut down"},
    CommandSpec{Command::info, "info", "[BACKUP]", 0, 1, "list backups, or describe one"},
    CommandSpec{Command::ls, "ls", "BACKUP [PATH]", 1, 2, "list the files in a backup"},
    CommandSpec{Command::cat, "cat", "BACKUP PATH", 2, 2,
                "write a file of a backup to standard output"},
    CommandSpec{Command::restore, "restore", "[BACKUP|latest]", 0, 1, "put a backup back"},
    CommandSpec{Command::verify, "verify", "[BACKUP]...", 0, kManyArguments,
                "check a repository: its structure, or with --data every byte"},
    CommandSpec{Command::wal_push, "wal push", "PATH", 1, 1,
                "archive a WAL file; for archive_command, with %p"},
    CommandSpec{Command::wal_get, "wal get", "NAME PATH", 2, 2,
                "fetch an archived WAL file; for restore_command, with %f %p"},
    CommandSpec{Command::wal_list, "wal list", "", 0, 0,
                "list what WAL is archived, and what is missing"},
    CommandSpec{Command::wal_prefetch, "wal prefetch", "PATH", 1, 1,
                "keep the next WAL files ready for wal get, which starts it"},
    CommandSpec{Command::wal_receive, "wal receive", "", 0, 0,
                "archive a server's WAL as it is written, until it is told to end"},
    CommandSpec{Command::check, "check", "", 0, 0,
                "see whether a backup would work and whether WAL arrives"},
    CommandSpec{Command::status, "status", "", 0, 0,
                "say how much would be lost now, and what is wrong"},
};

using enum OptionKind;

constexpr std::array kOptions = {
    OptionSpec{"repo", '\0', value, "PATH", "the repository", kAll},
    OptionSpec{"chunk-pages", '\0', value, "N", "pages per chunk, a power of two (default 32)",
               kInit},
    OptionSpec{"pack-size", '\0', value, "SIZE", "size of a pack (default 64MiB)", kInit},
    OptionSpec{"cluster", '\0', value, "NAME",
               "the cluster (default: the only one in the repository, or main)",
               kLook | kWork | kWal | kCheck | kStatus},
    OptionSpec{"pgdata", 'D', value, "DIR",
               "the data directory (default: what the server says it is)", kSource},
    OptionSpec{"pgdata", 'D', value, "DIR",
               "where to put the cluster; empty, or created, but for --delta (always named, never "
               "taken from the "
               "configuration)",
               kRestore, OptionSource::environment},
    OptionSpec{"dbname", 'd', value, "CONNSTR",
               "connection string or URI of the server, without a password", kServer},
    OptionSpec{"host", 'h', value, "HOST", "host or socket directory of the server", kServer},
    OptionSpec{"port", 'p', value, "PORT", "port of the server", kServer},
    OptionSpec{"username", 'U', value, "NAME", "role to connect as", kServer},
    OptionSpec{"no-password", 'w', flag, "",
               "never ask for a password; pghaul never does, .pgpass and service files serve",
               kServer},
    OptionSpec{
        "delta", '\0', flag, "",
        "into an older or damaged state of the cluster: keep what is right there, rewrite and "
        "remove the rest",
        kRestore, OptionSource::environment},
    OptionSpec{"tablespace-mapping", 'T', repeated, "OLD=NEW",
               "put the tablespace recorded at OLD into NEW", kRestore},
    OptionSpec{"owner", '\0', value, "USER[:GROUP]", "owner of the restored files", kRestore},
    OptionSpec{"target-time", '\0', value, "TIME",
               "replay WAL up to this time, with its zone: \"2026-11-24 10:00:00+00\"", kRestore,
               OptionSource::environment},
    OptionSpec{"target-lsn", '\0', value, "LSN", "up to this position in the WAL", kRestore,
               OptionSource::environment},
    OptionSpec{"target-xid", '\0', value, "XID", "up to the end of this transaction", kRestore,
               OptionSource::environment},
    OptionSpec{"target-name", '\0', value, "NAME", "up to this restore point", kRestore,
               OptionSource::environment},
    OptionSpec{"target", '\0', value, "immediate|latest",
               "up to the backup's own end, or to the archive's (default, where there is one)",
               kRestore, OptionSource::environment},
    OptionSpec{"target-exclusive", '\0', flag, "", "without what lies exactly at the target",
               kRestore, OptionSource::environment},
    OptionSpec{"target-timeline", '\0', value, "latest|current|N",
               "along which timeline (default latest)", kRestore, OptionSource::environment},
    OptionSpec{"target-action", '\0', value, "promote|pause|shutdown",
               "what the server does at the target (default promote)", kRestore,
               OptionSource::environment},
    OptionSpec{"standby", '\0', flag, "", "restore a standby, which goes on replaying", kRestore,
               OptionSource::environment},
    OptionSpec{"take-over", '\0', flag, "", "leave archiving on in the restored cluster", kRestore,
               OptionSource::environment},
    OptionSpec{"start", '\0', flag, "", "start a server and wait until its recovery has ended",
               kRestore, OptionSource::environment},
    OptionSpec{"pg-bin", '\0', value, "DIR",
               "the server's programs (default /usr/lib/postgresql/MAJOR/bin, else PATH)",
               kRestore},
    OptionSpec{"jobs", 'j', value, "N", "workers (default: one per processor)", kWork},
    OptionSpec{"checkpoint", 'c', value, "fast|spread",
               "how the server makes its checkpoint (default spread)", kBackup},
    OptionSpec{"type", '\0', value, "auto|full",
               "overlaid on the newest backup (auto, the default), or without a look at any",
               kBackup},
    OptionSpec{
        "changes", '\0', value, "scan|wal",
        "how it is found what has changed: everything is read (scan, the default), or WAL tells",
        kBackup},
    OptionSpec{
        "audit", '\0', value, "N|P%",
        "with --changes wal, pages that need not be read and are, as a check (default 1%, at "
        "most 100000)",
        kBackup},
    OptionSpec{"compress", 'Z', value, "CODEC", "lz4 (default), zstd[:LEVEL] or none", kBackup},
    OptionSpec{"rate", 'r', value, "RATE",
               "read and store at most so much a second, together (kB, or k, M, G)", kBackup},
    OptionSpec{"io", '\0', value, "auto|uring|threads",
               "how files are read and written: io_uring where it can be had (auto)",
               kBackup | kRestore},
    OptionSpec{"label", 'l', value, "LABEL", "the backup's label (default \"pghaul backup\")",
               kBackup},
    OptionSpec{"wal", '\0', value, "auto|include|archive",
               "how the WAL from start to stop gets here: copied while the backup runs, or by the "
               "server's archive_command; auto is the archive where a segment arrives by it",
               kBackup},
    OptionSpec{"archive-timeout", '\0', value, "TIME",
               "how long a segment may take to arrive (default 60s)", kSource},
    OptionSpec{"offline", '\0', flag, "", "back up a cluster that was cleanly shut down", kBackup},
    OptionSpec{"data", '\0', flag, "", "read and check every byte", kVerify},
    OptionSpec{"shard", '\0', value, "K/N",
               "with --data, the K-th of N shares of the packs and WAL segments", kVerify,
               OptionSource::environment},
    OptionSpec{"max-age", '\0', value, "TIME",
               "exit status 6 when the newest backup ended longer ago", kStatus},
    OptionSpec{"max-rpo", '\0', value, "TIME",
               "the same when more than so much time would be lost now", kStatus},
    OptionSpec{"max-unread", '\0', value, "TIME",
               "the same when some byte of the repository was not read for longer", kStatus},
    OptionSpec{"prometheus", '\0', value, "FILE", "write metrics as a textfile for Prometheus",
               kStatus},
    OptionSpec{"html", '\0', value, "FILE", "write a page for a browser", kStatus},
    OptionSpec{"nagios", '\0', flag, "", "one line, and the exit status of a Nagios plugin",
               kStatus, OptionSource::environment},
    OptionSpec{"differences", '\0', flag, "",
               "of one backup: what has changed since its parent, and how its maps are fragmented",
               kInfo, OptionSource::environment},
    OptionSpec{"batch", '\0', value, "N",
               "take along up to N further files that the server has ready (default 0)", kWalPush},
    OptionSpec{"slot", '\0', value, "NAME",
               "the replication slot, made if there is none (default pghaul)", kWalReceive},
    OptionSpec{"flush-interval", '\0', value, "TIME",
               "WAL is durable so long after it came, at most (default 200ms)", kWalReceive},
    OptionSpec{"synchronous", '\0', flag, "",
               "make WAL durable as soon as it comes, for synchronous_standby_names", kWalReceive},
    OptionSpec{"repo-id", '\0', value, "HEX", "refuse any repository but the one with this id",
               kLookAhead},
    OptionSpec{"spool", '\0', value, "DIR",
               "where the next WAL files are kept ready, on the file system of the server's pg_wal "
               "(default: pghaul-spool beside PATH)",
               kLookAhead},
    OptionSpec{"prefetch", '\0', value, "N",
               "how many WAL files are kept ready (default 8; 0: none)", kLookAhead},
    OptionSpec{"dry-run", '\0', flag, "", "say what would be done, and do nothing",
               kBackup | kRestore},
    OptionSpec{"progress", 'P', flag, "", "show progress also where there is no terminal", kWork},
    OptionSpec{"json", '\0', flag, "", "print JSON (docs/json.md)", kAll & ~kSilent},
    OptionSpec{"verbose", 'v', flag, "", "say more on standard error", kAll},
    OptionSpec{"quiet", 'q', flag, "", "print neither progress nor a summary", kAll},
    OptionSpec{"config", '\0', value, "FILE", "configuration (default /etc/pghaul/pghaul.toml)",
               kAll, OptionSource::environment},
    OptionSpec{"help", '?', flag, "", "print this", kAll, OptionSource::command_line},
};

void append_option(std::string& text, const OptionSpec& option) {
  std::string names = option.letter == '\0' ? "    " : format("-{}, ", option.letter);
  names += format("--{}", option.name);
  if (!option.argument.empty()) names += format("={}", option.argument);
  constexpr std::size_t kColumn = 34;
  if (names.size() + 3 > kColumn) {
    text += format("  {}\n{:{}}{}\n", names, "", kColumn, option.help);
  } else {
    text += format("  {:<{}}{}\n", names, kColumn - 2, option.help);
  }
}

}  // namespace

std::span<const CommandSpec> all_commands() { return kCommands; }
std::span<const OptionSpec> all_options() { return kOptions; }

const CommandSpec& spec_of(Command command) {
  const auto found = std::ranges::find(kCommands, command, &CommandSpec::command);
  HAUL_ASSERT(found != kCommands.end());
  return *found;
}

const CommandSpec* find_command(std::span<const std::string> words) {
  const auto begins_with = [words](const CommandSpec& command) {
    if (words.empty()) return false;
    if (word_count(command) == 1) return words[0] == command.name;
    return words.size() > 1 && format("{} {}", words[0], words[1]) == command.name;
  };
  const auto found = std::ranges::find_if(kCommands, begins_with);
  return found == kCommands.end() ? nullptr : &*found;
}

std::size_t word_count(const CommandSpec& command) {
  return 1 + static_cast<std::size_t>(std::ranges::count(command.name, ' '));
}

const OptionSpec* find_option(std::string_view name) {
  const auto found = std::ranges::find(kOptions, name, &OptionSpec::name);
  return found == kOptions.end() ? nullptr : &*found;
}

bool takes(Command command, const OptionSpec& option) {
  return (option.commands & bit(command)) != 0;
}

std::string variable_name(std::string_view option) {
  std::string name = "PGHAUL_";
  for (const char c : option) {
    const bool lower = c >= 'a' && c <= 'z';
    name += c == '-' ? '_' : lower ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

std::string program_help() {
  std::string text =
      "pghaul backs up and restores PostgreSQL clusters.\n\n"
      "Usage:\n  pghaul COMMAND --repo=PATH [OPTION]...\n\nCommands:\n";
  for (const CommandSpec& command : kCommands) {
    text += format("  {:<13}{}\n", command.name, command.summary);
  }
  text +=
      "\nOptions:\n"
      "  -V, --version  print the version\n"
      "  -?, --help     print this, or after a command its options\n\n"
      "Every option is also an environment variable (PGHAUL_REPO for --repo) and a key of the\n"
      "configuration; the command line precedes the environment, and that the configuration.\n";
  return text;
}

std::string command_help(Command command) {
  const CommandSpec& spec = spec_of(command);
  std::string text =
      format("pghaul {}: {}\n\nUsage:\n  pghaul {} [OPTION]...{}{}\n\nOptions:\n", spec.name,
             spec.summary, spec.name, spec.arguments.empty() ? "" : " ", spec.arguments);
  for (const OptionSpec& option : kOptions) {
    if (takes(command, option)) append_option(text, option);
  }
  return text;
}

}  // namespace haul::cli
