/*
 * What no process in a capsule may ask of the kernel: new namespaces and
 * mounts, with which it would be root over something, and what reaches beyond
 * the capsule or is rarely used and often broken. A list of what is denied, not
 * of what is allowed: debuggers, interpreters and package managers go on
 * working.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "agent/agent.h"

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define MACHINE AUDIT_ARCH_RISCV64
#elif defined(__i386__)
#define MACHINE AUDIT_ARCH_I386
#elif defined(__arm__)
#define MACHINE AUDIT_ARCH_ARM
#endif

#ifndef MACHINE
bool agent_filter(bool pretend) {
  (void)pretend;
  return true;
}
#else

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NEW_NAMESPACES                                                         \
  (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |  \
   CLONE_NEWUTS | CLONE_NEWCGROUP | 0x80 /* CLONE_NEWTIME */)

/* The low half of an argument, which is all of it here. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#else
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n) + 4)
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define DENY(error) RETURN(SECCOMP_RET_ERRNO | (error))
/* The next statement only if so; otherwise those after `skip` more. */
#define IF(how, value, skip) BPF_JUMP(BPF_JMP | (how) | BPF_K, (value), 0, skip)

static const int denied[] = {
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_acct,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_vhangup,
    SYS_quotactl,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
#ifdef SYS_kexec_load
    SYS_kexec_load,
#endif
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
#endif
#ifdef SYS_open_tree
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
#ifdef SYS_quotactl_fd
    SYS_quotactl_fd,
#endif
};

/* Programs have another way when these do not exist. The flags of clone3 are
 * where a filter cannot see them. */
static const int missing[] = {
#ifdef SYS_clone3
    SYS_clone3,
#endif
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#endif
};

/* With a single user there is nobody to give a file to. Packages do so all the
 * time, and would not be installed if it failed. */
static const int pretended[] = {
    SYS_fchown,  SYS_fchownat, SYS_setgroups,
#ifdef SYS_chown
    SYS_chown,   SYS_lchown,
#endif
#ifdef SYS_chown32
    SYS_chown32, SYS_fchown32, SYS_lchown32,  SYS_setgroups32,
#endif
};

static const struct sock_filter first[] = {
    /* Calls of another machine have other numbers. */
    LOAD(offsetof(struct seccomp_data, arch)),
    IF(BPF_JEQ, MACHINE, 1),
    BPF_STMT(BPF_JMP | BPF_JA, 1),
    DENY(ENOSYS),
    LOAD(offsetof(struct seccomp_data, nr)),
#ifdef __x86_64__
    IF(BPF_JGE, 0x40000000, 1), /* the x32 ABI */
    DENY(ENOSYS),
#endif
};

static const struct sock_filter last[] = {
    IF(BPF_JEQ, SYS_clone, 4),
    LOAD(ARGUMENT(0)),
    IF(BPF_JSET, NEW_NAMESPACES & ~0x80, 1), /* 0x80: of the exit signal */
    DENY(EPERM),
    ALLOW,
    IF(BPF_JEQ, SYS_unshare, 4),
    LOAD(ARGUMENT(0)),
    IF(BPF_JSET, NEW_NAMESPACES, 1),
    DENY(EPERM),
    ALLOW,
    /* sudo enters the namespaces that the agent has made for it. */
    IF(BPF_JEQ, SYS_setns, 4),
    LOAD(ARGUMENT(1)),
    IF(BPF_JEQ, CLONE_NEWUSER, 1),
    ALLOW,
    DENY(EPERM),
    /* Typing into the terminal of somebody else. */
    IF(BPF_JEQ, SYS_ioctl, 6),
    LOAD(ARGUMENT(1)),
    IF(BPF_JEQ, TIOCSTI, 1),
    DENY(EPERM),
    IF(BPF_JEQ, TIOCLINUX, 1),
    DENY(EPERM),
    ALLOW,
    /* Sockets of a virtual machine lead to its host. */
    IF(BPF_JEQ, SYS_socket, 3),
    LOAD(ARGUMENT(0)),
    IF(BPF_JEQ, AF_VSOCK, 1),
    DENY(EAFNOSUPPORT),
    ALLOW,
};

static void add(struct sock_fprog *program, const struct sock_filter *list,
                size_t count) {
  for (size_t i = 0; i < count; i++)
    program->filter[program->len++] = list[i];
}

static void add_calls(struct sock_fprog *program, const int *calls,
                      size_t count, int error) {
  for (size_t i = 0; i < count; i++) {
    const struct sock_filter pair[] = {IF(BPF_JEQ, (unsigned)calls[i], 1),
                                       DENY((unsigned)error)};
    add(program, pair, COUNT(pair));
  }
}

bool agent_filter(bool pretend) {
  struct sock_filter list[COUNT(first) + 2 * COUNT(denied) +
                          2 * COUNT(missing) + 2 * COUNT(pretended) +
                          COUNT(last)];
  struct sock_fprog program = {.filter = list};
  add(&program, first, COUNT(first));
  add_calls(&program, denied, COUNT(denied), EPERM);
  add_calls(&program, missing, COUNT(missing), ENOSYS);
  if (pretend)
    add_calls(&program, pretended, COUNT(pretended), 0);
  add(&program, last, COUNT(last));
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
#endif
