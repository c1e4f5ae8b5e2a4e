// Two servers with one history go separate ways on the same timeline and push as one cluster. Who
// came first has the archive; the others are told, keep their WAL, and change nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kHistory = "00000002.history";

// Three clones of one server, each promoted before any of them archives: all are on timeline 2.
// The first and the second leave timeline 1 at the same place, the third earlier.
class Clones : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    workshop_ = std::make_unique<Workshop>();
    make_origin();
    if (HasFatalFailure()) return;
    first_ = make_clone("first", "--target latest");
    second_ = make_clone("second", "--target latest");
    third_ = make_clone("third", "--target-lsn " + early_);
    if (HasFailure()) return;
    open_gate("first");
    const std::string segment = end_segment(*first_);
    wait_until([&] {
      return first_->query("SELECT max(last_archived_wal) FROM pg_stat_archiver").value_or("") >=
             segment;
    });
  }
  static void TearDownTestSuite() {
    for (auto* clone : {&first_, &second_, &third_}) clone->reset();
    workshop_.reset();
  }
  void SetUp() override { ASSERT_FALSE(HasFailure()) << "there are no clones"; }

  static std::string repo() { return workshop_->path("repo"); }
  static std::string gate(const std::string& name) { return workshop_->path("gate-" + name); }
  static void open_gate(const std::string& name) {
    ASSERT_EQ(workshop_->shell_as_server("touch " + gate(name)).status, 0);
  }
  template <typename Condition>
  static void wait_until(const Condition& condition) {
    for (int i = 0; i < 600 && !condition(); ++i) workshop_->shell("sleep 0.1");
    EXPECT_TRUE(condition());
  }
  // With something in it: from 17 on the server names the segment that begins where another one
  // has just ended.
  static std::string end_segment(const PgServer& server) {
    EXPECT_TRUE(server.query("SELECT pg_logical_emit_message(false, 'pghaul', 'end')"));
    return server.query("SELECT pg_walfile_name(pg_switch_wal())").value_or("?");
  }

  static void make_origin() {
    ASSERT_EQ(workshop_->pghaul("init --repo " + repo()).status, 0);
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    // A server's working directory is its data directory. Its gate has to be open.
    options.settings = {
        "archive_mode = on",
        format("archive_command = 'test -e \"{}$(basename \"$PWD\")\" && exec {} wal push --repo "
               "{} %p'",
               gate(""), workshop_->path("pghaul"), repo())};
    auto made = PgServer::create(options);
    ASSERT_TRUE(made) << made.error().message();
    const std::unique_ptr<PgServer> origin = std::move(made).take();
    open_gate("data");
    ASSERT_TRUE(origin->start());
    ASSERT_TRUE(origin->query("CREATE TABLE lives (name text)"));
    const Outcome backup = workshop_->pghaul(
        format("backup --repo {} -D {} -c fast -q", repo(), origin->data_directory()));
    ASSERT_EQ(backup.status, 0) << backup.err;
    ASSERT_TRUE(origin->query("INSERT INTO lives VALUES ('early')"));
    early_ = origin->query("SELECT pg_current_wal_insert_lsn()").value_or("?");
    ASSERT_TRUE(origin->query("INSERT INTO lives VALUES ('late')"));
    const std::string last = end_segment(*origin);
    wait_until([&] {
      return origin->query("SELECT max(last_archived_wal) FROM pg_stat_archiver").value_or("") >=
             last;
    });
    ASSERT_TRUE(origin->stop(PgServer::StopMode::immediate));
  }

  // Promoted, and with a life of its own.
  static std::unique_ptr<PgServer> make_clone(const std::string& name, const std::string& options) {
    const std::string target = workshop_->path(name);
    const Outcome restored = workshop_->pghaul(
        format("restore --repo {} -D {} -q --take-over {}", repo(), target, options));
    EXPECT_EQ(restored.status, 0) << restored.err;
    auto adopted = PgServer::adopt(target);
    EXPECT_TRUE(adopted) << adopted.error().message();
    if (!adopted) return nullptr;
    std::unique_ptr<PgServer> clone = std::move(adopted).take();
    EXPECT_TRUE(clone->start());
    wait_until([&] { return clone->query("SELECT pg_is_in_recovery()").value_or("t") == "f"; });
    EXPECT_TRUE(clone->query(format("INSERT INTO lives VALUES ('{}')", name)));
    end_segment(*clone);
    EXPECT_EQ(clone->query("SELECT timeline_id FROM pg_control_checkpoint()").value_or("?"), "2");
    return clone;
  }

  // Everything that the repository holds.
  static std::string contents() {
    return workshop_->shell(format("find {} -type f -exec sha256sum {{}} + | sort", repo())).out;
  }
  static std::string log(const PgServer& server) {
    return support::read_whole_file(server.log_file()).value_or("");
  }
  // From now on it archives, and fails with this.
  static void expect_archiver_refused(const std::string& name, const PgServer& clone,
                                      const std::string& file) {
    open_gate(name);
    end_segment(clone);
    const std::string refusal = file + " is in the archive with another content";
    wait_until([&] { return log(clone).contains(refusal); });
    EXPECT_THAT(log(clone), HasSubstr("HINT:  two servers with one history push as one cluster"));
    // A server removes what is archived, and nothing else.
    EXPECT_TRUE(clone.query("CHECKPOINT"));
    for (const std::string& kept : {file, "archive_status/" + file + ".ready"}) {
      EXPECT_EQ(
          workshop_->shell(format("test -e {}/pg_wal/{}", clone.data_directory(), kept)).status, 0)
          << kept;
    }
    EXPECT_TRUE(clone.is_running());
  }
  static std::string first_segment(const PgServer& clone) {
    std::string names =
        workshop_
            ->shell(format("ls {}/pg_wal | grep '^00000002.\\{{16\\}}$'", clone.data_directory()))
            .out;
    return names.substr(0, names.find('\n'));
  }
  static Outcome push(const PgServer& clone, const std::string& file, const std::string& options) {
    return workshop_->pghaul(format("wal push --repo {} {} {}/pg_wal/{}", repo(), options,
                                    clone.data_directory(), file));
  }

  static std::unique_ptr<Workshop> workshop_;
  static std::string early_;
  static std::unique_ptr<PgServer> first_;
  static std::unique_ptr<PgServer> second_;
  static std::unique_ptr<PgServer> third_;
};

