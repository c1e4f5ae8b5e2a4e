// without_uring PROGRAM [ARGUMENT]...: runs a program for which the kernel refuses io_uring with
// EPERM, as profiles of containers do.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

namespace {

// The number is the same on every architecture that Linux gained io_uring on.
bool refuse_io_uring() {
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof instructions / sizeof *instructions, instructions};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: without_uring PROGRAM [ARGUMENT]...\n");
    return 2;
  }
  if (!refuse_io_uring()) {
    std::perror("without_uring: cannot install the filter");
    return 126;
  }
  ::execv(argv[1], argv + 1);
  std::perror(argv[1]);
  return 127;
}
