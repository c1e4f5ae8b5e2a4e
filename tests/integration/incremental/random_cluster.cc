#include "tests/integration/incremental/random_cluster.h"

#include <array>

#include <gtest/gtest.h>

#include "base/format.h"

namespace haul::integration {

using support::PgServer;
using support::PgServerOptions;

std::unique_ptr<RandomCluster> RandomCluster::make(std::uint64_t seed,
                                                   const std::vector<std::string>& settings) {
  std::unique_ptr<RandomCluster> cluster(new RandomCluster(seed));
  PgServerOptions options;
  const bool checksums = cluster->draw(2) == 0;
  options.checksums = checksums ? PgServerOptions::Checksums::on : PgServerOptions::Checksums::off;
  options.wal_segment_size_mb = cluster->draw(2) == 0 ? 1 : 16;
  // Nothing writes but what work() does: what is on disk when it returns stays as it is.
  options.settings = {"autovacuum = off",        "bgwriter_lru_maxpages = 0",
                      "checkpoint_timeout = 1d", "max_prepared_transactions = 4",
                      "wal_level = replica",     "min_wal_size = 80MB"};
  // Without either a page may change and its WAL not say so.
  if (!checksums) options.settings.emplace_back("wal_log_hints = on");
  options.settings.insert(options.settings.end(), settings.begin(), settings.end());
  auto made = PgServer::create(options);
  EXPECT_TRUE(made) << made.error().message();
  if (!made) return nullptr;
  cluster->server_ = std::move(made).take();
  const Status started = cluster->server_->start();
  EXPECT_TRUE(started) << started.error().message();
  if (!started) return nullptr;
  for (int i = 0; i < 2; ++i) {
    cluster->tablespaces_.push_back(
        cluster->server_->make_directory("space" + std::to_string(i)).value());
    cluster->sql(
        format("CREATE TABLESPACE space{} LOCATION '{}'", i, cluster->tablespaces_.back()));
  }
  for (int i = 0; i < 4; ++i) cluster->create_table();
  return cluster;
}

std::uint64_t RandomCluster::draw(std::uint64_t bound) {
  std::array<std::byte, 8> bytes{};
  HAUL_ASSERT(random_.fill(bytes).has_value());
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8U | std::to_integer<std::uint64_t>(byte);
  return value % bound;
}

void RandomCluster::sql(const std::string& statement, const std::string& database) {
  const auto done = server_->query(statement, database);
  history_ += format("{}: {}{}\n", database, statement, done ? "" : "  -- failed");
}

void RandomCluster::create_table() {
  const std::string name = table();
  const std::string kind = draw(6) == 0 ? "UNLOGGED " : "";
  sql(
      format("CREATE {0}TABLE {1} (n bigint, v text, w bytea){2}; "
             "INSERT INTO {1} SELECT g, md5(g::text), decode(md5(g::text), 'hex') "
             "FROM generate_series(1, {3}) g; CREATE INDEX {1}_n ON {1} (n)",
             kind, name, draw(3) == 0 ? " WITH (fillfactor = 70)" : "", 1 + draw(40'000)));
}

void RandomCluster::drop_table() { sql("DROP TABLE " + table()); }

void RandomCluster::insert() {
  const std::uint64_t begin = draw(1'000'000);
  sql(format("INSERT INTO {} SELECT g, md5(g::text) FROM generate_series({}, {}) g", table(), begin,
             begin + draw(20'000)));
}

void RandomCluster::update() {
  const std::uint64_t step = 2 + draw(5'000);
  sql(format("UPDATE {} SET v = md5(v) WHERE n % {} = {}", table(), step, draw(step)));
}

void RandomCluster::remove() {
  const std::uint64_t step = 2 + draw(50);
  sql(format("DELETE FROM {} WHERE n % {} = {}", table(), step, draw(step)));
}

// The end of the table goes, and often comes back later.
void RandomCluster::truncate_by_vacuum() {
  const std::string name = table();
  sql(format("DELETE FROM {0} WHERE ctid > '({1},0)'; ", name, draw(300)));
  sql("VACUUM " + name);
  if (draw(2) == 0) {
    sql(format("INSERT INTO {} SELECT g, 'again' || g FROM generate_series(1, {}) g", name,
               draw(30'000)));
  }
}

void RandomCluster::truncate() { sql("TRUNCATE " + table()); }

void RandomCluster::vacuum() {
  sql(format("VACUUM {} {}", draw(3) == 0 ? "(FREEZE)" : "", table()));
}

void RandomCluster::vacuum_full() { sql("VACUUM FULL " + table()); }

void RandomCluster::index() {
  const std::string name = table();
  if (draw(2) == 0) {
    sql(format("REINDEX TABLE {}", name));
  } else {
    sql(format("CREATE INDEX ON {} USING {} (v)", name,
               std::array{"btree", "hash", "brin"}.at(draw(3))));
  }
}

void RandomCluster::move() {
  sql(format("ALTER TABLE {} SET TABLESPACE {}", table(),
             std::array{"space0", "space1", "pg_default"}.at(draw(3))));
}

void RandomCluster::switch_logging() {
  sql(format("ALTER TABLE {} SET {}", table(), draw(2) == 0 ? "LOGGED" : "UNLOGGED"));
}

void RandomCluster::create_database() {
  const std::string strategy =
      support::pg_major() < 15 ? "" : format("STRATEGY {}", draw(2) == 0 ? "wal_log" : "file_copy");
  // A template that holds something.
  const std::string origin = draw(3) == 0 ? "d0" : "template1";
  sql(format("CREATE DATABASE {} TEMPLATE {} {} {}", database(), origin, strategy,
             draw(3) == 0 ? "TABLESPACE space0" : ""));
}

void RandomCluster::drop_database() { sql("DROP DATABASE " + database()); }

// Its files get the names that files of the dropped one had.
void RandomCluster::recreate_database_with_its_oid() {
  if (support::pg_major() < 15) return;
  const std::string name = database();
  const auto oid = server_->query(format("SELECT oid FROM pg_database WHERE datname = '{}'", name));
  if (!oid || oid->empty()) return;
  sql("DROP DATABASE " + name);
  sql(format("CREATE DATABASE {} OID {} STRATEGY {}", name, *oid,
             draw(2) == 0 ? "wal_log" : "file_copy"));
  if (draw(2) == 0) {
    sql("CREATE TABLE t0 AS SELECT g n, md5(g::text) v FROM generate_series(1, 5000) g", name);
  }
}

void RandomCluster::work_in_database() {
  const std::string name = database();
  sql("CREATE TABLE IF NOT EXISTS t0 (n bigint, v text)", name);
  sql(format("INSERT INTO t0 SELECT g, md5(g::text) FROM generate_series(1, {}) g", draw(10'000)),
      name);
}

void RandomCluster::prepare_and_drop() {
  const std::string name = table();
  sql(format("BEGIN; DROP TABLE {}; PREPARE TRANSACTION 'p'", name));
  sql(draw(2) == 0 ? "COMMIT PREPARED 'p'" : "ROLLBACK PREPARED 'p'");
}

void RandomCluster::big_values() {
  sql(
      format("INSERT INTO {} SELECT g, (SELECT string_agg(md5(i::text || g), '') "
             "FROM generate_series(1, {}) i) FROM generate_series(1, {}) g",
             table(), 100 + draw(300), 1 + draw(60)));
}

void RandomCluster::restart() {
  history_ += "restart\n";
  const Status restarted = server_->restart();
  ASSERT_TRUE(restarted) << restarted.error().message();
}

void RandomCluster::crash() {
  history_ += "crash\n";
  ASSERT_TRUE(server_->stop(PgServer::StopMode::immediate));
  const Status started = server_->start();
  ASSERT_TRUE(started) << started.error().message();
}

// Pages are rewritten, and their LSNs stay.
void RandomCluster::switch_checksums() {
  ASSERT_TRUE(server_->stop());
  const auto now = server_->run({"pg_controldata", server_->data_directory()});
  ASSERT_TRUE(now) << now.error().message();
  const bool on = now->find("Data page checksum version:           0") == std::string::npos;
  history_ += on ? "checksums off\n" : "checksums on\n";
  const auto done = server_->run(
      {"pg_checksums", on ? "--disable" : "--enable", "-N", "-D", server_->data_directory()});
  ASSERT_TRUE(done) << done.error().message();
  if (on) {
    ASSERT_TRUE(server_->configure({"wal_log_hints = on"}));
  }
  const Status started = server_->start();
  ASSERT_TRUE(started) << started.error().message();
}

void RandomCluster::checkpoint() { sql("CHECKPOINT"); }

// What changes tables, and any two sessions may do at the same time.
const std::span<const RandomCluster::Choice> RandomCluster::kStatements = [] {
  static constexpr std::array kChoices = {
      Choice{&RandomCluster::create_table, 6}, Choice{&RandomCluster::drop_table, 2},
      Choice{&RandomCluster::insert, 10},      Choice{&RandomCluster::update, 16},
      Choice{&RandomCluster::remove, 6},       Choice{&RandomCluster::truncate_by_vacuum, 8},
      Choice{&RandomCluster::truncate, 3},     Choice{&RandomCluster::vacuum, 8},
      Choice{&RandomCluster::vacuum_full, 3},  Choice{&RandomCluster::index, 4},
      Choice{&RandomCluster::move, 4},         Choice{&RandomCluster::switch_logging, 3},
      Choice{&RandomCluster::big_values, 4},   Choice{&RandomCluster::checkpoint, 6}};
  return std::span<const Choice>(kChoices);
}();

const std::span<const RandomCluster::Choice> RandomCluster::kOthers = [] {
  static constexpr std::array kChoices = {Choice{&RandomCluster::create_database, 3},
                                          Choice{&RandomCluster::drop_database, 2},
                                          Choice{&RandomCluster::recreate_database_with_its_oid, 2},
                                          Choice{&RandomCluster::work_in_database, 3},
                                          Choice{&RandomCluster::prepare_and_drop, 2},
                                          Choice{&RandomCluster::restart, 1},
                                          Choice{&RandomCluster::crash, 2},
                                          Choice{&RandomCluster::switch_checksums, 1}};
  return std::span<const Choice>(kChoices);
}();

namespace {

template <typename Choice>
std::uint64_t weight_of(std::span<const Choice> choices) {
  std::uint64_t all = 0;
  for (const Choice& choice : choices) all += choice.weight;
  return all;
}

}  // namespace

void RandomCluster::step(std::span<const Choice> choices) {
  std::uint64_t drawn = draw(weight_of(choices));
  for (const Choice& choice : choices) {
    if (drawn < choice.weight) return (this->*choice.step)();
    drawn -= choice.weight;
  }
}

void RandomCluster::work() {
  const std::uint64_t statements = weight_of(kStatements);
  for (std::uint64_t left = 1 + draw(8); left > 0; --left) {
    step(draw(statements + weight_of(kOthers)) < statements ? kStatements : kOthers);
  }
  history_ += "backup\n";
}

RandomCluster::Load::Load(RandomCluster& cluster)
    : cluster_(&cluster), own_(new RandomCluster(cluster.draw(UINT64_MAX))) {
  own_->server_ = cluster.server_;
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) own_->step(kStatements);
  });
}

RandomCluster::Load::~Load() {
  thread_.request_stop();
  thread_.join();
  cluster_->history_ += "beside it:\n" + own_->history_;
}

}  // namespace haul::integration
