// WAL of a real server, read record by record and compared with what pg_waldump says of it.
#include "engine/postgres/wal_reader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/wal_facts.h"
#include "tests/integration/postgres/session_fixture.h"

namespace haul::postgres {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kPageBytes = 8192;

const char* name_of(ResourceManager manager) {
  static constexpr const char* kNames[] = {
      "XLOG",       "Transaction",   "Storage", "CLOG",     "Database",
      "Tablespace", "MultiXact",     "RelMap",  "Standby",  "Heap2",
      "Heap",       "Btree",         "Hash",    "Gin",      "Gist",
      "Sequence",   "SPGist",        "BRIN",    "CommitTs", "ReplicationOrigin",
      "Generic",    "LogicalMessage"};
  const auto number = static_cast<std::size_t>(manager);
  return number < std::size(kNames) ? kNames[number] : "custom";
}

const char* name_of(ImageCodec codec) {
  switch (codec) {
    case ImageCodec::none: return "none";
    case ImageCodec::pglz: return "pglz";
    case ImageCodec::lz4: return "lz4";
    case ImageCodec::zstd: return "zstd";
  }
  return "?";
}

// As pg_waldump prints the positions of records: the second half in 8 digits.
std::string padded(Lsn lsn) {
  return format("{:X}/{:08X}", lsn.value >> 32, lsn.value & 0xFFFFFFFF);
}

std::string line_of(const BlockReference& block) {
  std::string line = format("  #{} {}/{}/{} {} blk {}", block.id, block.relation.tablespace,
                            block.relation.database, block.relation.relfilenode,
                            to_string(block.fork), block.block);
  if (block.has_image) {
    line += format(" image {} {}{}", block.image.size(), name_of(block.image_codec),
                   block.image_applied ? "" : " for verification");
  }
  return line;
}

// One record in all that both sides know of it, blocks on lines of their own.
std::string text_of_record(const WalRecord& record) {
  std::string text =
      format("{} {} prev {} tx {} len {}", name_of(record.manager), padded(record.lsn),
             padded(record.previous), record.xid, record.size_bytes);
  for (const BlockReference& block : record.blocks()) text += "\n" + line_of(block);
  return text;
}

// "2026-11-24 16:17:50.281448 UTC"
std::string dumped(UtcTime time) {
  std::string text = to_iso8601(time);
  text.replace(text.find('T'), 1, " ");
  text.pop_back();
  return format("{}.{:06} UTC", text, time.microseconds % 1'000'000);
}

std::string path_of(const RelationId& id) {
  if (id.tablespace == 1664) return format("global/{}", id.relfilenode);
  if (id.tablespace == 1663) return format("base/{}/{}", id.database, id.relfilenode);
  static const std::map<int, int> kCatalogs = {{13, 202007201}, {14, 202107181}, {15, 202209061},
                                               {16, 202307071}, {17, 202406281}, {18, 202506291}};
  return format("pg_tblspc/{}/PG_{}_{}/{}/{}", id.tablespace, support::pg_major(),
                kCatalogs.at(support::pg_major()), id.database, id.relfilenode);
}

// How pg_waldump's description of the record begins, told from the fact alone.
struct Description {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const TransactionEnd& end) const {
    std::string text = end.outcome == TransactionEnd::Outcome::committed ? "COMMIT" : "ABORT";
    text += end.was_prepared ? format("_PREPARED {}: ", end.xid) : " ";
    text += dumped(end.time);
    if (!end.dropped.empty()) text += "; rels:";
    for (std::size_t i = 0; i < end.dropped.size(); ++i) text += " " + path_of(end.dropped[i]);
    return text;
  }
  std::string operator()(const RestorePoint& point) const {
    return format("RESTORE_POINT {}", point.name);
  }
  std::string operator()(const Checkpoint& checkpoint) const {
    return format("CHECKPOINT_{} redo {}; tli {}; prev tli {}; fpw {}; ",
                  checkpoint.kind == Checkpoint::Kind::online ? "ONLINE" : "SHUTDOWN",
                  to_string(checkpoint.redo), checkpoint.timeline.value,
                  checkpoint.previous_timeline.value, checkpoint.full_page_writes);
  }
  std::string operator()(const EndOfRecovery& end) const {
    return format("END_OF_RECOVERY tli {}; prev tli {}; time {}", end.timeline.value,
                  end.previous_timeline.value, dumped(end.time));
  }
  std::string operator()(const ParameterChange& change) const {
    return format("wal_level={} wal_log_hints={}", to_string(change.wal_level),
                  change.wal_log_hints ? "on" : "off");
  }
  std::string operator()(const FullPageWritesChange& change) const {
    return format("FPW_CHANGE {}", change.full_page_writes);
  }
  std::string operator()(const BackupEnd& end) const {
    return format("BACKUP_END {}", to_string(end.start));
  }
  std::string operator()(const TablespaceCreate& create) const {
    return format("CREATE {} \"{}\"", create.tablespace, create.path);
  }
  std::string operator()(const TablespaceDrop& drop) const {
    return format("DROP {}", drop.tablespace);
  }
  std::string operator()(const DatabaseCreate& create) const {
    const std::string to = format("{}/{}", create.tablespace, create.database);
    if (!create.copied_from) return "CREATE_WAL_LOG create dir " + to;
    // Before 15 there is no other.
    return format("{} copy dir {}/{} to {}",
                  support::pg_major() < 15 ? "CREATE" : "CREATE_FILE_COPY",
                  create.copied_from->tablespace, create.copied_from->database, to);
  }
  std::string operator()(const DatabaseDrop& drop) const {
    std::string text = "DROP dir";
    for (std::size_t i = 0; i < drop.tablespaces.size(); ++i) {
      text += format(" {}/{}", drop.tablespaces[i], drop.database);
    }
    return text;
  }
  std::string operator()(const RelationCreate& create) const {
    const std::string fork = create.fork == Fork::main ? "" : format("_{}", to_string(create.fork));
    return format("CREATE {}{}", path_of(create.relation), fork);
  }
  std::string operator()(const RelationTruncate& truncate) const {
    return format("TRUNCATE {} to {} blocks flags {}", path_of(truncate.relation), truncate.block,
                  (truncate.truncates_main ? 1 : 0) + (truncate.truncates_vm ? 2 : 0) +
                      (truncate.truncates_fsm ? 4 : 0));
  }
};

