#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/cli/cli_fixture.h"
#include "tools/pghaul/exit_status.h"
#include "tools/pghaul/service_notifier.h"

namespace haul::cli {
namespace {

using testing::HasSubstr;

class WalReceive : public testing::Test {
 protected:
  WalReceive() { pghaul.make_cluster_and_repository(); }
  Outcome run(const std::vector<std::string>& options) {
    std::vector<std::string> words = {"wal", "receive", "--host=/nonexistent"};
    words.insert(words.end(), options.begin(), options.end());
    return pghaul.on_repository(words);
  }

  Program pghaul;
};

TEST_F(WalReceive, AServerThatIsNotThereIsStatus15) {
  const Outcome outcome = run({});
  EXPECT_EQ(outcome.status, kServer);
  EXPECT_THAT(outcome.err, HasSubstr("/nonexistent"));
}

TEST_F(WalReceive, WrongOptionsAreUsageAndSayWhich) {
  for (const char* wrong : {"--flush-interval=soon", "--flush-interval=61s"}) {
    const Outcome outcome = run({wrong});
    EXPECT_EQ(outcome.status, kUsage) << wrong;
    EXPECT_THAT(outcome.err, HasSubstr("--flush-interval"));
  }
  EXPECT_EQ(run({"--slot=Not-A-Slot"}).status, kUsage);
  EXPECT_EQ(run({"--dbname=host=/x password=y"}).status, kUsage);
}

TEST_F(WalReceive, StoppedBeforeItBeganIsDone) {
  pghaul.stop.request_stop();
  const Outcome outcome = run({"--json"});
  EXPECT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_EQ(outcome.json().uint_at("sessions").value(), 0U);
}

TEST_F(WalReceive, StoppedBeforeItBeganSaysThatNothingCame) {
  pghaul.stop.request_stop();
  EXPECT_EQ(run({}).out, "nothing was received\n");
  EXPECT_EQ(run({"--quiet"}).out, "");
}

TEST(WalReceiveWithoutRepository, IsStatus10) {
  Program pghaul;
  EXPECT_EQ(pghaul.on_repository({"wal", "receive"}).status, kNoRepository);
}

// As systemd listens.
class Listener {
 public:
  explicit Listener(const std::string& name) : socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(name, address.sun_path);
    if (name.front() == '@') address.sun_path[0] = '\0';
    const std::size_t length = offsetof(sockaddr_un, sun_path) + name.size();
    EXPECT_EQ(
        ::bind(socket_, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length)), 0);
  }
  ~Listener() { ::close(socket_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // What came, or nothing.
  std::string heard() const {
    char buffer[512];
    const ssize_t size = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(buffer, static_cast<std::size_t>(size));
  }

 private:
  int socket_;
};

class NotifyPlatform final : public PosixPlatform {
 public:
  std::optional<std::string> variable(const std::string& name) override {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  }
  Clock& clock() override { return manual; }

  std::map<std::string, std::string> variables;
  support::ManualClock manual;
};

class Notifier : public testing::Test {
 protected:
  support::TemporaryDirectory directory;
  const std::string path = directory.path() + "/notify";
  NotifyPlatform platform;
};

TEST_F(Notifier, SendsToTheSocketThatTheEnvironmentNames) {
  const Listener listener(path);
  platform.variables["NOTIFY_SOCKET"] = path;
  ServiceNotifier(platform).send("READY=1\nSTATUS=ok");
  EXPECT_EQ(listener.heard(), "READY=1\nSTATUS=ok");
}

TEST_F(Notifier, SendsToAnAbstractSocket) {
  const std::string name = format("@pghaul-test-{}", ::getpid());
  const Listener listener(name);
  platform.variables["NOTIFY_SOCKET"] = name;
  ServiceNotifier(platform).send("READY=1");
  EXPECT_EQ(listener.heard(), "READY=1");
}

TEST_F(Notifier, SaysNothingWithoutAManagerOrWhenItDoesNotListen) {
  ServiceNotifier(platform).send("READY=1");
  platform.variables["NOTIFY_SOCKET"] = path;
  ServiceNotifier(platform).send("READY=1");
  platform.variables["NOTIFY_SOCKET"] = std::string(200, 'x');
  ServiceNotifier(platform).send("READY=1");
}

TEST_F(Notifier, FeedsTheWatchdogTwiceInItsInterval) {
  const Listener listener(path);
  platform.variables["NOTIFY_SOCKET"] = path;
  platform.variables["WATCHDOG_USEC"] = "1000000";
  ServiceNotifier notifier(platform);
  notifier.alive();
  EXPECT_EQ(listener.heard(), "WATCHDOG=1");
  platform.manual.advance(std::chrono::milliseconds{499});
  notifier.alive();
  EXPECT_EQ(listener.heard(), "");
  platform.manual.advance(std::chrono::milliseconds{1});
  notifier.alive();
  EXPECT_EQ(listener.heard(), "WATCHDOG=1");
}

TEST_F(Notifier, FeedsNoWatchdogThatIsNotItsOwn) {
  const Listener listener(path);
  platform.variables["NOTIFY_SOCKET"] = path;
  ServiceNotifier(platform).alive();
  platform.variables["WATCHDOG_USEC"] = "nonsense";
  ServiceNotifier(platform).alive();
  platform.variables["WATCHDOG_USEC"] = "1000000";
  platform.variables["WATCHDOG_PID"] = format("{}", ::getpid() + 1);
  ServiceNotifier(platform).alive();
  EXPECT_EQ(listener.heard(), "");
  platform.variables["WATCHDOG_PID"] = format("{}", ::getpid());
  ServiceNotifier(platform).alive();
  EXPECT_EQ(listener.heard(), "WATCHDOG=1");
}

}  // namespace
}  // namespace haul::cli
