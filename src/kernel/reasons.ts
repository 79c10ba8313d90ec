// Reason codes of the kernel room: boot, tasks, execve, modules, kexec, mounts.

import { defineReasons } from '../base/reasons.ts';

export const KERNEL_REASON = defineReasons({
  'kernel.bad_fd': {
    text: 'the descriptor is not open, or was opened with O_PATH only',
    source: 'include/linux/file.h fdget()',
  },
  'kernel.no_such_call': {
    text: 'no design of this machine brings the system call {name}',
    source: 'kernel/sys_ni.c sys_ni_syscall()',
  },
  'kernel.no_integrity_hook': {
    text: 'the kernel takes this buffer without asking IMA or IPE about it',
    source: 'kernel/bpf/syscall.c bpf_prog_load(), kernel/seccomp.c, net/ipv4/netfilter/ip_tables.c',
  },
  'kernel.no_task': {
    text: 'the task does not exist any more',
    source: 'kernel/pid.c find_task_by_pid_ns()',
  },
  'kernel.panicked': { text: 'the kernel panicked, nothing runs any more', source: 'kernel/panic.c panic()' },
  'kernel.not_capable': {
    text: 'the task lacks the capability {capability} in the initial user namespace',
    source: 'kernel/capability.c capable()',
  },
  'kernel.param_unknown': {
    text: 'no part of the kernel takes the parameter {param}; it is handed to init',
    source: 'init/main.c unknown_bootoption()',
  },
  'kernel.initramfs_bad': {
    text: 'the archive of the initramfs cannot be read any further: {problem}',
    source: 'init/initramfs.c unpack_to_rootfs()',
  },
  'kernel.no_init': {
    text: 'no program could be started as the first task',
    source: 'init/main.c kernel_init()',
  },
  'kernel.exec_noexec_mount': {
    text: 'the program is no regular file or its mount forbids execution',
    source: 'fs/exec.c do_open_execat()',
  },
  'kernel.exec_text_busy': {
    text: 'somebody has the program open for writing',
    source: 'fs/exec.c exe_file_deny_write_access()',
  },
  'kernel.exec_flag_unknown': {
    text: 'this kernel does not know the flag AT_EXECVE_CHECK',
    source: 'fs/exec.c do_open_execat()',
  },
  'kernel.exec_only_checked': {
    text: 'the kernel answers whether it would run the file, and runs nothing',
    source: 'fs/exec.c bprm_execve()',
  },
  'kernel.exec_unknown_format': {
    text: 'no binary format handler takes the file',
    source: 'fs/exec.c search_binary_handler()',
  },
  'kernel.exec_script_unreachable': {
    text: 'the script was given as a close-on-exec descriptor, its interpreter could not open it',
    source: 'fs/binfmt_script.c load_script()',
  },
  'kernel.exec_bad_interpreter': {
    text: 'the program interpreter named in the file is no ELF file of this machine',
    source: 'fs/binfmt_elf.c load_elf_binary()',
  },
  'kernel.exec_too_deep': {
    text: 'more than five interpreters in a row',
    source: 'fs/exec.c exec_binprm()',
  },
  'kernel.exec_killed': {
    text: 'loading failed after the point of no return, the task is killed',
    source: 'fs/exec.c bprm_execve()',
  },
  'kernel.exec_setid_ignored': {
    text: 'set-id bits are ignored on this mount or in this user namespace',
    source: 'fs/exec.c bprm_fill_uid()',
  },
  'kernel.module_not_elf': {
    text: 'the image is no module of this machine',
    source: 'kernel/module/main.c elf_validity_cache_copy()',
  },
  'kernel.module_vermagic': {
    text: 'the module was built for another kernel',
    source: 'kernel/module/main.c check_modinfo()',
  },
  'kernel.module_exists': {
    text: 'a module of that name is loaded',
    source: 'kernel/module/main.c module_patient_check_exists()',
  },
  'kernel.module_sig_rejected': {
    text: 'the appended signature is missing or bad and signatures are enforced',
    source: 'kernel/module/signing.c module_sig_check()',
  },
  'kernel.module_sig_bad': {
    text: 'the appended signature cannot be parsed or does not fit the content',
    source: 'kernel/module/signing.c mod_verify_sig()',
  },
  'kernel.module_unloadable': {
    text: 'the module has an init function and no exit function',
    source: 'kernel/module/main.c delete_module()',
  },
  'kernel.read_writer': {
    text: 'somebody has the file open for writing, the kernel does not read it',
    source: 'fs/kernel_read_file.c kernel_read_file()',
  },
  'kernel.kexec_not_image': {
    text: 'the file is no kernel image that a loader takes',
    source: 'kernel/kexec_file.c kexec_image_probe_default()',
  },
  'kernel.dm_corrupted': {
    text: 'block {block} does not fit the hash tree (mode {mode})',
    source: 'drivers/md/dm-verity-target.c verity_handle_err()',
  },
  'kernel.dm_unsigned': {
    text: 'dm_verity.require_signatures is on and the table names no signature',
    source: 'drivers/md/dm-verity-verify-sig.c verity_verify_root_hash()',
  },
  'kernel.dm_root_hash': {
    text: 'the signature over the root hash is not by a trusted key',
    source: 'drivers/md/dm-verity-verify-sig.c verity_verify_root_hash()',
  },
  'kernel.dm_refused': {
    text: 'the device-mapper table is not valid',
    source: 'drivers/md/dm-table.c dm_table_add_target()',
  },
  'kernel.id_unmapped': {
    text: 'the id has no meaning in the user namespace of the task',
    source: 'kernel/user_namespace.c make_kuid()',
  },
  'kernel.map_refused': {
    text: 'the map is written already, or it gives away more than the writer has',
    source: 'kernel/user_namespace.c new_idmap_permitted()',
  },
  'kernel.map_malformed': {
    text: 'the text is no list of first, lower and count',
    source: 'kernel/user_namespace.c map_write()',
  },
  'kernel.crashed': {
    text: 'somebody made the kernel panic',
    source: 'drivers/tty/sysrq.c sysrq_handle_crash()',
  },
  'kernel.power_state': {
    text: 'the machine is {power}: {event} does nothing now',
    source: 'kernel/power/suspend.c enter_state()',
  },
  'kernel.disk_in_use': {
    text: 'the file system of {disk} is mounted: another computer cannot have it',
    source: 'drivers/scsi/sd.c sd_remove()',
  },
  'kernel.power_no_state': {
    text: 'the TPM has no saved state to come back to, so it starts with empty registers',
    source: 'Part 3, 9.3 TPM2_Startup',
  },
  'kernel.kexec_crashed': {
    text: 'the image was loaded for a crash and has no page to swap through: the jump kills the machine',
    source: 'kernel/kexec_file.c kimage_file_alloc_init()',
  },
  'kernel.kexec_none': { text: 'no kernel is loaded', source: 'kernel/kexec_core.c kernel_kexec()' },
});