// What pg_waldump -b says of one record: as text_of_record() has it, and its description.
struct DumpedRecord {
  std::string text;
  std::string description;
};

std::uint64_t number_after(const std::string& text, const std::string& label) {
  const std::size_t at = text.find(label);
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + label.size()));
}

std::string word_after(const std::string& text, const std::string& label) {
  const std::size_t at = text.find(label) + label.size();
  return text.substr(at, text.find_first_of(", ", at) - at);
}

// "rmgr: Heap   len (rec/tot): 59/ 8251, tx: 7, lsn: 0/0150B0A8, prev 0/0150B070, desc: INSERT ..."
DumpedRecord parse_record_line(const std::string& line) {
  const std::size_t total_at = line.find('/', line.find("tot):"));
  DumpedRecord record;
  record.text = format("{} {} prev {} tx {} len {}", word_after(line, "rmgr: "),
                       word_after(line, "lsn: "), word_after(line, "prev "),
                       number_after(line, "tx:"), std::stoull(line.substr(total_at + 1)));
  record.description = line.substr(line.find("desc: ") + 6);
  return record;
}

// "\tblkref #0: rel 1663/5/1259 fork main blk 0 (FPW); hole: offset: 212, length: 64", and of a
// compressed image ", compression saved: 5000, method: lz4" in addition, before 15 without a
// method.
std::string parse_block_line(const std::string& line) {
  std::string text = format("  #{} {} {} blk {}", number_after(line, "#"), word_after(line, "rel "),
                            word_after(line, "fork "), number_after(line, "blk "));
  if (line.find("(FPW") == std::string::npos) return text;
  const std::uint64_t stored_bytes =
      kPageBytes - number_after(line, "length: ") - number_after(line, "saved: ");
  const bool is_compressed = line.find("compression saved: ") != std::string::npos;
  const bool has_method = line.find("method: ") != std::string::npos;
  return text + format(" image {} {}{}", stored_bytes,
                       has_method      ? word_after(line, "method: ")
                       : is_compressed ? "pglz"
                                       : "none",
                       line.find("(FPW)") == std::string::npos ? " for verification" : "");
}

std::vector<DumpedRecord> parse_dump(const std::string& output) {
  std::vector<DumpedRecord> records;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("rmgr: ")) records.push_back(parse_record_line(line));
    if (line.starts_with("\tblkref ")) records.back().text += "\n" + parse_block_line(line);
  }
  return records;
}

