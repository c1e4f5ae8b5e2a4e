// fault_fs SOURCE MOUNTPOINT [RULE,...]: another view of a directory, on which the kernel itself
// meets faults: EIO, short reads and writes, a full disk, torn pages. Runs in the foreground, as
// root; on unmount it prints how often each operation was called and how many faults there were.
//
//   read:N:eio, write:N:short, sync:N+:eio, ...   faults.h has the grammar
//   space:BYTES   so many bytes can be written and no more; what is removed gives none back
//   tear:K        every K-th page of a relation is torn the first time it is read, as if the server
//                 were writing it at that moment: its second half is not the one that belongs to
//                 the first. Read again, it is whole.
//
// Pages are 8 KiB. Nothing is cached (direct_io), so that every access is an access to this.

#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>

#include <fuse.h>

#include "tests/support/fault_fs/faults.h"

namespace haul::fault_fs {
namespace {

constexpr std::size_t kBlockBytes = 4096;

struct View {
  std::string source;
  Faults faults;
};

View& view() { return *static_cast<View*>(fuse_get_context()->private_data); }
Faults& faults() { return view().faults; }
std::string real(const char* path) { return view().source + path; }
int fd_of(const fuse_file_info* info) { return static_cast<int>(info->fh); }
int answer(std::int64_t result) { return result < 0 ? -errno : static_cast<int>(result); }

// This process is root; what it makes is the caller's.
int give_to_caller(int made, const std::string& path) {
  if (made < 0) return -errno;
  const fuse_context* caller = fuse_get_context();
  return ::lchown(path.c_str(), caller->uid, caller->gid) == 0 ? 0 : -errno;
}

// Less than all where that can be, but something: nothing would mean that the file or the space
// ends. In direct mode devices transfer whole blocks.
std::size_t shortened(std::size_t size, const fuse_file_info* info) {
  const std::size_t half = (size + 1) / 2;
  if ((info->flags & O_DIRECT) == 0) return half;
  return std::min(size, (half + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
}

int get_attributes(const char* path, struct stat* into, fuse_file_info* info) {
  return answer(info != nullptr ? ::fstat(fd_of(info), into) : ::lstat(real(path).c_str(), into));
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

int make_directory(const char* path, mode_t mode) {
  return give_to_caller(::mkdir(real(path).c_str(), mode), real(path));
}

int make_link(const char* target, const char* path) {
  return give_to_caller(::symlink(target, real(path).c_str()), real(path));
}

int make_hard_link(const char* from, const char* to) {
  return answer(::link(real(from).c_str(), real(to).c_str()));
}

int remove_file(const char* path) { return answer(::unlink(real(path).c_str())); }
int remove_directory(const char* path) { return answer(::rmdir(real(path).c_str())); }

int rename_file(const char* from, const char* to, unsigned flags) {
  return answer(::renameat2(AT_FDCWD, real(from).c_str(), AT_FDCWD, real(to).c_str(), flags));
}

int set_mode(const char* path, mode_t mode, fuse_file_info* info) {
  return answer(info != nullptr ? ::fchmod(fd_of(info), mode) : ::chmod(real(path).c_str(), mode));
}

int set_owner(const char* path, uid_t user, gid_t group, fuse_file_info* info) {
  return answer(info != nullptr ? ::fchown(fd_of(info), user, group)
                                : ::lchown(real(path).c_str(), user, group));
}

int set_times(const char* path, const timespec times[2], fuse_file_info*) {
  return answer(::utimensat(AT_FDCWD, real(path).c_str(), times, AT_SYMLINK_NOFOLLOW));
}

int resize(const char* path, off_t size, fuse_file_info* info) {
  return answer(info != nullptr ? ::ftruncate(fd_of(info), size)
                                : ::truncate(real(path).c_str(), size));
}

int keep(int fd, fuse_file_info* info) {
  if (fd < 0) return -errno;
  info->fh = static_cast<std::uint64_t>(fd);
  info->direct_io = 1;
  return 0;
}

int create_file(const char* path, mode_t mode, fuse_file_info* info) {
  const int fd = ::open(real(path).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  const int given = give_to_caller(fd, real(path));
  return given != 0 ? given : keep(fd, info);
}

int open_file(const char* path, fuse_file_info* info) {
  const int flags = info->flags & (O_ACCMODE | O_TRUNC);
  return keep(::open(real(path).c_str(), flags | O_CLOEXEC), info);
}

int read_file(const char* path, char* into, std::size_t size, off_t offset, fuse_file_info* info) {
  const Fault fault = faults().next(Operation::read, path);
  if (fault == Fault::eio) return -EIO;
  const ssize_t count = ::pread(fd_of(info), into, size, offset);
  if (count < 0) return -errno;
  const auto length = static_cast<std::size_t>(count);
  faults().tear(path, static_cast<std::uint64_t>(offset), into, length);
  return static_cast<int>(fault == Fault::shorten ? shortened(length, info) : length);
}

int write_file(const char* path, const char* from, std::size_t size, off_t offset,
               fuse_file_info* info) {
  const Fault fault = faults().next(Operation::write, path);
  if (fault == Fault::eio) return -EIO;
  if (fault == Fault::shorten) size = shortened(size, info);
  const std::uint64_t room = faults().take_space(size);
  if (room == 0 && size > 0) return -ENOSPC;
  return answer(::pwrite(fd_of(info), from, room, offset));
}

int reserve(const char*, int mode, off_t offset, off_t size, fuse_file_info* info) {
  if (!faults().has_space_for(static_cast<std::uint64_t>(size))) return -ENOSPC;
  return answer(::fallocate(fd_of(info), mode, offset, size));
}

int sync_file(const char* path, int, fuse_file_info* info) {
  if (faults().next(Operation::sync, path) == Fault::eio) return -EIO;
  return answer(::fsync(fd_of(info)));
}

int sync_directory(const char* path, int, fuse_file_info*) {
  if (faults().next(Operation::sync, path) == Fault::eio) return -EIO;
  const int fd = ::open(real(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const int result = answer(::fsync(fd));
  ::close(fd);
  return result;
}

int file_system_info(const char* path, struct statvfs* into) {
  return answer(::statvfs(real(path).c_str(), into));
}

int release_file(const char*, fuse_file_info* info) { return answer(::close(fd_of(info))); }

void* begin(fuse_conn_info* kernel, fuse_config* settings) {
  // With many requests to one write the kernel turns a short answer into EIO.
  kernel->want &= ~static_cast<unsigned>(FUSE_CAP_ASYNC_DIO);
  // A file that is removed while it is open is gone, and not renamed until it is closed.
  settings->hard_remove = 1;
  return fuse_get_context()->private_data;
}

fuse_operations all_operations() {
  fuse_operations operations{};
  operations.init = begin;
  operations.getattr = get_attributes;
  operations.readlink = read_link;
  operations.readdir = list;
  operations.mkdir = make_directory;
  operations.symlink = make_link;
  operations.link = make_hard_link;
  operations.unlink = remove_file;
  operations.rmdir = remove_directory;
  operations.rename = rename_file;
  operations.chmod = set_mode;
  operations.chown = set_owner;
  operations.utimens = set_times;
  operations.truncate = resize;
  operations.create = create_file;
  operations.open = open_file;
  operations.read = read_file;
  operations.write = write_file;
  operations.fallocate = reserve;
  operations.fsync = sync_file;
  operations.fsyncdir = sync_directory;
  operations.statfs = file_system_info;
  operations.release = release_file;
  return operations;
}

int run(int argc, char** argv) {
  View own;
  if (argc < 3 || argc > 4 || (argc == 4 && !own.faults.parse(argv[3]))) {
    std::fprintf(stderr, "usage: fault_fs SOURCE MOUNTPOINT [RULE,...]\n");
    return 2;
  }
  own.source = argv[1];
  ::umask(0);  // the caller's was applied already
  const fuse_operations operations = all_operations();
  std::string options = "-oallow_other,default_permissions";
  std::string foreground = "-f";
  char* arguments[] = {argv[0], foreground.data(), options.data(), argv[2], nullptr};
  const int status = fuse_main(4, arguments, &operations, &own);
  std::printf("%s", own.faults.report().c_str());
  return status;
}

}  // namespace
}  // namespace haul::fault_fs

int main(int argc, char** argv) { return haul::fault_fs::run(argc, argv); }
