// tearing_fs SOURCE MOUNTPOINT EVERY: a read-only view of a directory in which every EVERY-th page
// of a relation file is torn the first time it is read, as if the server were writing it at that
// moment: its second half is not the one that belongs to the first. Read again, it is whole. Runs
// in the foreground; on unmount it prints how many pages were read and how many torn.
//
// Pages are 8 KiB. Reads bypass the page cache (direct_io), so that every look is a look at this.

#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include <fuse.h>

namespace {

constexpr std::size_t kPageBytes = 8192;

struct View {
  std::string source;
  std::uint64_t every = 0;
  std::atomic<std::uint64_t> pages = 0;
  std::atomic<std::uint64_t> torn = 0;
  std::mutex mutex;  // guards seen
  std::set<std::pair<std::string, std::uint64_t>> seen;

  // True once per page, for every `every`-th of them.
  bool tears(const std::string& path, std::uint64_t page) {
    const std::uint64_t number = ++pages;
    if (number % every != 0) return false;
    const std::scoped_lock lock(mutex);
    return seen.insert({path, page}).second;
  }
};

View& view() { return *static_cast<View*>(fuse_get_context()->private_data); }

std::string real(const char* path) { return view().source + path; }

// base/N/N and global/N: pages, that is.
bool is_relation(const std::string& path) {
  if (path.find("/base/") != 0 && path.find("/global/") != 0) return false;
  const std::string name = path.substr(path.rfind('/') + 1);
  return !name.empty() && name[0] >= '1' && name[0] <= '9';
}

int answer(int result) { return result < 0 ? -errno : 0; }

int get_attributes(const char* path, struct stat* into, fuse_file_info*) {
  return answer(::lstat(real(path).c_str(), into));
}

int read_link(const char* path, char* into, std::size_t size) {
  const ssize_t length = ::readlink(real(path).c_str(), into, size - 1);
  if (length < 0) return -errno;
  into[length] = '\0';
  return 0;
}

int list(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*,
         fuse_readdir_flags) {
  DIR* directory = ::opendir(real(path).c_str());
  if (directory == nullptr) return -errno;
  while (const dirent* entry = ::readdir(directory)) {
    struct stat info{};
    info.st_ino = entry->d_ino;
    info.st_mode = static_cast<mode_t>(entry->d_type) << 12;
    if (fill(buffer, entry->d_name, &info, 0, fuse_fill_dir_flags{}) != 0) break;
  }
  ::closedir(directory);
  return 0;
}

int open_file(const char* path, fuse_file_info* info) {
  if ((info->flags & O_ACCMODE) != O_RDONLY) return -EROFS;
  const int fd = ::open(real(path).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  info->fh = static_cast<std::uint64_t>(fd);
  info->direct_io = 1;
  return 0;
}

int read_file(const char* path, char* into, std::size_t size, off_t offset, fuse_file_info* info) {
  const ssize_t count = ::pread(static_cast<int>(info->fh), into, size, offset);
  if (count < 0) return -errno;
  if (!is_relation(path)) return static_cast<int>(count);
  const auto start = static_cast<std::uint64_t>(offset);
  const std::uint64_t first = (start + kPageBytes - 1) / kPageBytes;
  for (std::uint64_t page = first;
       (page + 1) * kPageBytes <= start + static_cast<std::uint64_t>(count); ++page) {
    if (!view().tears(path, page)) continue;
    // The other half's old content, whatever it was.
    char* const half = into + (page * kPageBytes - start) + kPageBytes / 2;
    for (std::size_t i = 0; i < kPageBytes / 2; ++i) half[i] = static_cast<char>(half[i] ^ 0x5a);
    ++view().torn;
  }
  return static_cast<int>(count);
}

int release_file(const char*, fuse_file_info* info) {
  return answer(::close(static_cast<int>(info->fh)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: tearing_fs SOURCE MOUNTPOINT EVERY\n");
    return 2;
  }
  View own;
  own.source = argv[1];
  own.every = std::strtoull(argv[3], nullptr, 10);
  fuse_operations operations{};
  operations.getattr = get_attributes;
  operations.readlink = read_link;
  operations.readdir = list;
  operations.open = open_file;
  operations.read = read_file;
  operations.release = release_file;
  std::string options = "-oro,allow_other,default_permissions";
  std::string foreground = "-f";
  char* arguments[] = {argv[0], foreground.data(), options.data(), argv[2], nullptr};
  const int status = fuse_main(4, arguments, &operations, &own);
  std::printf("%llu pages read, %llu torn\n", static_cast<unsigned long long>(own.pages.load()),
              static_cast<unsigned long long>(own.torn.load()));
  return status;
}
