#include "tests/integration/main_job/busy_cluster.h"

#include <cstdlib>
#include <sstream>

#include "base/format.h"
#include "base/types.h"
#include "engine/postgres/connection.h"

namespace haul::integration {

using support::PgServer;

namespace {

// 1.1 GiB of rows that fill a page each and hold nothing that TOAST would move out.
constexpr const char* kTwoSegments = R"(
  CREATE TABLE two_segments (n int, filler text);
  ALTER TABLE two_segments ALTER filler SET STORAGE PLAIN;
  INSERT INTO two_segments SELECT n, repeat(md5(n::text), 240) FROM generate_series(1, 140000) n;
)";

constexpr const char* kMixed = R"(
  CREATE TABLE wide AS
    SELECT n AS id, repeat(md5(n::text), 10) AS body,
           jsonb_build_object('n', n, 'list', ARRAY[n, n + 1]) AS doc
      FROM generate_series(1, 40000) n;
  ALTER TABLE wide ADD PRIMARY KEY (id);
  CREATE INDEX ON wide USING gin (doc);
  CREATE TABLE noise AS SELECT n AS id, decode(string_agg(md5(random()::text), ''), 'hex') AS bytes
    FROM generate_series(1, 4000) n, generate_series(1, 120) GROUP BY n;
  ALTER TABLE noise ALTER bytes SET STORAGE EXTERNAL;
  CREATE TABLE measured (at timestamptz, n int) PARTITION BY RANGE (at);
  CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE measured_2 PARTITION OF measured FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  INSERT INTO measured
    SELECT '2026-01-01'::timestamptz + n * interval '1 minute', n FROM generate_series(1, 50000) n;
  CREATE UNLOGGED TABLE unlogged AS SELECT * FROM generate_series(1, 10000);
  CREATE SEQUENCE counter;
  SELECT setval('counter', 4711);
  CREATE ROLE reader; GRANT SELECT ON wide TO reader;
  CREATE TABLE spaced (n int PRIMARY KEY) TABLESPACE elsewhere;
  INSERT INTO spaced SELECT generate_series(1, 20000);
  CREATE TABLE emptied (n int);
  CREATE TABLE ledger (n bigint PRIMARY KEY, prev text, hash text);
  INSERT INTO ledger VALUES (0, '', md5('0'));
  SELECT lo_from_bytea(5000 + n, decode(repeat(md5(n::text), 400), 'hex'))
    FROM generate_series(1, 20) n;
)";

Status load(PgServer& server) {
  const std::string elsewhere = HAUL_TRY(server.make_directory("elsewhere"));
  HAUL_TRY(server.query(format("CREATE TABLESPACE elsewhere LOCATION '{}'", elsewhere)));
  HAUL_TRY(server.query(kMixed));
  HAUL_TRY(server.query(kTwoSegments));
  for (const char* database : {"second", "third", "storm"}) {
    HAUL_TRY(server.query(format("CREATE DATABASE {}", database)));
    HAUL_TRY(server.query(
        "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 5000) n", database));
  }
  HAUL_TRY(server.query("ALTER DATABASE third SET TABLESPACE elsewhere"));
  HAUL_TRY(server.query("BEGIN; INSERT INTO emptied VALUES (1); PREPARE TRANSACTION 'left open'"));
  return server.pgbench_initialize(5);
}

}  // namespace

Result<std::unique_ptr<PgServer>> make_busy_cluster() {
  support::PgServerOptions options;
  options.settings = {"max_wal_size = 64MB", "min_wal_size = 32MB", "checkpoint_timeout = 30s",
                      "max_prepared_transactions = 5", "max_locks_per_transaction = 256"};
  auto server = HAUL_TRY(PgServer::create(options));
  HAUL_TRY(server->start());
  HAUL_TRY(load(*server));
  return server;
}

