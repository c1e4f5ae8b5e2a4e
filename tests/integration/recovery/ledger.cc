#include "tests/integration/recovery/ledger.h"

#include <charconv>
#include <sstream>

#include <gtest/gtest.h>

#include "base/format.h"

namespace haul::integration {

using support::PgServer;

namespace {

// Of restored servers; the source is started with another.
constexpr int kPort = 54331;

constexpr const char* kSchema = R"(
CREATE TABLE ledger (number bigint PRIMARY KEY, lsn pg_lsn, previous text, hash text);
CREATE TABLE filler (content text);
ALTER TABLE filler ALTER content SET STORAGE EXTERNAL;
CREATE PROCEDURE extend(count int, tag text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..count LOOP
    INSERT INTO ledger
      SELECT coalesce(max(number), 0) + 1, pg_current_wal_insert_lsn(),
             coalesce((SELECT hash FROM ledger ORDER BY number DESC LIMIT 1), ''),
             md5(coalesce((SELECT hash FROM ledger ORDER BY number DESC LIMIT 1), '') || tag || i)
        FROM ledger;
    INSERT INTO filler SELECT repeat(md5(random()::text), 1500);
    COMMIT;
    IF i % 4 = 0 THEN
      INSERT INTO ledger VALUES (-i, '0/1', '', 'never');
      ROLLBACK;
    END IF;
  END LOOP;
END $$;
CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS content FROM generate_series(1, 1000) i;
)";

template <typename Number>
Number number_in(const std::string& text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, '|');) fields.push_back(field);
  return fields;
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string sql_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

std::unique_ptr<LedgerHistory> LedgerHistory::make() {
  std::unique_ptr<LedgerHistory> history(new LedgerHistory);
  history->live_on_timeline_1();
  if (!testing::Test::HasFatalFailure()) history->live_on_timeline_2();
  if (!testing::Test::HasFatalFailure()) history->live_on_timeline_3();
  return history;
}

LedgerHistory::~LedgerHistory() {
  for (const char* name : {"second", "third"}) discard(name);
}

std::string LedgerHistory::query(const std::string& sql) const {
  if (source_runs_) {
    const auto answer = source_->query(sql);
    EXPECT_TRUE(answer) << answer.error().message();
    return answer.value_or("");
  }
  Outcome outcome = workshop_.shell_as_server(
      format("psql -X -At -q -v ON_ERROR_STOP=1 -h {} -p {} -U postgres -d postgres -c {}",
             workshop_.path("sockets"), kPort, shell_quoted(sql)));
  EXPECT_EQ(outcome.status, 0) << outcome.err << sql;
  if (outcome.out.ends_with('\n')) outcome.out.pop_back();
  return outcome.out;
}

void LedgerHistory::extend(int count, const std::string& tag) const {
  query(format("CALL extend({}, '{}')", count, tag));
}

TimelineRows LedgerHistory::read_rows(std::uint32_t parent) const {
  TimelineRows timeline;
  std::istringstream lines(
      query("SELECT number, xmin, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * "
            "1000000)::bigint, "
            "lsn, hash FROM ledger ORDER BY number"));
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> fields = fields_of(line);
    if (fields.size() != 5) continue;
    timeline.rows.push_back({number_in<std::int64_t>(fields[0]),
                             number_in<std::uint32_t>(fields[1]),
                             number_in<std::int64_t>(fields[2]), fields[3], fields[4]});
  }
  if (parent == 0) return timeline;
  // Those of the parent that this timeline has come past.
  const TimelineRows& before = timelines_.at(parent);
  for (const auto& [name, rows] : before.restore_points) {
    const bool is_shared =
        rows < timeline.rows.size() && before.rows.at(rows).hash == timeline.rows[rows].hash;
    if (is_shared) timeline.restore_points[name] = rows;
  }
  return timeline;
}

void LedgerHistory::point(TimelineRows& timeline, const std::string& name) const {
  query(format("SELECT pg_create_restore_point({})", sql_quoted(name)));
  timeline.restore_points[name] = number_in<std::size_t>(query("SELECT count(*) FROM ledger"));
}

