// Tells a page that was torn while it was read from one that is damaged on disk (trap T1).
//
// A page whose checksum does not match is read again after 0, 5 and 50 ms. A page that changes
// between two looks is being written: the WAL of this backup repairs it, so the last look is
// stored. A page that stays the same and wrong is reported, unless its LSN says that the WAL of
// this backup holds it whole: not before the backup's start and not after what the server has
// written. An LSN from the future is no excuse: a damaged header would hide behind it.
//
// Units:    block numbers count within the relation fork.
// Memory:   one buffer for reading again.
// Threads:  one owner at a time; check() blocks up to 55 ms per region with a wrong page, on the
//           reader's own thread.
// Errors:   io of reading again.
// Source:   PostgreSQL's basebackup.c (verify_page_checksum), stricter where its comment says it
//           hopes for the best.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/postgres/backup_facts.h"
#include "io/aligned_buffer.h"
#include "io/file.h"

namespace haul::backup {

struct PageCheckContext {
  std::uint32_t page_size_bytes = 0;
  bool checksums = false;
  Lsn start;  // invalid for an offline backup: no page is excused by its LSN
  // What the server has written so far; asked for only when a page needs the answer.
  std::function<Result<Lsn>()> current_insert_lsn;
};

struct PageCheckResult {
  std::vector<postgres::BadPage> bad_pages;
  std::uint64_t reread_pages = 0;  // wrong at first, accepted after another look
};

class PageChecker {
 public:
  PageChecker(PageCheckContext context, Clock& clock)
      : context_(std::move(context)), clock_(&clock) {}

  struct Region {
    io::File* file = nullptr;
    const std::string* path = nullptr;
    std::uint64_t offset = 0;       // of the region in the file
    std::uint32_t first_block = 0;  // of the region in the fork
    MutableByteSpan bytes;          // as read; replaced page by page by later looks
  };

  // Checks every whole page of the region. A short page at the end has no checksum that could be
  // checked.
  Status check(const Region& region, PageCheckResult& result);

  struct Suspect {
    std::size_t page = 0;
    bool changed = false;
  };

 private:
  Status look_again(const Region& region, std::vector<Suspect>& suspects, PageCheckResult& result);
  Result<bool> excused_by_lsn(ByteSpan page) const;

  PageCheckContext context_;
  Clock* clock_;
  io::AlignedBuffer again_;
};

// Whether check() would have to read again; looks at memory only.
bool has_suspect(const PageCheckContext& context, const PageChecker::Region& region);

}  // namespace haul::backup