Result<std::string> static_contents(const PgServer& server) {
  std::string line = HAUL_TRY(server.query(R"(
    SELECT (SELECT md5(string_agg(wide::text, '' ORDER BY id)) FROM wide),
           (SELECT md5(string_agg(md5(bytes), '' ORDER BY id)) FROM noise),
           (SELECT count(*) || '/' || sum(n) FROM measured),
           (SELECT count(*) || '/' || sum(n) FROM spaced),
           (SELECT count(*) || '/' || sum(hashtext(filler)::bigint) FROM two_segments),
           (SELECT last_value FROM counter),
           (SELECT md5(string_agg(md5(lo_get(oid)), '' ORDER BY oid)) FROM pg_largeobject_metadata),
           (SELECT count(*) FROM pg_prepared_xacts),
           has_table_privilege('reader', 'wide', 'SELECT'))"));
  for (const char* database : {"second", "third"}) {
    line += "|" + HAUL_TRY(server.query("SELECT md5(string_agg(t::text, '' ORDER BY n)) FROM t",
                                        database));
  }
  return line;
}

Result<std::string> schema(const PgServer& server) {
  std::istringstream dump(
      HAUL_TRY(server.run({"pg_dumpall", "--schema-only", "--exclude-database=storm*", "-h",
                           server.socket_directory(), "-p", "54321", "-U", "postgres"})));
  std::string kept;
  // \restrict and \unrestrict carry a key drawn anew for each dump.
  for (std::string line; std::getline(dump, line);) {
    if (!line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ")) kept += line + "\n";
  }
  return kept;
}

Load::Load(const PgServer& server) : server_(server) {
  threads_.emplace_back([this](std::stop_token stop) { write_ledger(std::move(stop)); });
  threads_.emplace_back([this](std::stop_token stop) { storm(std::move(stop)); });
  // Ends when stop() terminates its backends.
  threads_.emplace_back(
      [this](std::stop_token) { static_cast<void>(server_.run_pgbench(4, 600)); });
}

Load::~Load() { stop(); }

void Load::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  while (!threads_.empty()) {
    static_cast<void>(
        server_.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                      "application_name = 'pgbench'"));
    if (threads_.size() == 3) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    threads_.front().join();
    threads_.erase(threads_.begin());
  }
}

void Load::write_ledger(std::stop_token stop) {
  postgres::ConnectionOptions options;
  options.conninfo = server_.conninfo();
  auto connection = postgres::PgConnection::open(options);
  if (!connection) std::abort();
  while (!stop.stop_requested()) {
    const auto number = (*connection)
                            ->query_value(
                                "INSERT INTO public.ledger SELECT n + 1, hash, md5(hash || (n + "
                                "1)::text) FROM public.ledger ORDER BY n DESC "
                                "LIMIT 1 RETURNING n");
    if (!number) std::abort();
    // The commit record lies before this position.
    const auto position = (*connection)->query_value("SELECT pg_current_wal_insert_lsn()");
    if (!position) std::abort();
    ledger_.push_back({std::atoll(number->c_str()), parse_lsn(*position)->value});
  }
}

// The template of a copy by files is left alone: replay copies it as it is in the backup, so that
// what changed in it since comes along half ("Caveats" of PostgreSQL's chapter on continuous
// archiving).
void Load::storm(std::stop_token stop) {
  const std::vector<std::pair<const char*, const char*>> round = {
      {"storm", "CREATE TABLE s AS SELECT n, md5(n::text) AS t FROM generate_series(1, 20000) n"},
      {"storm", "CREATE INDEX ON s (t)"},
      {"storm", "DELETE FROM s WHERE n % 3 = 0"},
      {"storm", "VACUUM FULL s"},
      {"storm", "ALTER TABLE s SET UNLOGGED"},
      {"postgres", "CREATE DATABASE storm_copy TEMPLATE second STRATEGY file_copy"},
      {"storm", "ALTER TABLE s SET LOGGED"},
      {"storm", "REINDEX TABLE s"},
      {"storm", "CREATE TEMPORARY TABLE gone AS SELECT * FROM s"},
      {"postgres", "CHECKPOINT"},
      {"storm", "TRUNCATE s"},
      {"postgres", "CREATE DATABASE storm_log TEMPLATE second STRATEGY wal_log"},
      {"storm", "VACUUM"},
      {"storm", "DROP TABLE s"},
      {"postgres", "DROP DATABASE storm_copy"},
      {"postgres", "DROP DATABASE storm_log"},
  };
  while (!stop.stop_requested()) {
    for (const auto& [database, statement] : round)
      static_cast<void>(server_.query(statement, database));
    ++storm_rounds_;
  }
}

std::string ledger_fault(const PgServer& restored, const std::vector<LedgerEntry>& written,
                         std::uint64_t stop_lsn) {
  const auto broken = restored.query(
      "SELECT count(*) FROM ledger a WHERE n > 0 AND (hash <> md5(prev || n::text) OR NOT EXISTS "
      "(SELECT 1 FROM ledger b WHERE b.n = a.n - 1 AND b.hash = a.prev))");
  if (!broken) return broken.error().message();
  if (*broken != "0") return format("{} broken links", *broken);
  const auto last = restored.query("SELECT max(n) || ' ' || count(*) FROM ledger");
  if (!last) return last.error().message();
  const std::int64_t present = std::atoll(last->c_str());
  std::int64_t needed = 0;
  for (const LedgerEntry& entry : written) {
    if (entry.insert_lsn <= stop_lsn) needed = entry.number;
  }
  if (present < needed)
    return format("row {} was committed before the stop, the last one is {}", needed, present);
  // One commit may have been in flight when the writer stopped.
  if (!written.empty() && present > written.back().number + 1)
    return format("row {} was never written", present);
  return "";
}

}  // namespace haul::integration
