#include "engine/postgres/connection.h"

#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

Error refusal_of(const std::string& conninfo) {
  ConnectionOptions options;
  options.conninfo = conninfo;
  auto opened = PgConnection::open(options);
  EXPECT_FALSE(opened);
  return opened ? Error(ErrorCode::io, "opened") : std::move(opened).take_error();
}

TEST(PgConnection, UnparsableConnectionStringIsUsageAndNotQuoted) {
  const Error error = refusal_of("host=/x hunter2");
  EXPECT_EQ(error.code(), ErrorCode::usage);
  EXPECT_EQ(error.message().find("hunter2"), std::string::npos);
}

TEST(PgConnection, PasswordInTheConnectionStringIsUsageAndNotQuoted) {
  for (const char* conninfo : {"host=/x password=hunter2", "postgresql://me:hunter2@localhost/db",
                               "host=/x sslpassword=hunter2"}) {
    const Error error = refusal_of(conninfo);
    EXPECT_EQ(error.code(), ErrorCode::usage) << conninfo;
    EXPECT_EQ(error.message().find("hunter2"), std::string::npos);
    EXPECT_NE(error.hint(), "");
  }
}

TEST(PgConnection, MissingSocketIsServerState) {
  const Error error = refusal_of("host=/nonexistent/directory");
  EXPECT_EQ(error.code(), ErrorCode::server_state);
  EXPECT_NE(error.message().find("/nonexistent/directory"), std::string::npos);
  EXPECT_EQ(error.message().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace haul::postgres
