#include "engine/postgres/connection.h"

#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/postgres/session_fixture.h"

namespace haul::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PgConnectionTest : public RunningServer {
 protected:
  std::unique_ptr<PgConnection> connect() {
    auto opened = PgConnection::open(connection_options());
    EXPECT_TRUE(succeeded(opened));
    return std::move(opened).take();
  }
};

TEST_F(PgConnectionTest, QueryReturnsTextAndNull) {
  const auto connection = connect();
  const Rows rows =
      connection->query("SELECT $1::text AS a, NULL AS b, $2::text", {"it's", {}}).value();
  ASSERT_EQ(rows.count(), 1U);
  EXPECT_EQ(rows.columns.at(0), "a");
  EXPECT_EQ(rows.values[0][0], "it's");
  EXPECT_EQ(rows.values[0][1], std::nullopt);
  EXPECT_EQ(rows.values[0][2], std::nullopt);
}

TEST_F(PgConnectionTest, EmptyAnswerHasNoRowsAndIsNoSingleRow) {
  const auto connection = connect();
  EXPECT_EQ(connection->query("SELECT 1 WHERE false").value().count(), 0U);
  EXPECT_EQ(connection->query_row("SELECT 1 WHERE false").error().code(), ErrorCode::server_state);
  EXPECT_EQ(connection->query_value("SELECT NULL").error().code(), ErrorCode::server_state);
  EXPECT_EQ(connection->query_value("SELECT 1, 2").error().code(), ErrorCode::server_state);
}

TEST_F(PgConnectionTest, ServerErrorIsOneLineAndLeavesTheConnectionUsable) {
  const auto connection = connect();
  const auto failed = connection->query("SELECT 1/0");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::server_state);
  EXPECT_TRUE(failed.error().message().ends_with("division by zero")) << failed.error().message();
  EXPECT_EQ(connection->last_sqlstate(), "22012");
  EXPECT_EQ(connection->query_value("SELECT 2").value(), "2");
  EXPECT_EQ(connection->last_sqlstate(), "");
}

TEST_F(PgConnectionTest, HintOfTheServerIsKept) {
  const auto connection = connect();
  const auto failed = connection->query("SELECT no_such_function(1)");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().hint(), "");
}

TEST_F(PgConnectionTest, SessionIsPrepared) {
  ASSERT_TRUE(
      server_->query("ALTER ROLE postgres SET statement_timeout = '1min';"
                     "ALTER ROLE postgres SET search_path = public;"));
  const bool has_session_timeout = support::pg_major() >= 14;
  if (has_session_timeout) query("ALTER ROLE postgres SET idle_session_timeout = '1min'");
  const auto connection = connect();
  const auto setting = [&](const std::string& name) {
    return connection->query_value("SELECT current_setting($1)", {name}).value();
  };
  EXPECT_EQ(setting("application_name"), "pghaul");
  EXPECT_EQ(setting("statement_timeout"), "0");
  EXPECT_EQ(setting("lock_timeout"), "0");
  if (has_session_timeout) {
    EXPECT_EQ(setting("idle_session_timeout"), "0");
  }
  EXPECT_EQ(setting("idle_in_transaction_session_timeout"), "0");
  EXPECT_EQ(setting("search_path"), "pg_catalog");
  EXPECT_EQ(setting("TimeZone"), "UTC");
}

TEST_F(PgConnectionTest, DatabaseIsPostgresUnlessNamed) {
  ConnectionOptions options;
  options.host = server_->socket_directory();
  options.port = "54321";
  options.user = "postgres";
  const auto by_default =
      PgConnection::open(options).value()->query_value("SELECT current_database()");
  EXPECT_EQ(by_default.value(), "postgres");
  options.dbname = "template1";
  const auto named = PgConnection::open(options).value()->query_value("SELECT current_database()");
  EXPECT_EQ(named.value(), "template1");
  options.dbname.clear();
  options.conninfo = "template1";
  const auto alone = PgConnection::open(options).value()->query_value("SELECT current_database()");
  EXPECT_EQ(alone.value(), "template1");
  options.conninfo = "dbname=template1 user=nobody";
  const auto within = PgConnection::open(options).value()->query_value(
      "SELECT current_database() || ' ' || current_user");
  EXPECT_EQ(within.value(), "template1 postgres");
}

TEST_F(PgConnectionTest, UnreachableServerIsServerState) {
  ASSERT_TRUE(server_->stop());
  const auto opened = PgConnection::open(connection_options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::server_state);
  EXPECT_EQ(opened.error().message().find('\n'), std::string::npos);
}

TEST_F(PgConnectionTest, TerminatedSessionIsLostAndStaysClosed) {
  const auto connection = connect();
  terminate(std::to_string(connection->backend_pid()));
  EXPECT_EQ(connection->query("SELECT 1").error().code(), ErrorCode::server_state);
  EXPECT_FALSE(connection->is_open());
  EXPECT_EQ(connection->query("SELECT 1").error().code(), ErrorCode::server_state);
}

TEST_F(PgConnectionTest, QueryTimeoutGivesUpTheConnection) {
  const auto connection = connect();
  connection->set_query_timeout(milliseconds(200));
  const auto failed = connection->query("SELECT pg_sleep(30)");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::server_state);
  EXPECT_FALSE(connection->is_open());
}

TEST_F(PgConnectionTest, CancelEndsARunningQuery) {
  const auto connection = connect();
  std::jthread canceller([&] {
    EXPECT_TRUE(eventually([&] {
      return query("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'") ==
             "1";
    }));
    connection->cancel();
  });
  const auto began = std::chrono::steady_clock::now();
  const auto failed = connection->query("SELECT pg_sleep(60)");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::interrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(30));
}

TEST_F(PgConnectionTest, QueryAfterCancelIsNotRun) {
  const auto connection = connect();
  connection->cancel();
  EXPECT_EQ(connection->query("CREATE TABLE public.t ()").error().code(), ErrorCode::interrupted);
  EXPECT_EQ(query("SELECT to_regclass('public.t') IS NULL"), "t");
}

TEST_F(PgConnectionTest, AnswerLargerThanTheLimitIsRefused) {
  const auto connection = connect();
  const auto failed = connection->query("SELECT repeat('x', 1000000) FROM generate_series(1, 100)");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::server_state);
  EXPECT_FALSE(connection->is_open());
}

}  // namespace
}  // namespace haul::postgres
