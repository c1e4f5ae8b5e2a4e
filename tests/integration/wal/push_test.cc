// A server archives with pghaul while its pushes are killed: what it was told is archived, is.

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using support::PgServer;
using testing::HasSubstr;
using testing::IsEmpty;

bool in_full() { return std::getenv("PGHAUL_TEST_FULL") != nullptr; }

// As an archive_command: keeps a copy of what it is given, kills some of its pushes after a random
// time and tries again, and notes what was acknowledged.
//
// $1: %p   $2: directory for copies and notes   $3...: the push
constexpr const char* kKillingArchiver = R"sh(#!/bin/bash
file=$1
notes=$2
shift 2
name=${file##*/}
cp "$file" "$notes/copy/$name.new" && mv "$notes/copy/$name.new" "$notes/copy/$name"
for attempt in 1 2 3 4 5 6 7 8; do
  "$@" "$file" &
  push=$!
  if ((attempt < 8 && RANDOM % 2)); then
    sleep "0.0$((RANDOM % 4))$((RANDOM % 10))"
    kill -KILL $push 2>/dev/null && echo "$name" >>"$notes/killed"
  fi
  wait $push && echo "$name" >>"$notes/acknowledged" && exit 0
done
exit 1
)sh";

class WalPush : public testing::Test {
 protected:
  void SetUp() override {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    options.settings = {"archive_mode = on", "max_wal_size = 64MB", "min_wal_size = 2MB"};
    auto made = PgServer::create(options);
    ASSERT_TRUE(made) << made.error().message();
    server_ = std::move(made).take();
    ASSERT_EQ(workshop_.pghaul("init --repo " + repo_).status, 0);
  }

  void archive_by(const std::string& command) {
    ASSERT_TRUE(server_->configure({format("archive_command = '{}'", command)}));
    ASSERT_TRUE(server_->start());
  }
  std::string push_command() const {
    return format("{} wal push --repo {}", workshop_.path("pghaul"), repo_);
  }
  // Until this segment is archived, or the test has waited long enough.
  void wait_for_archiver(const std::string& segment) {
    for (int i = 0; i < (in_full() ? 12'000 : 1200); ++i) {
      const auto last =
          server_->query("SELECT coalesce(max(last_archived_wal), '') FROM pg_stat_archiver");
      ASSERT_TRUE(last) << last.error().message();
      if (*last >= segment) return;
      workshop_.shell("sleep 0.1");
    }
    FAIL() << "segment " << segment << " was not archived";
  }
  std::string switch_segment() {
    return server_->query("SELECT pg_walfile_name(pg_switch_wal())").value_or("");
  }

  Workshop workshop_;
  const std::string repo_ = workshop_.path("repo");
  std::unique_ptr<PgServer> server_;
};

TEST_F(WalPush, KilledAtRandomMomentsKeepsWhatItAcknowledged) {
  const std::string notes = workshop_.path("notes");
  const std::string script = workshop_.path("archiver");
  ASSERT_EQ(workshop_
                .shell_as_server(format("mkdir -p {}/copy && cat > {} <<'EOF'\n{}EOF\n"
                                        "chmod +x {}",
                                        notes, script, kKillingArchiver, script))
                .status,
            0);
  archive_by(format("{} %p {} {}", script, notes, push_command()));
  ASSERT_TRUE(server_->pgbench_initialize(in_full() ? 100 : 3));
  ASSERT_TRUE(server_->run_pgbench(4, in_full() ? 60 : 4));
  wait_for_archiver(switch_segment());
  ASSERT_TRUE(server_->stop(PgServer::StopMode::immediate));

  const Outcome check = workshop_.shell_as_server(
      format("cd {0} && sort -u acknowledged > names && while read -r name; do"
             "  {1} wal get --repo {2} \"$name\" {0}/back || echo \"$name is not there\";"
             "  cmp {0}/back copy/\"$name\" || echo \"$name is different\"; done < names; wc -l < "
             "names >&2",
             notes, workshop_.path("pghaul"), repo_));
  EXPECT_THAT(check.out, IsEmpty());
  EXPECT_GT(std::stoi(check.err), in_full() ? 1500 : 40) << check.err;
  const Outcome killed = workshop_.shell("wc -l < " + notes + "/killed");
  RecordProperty("killed", killed.out);
  EXPECT_GT(std::stoi(killed.out), in_full() ? 200 : 5);
  EXPECT_EQ(workshop_.pghaul("verify --data --repo " + repo_).status, 0);
  const Outcome list = workshop_.pghaul("wal list --repo " + repo_);
  EXPECT_EQ(list.status, 0);
  EXPECT_THAT(list.out, testing::Not(HasSubstr("missing")));
}

// What a batch took along is acknowledged when its own turn comes.
TEST_F(WalPush, BatchesArchiveEverySegment) {
  archive_by(push_command() + " --batch 16 %p");
  ASSERT_TRUE(server_->pgbench_initialize(3));
  wait_for_archiver(switch_segment());
  EXPECT_EQ(server_->query("SELECT failed_count FROM pg_stat_archiver").value_or("?"), "0");
  const Outcome list = workshop_.pghaul("wal list --repo " + repo_);
  EXPECT_THAT(list.out, testing::Not(HasSubstr("missing")));
  const auto segments = server_->query("SELECT archived_count FROM pg_stat_archiver").value_or("0");
  EXPECT_THAT(list.out, HasSubstr("  " + segments + " segments"));
}

// An archive that is away for a while costs nothing but space in pg_wal.
TEST_F(WalPush, RepositoryThatIsAwayIsWaitedFor) {
  archive_by(push_command() + " %p");
  ASSERT_EQ(workshop_.shell_as_server(format("mv {0} {0}.away", repo_)).status, 0);
  ASSERT_TRUE(server_->query("CREATE TABLE t AS SELECT generate_series(1, 50000) n"));
  const std::string segment = switch_segment();
  for (int i = 0; i < 300; ++i) {
    if (server_->query("SELECT failed_count FROM pg_stat_archiver").value_or("0") != "0") break;
    workshop_.shell("sleep 0.1");
  }
  EXPECT_EQ(workshop_.shell("test -e " + repo_).status, 1);
  ASSERT_EQ(workshop_.shell_as_server(format("mv {0}.away {0}", repo_)).status, 0);
  ASSERT_TRUE(server_->query("SELECT pg_switch_wal()"));
  wait_for_archiver(segment);
  EXPECT_THAT(workshop_.pghaul("wal list --repo " + repo_).out, testing::Not(HasSubstr("missing")));
}

// It starts once per segment: what it does not need it does not load.
TEST(Program, LoadsNoLibraryThatWalCommandsDoWithout) {
  const Workshop workshop;
  const Outcome libraries = workshop.shell("ldd " + workshop.path("pghaul"));
  ASSERT_EQ(libraries.status, 0) << libraries.err;
  for (const char* name :
       {"libpq", "libssl", "libldap", "libgssapi", "libcurl", "libcrypto", "libtbb"}) {
    EXPECT_THAT(libraries.out, testing::Not(HasSubstr(name)));
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Sanitizers share it with the program.
  EXPECT_THAT(libraries.out, testing::Not(HasSubstr("libstdc++")));
#endif
}

}  // namespace
}  // namespace haul::integration
