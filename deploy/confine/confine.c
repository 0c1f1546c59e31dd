// Starts ffmpeg without what it does not need. docs/decisions/0024-confined-decoders.md has the reasons.
//   confine BYTES sealed PROGRAM ARGS…   no network, no files but the program and libraries, no other processes, this much memory
//   confine BYTES inbound PROGRAM ARGS…  the same, and the network stays
//   confine BYTES bounded PROGRAM ARGS…  this much memory, and nothing else is taken
//   confine --version                    what this machine's kernel gives, a word each: files network processes memory
// Nothing here needs a privilege: landlock and seccomp are for any process, also under Kubernetes' seccomp profile RuntimeDefault.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "confine knows x86_64 and aarch64"
#endif

// Of linux/landlock.h, which is older than the kernel on many systems.
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT_SELF 446
#define FS_EXECUTE (1ULL << 0)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define NET_ALL 3ULL   // bind and connect by TCP, from version 4
#define SCOPE_ALL 3ULL // abstract UNIX sockets and signals, from version 6
struct ruleset { uint64_t fs, net, scoped; };
struct __attribute__((packed)) path_rule { uint64_t allowed; int32_t fd; };

/** ffmpeg reserves more addresses than it fills: a stack for each thread, an arena of malloc, its own program. */
#define ADDRESSES_MORE (1ULL << 30)

static int landlock_version(void) {
  return (int)syscall(LANDLOCK_CREATE_RULESET, NULL, 0, 1);
}

static void allow(int rules, const char *path, uint64_t access) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return; // no such folder on this system
  struct path_rule rule = {access, fd};
  syscall(LANDLOCK_ADD_RULE, rules, 1, &rule, 0);
  close(fd);
}

/** No files but the program and the libraries it is linked with. */
static int hide_files(const char *program, int sealed) {
  int version = landlock_version();
  if (version < 1) return -1;
  // Version 1 knows 13 rights, 2 adds refer, 3 truncate, 5 ioctl on devices.
  uint64_t fs = version >= 5 ? (1ULL << 16) - 1 : version >= 3 ? (1ULL << 15) - 1 : version == 2 ? (1ULL << 14) - 1 : (1ULL << 13) - 1;
  struct ruleset ruleset = {fs, version >= 4 && sealed ? NET_ALL : 0, version >= 6 ? SCOPE_ALL : 0};
  size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  int rules = (int)syscall(LANDLOCK_CREATE_RULESET, &ruleset, size, 0);
  if (rules < 0) return -1;
  allow(rules, program, FS_READ_FILE | FS_EXECUTE);
  const char *libraries[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"};
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) allow(rules, libraries[i], FS_READ_FILE | FS_EXECUTE | FS_READ_DIR);
  allow(rules, "/etc/ld.so.cache", FS_READ_FILE);
  int failed = (int)syscall(LANDLOCK_RESTRICT_SELF, rules, 0);
  close(rules);
  return failed;
}

#define CODE(code, k) filter[n++] = (struct sock_filter)BPF_STMT(code, k)
#define IF(test, k, yes, no) filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | (test) | BPF_K, k, yes, no)
#define LOAD(field) CODE(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define REFUSE(errno_) CODE(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errno_))
#define ALLOW() CODE(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE_CALL(nr) do { IF(BPF_JEQ, nr, 0, 1); REFUSE(EPERM); } while (0)

/** What neither decoding nor demuxing needs, and what is of use against the process that started us. */
static const int never[] = {
  __NR_kill, __NR_tkill, __NR_rt_sigqueueinfo, __NR_rt_tgsigqueueinfo, __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev,
  __NR_unshare, __NR_setns, __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_open_by_handle_at, __NR_bpf, __NR_perf_event_open,
  __NR_userfaultfd, __NR_keyctl, __NR_add_key, __NR_request_key, __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load,
  __NR_reboot, __NR_swapon, __NR_settimeofday, __NR_clock_settime, __NR_clock_adjtime, __NR_memfd_create, __NR_shmget, __NR_acct, __NR_personality,
#ifdef __NR_fork
  __NR_fork, __NR_vfork,
#endif
  424 /* pidfd_send_signal */, 425 /* io_uring_setup */, 428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 438 /* pidfd_getfd */,
};
static const int network[] = {__NR_socket, __NR_connect, __NR_bind, __NR_listen, __NR_sendto, __NR_sendmsg, __NR_sendmmsg};

static int filter_calls(int sealed) {
  struct sock_filter filter[160];
  unsigned short n = 0;
  LOAD(arch);
  IF(BPF_JEQ, ARCH, 1, 0);
  CODE(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  LOAD(nr);
#ifdef __x86_64__
  IF(BPF_JGE, 0x40000000, 0, 1); // the x32 numbers, by which each call might be made
  REFUSE(ENOSYS);
#endif
  for (size_t i = 0; i < sizeof never / sizeof *never; i++) REFUSE_CALL(never[i]);
  for (size_t i = 0; sealed && i < sizeof network / sizeof *network; i++) REFUSE_CALL(network[i]);
  IF(BPF_JEQ, 435, 0, 1); // clone3, whose flags cannot be seen here: the C library then calls clone
  REFUSE(ENOSYS);
  IF(BPF_JEQ, __NR_clone, 0, 4); // threads only
  LOAD(args[0]);
  IF(BPF_JSET, CLONE_THREAD, 1, 0);
  REFUSE(EPERM);
  ALLOW();
  IF(BPF_JEQ, __NR_tgkill, 0, 4); // abort() calls it for the process itself
  LOAD(args[0]);
  IF(BPF_JEQ, (uint32_t)getpid(), 1, 0);
  REFUSE(EPERM);
  ALLOW();
  IF(BPF_JEQ, __NR_prlimit64, 0, 4); // its own limits only
  LOAD(args[0]);
  IF(BPF_JEQ, 0, 1, 0);
  REFUSE(EPERM);
  ALLOW();
  ALLOW();
  struct sock_fprog program = {n, filter};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void limit(int what, rlim_t max) {
  struct rlimit old;
  if (getrlimit(what, &old) == 0 && old.rlim_max < max) max = old.rlim_max;
  struct rlimit bound = {max, max};
  setrlimit(what, &bound);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    int version = landlock_version();
    int filters = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_calls(1) == 0;
    printf("%s%smemory\n", version >= 1 ? "files " : "", filters ? "network processes " : "");
    return 0;
  }
  if (argc < 4) return fputs("confine: BYTES sealed|inbound|bounded PROGRAM ARGS…\n", stderr), 64;
  int sealed = strcmp(argv[2], "sealed") == 0;
  rlim_t bytes = strtoull(argv[1], NULL, 10);
  limit(RLIMIT_CORE, 0);
  if (bytes > 0) {
    limit(RLIMIT_DATA, bytes);
    limit(RLIMIT_AS, bytes + ADDRESSES_MORE);
  }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (strcmp(argv[2], "bounded") != 0) {
    hide_files(argv[3], sealed);
    filter_calls(sealed);
  }
  execve(argv[3], argv + 3, (char *[]){NULL});
  fprintf(stderr, "confine: cannot start %s: %s\n", argv[3], strerror(errno));
  return 127;
}
