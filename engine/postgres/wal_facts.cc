#include "engine/postgres/wal_facts.h"

#include <utility>

#include "base/format.h"
#include "engine/postgres/internal/field_reader.h"
#include "engine/postgres/internal/wal_version.h"

namespace haul::postgres {
namespace {

using internal::FieldReader;
using internal::WalVersion;

// 2000-01-01 in Unix time.
constexpr std::int64_t kPostgresEpochMicroseconds = 946'684'800'000'000;

// xl_info, by resource manager.
constexpr std::uint8_t kShutdownCheckpoint = 0x00;
constexpr std::uint8_t kOnlineCheckpoint = 0x10;
constexpr std::uint8_t kBackupEnd = 0x50;
constexpr std::uint8_t kParameterChange = 0x60;
constexpr std::uint8_t kRestorePoint = 0x70;
constexpr std::uint8_t kFullPageWritesChange = 0x80;
constexpr std::uint8_t kEndOfRecovery = 0x90;

constexpr std::uint8_t kTransactionOperationMask = 0x70;
constexpr std::uint8_t kTransactionHasParts = 0x80;
constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kAbort = 0x20;
constexpr std::uint8_t kCommitPrepared = 0x30;
constexpr std::uint8_t kAbortPrepared = 0x40;

constexpr std::uint8_t kRelationCreate = 0x10;
constexpr std::uint8_t kRelationTruncate = 0x20;

constexpr std::uint8_t kTablespaceCreate = 0x00;
constexpr std::uint8_t kTablespaceDrop = 0x10;

// Before 15 there was one way to create a database, and dropping one had the number of the second.
constexpr std::uint8_t kDatabaseCreateByCopy = 0x00;
constexpr std::uint8_t kDatabaseCreateLogged = 0x10;
constexpr std::uint8_t kDatabaseDrop = 0x20;
constexpr std::uint8_t kDatabaseDropBefore15 = 0x10;

// xinfo: which parts a commit or abort has. They come in the order of these lines.
constexpr std::uint32_t kHasDatabase = 1U << 0;
constexpr std::uint32_t kHasSubtransactions = 1U << 1;
constexpr std::uint32_t kHasRelations = 1U << 2;
constexpr std::uint32_t kHasDroppedStatistics = 1U << 8;
constexpr std::uint32_t kHasInvalidations = 1U << 3;
constexpr std::uint32_t kHasPreparedXid = 1U << 4;

constexpr std::size_t kDatabasePartBytes = 8;
constexpr std::size_t kInvalidationBytes = 16;
constexpr std::size_t kRestorePointNameBytes = 64;

// xl_smgr_truncate.flags
constexpr std::uint32_t kTruncateMain = 1;
constexpr std::uint32_t kTruncateVm = 2;
constexpr std::uint32_t kTruncateFsm = 4;

Error damage(const WalRecord& record, std::string_view what) {
  return {ErrorCode::corrupt,
          format("WAL record at {} (resource manager {}, info {:02X}): {}", to_string(record.lsn),
                 std::to_underlying(record.manager), record.info, what)};
}

// The text before the first zero byte; nothing where there is none.
std::optional<std::string_view> terminated_text(ByteSpan bytes) {
  const std::string_view text = text_of(bytes);
  const std::size_t end = text.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return text.substr(0, end);
}

// The fields of one record's main data. What a field cannot be is noted, as running short is, and
// judged once, at the end.
class Content {
 public:
  Content(const WalRecord& record, const WalVersion& wal_version)
      : fields(record.main_data), version(wal_version), record_(record) {}

  bool take_flag() { return fields.take<std::uint8_t>() != 0; }
  Lsn take_lsn() { return {fields.take<std::uint64_t>()}; }
  TimelineId take_timeline() { return {fields.take<std::uint32_t>()}; }
  void skip(std::size_t size_bytes) { fields.take_bytes(size_bytes); }

  RelationId take_relation() {
    RelationId id;
    id.tablespace = fields.take<std::uint32_t>();
    id.database = fields.take<std::uint32_t>();
    id.relfilenode = fields.take<std::uint32_t>();
    return id;
  }

  UtcTime take_time() {
    return noted(utc_of_postgres_time(fields.take<std::int64_t>()), "time out of range");
  }

  // Unix time, in seconds.
  UtcTime take_seconds() {
    std::int64_t microseconds = 0;
    if (__builtin_mul_overflow(fields.take<std::int64_t>(), 1'000'000, &microseconds)) {
      note("time out of range");
    }
    return {microseconds};
  }