std::unique_ptr<Workshop> Clones::workshop_;
std::string Clones::early_;
std::unique_ptr<PgServer> Clones::first_;
std::unique_ptr<PgServer> Clones::second_;
std::unique_ptr<PgServer> Clones::third_;

// The same history is the same file. What follows is not.
TEST_F(Clones, SegmentOfTheSameNameIsRefused) {
  const std::string before = contents();
  const std::string segment = first_segment(*second_);
  expect_archiver_refused("second", *second_, segment);
  const Outcome again = push(*second_, segment, "");
  EXPECT_EQ(again.status, 1) << again.err;
  EXPECT_THAT(again.err, HasSubstr(segment + " is in the archive with another content"));
  EXPECT_EQ(contents(), before);
}

// Whatever a batch takes along comes after what was refused.
TEST_F(Clones, BatchBringsNothingPastARefusedSegment) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(second_->query("INSERT INTO lives VALUES ('second')"));
    end_segment(*second_);
  }
  const std::string before = contents();
  const Outcome outcome = push(*second_, kHistory, "--batch 16");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("warning: taking further WAL along: "));
  EXPECT_EQ(contents(), before);
}

TEST_F(Clones, HistoryThatLeavesElsewhereIsRefused) {
  const std::string before = contents();
  expect_archiver_refused("third", *third_, kHistory);
  const Outcome again = push(*third_, kHistory, "--batch 16");
  EXPECT_EQ(again.status, 1) << again.err;
  EXPECT_THAT(again.err, HasSubstr("00000002.history is in the archive with another content"));
  EXPECT_EQ(contents(), before);
}

TEST_F(Clones, FirstStaysRestorable) {
  const Outcome list = workshop_->pghaul("wal list --repo " + repo());
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_THAT(list.out, Not(HasSubstr("missing")));
  EXPECT_EQ(workshop_->pghaul("verify --data --repo " + repo()).status, 0);
  const std::string target = workshop_->path("restored");
  const Outcome restored = workshop_->pghaul(
      format("restore --repo {} -D {} -q --target-timeline latest", repo(), target));
  ASSERT_EQ(restored.status, 0) << restored.err;
  auto adopted = PgServer::adopt(target);
  ASSERT_TRUE(adopted) << adopted.error().message();
  ASSERT_TRUE((*adopted)->start());
  wait_until([&] { return (*adopted)->query("SELECT pg_is_in_recovery()").value_or("t") == "f"; });
  EXPECT_EQ((*adopted)->query("SELECT string_agg(name, ' ') FROM lives").value_or("?"),
            "early late first");
}

}  // namespace
}  // namespace haul::integration