// The segments of a directory, each read whole when it is asked for: the newest timeline's.
class SegmentsOfDirectory final : public WalPageSource {
 public:
  SegmentsOfDirectory(std::string directory, const WalGeometry& geometry, TimelineId newest)
      : directory_(std::move(directory)), geometry_(geometry), newest_(newest) {}

  Result<ByteSpan> pages_at(Lsn page) override {
    const std::string path = path_for(page);
    if (path.empty()) return ByteSpan();
    if (path != open_path_) open_bytes_ = HAUL_TRY(support::read_whole_file(path));
    open_path_ = path;
    return bytes_of(open_bytes_).subspan(page.value % geometry_.segment_size_bytes);
  }

 private:
  std::string path_for(Lsn page) const {
    for (std::uint32_t timeline = newest_.value; timeline > 0; --timeline) {
      const WalSegment segment =
          segment_of(page, TimelineId{timeline}, geometry_.segment_size_bytes);
      std::string path = directory_ + "/" + to_name(segment, geometry_.segment_size_bytes);
      if (fs::exists(path)) return path;
    }
    return "";
  }

  std::string directory_;
  WalGeometry geometry_;
  TimelineId newest_;
  std::string open_path_;
  std::string open_bytes_;
};

// Whether the record is of a kind that wal_fact() tells of.
bool is_described_as_fact(const DumpedRecord& record) {
  for (const char* manager : {"Storage ", "Tablespace ", "Database "}) {
    if (record.text.starts_with(manager)) return true;
  }
  if (record.text.starts_with("Transaction ")) {
    return record.description.starts_with("COMMIT") || record.description.starts_with("ABORT");
  }
  if (!record.text.starts_with("XLOG ")) return false;
  // From 17 on, where a checkpoint begins.
  if (record.description.starts_with("CHECKPOINT_REDO")) return false;
  for (const char* kind : {"CHECKPOINT_", "RESTORE_POINT", "PARAMETER_CHANGE", "FPW_CHANGE",
                           "BACKUP_END", "END_OF_RECOVERY"}) {
    if (record.description.starts_with(kind)) return true;
  }
  return false;
}

// "COMMIT ...; subxacts: 732 733; ..."; a PREPARE says so as well, but ends nothing.
std::size_t count_subtransactions(const std::string& description) {
  const std::size_t at = description.find("; subxacts:");
  if (at == std::string::npos || description.starts_with("PREPARE ")) return 0;
  const std::string list = description.substr(at + 11, description.find(';', at + 11) - at - 11);
  return static_cast<std::size_t>(std::ranges::count(list, ' '));
}

// A record as text, and the fact in it as pg_waldump would describe it.
struct ReadRecord {
  Lsn lsn;
  Lsn end;
  std::string text;
  std::string description;
  std::size_t fact_kind = 0;
  std::size_t subtransaction_count = 0;
};

std::size_t subtransactions_of(const WalFact& fact) {
  const auto* end = std::get_if<TransactionEnd>(&fact);
  return end == nullptr ? 0 : end->subtransaction_count;
}

struct Shape {
  const char* name;
  std::uint32_t segment_mb;
  std::vector<std::string> settings;
};

void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

class WalReaderOnServer : public RunningServer, public ::testing::WithParamInterface<Shape> {
 protected:
  void SetUp() override {
    support::PgServerOptions options;
    options.wal_segment_size_mb = GetParam().segment_mb;
    options.settings = {"wal_level = logical", "max_prepared_transactions = 10",
                        "wal_keep_size = 4GB", "allow_in_place_tablespaces = on",
                        "track_commit_timestamp = on"};
    options.settings.insert(options.settings.end(), GetParam().settings.begin(),
                            GetParam().settings.end());
    serve(options);
    geometry_ = {support::pg_major(),
                 std::stoull(query("SELECT system_identifier FROM pg_control_system()")),
                 GetParam().segment_mb << 20, kPageBytes};
    begin_ = parse_lsn(query("SELECT redo_lsn FROM pg_control_checkpoint()")).value();
  }

