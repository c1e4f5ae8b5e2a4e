// A small server that does something of everything between two backups, by a seed.
//
// Threads:  one owner at a time, and a Load beside it.
// Errors:   what cannot fail in a test is asserted; SQL that may fail by chance (a table that an
//           earlier step dropped) does so silently.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

class RandomCluster {
 public:
  // `settings` are added to those that the seed decides. Nothing when it could not be made.
  static std::unique_ptr<RandomCluster> make(std::uint64_t seed,
                                             const std::vector<std::string>& settings);

  support::PgServer& server() const { return *server_; }
  // Where its tablespaces are, by name: "space0", "space1".
  const std::vector<std::string>& tablespaces() const { return tablespaces_; }

  // Some steps, drawn from the seed; then everything is on disk and nothing writes.
  void work();
  // What work() has done, for whoever has to understand a failure.
  const std::string& history() const { return history_; }

  std::uint64_t draw(std::uint64_t bound);

  // As long as it lives, a second connection changes tables of the server.
  class Load {
   public:
    explicit Load(RandomCluster& cluster);
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

   private:
    RandomCluster* cluster_;
    std::unique_ptr<RandomCluster> own_;
    std::jthread thread_;
  };

 private:
  explicit RandomCluster(std::uint64_t seed) : random_(seed) {}

  using Step = void (RandomCluster::*)();
  struct Choice {
    Step step;
    std::uint64_t weight;
  };
  static const std::span<const Choice> kStatements;
  static const std::span<const Choice> kOthers;

  void step(std::span<const Choice> choices);
  void sql(const std::string& statement, const std::string& database = "postgres");
  std::string table() { return "t" + std::to_string(draw(6)); }
  std::string database() { return "d" + std::to_string(draw(3)); }

  void create_table();
  void drop_table();
  void insert();
  void update();
  void remove();
  void truncate_by_vacuum();
  void truncate();
  void vacuum();
  void vacuum_full();
  void index();
  void move();
  void switch_logging();
  void create_database();
  void drop_database();
  void recreate_database_with_its_oid();
  void work_in_database();
  void prepare_and_drop();
  void big_values();
  void restart();
  void crash();
  void switch_checksums();
  void checkpoint();

  SeededRandom random_;
  std::shared_ptr<support::PgServer> server_;
  std::vector<std::string> tablespaces_;
  std::string history_;
};

}  // namespace haul::integration
