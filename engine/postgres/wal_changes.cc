#include "engine/postgres/wal_changes.h"

#include <utility>

#include "base/format.h"

namespace haul::postgres {
namespace {

// XLOG_CHECKPOINT_REDO.
constexpr std::uint8_t kCheckpointRedo = 0xE0;
constexpr int kCheckpointRedoSince = 17;

// XLOG_XACT_INVALIDATIONS.
constexpr std::uint8_t kInvalidations = 0x60;
constexpr int kInvalidationsSince = 14;

constexpr Fork kTrackedForks[] = {Fork::main, Fork::vm, Fork::init};

Error failure(ErrorCode code, const WalRecord& record, std::string_view what) {
  return {code,
          format("WAL record at {} (resource manager {}, info {:02X}): {}", to_string(record.lsn),
                 std::to_underlying(record.manager), record.info, what)};
}

// Without a fact, is it a kind of record that has none?
bool is_known_xlog_record(std::uint8_t operation, int server_major) {
  switch (operation) {
    case 0x20:  // NOOP
    case 0x30:  // NEXTOID
    case 0x40:  // SWITCH
    case 0xA0:  // FPI_FOR_HINT
    case 0xB0:  // FPI
    case 0xD0:  // OVERWRITE_CONTRECORD
      return true;
    case kCheckpointRedo: return server_major >= kCheckpointRedoSince;
    default: return false;
  }
}

bool is_known_transaction_record(std::uint8_t info, int server_major) {
  switch (info & 0x70) {
    case 0x10:  // PREPARE: what it drops, the commit or abort will name
    case 0x50:  // ASSIGNMENT
      return true;
    case kInvalidations: return server_major >= kInvalidationsSince;
    default: return false;
  }
}

// Of the managers that are looked into, the records that wal_fact() says nothing of.
bool is_known_without_fact(const WalRecord& record, int server_major) {
  switch (record.manager) {
    case ResourceManager::xlog: return is_known_xlog_record(record.operation(), server_major);
    case ResourceManager::transaction:
      return is_known_transaction_record(record.info, server_major);
    case ResourceManager::storage:
    case ResourceManager::database:
    case ResourceManager::tablespace: return false;
  }
  return true;
}

bool is_looked_into(ResourceManager manager) {
  switch (manager) {
    case ResourceManager::xlog:
    case ResourceManager::transaction:
    case ResourceManager::storage:
    case ResourceManager::database:
    case ResourceManager::tablespace: return true;
  }
  return false;
}

bool is_relation(const RelationId& id) { return id.tablespace != 0 && id.relfilenode != 0; }

// Adds what a fact tells; each function returns what is wrong with it, or nothing.
class FactAdder {
 public:
  FactAdder(const WalRecord& record, WalChanges& changes) : record_(record), changes_(changes) {}

  // Whether it told how files change otherwise than by blocks.
  bool tells_of_files() const { return tells_of_files_; }

  const char* operator()(const TransactionEnd& end) {
    for (std::size_t i = 0; i < end.dropped.size(); ++i) {
      const RelationId relation = end.dropped[i];
      if (!is_relation(relation)) return "drops what is no relation";
      for (const Fork fork : kTrackedForks) changes_.blocks.lower_limit({relation, fork}, 0);
    }
    tells_of_files_ = !end.dropped.empty();
    return nullptr;
  }

  const char* operator()(const RelationCreate& create) {
    tells_of_files_ = true;
    if (!is_relation(create.relation)) return "creates what is no relation";
    if (create.fork != Fork::fsm) changes_.blocks.lower_limit({create.relation, create.fork}, 0);
    return nullptr;
  }

  // Where a visibility map is cut off depends on the page size, and the bits that are cleared on
  // its last page are not logged as a block.
  const char* operator()(const RelationTruncate& truncate) {
    tells_of_files_ = true;
    if (!is_relation(truncate.relation)) return "truncates what is no relation";
    if (truncate.block == kNoBlock) return "truncates to no block";
    ChangedBlocks& blocks = changes_.blocks;
    if (truncate.truncates_main) {
      blocks.lower_limit({truncate.relation, Fork::main}, truncate.block);
    }
    if (truncate.truncates_vm) blocks.lower_limit({truncate.relation, Fork::vm}, 0);
    return nullptr;
  }

  const char* operator()(const DatabaseCreate& create) {
    tells_of_files_ = true;
    changes_.blocks.add_database({create.tablespace, create.database});
    return nullptr;
  }

  const char* operator()(const DatabaseDrop& drop) {
    tells_of_files_ = true;
    for (std::size_t i = 0; i < drop.tablespaces.size(); ++i) {
      changes_.blocks.add_database({drop.tablespaces[i], drop.database});
    }
    return nullptr;
  }

  const char* operator()(const TablespaceCreate& create) {
    return add_event(TablespaceChange{create.tablespace, TablespaceChange::Kind::created});
  }

  const char* operator()(const TablespaceDrop& drop) {
    return add_event(TablespaceChange{drop.tablespace, TablespaceChange::Kind::dropped});
  }

  const char* operator()(const Checkpoint& checkpoint) {
    return add_timeline(checkpoint.timeline, checkpoint.previous_timeline);
  }

  const char* operator()(const EndOfRecovery& end) {
    return add_timeline(end.timeline, end.previous_timeline);
  }

  const char* operator()(const ParameterChange& change) { return add_event(change); }
  const char* operator()(const FullPageWritesChange& change) { return add_event(change); }

  template <typename Fact>
  const char* operator()(const Fact&) {
    return nullptr;
  }

 private:
  template <typename Event>
  const char* add_event(const Event& event) {
    changes_.events.push_back({record_.lsn, event});
    return nullptr;
  }

  const char* add_timeline(TimelineId timeline, TimelineId previous) {
    return timeline == previous ? nullptr : add_event(TimelineBegin{timeline, previous});
  }

  const WalRecord& record_;
  WalChanges& changes_;
  bool tells_of_files_ = false;
};

Status add_fact(const WalRecord& record, int server_major, WalChanges& changes) {
  const WalFact fact = HAUL_TRY(wal_fact(record, server_major));
  const bool has_fact = !std::holds_alternative<std::monostate>(fact);
  if (!has_fact && !is_known_without_fact(record, server_major)) {
    return failure(ErrorCode::unsupported, record,
                   format("PostgreSQL {} has no such record", server_major));
  }
  FactAdder adder(record, changes);
  if (const char* fault = std::visit(adder, fact)) {
    return failure(ErrorCode::corrupt, record, fault);
  }
  if (record.changes_files() && !adder.tells_of_files()) {
    return failure(ErrorCode::unsupported, record, "changes files in a way that is not known");
  }
  return ok();
}

}  // namespace

Status add_changes(const WalRecord& record, int server_major, WalChanges& changes) {
  for (const BlockReference& block : record.blocks()) {
    if (!is_relation(block.relation) || block.block == kNoBlock) {
      return failure(ErrorCode::corrupt, record, "refers to a block of nothing");
    }
    if (block.fork == Fork::fsm) continue;
    changes.blocks.add({block.relation, block.fork}, block.block);
  }
  if (is_looked_into(record.manager)) return add_fact(record, server_major, changes);
  if (!record.changes_files()) return ok();
  return failure(ErrorCode::unsupported, record, "changes files in a way that is not known");
}

}  // namespace haul::postgres