  // Tables that come, grow, shrink and go; indexes of every kind; vacuum.
  void change_relations() const {
    query("CREATE TABLE t (id int, body text, place point, words tsvector)");
    query(
        "INSERT INTO t SELECT g, repeat(md5(g::text), 1 + g % 60), point(g, -g),"
        " to_tsvector('simple', 'w' || g % 97) FROM generate_series(1, 10000) g");
    query("CREATE INDEX ON t (id); CREATE INDEX ON t USING hash (id)");
    query("CREATE INDEX ON t USING gist (place); CREATE INDEX ON t USING spgist (place)");
    query("CREATE INDEX ON t USING gin (words); CREATE INDEX ON t USING brin (id)");
    query("CHECKPOINT");
    query("UPDATE t SET body = body || 'x' WHERE id % 3 = 0; DELETE FROM t WHERE id > 5000");
    query(
        "INSERT INTO t SELECT 1, (SELECT string_agg(md5(g::text), '')"
        " FROM generate_series(1, 60000) g)");
    query("VACUUM (FREEZE) t");
    query("CREATE TABLE going (a int); INSERT INTO going VALUES (1); TRUNCATE going");
    query("BEGIN; CREATE TABLE undone (a int); INSERT INTO undone VALUES (1); ROLLBACK");
    query("CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY)");
    query("CREATE SEQUENCE s; SELECT count(nextval('s')) FROM generate_series(1, 100)");
    query("DELETE FROM t");
    query("VACUUM t");
  }

  // Commits of many pages: subtransactions, and files to drop.
  void commit_much() const {
    query(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE m%s (a int)', i);"
        " END LOOP; END $$");
    query("CREATE TABLE n (a int)");
    query(
        "DO $$ BEGIN FOR i IN 1..5000 LOOP BEGIN INSERT INTO n VALUES (i);"
        " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$");
    query(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('DROP TABLE m%s', i);"
        " END LOOP; END $$");
    query(
        "BEGIN; SAVEPOINT a; INSERT INTO n VALUES (1); ROLLBACK TO a; SAVEPOINT b;"
        " INSERT INTO n VALUES (2); COMMIT");
  }

  void prepare_transactions() const {
    query("BEGIN; SAVEPOINT a; INSERT INTO n VALUES (3); PREPARE TRANSACTION 'kept'");
    query("BEGIN; CREATE TABLE dropped_again (a int); PREPARE TRANSACTION 'undone'");
    query("COMMIT PREPARED 'kept'");
    query("ROLLBACK PREPARED 'undone'");
  }

  void change_databases() const {
    const bool has_strategies = support::pg_major() >= 15;
    query(std::string("CREATE DATABASE by_log") + (has_strategies ? " STRATEGY wal_log" : ""));
    query(std::string("CREATE DATABASE by_copy") + (has_strategies ? " STRATEGY file_copy" : ""));
    const std::string path = server_->make_directory("space").value();
    query(format("CREATE TABLESPACE outside LOCATION '{}'", path));
    query("CREATE TABLESPACE inside LOCATION ''");
    query("CREATE TABLE there (a int) TABLESPACE outside; INSERT INTO there VALUES (1)");
    query("DROP TABLE there");
    query("DROP TABLESPACE outside");
    query("DROP DATABASE by_log");
    query("DROP DATABASE by_copy");
  }

  void change_settings() const {
    query("ALTER SYSTEM SET full_page_writes = off");
    query("SELECT pg_reload_conf()");
    EXPECT_TRUE(eventually([&] { return query("SHOW full_page_writes") == "off"; }));
    query("CHECKPOINT");
    query("ALTER SYSTEM RESET full_page_writes");
    query("SELECT pg_reload_conf()");
    query("CHECKPOINT");
  }

  void mark_and_switch() const {
    query("SELECT pg_create_restore_point('before the deed')");
    query("SELECT pg_logical_emit_message(true, 'prefix', repeat('m', 3000000))");
    query("SELECT pg_switch_wal()");
    query(support::pg_major() >= 15
              ? "SELECT pg_backup_start('b', true); SELECT 1 FROM pg_backup_stop(false)"
              : "SELECT pg_start_backup('b', true, false); SELECT 1 FROM pg_stop_backup(false, "
                "false)");
    query("SELECT pg_create_restore_point('after it')");
  }

  void make_wal() {
    ASSERT_TRUE(succeeded(server_->pgbench_initialize(1)));
    change_relations();
    commit_much();
    prepare_transactions();
    change_databases();
    change_settings();
    mark_and_switch();
    ASSERT_TRUE(succeeded(server_->run_pgbench(4, 1)));
  }