std::string LedgerHistory::backup(const std::string& directory, const std::string& wal) const {
  const std::string where = source_runs_ ? source_->socket_directory() + " -p 54321"
                                         : format("{} -p {}", workshop_.path("sockets"), kPort);
  const Outcome outcome =
      workshop_.pghaul(format("backup --repo {} -D {} -h {} -U postgres -c fast --wal {} --json -q",
                              repository(), directory, where, wal));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json_of(outcome).string_at("backup").value_or("");
}

void LedgerHistory::live_on_timeline_1() {
  ASSERT_EQ(workshop_.shell_as_server("mkdir " + workshop_.path("sockets")).status, 0);
  ASSERT_EQ(workshop_.pghaul("init --repo " + repository()).status, 0);
  support::PgServerOptions options;
  options.wal_segment_size_mb = 1;
  options.settings = {format("port = {}", kPort),
                      format("unix_socket_directories = '{}'", workshop_.path("sockets")),
                      "archive_mode = on",
                      format("archive_command = '{} wal push --repo {} --cluster main %p'",
                             workshop_.path("pghaul"), repository()),
                      "track_commit_timestamp = on",
                      "timezone = 'UTC'",
                      "log_timezone = 'UTC'",
                      "autovacuum = off",
                      "wal_keep_size = 0",
                      "max_wal_size = 8MB"};
  auto made = PgServer::create(options);
  ASSERT_TRUE(made) << made.error().message();
  source_ = std::move(made).take();
  ASSERT_TRUE(source_->start());
  source_runs_ = true;
  query(kSchema);
  extend(10, "before");
  backups_.push_back(backup(source_->data_directory(), "include"));
  first_rows_ = 10;
  TimelineRows named;
  extend(20, "one");
  point(named, "plain");
  extend(20, "two");
  point(named, "it's 100% \\ \"odd\" %p");
  query("DELETE FROM orders");
  extend(20, "three");
  point(named, "after the fork");
  extend(5, "four");
  timelines_[1] = read_rows(0);
  timelines_[1].restore_points = named.restore_points;
  ASSERT_EQ(timelines_[1].rows.size(), 75U);
  ASSERT_TRUE(source_->stop());
  source_runs_ = false;
}

void LedgerHistory::live_on_timeline_2() {
  // Back to row 55 of 75, which the new timeline still has.
  const Outcome outcome = restore(
      "second", format("--target-xid {} --take-over --start", timelines_[1].rows.at(54).xid));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_EQ(query("SELECT count(*) FROM ledger"), "55");
  TimelineRows named;
  extend(10, "five");
  backups_.push_back(backup(directory("second"), "archive"));
  second_rows_ = 65;
  extend(10, "six");
  point(named, "on the second");
  extend(10, "seven");
  timelines_[2] = read_rows(1);
  timelines_[2].restore_points.merge(named.restore_points);
  ASSERT_EQ(timelines_[2].rows.size(), 85U);
  stop("second");
}

void LedgerHistory::live_on_timeline_3() {
  const Outcome outcome = restore(
      "third", format("--target-lsn {} --take-over --start", timelines_[2].rows.at(80).lsn));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_EQ(query("SELECT count(*) FROM ledger"), "80");
  extend(20, "eight");
  TimelineRows named;
  point(named, "on the third");
  extend(10, "nine");
  timelines_[3] = read_rows(2);
  timelines_[3].restore_points.merge(named.restore_points);
  ASSERT_EQ(timelines_[3].rows.size(), 110U);
  stop("third");
}

Outcome LedgerHistory::restore(const std::string& name, const std::string& options,
                               const std::string& repository) const {
  return workshop_.pghaul(format("restore --repo {} -D {} --json -q --pg-bin {} {}",
                                 shell_quoted(repository), directory(name),
                                 support::pg_bin_directory(), options));
}

std::string LedgerHistory::log(const std::string& name) const {
  return support::read_whole_file(directory(name) + "/pghaul-start.log").value_or("");
}

void LedgerHistory::stop(const std::string& name) const {
  workshop_.shell_as_server(
      format("test ! -e {0}/postmaster.pid || {1}/pg_ctl -D {0} -s -w -m fast "
             "stop",
             directory(name), support::pg_bin_directory()));
}

void LedgerHistory::discard(const std::string& name) const {
  stop(name);
  workshop_.shell_as_server("rm -rf " + directory(name));
}

}  // namespace haul::integration
