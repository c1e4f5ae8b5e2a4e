// One scratch server for a suite of tests, and shorthands to connect to it.
//
// Threads:  one owner at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "engine/postgres/backup_session.h"
#include "engine/postgres/connection.h"
#include "tests/support/pg_server.h"

namespace haul::postgres {

// Asks until the answer is yes, for what other processes do in their own time.
inline bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

template <typename T>
::testing::AssertionResult succeeded(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << to_string(result.error().code()) << ": " << result.error().message();
}

class RunningServer : public ::testing::Test {
 protected:
  void SetUp() override { serve({}); }

  void serve(const support::PgServerOptions& options) {
    auto created = support::PgServer::create(options);
    ASSERT_TRUE(succeeded(created));
    server_ = std::move(created).take();
    ASSERT_TRUE(succeeded(server_->start()));
  }

  ConnectionOptions connection_options(const std::string& user = "postgres") const {
    ConnectionOptions options;
    options.conninfo = server_->conninfo(user);
    return options;
  }

  SessionOptions session_options(const std::string& user = "postgres") const {
    SessionOptions options;
    options.connection = connection_options(user);
    options.ping_interval = std::chrono::milliseconds(20);
    options.ping_timeout = std::chrono::milliseconds(5000);
    return options;
  }

  std::string query(const std::string& sql) const {
    auto answer = server_->query(sql);
    EXPECT_TRUE(succeeded(answer)) << sql;
    return answer.value_or("");
  }

  // Until it is gone.
  void terminate(const std::string& pid) const {
    query("SELECT pg_terminate_backend(" + pid + ")");
    EXPECT_TRUE(eventually(
        [&] { return query("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid) == "0"; }));
  }

  std::unique_ptr<support::PgServer> server_;
};

}  // namespace haul::postgres
