#include "query/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { NOBODY = 65534 };

/* The header of Debian 12 is older than these rights; their numbers are the kernel's for ever. */
#define FS_TRUNCATE  (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
struct ruleset {
	uint64_t fs, net, scoped;
};

/* What there is to refuse, by the version of the kernel's Landlock. */
static struct ruleset refused_by(long version)
{
	struct ruleset r = {.fs = (1ull << 13) - 1};

	if (version >= 2)
		r.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		r.fs |= FS_TRUNCATE;
	if (version >= 4)
		r.net = 3; /* bind and connect of TCP */
	if (version >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (version >= 6)
		r.scoped = 3; /* abstract UNIX sockets, signals */
	return r;
}

/* -1: none here. */
static int landlock_ruleset(int folder)
{
	const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	const struct ruleset refused = refused_by(version);
	const size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
	struct landlock_path_beneath_attr allowed = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE |
								       LANDLOCK_ACCESS_FS_READ_DIR,
						     .parent_fd = folder};

	if (version < 1)
		return -1;
	auto_fd ruleset = (int)syscall(SYS_landlock_create_ruleset, &refused, size, 0);
	if (ruleset < 0 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &allowed, 0) != 0)
		return -1;
	return take_fd(&ruleset);
}

/* System calls that change something outside the process. Reading, memory and threads remain. */
static const uint16_t refused_calls[] = {
	SYS_openat2,
	SYS_truncate,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_renameat,
	SYS_renameat2,
	SYS_unlinkat,
	SYS_mkdirat,
	SYS_linkat,
	SYS_symlinkat,
	SYS_mknodat,
	SYS_fchmod,
	SYS_fchmodat,
	SYS_fchown,
	SYS_fchownat,
	SYS_utimensat,
	SYS_setxattr,
	SYS_lsetxattr,
	SYS_fsetxattr,
	SYS_removexattr,
	SYS_lremovexattr,
	SYS_fremovexattr,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_socket,
	SYS_socketpair,
	SYS_connect,
	SYS_bind,
	SYS_listen,
	SYS_accept,
	SYS_accept4,
	SYS_execve,
	SYS_execveat,
	SYS_kill,
	SYS_tkill,
	SYS_ptrace,
	SYS_process_vm_writev,
	SYS_process_vm_readv,
	SYS_pidfd_open,
	SYS_pidfd_send_signal,
	SYS_pidfd_getfd,
	SYS_io_uring_setup,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_unshare,
	SYS_setns,
	SYS_keyctl,
	SYS_add_key,
	SYS_memfd_create,
	SYS_init_module,
	SYS_finit_module,
	SYS_swapon,
	SYS_open_by_handle_at,
	SYS_userfaultfd,
#ifdef SYS_rename
	SYS_rename,
	SYS_unlink,
	SYS_mkdir,
	SYS_rmdir,
	SYS_creat,
	SYS_link,
	SYS_symlink,
	SYS_mknod,
	SYS_chmod,
	SYS_chown,
	SYS_lchown,
	SYS_utime,
	SYS_utimes,
	SYS_futimesat,
	SYS_fork,
	SYS_vfork,
#endif
};

enum {
	CALLS = sizeof refused_calls / sizeof refused_calls[0],
	OPEN_STEPS = 4,
	FILTER_MAX = 8 + CALLS + 2 * OPEN_STEPS,
	WRITING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY),
};

#define LOAD(member)                                                                                         \
	(struct sock_filter)                                                                                 \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, member))

/* Call `number`, whose flags are argument `flags`, may not open for writing. */
static unsigned refuse_writing(struct sock_filter *f, uint32_t number, unsigned flags)
{
	f[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3);
	f[1] = LOAD(args[0]);
	f[1].k += 8 * flags + (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0);
	f[2] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, WRITING, 0, 1);
	f[3] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES);
	f[4] = LOAD(nr);
	return 5;
}

static bool seccomp_enter(void)
{
	struct sock_filter f[FILTER_MAX + 8];
	unsigned n = 0;

#if defined(__x86_64__)
	const uint32_t arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
	const uint32_t arch = AUDIT_ARCH_AARCH64;
#else
	return false;
#endif
	f[n++] = LOAD(arch);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = LOAD(nr);
	/* x86-64 knows every call under a second number. */
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	n += refuse_writing(f + n, SYS_openat, 2);
#ifdef SYS_open
	n += refuse_writing(f + n, SYS_open, 1);
#endif
	for (unsigned i = 0; i < CALLS; i++) /* a match jumps over the rest, to the refusal */
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused_calls[i],
						      (uint8_t)(CALLS - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);

	const struct sock_fprog program = {.len = (unsigned short)n, .filter = f};
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static bool keep_capabilities(uint32_t bits)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {{.effective = bits, .permitted = bits}, {0}};

	return syscall(SYS_capset, &header, data) == 0;
}

/* Root becomes nobody. With `read_all` it keeps the one right to read what it could read before. */
static bool become_nobody(bool read_all)
{
	/* access(2) of who is not root forgets the right, but for this bit. */
	if (read_all)
		(void)prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
	if (prctl(PR_SET_KEEPCAPS, read_all, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 ||
	    setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
		return false;
	return keep_capabilities(read_all ? 1u << CAP_DAC_READ_SEARCH : 0);
}

enum status sandbox_enter(struct sandbox *out, const char *path, struct error *err)
{
	const struct rlimit none = {0, 0};
	auto_fd folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*out = (struct sandbox){0};
	if (folder < 0)
		return error_errno(err, "store %s", path);
	auto_fd ruleset = landlock_ruleset(folder);
	if (geteuid() == 0)
		out->user = become_nobody(ruleset >= 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_errno(err, "sandbox: no_new_privs");
	setrlimit(RLIMIT_CORE, &none);
	out->landlock = ruleset >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	out->seccomp = seccomp_enter();
	if (!out->landlock && !out->seccomp)
		return error_set(
			err, ERR_UNSUPPORTED,
			"sandbox: this kernel has neither Landlock nor seccomp; a query needs one of them");
	if (!out->landlock &&
	    !keep_capabilities(0)) /* only Landlock makes the right to read everything harmless */
		return error_errno(err, "sandbox: capabilities");
	return OK;
}
