#include "tests/integration/changes/dumped_changes.h"

#include <array>
#include <optional>
#include <sstream>
#include <vector>

#include "base/assert.h"

namespace haul::integration {
namespace {

using postgres::DatabaseInTablespace;
using postgres::Fork;
using postgres::RelationFork;
using postgres::RelationId;

constexpr std::array<const char*, 4> kForkNames = {"main", "fsm", "vm", "init"};

std::string word_after(const std::string& text, const std::string& label) {
  const std::size_t found = text.find(label);
  if (found == std::string::npos) return "";
  const std::size_t at = found + label.size();
  return text.substr(at, text.find_first_of(", ;\n", at) - at);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::uint32_t number(const std::string& text) {
  return static_cast<std::uint32_t>(std::stoull(text));
}

Fork fork_of(const std::string& name) {
  for (std::size_t i = 0; i < kForkNames.size(); ++i) {
    if (name == kForkNames[i]) return static_cast<Fork>(i);
  }
  HAUL_ASSERT(false);
  return Fork::main;
}

// "base/5/16384", "global/1262", "pg_tblspc/16385/PG_15_202209061/5/16390", each maybe with a fork.
RelationFork fork_of_path(const std::string& path) {
  const std::vector<std::string> parts = split(path, '/');
  const std::vector<std::string> file = split(parts.back(), '_');
  RelationFork fork;
  fork.relation.relfilenode = number(file[0]);
  if (file.size() > 1) fork.fork = fork_of(file[1]);
  if (parts[0] == "global") {
    fork.relation.tablespace = 1664;
  } else if (parts[0] == "base") {
    fork.relation.tablespace = 1663;
    fork.relation.database = number(parts[1]);
  } else {
    fork.relation.tablespace = number(parts[1]);
    fork.relation.database = number(parts[3]);
  }
  return fork;
}

class DumpReader {
 public:
  explicit DumpReader(std::uint32_t segment_size_bytes) : segment_size_(segment_size_bytes) {}

  DumpedChanges run(const std::string& output) {
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("rmgr: ")) take_record(line);
      if (line.starts_with("\tblkref ")) take_block(line);
    }
    for (const auto& [number, blocks] : found_.segments) found_.blocks.merge(blocks);
    return std::move(found_);
  }

 private:
  void take_record(const std::string& line) {
    const Lsn lsn = parse_lsn(word_after(line, "lsn: ")).value();
    if (found_.records++ == 0) found_.first = lsn;
    found_.last = lsn;
    blocks_ = &found_.segments[lsn.value / segment_size_];
    const std::string manager = word_after(line, "rmgr: ");
    const std::string description = line.substr(line.find("desc: ") + 6);
    if (manager == "Storage") take_storage(description);
    if (manager == "Database") take_database(description);
    if (manager == "Transaction") take_transaction(description);
  }

  void limit(RelationFork fork, std::uint32_t block) {
    if (fork.fork != Fork::fsm) blocks_->lower_limit(fork, block);
  }

  // "CREATE base/5/16384_vm"; "TRUNCATE base/5/16384 to 12 blocks flags 7"
  void take_storage(const std::string& description) {
    const std::vector<std::string> words = split(description, ' ');
    found_.kinds.insert(words[0]);
    RelationFork fork = fork_of_path(words[1]);
    if (words[0] == "CREATE") return limit(fork, 0);
    HAUL_ASSERT(words[0] == "TRUNCATE");
    const std::uint32_t flags = number(words[6]);
    if ((flags & 1) != 0) limit(fork, number(words[3]));
    fork.fork = Fork::vm;
    if ((flags & 2) != 0) limit(fork, 0);
  }

  // "CREATE_FILE_COPY copy dir 1663/1 to 1663/16384"; "CREATE_WAL_LOG create dir 1663/16384";
  // "DROP dir 1663/5 1700/5". Before 15: "CREATE copy dir 1/1663 to ...", as it is.
  void take_database(const std::string& description) {
    const std::vector<std::string> words = split(description, ' ');
    found_.kinds.insert(words[0]);
    const bool drops = words[0] == "DROP";
    for (std::size_t i = drops ? 2 : words.size() - 1; i < words.size(); ++i) {
      const std::vector<std::string> place = split(words[i], '/');
      blocks_->add_database({number(place[0]), number(place[1])});
    }
  }

  // "COMMIT 2026-...; rels: base/5/1 base/5/2; inval msgs: ..."; a PREPARE says so too.
  void take_transaction(const std::string& description) {
    const std::size_t at = description.find("; rels:");
    const std::string kind = word_after("$" + description, "$");
    if (at == std::string::npos || kind == "PREPARE") return;
    found_.kinds.insert(kind);
    const std::string list = description.substr(at + 7, description.find(';', at + 7) - at - 7);
    for (const std::string& path : split(list, ' ')) {
      if (path.empty()) continue;
      const RelationId relation = fork_of_path(path).relation;
      for (const Fork fork : {Fork::main, Fork::vm, Fork::init}) limit({relation, fork}, 0);
    }
  }

  // "\tblkref #0: rel 1663/5/1259 fork main blk 0 (FPW); ..."
  void take_block(const std::string& line) {
    const std::vector<std::string> relation = split(word_after(line, "rel "), '/');
    const Fork fork = fork_of(word_after(line, "fork "));
    if (fork == Fork::fsm) return;
    const RelationId id{number(relation[0]), number(relation[1]), number(relation[2])};
    blocks_->add({id, fork}, number(word_after(line, "blk ")));
  }

  const std::uint32_t segment_size_;
  DumpedChanges found_;
  postgres::ChangedBlocks* blocks_ = nullptr;  // of the record's segment
};

}  // namespace

DumpedChanges parse_dumped_changes(const std::string& output, std::uint32_t segment_size_bytes) {
  return DumpReader(segment_size_bytes).run(output);
}

}  // namespace haul::integration
