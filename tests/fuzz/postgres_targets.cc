// Targets for what PostgreSQL writes and pghaul reads: files of a data directory, WAL, names.
#include <algorithm>
#include <array>
#include <string>

#include "base/assert.h"
#include "base/format.h"
#include "base/json.h"
#include "engine/postgres/backup_facts.h"
#include "engine/postgres/backup_label.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/crc32c.h"
#include "engine/postgres/file_grammar.h"
#include "engine/postgres/postmaster_pid.h"
#include "engine/postgres/replication_message.h"
#include "engine/postgres/wal_facts.h"
#include "engine/postgres/wal_reader.h"
#include "engine/postgres/wal_record.h"
#include "engine/postgres/wal_segment.h"
#include "tests/fuzz/target.h"
#include "tests/support/wal_stream.h"

namespace haul::fuzz {

namespace {

using namespace postgres;  // every line below speaks of it

Input copy_of(std::string_view text) {
  const ByteSpan bytes = bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

bool is_one_line(std::string_view text) { return text.find('\n') == std::string_view::npos; }

// Takes a line off the front; all of the text where it has no line feed.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::uint64_t number_at(ByteSpan bytes, std::size_t offset, std::size_t size_bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = size_bytes; i > 0; --i) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + i - 1]);
  }
  return value;
}

void put_number(Input& bytes, std::size_t offset, std::uint64_t value, std::size_t size_bytes) {
  for (std::size_t i = 0; i < size_bytes; ++i) {
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * i));
  }
}

// -- pg_control -------------------------------------------------------------------------------

constexpr std::size_t kControlVersionAt = 8;

void seal_control_file(Input& image) {
  const std::size_t crc_at = number_at(image, kControlVersionAt, 4) == 1800 ? 292 : 288;
  put_number(image, crc_at, crc32c(ByteSpan(image).first(crc_at)), 4);
}

// The file's used part; the zeros behind it and the checksum are made good. Also as it is.
void run_control_file(ByteSpan input) {
  static_cast<void>(parse_control_file(input));
  Input image(input.begin(), input.end());
  image.resize(kControlFileSizeBytes);
  seal_control_file(image);
  const auto file = parse_control_file(image);
  if (!file) return;
  HAUL_ASSERT(catalog_version_of_server(file->server_major) == file->catalog_version);
  HAUL_ASSERT(to_string(file->state) != "unknown" && to_string(file->wal_level) != "unknown");
  HAUL_ASSERT(is_valid_wal_segment_size(file->wal_segment_size_bytes));
  HAUL_ASSERT(file->relation_segment_size_bytes() > 0 && file->wal_block_size_bytes > 0);
  HAUL_ASSERT(file->timeline.value > 0 && file->system_identifier != 0);
}

std::vector<Input> control_file_seeds() {
  struct Release {
    std::uint32_t control_version;
    std::uint32_t catalog_version;
  };
  constexpr std::array<Release, 3> kReleases = {
      {{1300, 202209061}, {1700, 202406281}, {1800, 202506291}}};
  std::vector<Input> seeds;
  for (const Release& release : kReleases) {
    Input image(296);
    put_number(image, 0, 7711653421140677923, 8);
    put_number(image, kControlVersionAt, release.control_version, 4);
    put_number(image, 12, release.catalog_version, 4);
    put_number(image, 16, 6, 4);                    // state
    put_number(image, 48, 1, 4);                    // timeline
    put_number(image, 208, 0x4132D68700000000, 8);  // 1234567.0
    put_number(image, 216, 8192, 4);                // block size
    put_number(image, 220, 131072, 4);              // blocks of a segment
    put_number(image, 224, 8192, 4);                // WAL block size
    put_number(image, 228, 16U << 20, 4);           // WAL segment size
    seeds.push_back(std::move(image));
  }
  return seeds;
}

// -- backup_label and tablespace_map ----------------------------------------------------------

