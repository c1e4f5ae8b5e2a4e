// A receiver whose disk fails, or whose machine loses power: nothing that was reported is lost.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/receiver.h"
#include "tests/unit/wal/fake_server.h"

namespace haul::wal {
namespace {

using testing::at_segment;
using testing::code_of;
using testing::kFirstSegment;
using testing::ReceiverFixture;

using Kind = io::SimFault::Kind;
using Repeat = io::SimFault::Repeat;

// Many flushes, merged pieces, a whole segment, a timeline switch and a tail behind it.
void make_eventful(ReceiverFixture& receiver) {
  receiver.options.flush_interval = {};
  receiver.server.message_bytes = 170'000;
  receiver.server.pauses = true;
  receiver.server.switches[1] = at_segment(kFirstSegment + 1, 200'000);
  receiver.server.timeline = 2;
  receiver.server.flushed = at_segment(kFirstSegment + 1, 600'000);
}

// Operations on the disk of a run that nothing disturbs.
std::uint64_t operations_of_run() {
  ReceiverFixture receiver;
  make_eventful(receiver);
  const std::uint64_t before = receiver.disk.operations();
  HAUL_ASSERT(receiver.receive().has_value());
  return receiver.disk.operations() - before;
}

void run_with_fault(Kind kind, Repeat repeat, std::uint64_t operation, std::uint64_t seed) {
  SCOPED_TRACE(::testing::Message() << "operation " << operation << ", seed " << seed);
  ReceiverFixture receiver;
  make_eventful(receiver);
  const std::uint64_t before = receiver.disk.operations();
  receiver.disk.set_fault({before + operation, kind, repeat});
  const auto outcome = receiver.receive();
  EXPECT_EQ(outcome.has_value(), false);
  EXPECT_EQ(receiver.side_of_failure, ReceiverEnvironment::Side::repository);
  const Lsn reported = receiver.server.reported();
  receiver.disk.crash(seed);
  receiver.reopen();
  EXPECT_TRUE(receiver.holds_everything_before(reported)) << to_string(reported);
  // The next one goes on without help.
  const auto again = receiver.receive();
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_TRUE(receiver.holds_everything_before(receiver.server.flushed));
}

TEST(ReceiverFaults, PowerLossTakesNothingThatWasReported) {
  const std::uint64_t operations = operations_of_run();
  ASSERT_GT(operations, 40U);
  for (std::uint64_t operation = 1; operation <= operations; ++operation) {
    run_with_fault(Kind::power_loss, Repeat::once, operation, operation);
    if (HasFailure()) break;
  }
}

TEST(ReceiverFaults, AFailingDiskEndsTheRunAndTakesNothingThatWasReported) {
  const std::uint64_t operations = operations_of_run();
  for (std::uint64_t operation = 1; operation <= operations; operation += 3) {
    run_with_fault(Kind::io_error, Repeat::from_then_on, operation, operation);
    if (HasFailure()) break;
  }
}

TEST(ReceiverFaults, AFullDiskEndsTheRun) {
  ReceiverFixture receiver;
  make_eventful(receiver);
  receiver.disk.set_fault({receiver.disk.operations() + 20, Kind::no_space, Repeat::from_then_on});
  EXPECT_EQ(code_of(receiver.receive()), ErrorCode::no_space);
  EXPECT_LT(receiver.server.reported(), receiver.server.flushed);
}

// A disk on which syncs do nothing is found out by the same test.
TEST(ReceiverFaults, ADiskThatIgnoresSyncsIsFoundOut) {
  for (const auto kind : {io::SimBreakage::Kind::file_sync_is_ignored,
                          io::SimBreakage::Kind::directory_sync_is_ignored}) {
    bool found_out = false;
    for (std::uint64_t seed = 1; seed < 20 && !found_out; ++seed) {
      ReceiverFixture receiver;
      make_eventful(receiver);
      receiver.disk.set_breakage({kind});
      HAUL_ASSERT(receiver.receive().has_value());
      receiver.disk.crash(seed);
      receiver.reopen();
      found_out = !receiver.holds_everything_before(receiver.server.reported());
    }
    EXPECT_TRUE(found_out);
  }
}

}  // namespace
}  // namespace haul::wal