  WalLevel take_wal_level() {
    const auto level = fields.take<std::uint32_t>();
    if (level > std::to_underlying(WalLevel::logical)) note("unknown wal_level");
    return static_cast<WalLevel>(level);
  }

  Fork take_fork() {
    const auto fork = fields.take<std::uint32_t>();
    if (fork > std::to_underlying(Fork::init)) note("unknown fork");
    return static_cast<Fork>(fork);
  }

  std::string_view take_text(std::size_t size_bytes) {
    return noted(terminated_text(fields.take_bytes(size_bytes)), "text without an end");
  }

  void note(const char* what) {
    if (fault_ == nullptr) fault_ = what;
  }

  // The fact, unless something was wrong with a field.
  Result<WalFact> conclude(WalFact fact) const {
    if (fields.ran_short()) {
      return damage(record_, format("ends after {} bytes", record_.main_data.size()));
    }
    if (fault_ != nullptr) return damage(record_, fault_);
    return fact;
  }

  FieldReader fields;
  const WalVersion& version;

 private:
  template <typename T>
  T noted(std::optional<T> value, const char* what) {
    if (!value) note(what);
    return value.value_or(T());
  }

  const WalRecord& record_;
  const char* fault_ = nullptr;
};

Result<WalFact> checkpoint_fact(Content content, Checkpoint::Kind kind) {
  Checkpoint checkpoint;
  checkpoint.kind = kind;
  checkpoint.redo = content.take_lsn();
  checkpoint.timeline = content.take_timeline();
  checkpoint.previous_timeline = content.take_timeline();
  checkpoint.full_page_writes = content.take_flag();
  // From 17 on the wal_level is in what had been padding; next ids and oldest ids follow.
  content.skip(47);
  checkpoint.time = content.take_seconds();
  return content.conclude(checkpoint);
}

Result<WalFact> parameter_change_fact(Content content) {
  content.skip(20);  // limits on connections, workers, senders, transactions and locks
  ParameterChange change;
  change.wal_level = content.take_wal_level();
  change.wal_log_hints = content.take_flag();
  return content.conclude(change);
}

Result<WalFact> restore_point_fact(Content content) {
  RestorePoint point;
  point.time = content.take_time();
  point.name = content.take_text(kRestorePointNameBytes);
  return content.conclude(point);
}

Result<WalFact> end_of_recovery_fact(Content content) {
  EndOfRecovery end;
  end.time = content.take_time();
  end.timeline = content.take_timeline();
  end.previous_timeline = content.take_timeline();
  if (content.version.end_of_recovery_has_wal_level) end.wal_level = content.take_wal_level();
  return content.conclude(end);
}

Result<WalFact> xlog_fact(Content content, std::uint8_t operation) {
  switch (operation) {
    case kShutdownCheckpoint: return checkpoint_fact(content, Checkpoint::Kind::shutdown);
    case kOnlineCheckpoint: return checkpoint_fact(content, Checkpoint::Kind::online);
    case kParameterChange: return parameter_change_fact(content);
    case kRestorePoint: return restore_point_fact(content);
    case kEndOfRecovery: return end_of_recovery_fact(content);
    case kFullPageWritesChange: {
      const FullPageWritesChange change{content.take_flag()};
      return content.conclude(change);
    }
    case kBackupEnd: {
      const BackupEnd end{content.take_lsn()};
      return content.conclude(end);
    }
    default: return WalFact();
  }
}

Result<WalFact> transaction_end_fact(Content content, const WalRecord& record, TransactionEnd end) {
  end.xid = record.xid;
  end.time = content.take_time();
  FieldReader& fields = content.fields;
  const bool has_parts = (record.info & kTransactionHasParts) != 0;
  const std::uint32_t parts = has_parts ? fields.take<std::uint32_t>() : 0;
  if ((parts & kHasDatabase) != 0) content.skip(kDatabasePartBytes);
  if ((parts & kHasSubtransactions) != 0) {
    end.subtransaction_count = Oids(fields.take_counted(sizeof(std::uint32_t))).size();
  }
  if ((parts & kHasRelations) != 0) {
    end.dropped = RelationIds(fields.take_counted(sizeof(RelationId)));
  }
  const std::size_t item_bytes = content.version.dropped_statistics_size_bytes;
  if ((parts & kHasDroppedStatistics) != 0) {
    if (item_bytes == 0) content.note("dropped statistics before there were any");
    fields.take_counted(item_bytes);
  }
  if ((parts & kHasInvalidations) != 0 && end.outcome == TransactionEnd::Outcome::committed) {
    fields.take_counted(kInvalidationBytes);
  }
  // The prepared transaction's name and the replication origin may follow.
  if ((parts & kHasPreparedXid) != 0) {
    end.xid = fields.take<std::uint32_t>();
  } else if (end.was_prepared) {
    content.note("end of a prepared transaction that is not named");
  }
  return content.conclude(end);
}

Result<WalFact> transaction_fact(const Content& content, const WalRecord& record) {
  using enum TransactionEnd::Outcome;
  TransactionEnd end;
  switch (record.info & kTransactionOperationMask) {
    case kCommit: end.outcome = committed; break;
    case kAbort: end.outcome = aborted; break;
    case kCommitPrepared:
      end.outcome = committed;
      end.was_prepared = true;
      break;
    case kAbortPrepared:
      end.outcome = aborted;
      end.was_prepared = true;
      break;
    default: return WalFact();
  }
  return transaction_end_fact(content, record, end);
}

Result<WalFact> storage_fact(Content content, std::uint8_t operation) {
  if (operation == kRelationCreate) {
    RelationCreate create;
    create.relation = content.take_relation();
    create.fork = content.take_fork();
    return content.conclude(create);
  }
  if (operation != kRelationTruncate) return WalFact();
  RelationTruncate truncate;
  truncate.block = content.fields.take<std::uint32_t>();
  truncate.relation = content.take_relation();
  const auto flags = content.fields.take<std::uint32_t>();
  truncate.truncates_main = (flags & kTruncateMain) != 0;
  truncate.truncates_fsm = (flags & kTruncateFsm) != 0;
  truncate.truncates_vm = (flags & kTruncateVm) != 0;
  return content.conclude(truncate);
}

Result<WalFact> database_create_fact(Content content, std::uint8_t operation) {
  DatabaseCreate create;
  create.database = content.fields.take<std::uint32_t>();
  create.tablespace = content.fields.take<std::uint32_t>();
  if (operation == kDatabaseCreateByCopy) {
    DatabaseCreate::Source& source = create.copied_from.emplace();
    source.database = content.fields.take<std::uint32_t>();
    source.tablespace = content.fields.take<std::uint32_t>();
  }
  return content.conclude(create);
}

Result<WalFact> database_fact(Content content, std::uint8_t operation) {
  const bool logs_creation = content.version.has_logged_database_create;
  if (operation == (logs_creation ? kDatabaseDrop : kDatabaseDropBefore15)) {
    DatabaseDrop drop;
    drop.database = content.fields.take<std::uint32_t>();
    drop.tablespaces = Oids(content.fields.take_counted(sizeof(std::uint32_t)));
    return content.conclude(drop);
  }
  const bool creates =
      operation == kDatabaseCreateByCopy || (logs_creation && operation == kDatabaseCreateLogged);
  return creates ? database_create_fact(content, operation) : WalFact();
}

Result<WalFact> tablespace_fact(Content content, std::uint8_t operation) {
  if (operation == kTablespaceCreate) {
    TablespaceCreate create;
    create.tablespace = content.fields.take<std::uint32_t>();
    create.path = content.take_text(content.fields.rest().size());
    return content.conclude(create);
  }
  if (operation != kTablespaceDrop) return WalFact();
  const TablespaceDrop drop{content.fields.take<std::uint32_t>()};
  return content.conclude(drop);
}

}  // namespace

std::optional<UtcTime> utc_of_postgres_time(std::int64_t microseconds) {
  UtcTime time;
  if (__builtin_add_overflow(microseconds, kPostgresEpochMicroseconds, &time.microseconds)) {
    return std::nullopt;
  }
  return time;
}

Result<WalFact> wal_fact(const WalRecord& record, int server_major) {
  const WalVersion* version = internal::find_wal_version(server_major);
  HAUL_ASSERT(version != nullptr);
  const Content content(record, *version);
  switch (record.manager) {
    case ResourceManager::xlog: return xlog_fact(content, record.operation());
    case ResourceManager::transaction: return transaction_fact(content, record);
    case ResourceManager::storage: return storage_fact(content, record.operation());
    case ResourceManager::database: return database_fact(content, record.operation());
    case ResourceManager::tablespace: return tablespace_fact(content, record.operation());
    default: return WalFact();
  }
}

}  // namespace haul::postgres