constexpr std::uint32_t kSegmentSizeBytes = 16U << 20;

std::string text_of_label(const BackupLabel& label) {
  return format(
      "START WAL LOCATION: {} (file {})\nCHECKPOINT LOCATION: {}\nBACKUP METHOD: streamed\n"
      "BACKUP FROM: {}\nSTART TIME: {}\nLABEL: {}\nSTART TIMELINE: {}\n",
      to_string(label.start), label.start_wal_file, to_string(label.checkpoint),
      label.source == BackupLabel::Source::primary ? "primary" : "standby", label.start_time,
      label.label, label.timeline.value);
}

void run_backup_label(ByteSpan input) {
  const auto label = parse_backup_label(text_of(input), kSegmentSizeBytes);
  if (!label) return;
  HAUL_ASSERT(label->start.valid() && label->timeline.value > 0 && is_one_line(label->label));
  const auto again = parse_backup_label(text_of_label(*label), kSegmentSizeBytes);
  HAUL_ASSERT(again.has_value() && text_of_label(*again) == text_of_label(*label));
}

std::vector<Input> backup_label_seeds() {
  BackupLabel label;
  label.start = Lsn{0x2000028};
  label.start_wal_file = "000000010000000000000002";
  label.checkpoint = Lsn{0x2000060};
  label.start_time = "2026-11-24 08:33:50 UTC";
  label.label = "nightly run";
  label.timeline = TimelineId{1};
  return {copy_of(text_of_label(label))};
}

void run_tablespace_map(ByteSpan input) {
  const auto map = parse_tablespace_map(text_of(input));
  if (!map) return;
  const auto again = parse_tablespace_map(serialize(*map));
  HAUL_ASSERT(again.has_value() && *again == *map);
}

std::vector<Input> tablespace_map_seeds() {
  return {copy_of("16385 /srv/fast\n16386 /srv/a b\\\nc\\\\d\n")};
}

// A mapping on the first line, the map it is applied to behind it.
void run_tablespace_mapping(ByteSpan input) {
  std::string_view text = text_of(input);
  const auto mapping = parse_tablespace_mapping(take_line(text));
  if (!mapping) return;
  HAUL_ASSERT(mapping->from.starts_with('/') && mapping->to.starts_with('/'));
  const auto map = parse_tablespace_map(text);
  if (!map) return;
  const auto moved = remap(*map, {*mapping});
  if (!moved) return;
  HAUL_ASSERT(moved->size() == map->size());
  const auto again = parse_tablespace_map(serialize(*moved));
  HAUL_ASSERT(again.has_value() && *again == *moved);
}

std::vector<Input> tablespace_mapping_seeds() {
  return {copy_of("/srv/a\\=b=/new\n16385 /srv/a=b\n16386 /srv/slow\n")};
}

// -- WAL --------------------------------------------------------------------------------------

constexpr std::size_t kWalPageBytes = 1024;
constexpr std::size_t kPagesMax = 32;
constexpr WalGeometry kGeometry = {15, 7711653421140677923, 1U << 20, kWalPageBytes};
constexpr WalSegment kSegment = {TimelineId{2}, 5};

bool accepted(std::span<const Input> pages) {
  SegmentChecker checker(kGeometry, kSegment, pages.size() * kWalPageBytes);
  for (const Input& page : pages) {
    if (!checker.check(page)) return false;
  }
  HAUL_ASSERT(checker.complete());
  return true;
}