  // A second timeline begins: the same cluster, promoted.
  void promote() {
    ASSERT_TRUE(succeeded(server_->stop()));
    std::ofstream(server_->data_directory() + "/standby.signal").close();
    ASSERT_TRUE(succeeded(server_->configure({"wal_log_hints = on"})));
    ASSERT_TRUE(succeeded(server_->start()));
    EXPECT_EQ(query("SELECT pg_promote()"), "t");
    query("CREATE TABLE on_second_timeline (a int)");
    ASSERT_TRUE(succeeded(server_->stop()));
  }

  std::string wal_directory() const { return server_->data_directory() + "/pg_wal"; }

  WalSegment segment_at(Lsn lsn, TimelineId timeline) const {
    return segment_of(lsn, timeline, geometry_.segment_size_bytes);
  }

  // The last file of a timeline, which may not have been written to yet.
  std::string last_segment_name(TimelineId timeline) const {
    std::string last;
    for (const auto& entry : fs::directory_iterator(wal_directory())) {
      const std::string name = entry.path().filename();
      const auto segment = parse_wal_segment_name(name, geometry_.segment_size_bytes);
      if (segment && segment->timeline == timeline) last = std::max(last, name);
    }
    return last;
  }

  // To the end of WAL, at which pg_waldump fails.
  std::vector<DumpedRecord> dump(Lsn begin, TimelineId timeline) const {
    const std::string first = to_name(segment_at(begin, timeline), geometry_.segment_size_bytes);
    const std::string command =
        format("export TZ=UTC; '{}/pg_waldump' -b -p '{}' -s {} {} {} 2>/dev/null || true",
               support::pg_bin_directory(), wal_directory(), to_string(begin), first,
               last_segment_name(timeline));
    const auto output = server_->run({"/bin/sh", "-c", command});
    EXPECT_TRUE(succeeded(output));
    return parse_dump(output.value_or(""));
  }

  // The records of a range; fails the test where there is anything but an end.
  std::vector<ReadRecord> read(const WalRange& range, TimelineId timeline, WalEnd& end) const {
    SegmentsOfDirectory source(wal_directory(), geometry_, timeline);
    WalReader reader = WalReader::open(geometry_, timeline, range, source).value();
    std::vector<ReadRecord> records;
    while (true) {
      const auto record = reader.next();
      EXPECT_TRUE(succeeded(record));
      if (!record || *record == nullptr) break;
      const auto fact = wal_fact(**record, support::pg_major());
      EXPECT_TRUE(succeeded(fact));
      records.push_back({(*record)->lsn, (*record)->end, text_of_record(**record),
                         std::visit(Description(), fact.value_or(WalFact())),
                         fact.value_or(WalFact()).index(),
                         subtransactions_of(fact.value_or(WalFact()))});
    }
    end = reader.end();
    return records;
  }

  static void expect_same(const std::vector<ReadRecord>& read,
                          const std::vector<DumpedRecord>& dumped) {
    ASSERT_EQ(read.size(), dumped.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
      ASSERT_EQ(read[i].text, dumped[i].text) << dumped[i].description;
      ASSERT_NE(dumped[i].description.find(read[i].description), std::string::npos)
          << read[i].text << "\n"
          << read[i].description << "\n"
          << dumped[i].description;
      ASSERT_EQ(!read[i].description.empty(), is_described_as_fact(dumped[i]))
          << read[i].text << "\n"
          << dumped[i].description;
      ASSERT_EQ(read[i].subtransaction_count, count_subtransactions(dumped[i].description));
    }
  }

  // Each segment on its own, from its first record to the last that begins in it.
  std::vector<ReadRecord> read_by_segment(Lsn last, TimelineId timeline) const {
    std::vector<ReadRecord> records;
    for (WalSegment segment = segment_at(begin_, timeline); segment <= segment_at(last, timeline);
         ++segment.number) {
      const Lsn start = segment.start(geometry_.segment_size_bytes);
      const Lsn stop = segment.end(geometry_.segment_size_bytes);
      WalEnd end;
      auto some =
          read({std::max(start, begin_), std::min(stop, {last.value + 1}), last}, timeline, end);
      EXPECT_EQ(end.kind, WalEnd::Kind::stopped);
      records.insert(records.end(), some.begin(), some.end());
    }
    return records;
  }

