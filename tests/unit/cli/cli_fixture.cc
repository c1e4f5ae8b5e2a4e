#include "tests/unit/cli/cli_fixture.h"

#include <fstream>
#include <iterator>

#include "io/posix_object_store.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"

namespace haul::cli {

Result<std::unique_ptr<io::Directory>> TestPlatform::open_directory(const std::string& path) {
  if (++opens == failing_open) return Error(ErrorCode::io, path + ": broken");
  auto directory = HAUL_TRY(disk.open(path.substr(1)));
  if (faults) directory = io::make_fault_directory(std::move(directory), faults);
  return directory;
}

Result<std::string> TestPlatform::read_text(const std::string& path) {
  const auto found = texts.find(path);
  if (found == texts.end()) return Error(ErrorCode::not_found, path + ": no such file");
  return found->second;
}

std::optional<std::string> TestPlatform::variable(const std::string& name) {
  const auto found = variables.find(name);
  if (found == variables.end()) return std::nullopt;
  return found->second;
}

Outcome Program::operator()(const std::vector<std::string>& words) {
  std::ostringstream out;
  std::ostringstream err;
  const Streams streams{&out, &err, Streams::Err::file};
  Outcome outcome;
  outcome.status = run(words, streams, platform, stop.get_token());
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

Outcome Program::on_repository(std::vector<std::string> words) {
  words.emplace_back("--repo=/repo");
  return (*this)(words);
}

void Program::make_cluster_and_repository() {
  HAUL_ASSERT(top()->make_directory("data", 0700).has_value());
  HAUL_ASSERT(support::make_fake_cluster(*platform.disk.open("data").value()).has_value());
  HAUL_ASSERT(on_repository({"init", "--chunk-pages=8", "--pack-size=1M"}).status == 0);
}

std::string Program::back_up() {
  const Outcome outcome = on_repository({"backup", "--offline", "-D", "/data", "--json", "-q"});
  HAUL_ASSERT(outcome.status == 0);
  return outcome.json().string_at("backup").value();
}

std::vector<std::string> Program::objects(const std::string& part) {
  const auto store = io::make_posix_object_store(platform.disk.open("repo").value(), {});
  const std::vector<io::ObjectInfo> all = store->list("").value();
  std::vector<std::string> keys;
  for (const io::ObjectInfo& object : all) {
    if (object.key.contains(part)) keys.push_back(object.key);
  }
  return keys;
}

void Program::flip_byte(const std::string& path, std::uint64_t offset) {
  const auto file = top()->open_for_update(path, io::Caching::buffered).value();
  std::byte byte{};
  HAUL_ASSERT(file->read_at(offset, {&byte, 1}).value() == 1);
  byte ^= std::byte{0x40};
  HAUL_ASSERT(file->write_at(offset, {&byte, 1}).has_value());
}

std::vector<std::string> words_calling(const CommandSpec& command) {
  std::istringstream name{std::string(command.name)};
  std::vector<std::string> words{std::istream_iterator<std::string>(name),
                                 std::istream_iterator<std::string>()};
  words.resize(words.size() + command.arguments_min, "argument");
  return words;
}

std::string source_file(const std::string& path) {
  std::ifstream file(std::string(HAUL_SOURCE_DIR "/") + path, std::ios::binary);
  HAUL_ASSERT(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace haul::cli