// The headers of a segment's first pages, 40 bytes each; the rest of a page is zeros.
void run_wal_pages(ByteSpan input) {
  static_cast<void>(parse_wal_page_header(input));
  std::vector<Input> pages;
  Input joined;
  for (std::size_t at = 0; at < input.size() && pages.size() < kPagesMax;
       at += kWalLongPageHeaderSizeBytes) {
    const ByteSpan rest = input.subspan(at);
    const ByteSpan header = rest.first(std::min(kWalLongPageHeaderSizeBytes, rest.size()));
    Input page(header.begin(), header.end());
    page.resize(kWalPageBytes);
    joined.insert(joined.end(), page.begin(), page.end());
    pages.push_back(std::move(page));
  }
  if (pages.empty()) return;
  // However the bytes arrive, the verdict is the same.
  const std::array<Input, 1> at_once = {joined};
  SegmentChecker checker(kGeometry, kSegment, joined.size());
  HAUL_ASSERT(checker.check(at_once[0]).has_value() == accepted(pages));
}

std::vector<Input> wal_pages_seeds() {
  Input headers(3 * kWalLongPageHeaderSizeBytes);
  for (std::size_t page = 0; page < 2; ++page) {
    const std::size_t at = page * kWalLongPageHeaderSizeBytes;
    put_number(headers, at, wal_page_magic(15), 2);
    put_number(headers, at + 2, page == 0 ? 2 : 1, 2);
    put_number(headers, at + 4, 2, 4);
    put_number(headers, at + 8, (5U << 20) + page * kWalPageBytes, 8);
  }
  put_number(headers, 24, kGeometry.system_identifier, 8);
  put_number(headers, 32, kGeometry.segment_size_bytes, 4);
  put_number(headers, 36, kWalPageBytes, 4);
  return {headers};  // the third page: zeros, as after a switch
}