  WalGeometry geometry_;
  Lsn begin_;
};

TEST_P(WalReaderOnServer, EveryRecordIsAsPgWaldumpHasIt) {
  make_wal();
  promote();
  if (HasFatalFailure()) return;

  WalEnd end;
  const std::vector<ReadRecord> first = read({begin_}, TimelineId{1}, end);
  EXPECT_EQ(end.kind, WalEnd::Kind::no_record);
  expect_same(first, dump(begin_, TimelineId{1}));
  EXPECT_GT(first.size(), 10'000U);

  // The second timeline's first segment begins with the pages of the first one.
  const Lsn fork_segment =
      segment_at(first.back().end, TimelineId{1}).start(geometry_.segment_size_bytes);
  const std::vector<ReadRecord> second = read({fork_segment}, TimelineId{2}, end);
  expect_same(second, dump(second.front().lsn, TimelineId{2}));

  const std::vector<ReadRecord> both = read({begin_}, TimelineId{2}, end);
  std::set<std::size_t> fact_kinds;
  for (const ReadRecord& record : both) fact_kinds.insert(record.fact_kind);
  EXPECT_EQ(fact_kinds.size(), std::variant_size_v<WalFact>) << "the load shows every fact";

  const std::vector<ReadRecord> parts = read_by_segment(both.back().lsn, TimelineId{2});
  ASSERT_EQ(parts.size(), both.size());
  for (std::size_t i = 0; i < both.size(); ++i) ASSERT_EQ(parts[i].text, both[i].text);
  std::cout << both.size() << " records in "
            << segment_at(end.lsn, TimelineId{2}).number - segment_at(begin_, TimelineId{2}).number
            << " segments\n";
}

class WalReaderAfterCrash : public WalReaderOnServer {};

// The server dies within a long record, and the segments with the rest of it are lost, as they are
// when the machine dies before they were synced. What it writes next takes the record's place.
TEST_P(WalReaderAfterCrash, RecordThatWasCutOffIsPassedOver) {
  query("CREATE TABLE before (a int)");
  const Lsn cut = parse_lsn(query("SELECT pg_current_wal_insert_lsn()")).value();
  query("SELECT pg_logical_emit_message(true, 'long', repeat('m', 2500000))");
  ASSERT_TRUE(succeeded(server_->stop(support::PgServer::StopMode::immediate)));
  for (WalSegment segment = segment_at(cut, TimelineId{1});; ++segment.number) {
    const std::string name =
        to_name({TimelineId{1}, segment.number + 1}, geometry_.segment_size_bytes);
    if (!fs::remove(wal_directory() + "/" + name)) break;
  }
  ASSERT_TRUE(succeeded(server_->start()));
  query("CREATE TABLE after (a int)");
  ASSERT_TRUE(succeeded(server_->stop()));

  WalEnd end;
  const std::vector<ReadRecord> records = read({begin_}, TimelineId{1}, end);
  const std::vector<DumpedRecord> dumped = dump(begin_, TimelineId{1});
  expect_same(records, dumped);
  EXPECT_TRUE(std::ranges::any_of(dumped, [](const DumpedRecord& record) {
    return record.description.starts_with("OVERWRITE_CONTRECORD");
  }));
  const std::vector<ReadRecord> parts = read_by_segment(records.back().lsn, TimelineId{1});
  ASSERT_EQ(parts.size(), records.size());
  for (std::size_t i = 0; i < parts.size(); ++i) ASSERT_EQ(parts[i].text, records[i].text);
}

INSTANTIATE_TEST_SUITE_P(Shapes, WalReaderAfterCrash,
                         ::testing::Values(Shape{"SmallSegments", 1, {}}),
                         [](const auto& shape) { return std::string(shape.param.name); });

// Before 15 it has no choice.
std::string compression(const std::string& codec) {
  return "wal_compression = " + (support::pg_major() < 15 ? "on" : codec);
}

INSTANTIATE_TEST_SUITE_P(Shapes, WalReaderOnServer,
                         ::testing::Values(Shape{"SmallSegmentsLz4", 1, {compression("lz4")}},
                                           Shape{"SmallSegmentsZstdVerified",
                                                 1,
                                                 {compression("zstd"),
                                                  "wal_consistency_checking = all"}},
                                           Shape{"UsualSegmentsPglz", 16, {compression("pglz")}}),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace haul::postgres