bool lies_within(ByteSpan part, ByteSpan whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

// Everything in the record is of its bytes, and no more than they are.
void check_record(const WalRecord& record, ByteSpan bytes) {
  std::size_t used_bytes = kWalRecordHeaderSizeBytes + record.main_data.size();
  int previous_id = -1;
  HAUL_ASSERT(lies_within(record.main_data, bytes));
  for (const BlockReference& block : record.blocks()) {
    HAUL_ASSERT(block.id > previous_id && lies_within(block.image, bytes) &&
                lies_within(block.data, bytes));
    HAUL_ASSERT(block.has_image == !block.image.empty());
    previous_id = block.id;
    used_bytes += block.image.size() + block.data.size();
  }
  HAUL_ASSERT(used_bytes <= record.size_bytes);
}

constexpr std::size_t kRecordChoicesBytes = 3;

// Release, resource manager and info; then what follows a record's header. Length and checksum are
// made good.
void run_wal_record(ByteSpan input) {
  if (input.size() < kRecordChoicesBytes) return;
  const int major = 13 + std::to_integer<int>(input[0]) % 6;
  support::WalRecordSpec spec;
  spec.manager = std::to_integer<std::uint8_t>(input[1]);
  spec.info = std::to_integer<std::uint8_t>(input[2]);
  Input bytes = support::encode_wal_record(spec, major, Lsn{});
  const ByteSpan parts = input.subspan(kRecordChoicesBytes);
  bytes.insert(bytes.end(), parts.begin(), parts.end());
  put_number(bytes, 0, bytes.size(), 4);
  support::seal_wal_record(bytes);
  WalRecord record;
  if (!decode_wal_record(bytes, major, record)) return;
  HAUL_ASSERT(record.size_bytes == bytes.size());
  check_record(record, bytes);
  static_cast<void>(wal_fact(record, major));
}

// A record of each kind that is looked into, and one with blocks.
std::vector<Input> wal_record_seeds() {
  support::WalRecordSpec blocks;
  blocks.manager = 10;
  blocks.origin = 3;
  blocks.top_level_xid = 700;
  blocks.main_data = "main";
  blocks.blocks.resize(2);
  blocks.blocks[0].data = "data";
  blocks.blocks[1].id = 1;
  blocks.blocks[1].same_relation = true;
  blocks.blocks[1].image = "image";
  blocks.blocks[1].hole_offset = 100;
  blocks.blocks[1].hole_size_bytes = 200;
  blocks.blocks[1].image_codec = ImageCodec::lz4;
  std::vector<support::WalRecordSpec> specs = {blocks};
  for (const int manager : {0, 1, 2, 4, 5}) {
    for (int operation = 0; operation <= 0xF0; operation += 0x10) {
      support::WalRecordSpec spec;
      spec.manager = static_cast<std::uint8_t>(manager);
      spec.info = static_cast<std::uint8_t>(operation);
      spec.main_data = std::string(88, '\0');
      specs.push_back(spec);
    }
  }
  std::vector<Input> seeds;
  for (const support::WalRecordSpec& spec : specs) {
    const Input bytes = support::encode_wal_record(spec, 15, Lsn{});
    Input seed = {std::byte{2}, std::byte{spec.manager}, std::byte{spec.info}};
    seed.insert(seed.end(), bytes.begin() + kWalRecordHeaderSizeBytes, bytes.end());
    seeds.push_back(std::move(seed));
  }
  return seeds;
}

// What every page must carry is made good; flags, rests and records are the input's.
Input pages_of(ByteSpan input) {
  Input pages(input.begin(), input.end());
  pages.resize((pages.size() + kWalPageBytes - 1) / kWalPageBytes * kWalPageBytes);
  for (std::size_t at = 0; at < pages.size(); at += kWalPageBytes) {
    const std::uint64_t known = number_at(pages, at + 2, 2) & 0x000D;
    put_number(pages, at, wal_page_magic(kGeometry.server_major), 2);
    put_number(pages, at + 2, known | (at == 0 ? 2 : 0), 2);
    put_number(pages, at + 4, kSegment.timeline.value, 4);
    put_number(pages, at + 8, kSegment.start(kGeometry.segment_size_bytes).value + at, 8);
  }
  if (pages.empty()) return pages;
  put_number(pages, 24, kGeometry.system_identifier, 8);
  put_number(pages, 32, kGeometry.segment_size_bytes, 4);
  put_number(pages, 36, kWalPageBytes, 4);
  return pages;
}

// Where the records are that are read from `begin` on.
std::vector<Lsn> record_positions(const Input& pages, Lsn begin) {
  const Lsn start = kSegment.start(kGeometry.segment_size_bytes);
  WalPagesInMemory source(start, pages, kGeometry);
  auto reader = WalReader::open(kGeometry, kSegment.timeline, {begin}, source);
  HAUL_ASSERT(reader.has_value());
  std::vector<Lsn> positions;
  Lsn last_end = begin;
  while (true) {
    const auto record = reader->next();
    HAUL_ASSERT(record.has_value());
    if (*record == nullptr) break;
    HAUL_ASSERT((*record)->lsn >= last_end && (*record)->end > (*record)->lsn);
    HAUL_ASSERT(positions.empty() || (*record)->previous == positions.back());
    last_end = (*record)->end;
    positions.push_back((*record)->lsn);
    static_cast<void>(wal_fact(**record, kGeometry.server_major));
  }
  HAUL_ASSERT(reader->end().lsn >= last_end);
  return positions;
}

// The first pages of a segment, read from the first one and from the second: as soon as both find a
// record, they find the same ones.
void run_wal_stream(ByteSpan input) {
  const Input pages = pages_of(input);
  const Lsn start = kSegment.start(kGeometry.segment_size_bytes);
  const std::vector<Lsn> all = record_positions(pages, start);
  const Lsn second{start.value + kWalPageBytes};
  const std::vector<Lsn> rest = record_positions(pages, second);
  const auto first_common = std::ranges::lower_bound(all, second);
  HAUL_ASSERT(first_common == all.end() ||
              std::ranges::equal(rest, std::span(first_common, all.end())));
}

std::vector<Input> wal_stream_seeds() {
  support::WalStream stream(kGeometry, kSegment.timeline, kSegment.number);
  support::WalRecordSpec spec;
  spec.info = 0x20;
  for (const std::size_t data_bytes : {0U, 100U, 2000U, 700U, 500U, 60U}) {
    spec.main_data = std::string(data_bytes, 'd');
    stream.append(spec);
  }
  stream.fill_page_to(48);
  spec.main_data = std::string(100, 'c');
  const Lsn cut = stream.append_cut_off(spec);
  spec.info = 0xD0;
  spec.main_data = support::packed(cut.value, std::int64_t{0});
  stream.append(spec);
  Input bytes = stream.segments();
  bytes.resize(stream.position().value - stream.start().value);
  return {bytes};
}

// The names of segments and histories, and positions, as text.
void run_wal_name(ByteSpan input) {
  const std::string_view text = text_of(input);
  for (std::uint32_t size_bytes = 1U << 20; size_bytes <= 1U << 30; size_bytes *= 2) {
    const auto segment = parse_wal_segment_name(text, size_bytes);
    HAUL_ASSERT(!segment || to_name(*segment, size_bytes) == text);
  }
  const auto timeline = parse_timeline_history_name(text);
  HAUL_ASSERT(!timeline || timeline_history_name(*timeline) == text);
  const auto lsn = parse_lsn(text);
  if (!lsn) return;
  HAUL_ASSERT(parse_lsn(to_string(*lsn)) == lsn);
}

std::vector<Input> wal_name_seeds() {
  return {copy_of("000000010000000A000000FF"), copy_of("00000002.history"), copy_of("16/B374D848")};
}

// -- postmaster.pid ---------------------------------------------------------------------------

void run_postmaster_pid(ByteSpan input) {
  const auto file = parse_postmaster_pid(text_of(input));
  if (!file) return;
  HAUL_ASSERT(file->pid > 0);
  HAUL_ASSERT(is_one_line(file->data_directory) && is_one_line(file->connect_host()));
}

std::vector<Input> postmaster_pid_seeds() {
  return {copy_of("4711\n/var/lib/data\n1764000000\n5433\n/run/postgresql\n*\n  5433001     "
                  "32768\nready   \n"),
          copy_of("-4711\n/var/lib/data\n1\n0\n")};
}

// -- names ------------------------------------------------------------------------------------

std::string name_of(const RelationFile& file) {
  std::string name = format("{}/{}", file.directory, file.relfilenode);
  if (file.fork != Fork::main) name += format("_{}", to_string(file.fork));
  if (file.segment != 0) name += format(".{}", file.segment);
  return name;
}

// A byte for the kind of file, then its path.
void run_file_name(ByteSpan input) {
  if (input.empty()) return;
  const auto kind = static_cast<io::FileKind>(std::to_integer<unsigned>(input[0]) % 4);
  const std::string_view path = text_of(input.subspan(1));
  const FileClass file_class = classify(path, kind);
  HAUL_ASSERT(!to_string(file_class).empty());
  HAUL_ASSERT((vanishing(path) == Vanishing::tolerated) == may_vanish(path));
  const auto file = parse_relation_file(path);
  HAUL_ASSERT(file || file_class != FileClass::relation);
  if (!file) return;
  HAUL_ASSERT(is_relation_directory(file->directory) && name_of(*file) == path);
  HAUL_ASSERT(kind != io::FileKind::regular || file_class == FileClass::relation);
}

std::vector<Input> file_name_seeds() {
  std::vector<Input> seeds;
  for (const std::string_view path :
       {"base/5/16384_fsm.1", "pg_tblspc/16385/PG_15_202209061/5/16390", "global/1262_vm",
        "pg_wal/archive_status", "base/5/t3_16384", "pg_xact/0000", "global/pg_control"}) {
    seeds.push_back(copy_of(format("{}{}", '\0', path)));
  }
  return seeds;
}

// Three paths, one line each: a strict weak order.
void run_file_order(ByteSpan input) {
  std::string_view text = text_of(input);
  const std::string_view a = take_line(text);
  const std::string_view b = take_line(text);
  const std::string_view c = text;
  HAUL_ASSERT(!path_less(a, a));
  HAUL_ASSERT(!(path_less(a, b) && path_less(b, a)));
  HAUL_ASSERT(a == b || path_less(a, b) || path_less(b, a));
  HAUL_ASSERT(!path_less(a, b) || !path_less(b, c) || path_less(a, c));
}

std::vector<Input> file_order_seeds() {
  return {copy_of("base/5/9\nbase/5/10.1\nbase/5/10_fsm"), copy_of("base/5\nbase/5/1\nbase/PG")};
}

// -- JSON -------------------------------------------------------------------------------------

void run_json(ByteSpan input) {
  const auto json = Json::parse(text_of(input));
  if (!json) return;
  for (const Json::Layout layout : {Json::Layout::compact, Json::Layout::indented}) {
    const auto again = Json::parse(json->dump(layout));
    HAUL_ASSERT(again.has_value() && again->dump() == json->dump());
  }
}

std::vector<Input> json_seeds() {
  return {copy_of(R"({"a":[1,-2,3.5e2,true,null,"\u00e9\\"],"b":{"c":18446744073709551615}})")};
}

void run_backup_facts(ByteSpan input) {
  const auto json = Json::parse(text_of(input));
  if (!json) return;
  const auto facts = backup_facts_from_json(*json);
  if (!facts) return;
  const auto again = backup_facts_from_json(Json::parse(to_json(*facts).dump()).value());
  HAUL_ASSERT(again.has_value() && *again == *facts);
}

std::vector<Input> backup_facts_seeds() {
  BackupFacts facts;
  facts.server_version = 150004;
  facts.start = Lsn{0x2000028};
  facts.stop = Lsn{0x2000100};
  facts.label = "nightly";
  facts.data_directory = "/srv/data";
  facts.tablespaces = {{16385, "/srv/fast", false}};
  facts.configuration = {{"/etc/postgresql.conf", "config_file"}};
  facts.bad_page_count = 1;
  facts.bad_pages = {{"base/5/16384", 7}};
  return {copy_of(to_json(facts).dump())};
}

// -- replication ------------------------------------------------------------------------------

void run_replication_message(ByteSpan input) {
  const auto message = parse_replication_message(input);
  if (!message) return;
  const auto* data = std::get_if<WalData>(&*message);
  if (data == nullptr) return;
  HAUL_ASSERT(data->start.valid() && data->end() >= data->start);
  HAUL_ASSERT(data->bytes.size() < input.size());
}

std::vector<Input> replication_message_seeds() {
  const std::string fields(24, '\1');
  return {copy_of("w" + fields + "bytes"), copy_of("k" + fields.substr(0, 17))};
}

constexpr std::array<Target, 14> kTargets{{
    {"control_file", run_control_file, control_file_seeds},
    {"backup_label", run_backup_label, backup_label_seeds},
    {"tablespace_map", run_tablespace_map, tablespace_map_seeds},
    {"tablespace_mapping", run_tablespace_mapping, tablespace_mapping_seeds},
    {"wal_pages", run_wal_pages, wal_pages_seeds},
    {"wal_record", run_wal_record, wal_record_seeds},
    {"wal_stream", run_wal_stream, wal_stream_seeds},
    {"wal_name", run_wal_name, wal_name_seeds},
    {"replication_message", run_replication_message, replication_message_seeds},
    {"postmaster_pid", run_postmaster_pid, postmaster_pid_seeds},
    {"file_name", run_file_name, file_name_seeds},
    {"file_order", run_file_order, file_order_seeds},
    {"json", run_json, json_seeds},
    {"backup_facts", run_backup_facts, backup_facts_seeds},
}};

}  // namespace

std::span<const Target> postgres_targets() { return kTargets; }

}  // namespace haul::fuzz
