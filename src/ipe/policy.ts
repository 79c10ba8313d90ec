// Life of policies: verify and parse a signed one, make its directory, update, activate, delete. Errnos and
// the order of the checks are the kernel's; concurrency is not modelled, each write runs to its end.

import { fromLatin1, fromUtf8, latin1, utf8 } from '../base/bytes.ts';
import type { Err, Errno, Result } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { step } from '../base/table.ts';
import type { EventData } from '../base/trace.ts';
import type { SystemKeyring } from '../crypto/system-keys.ts';
import {
  AUDIT_IPE_CONFIG_CHANGE,
  AUDIT_IPE_POLICY_LOAD,
  activationBody,
  loadBody,
  versionText,
} from './audit.ts';
import { type IpeCursor, optionOn } from './env.ts';
import { type IpePolicyEvent, ipePolicyTable } from './ipe-policy.machine.ts';
import { IPE_NODES, POLICIES, policyNodes } from './nodes.ts';
import { ipeParsePolicy } from './parser.ts';
import { IPE_REASON } from './reasons.ts';
import type { IpePolicy, IpePolicyDirectory, IpeVersion } from './types.ts';

/** Notes why something was refused; value = the errno, for returning. */
export function refuse(
  ipe: IpeCursor,
  errno: Errno,
  reason: keyof typeof IPE_REASON,
  data: EventData = {},
): Errno {
  ipe.env.trace.emit('ipe.refused', { errno, ...data }, IPE_REASON[reason]);
  return errno;
}

/** Number that versions are compared by. @kernel security/ipe/policy.c ver_to_u64() */
export function verToU64(version: IpeVersion): number {
  return version.major * 2 ** 32 + version.minor * 2 ** 16 + version.rev;
}

/** Sends an event to a policy's machine and stores the directory, or forgets it once deleted. */
function move(ipe: IpeCursor, directory: IpePolicyDirectory, event: IpePolicyEvent): IpePolicyDirectory {
  const life = step(ipePolicyTable, directory.life, event);
  const next = { ...directory, life };
  const { directories } = ipe.state;
  ipe.state = {
    ...ipe.state,
    directories: life === 'deleted' ? directories.delete(next.id) : directories.set(next.id, next),
  };
  ipe.env.trace.emit('ipe.policy', { name: next.name, event, from: directory.life, to: life });
  return next;
}

/**
 * The message's content when a trusted keyring accepts it: built-in or secondary keys, then the platform's.
 * The second try's errno is the one that counts.
 */
function verifiedContent(ipe: IpeCursor, message: Uint8Array): Result<Uint8Array> {
  const { keys, profile } = ipe.env;
  const secondary = optionOn(profile, 'CONFIG_IPE_POLICY_SIG_SECONDARY_KEYRING');
  const keyring: SystemKeyring = secondary ? 'secondary' : 'builtin';
  const first = keys.verifyPkcs7(message, { keyring });
  if (first.ok || (first.errno !== 'ENOKEY' && first.errno !== 'EKEYREJECTED')) return first;
  if (!optionOn(profile, 'CONFIG_IPE_POLICY_SIG_PLATFORM_KEYRING')) return first;
  return keys.verifyPkcs7(message, { keyring: 'platform' });
}

function parseInto(ipe: IpeCursor, text: Uint8Array, pkcs7: Uint8Array | null): Result<IpePolicy> {
  const parsed = ipeParsePolicy(fromLatin1(text), ipe.env.properties);
  if (parsed.ok) return ok({ text, pkcs7, parsed: parsed.policy });
  const { errno, reason, line, offset } = parsed;
  return fail(refuse(ipe, errno, reason, { line, offset }));
}

/**
 * Verifies and parses a signed policy.
 * @kernel security/ipe/policy.c ipe_new_policy()
 */
export function ipeNewPolicy(ipe: IpeCursor, message: Uint8Array): Result<IpePolicy> {
  const content = verifiedContent(ipe, message);
  if (!content.ok) {
    const { errno } = content;
    return fail(refuse(ipe, errno, 'ipe.signature_refused'));
  }
  return parseInto(ipe, content.value, message);
}

/** lookup_one_len() and simple_lookup(): what cannot be the name of a new entry. */
function badName(name: string): Errno | null {
  if (name === '.' || name === '..' || name.includes('/')) return 'EACCES';
  return name.length > 255 ? 'ENAMETOOLONG' : null;
}

export function directoryNamed(ipe: IpeCursor, name: string): IpePolicyDirectory | undefined {
  return ipe.state.directories.find((d) => d.name === name);
}

function createNodes(ipe: IpeCursor, id: number, name: string): void {
  const at = `${POLICIES}/${pathText(name)}`;
  for (const node of policyNodes(id))
    ipe.env.securityfs.create(node.name === '' ? at : `${at}/${node.name}`, node.mode, node.pseudo);
}

/**
 * Makes the directory of a policy with its nodes.
 * @kernel security/ipe/policy_fs.c ipe_new_policyfs_node()
 */
export function ipeNewPolicyfsNode(ipe: IpeCursor, policy: IpePolicy): Err {
  const { name, version } = policy.parsed;
  const bad = badName(name);
  if (bad !== null) return refuse(ipe, bad, 'ipe.policy_bad_name', { name });
  if (directoryNamed(ipe, name) !== undefined) return refuse(ipe, 'EEXIST', 'ipe.policy_exists', { name });
  const id = ipe.state.nextId;
  ipe.state = { ...ipe.state, nextId: id + 1 };
  createNodes(ipe, id, name);
  ipe.env.audit.log(AUDIT_IPE_POLICY_LOAD, loadBody(policy));
  move(ipe, { id, name, policy, life: 'absent' }, 'LOAD');
  const data = { name, version: versionText(version) };
  ipe.env.trace.emit('ipe.load', data, IPE_REASON['ipe.policy_loaded']);
  return 0;
}

/** Names are bytes here and Unicode in the VFS. */
export function pathText(name: string): string {
  return fromUtf8(latin1(name));
}

/**
 * Puts the compiled-in policy in force; a text that does not parse leaves nothing active. Its nodes come
 * later, with the others.
 * @kernel security/ipe/ipe.c ipe_init()
 */
export function ipeBootPolicy(ipe: IpeCursor, text: string): Err {
  const policy = parseInto(ipe, utf8(text), null);
  if (!policy.ok) return refuse(ipe, policy.errno, 'ipe.boot_policy_broken');
  const id = ipe.state.nextId;
  ipe.state = { ...ipe.state, nextId: id + 1, active: id };
  move(ipe, { id, name: policy.value.parsed.name, policy: policy.value, life: 'absent' }, 'BOOT');
  return 0;
}

/**
 * Makes the fixed nodes and those of the boot policy; nothing when IPE is not in the LSM list. A boot
 * policy whose name cannot be a directory takes the whole tree with it.
 * @kernel security/ipe/fs.c ipe_init_securityfs()
 */
export function ipeInitSecurityfs(ipe: IpeCursor): Err {
  const { enabled, active, directories } = ipe.state;
  if (!enabled) return 'EOPNOTSUPP';
  const boot = active === null ? undefined : directories.get(active);
  const bad = boot === undefined ? null : badName(boot.name);
  if (bad !== null) return refuse(ipe, bad, 'ipe.policy_bad_name', { name: boot?.name });
  for (const { name, mode, pseudo } of IPE_NODES) {
    ipe.env.securityfs.create(name, mode, pseudo);
    if (name === POLICIES && boot !== undefined) createNodes(ipe, boot.id, boot.name);
  }
  return 0;
}

function gone(ipe: IpeCursor): Errno {
  return refuse(ipe, 'ENOENT', 'ipe.policy_gone');
}

/**
 * Replaces the text of a loaded policy by a newer one; of the active policy at once.
 * @kernel security/ipe/policy.c ipe_update_policy()
 */
export function ipeUpdatePolicy(ipe: IpeCursor, id: number, message: Uint8Array): Err {
  const directory = ipe.state.directories.get(id);
  if (directory === undefined) return gone(ipe);
  const next = ipeNewPolicy(ipe, message);
  if (!next.ok) return next.errno;
  const { parsed } = next.value;
  const old = directory.policy;
  if (parsed.name !== old.parsed.name)
    return refuse(ipe, 'EINVAL', 'ipe.update_other_name', { name: parsed.name });
  if (verToU64(old.parsed.version) >= verToU64(parsed.version))
    return refuse(ipe, 'ESTALE', 'ipe.update_stale', { version: versionText(old.parsed.version) });
  move(ipe, { ...directory, policy: next.value }, 'UPDATE');
  const { audit, trace } = ipe.env;
  audit.log(AUDIT_IPE_POLICY_LOAD, loadBody(next.value));
  const data = { name: parsed.name, version: versionText(parsed.version) };
  trace.emit('ipe.update', data, IPE_REASON['ipe.policy_updated']);
  if (ipe.state.active === id) audit.log(AUDIT_IPE_CONFIG_CHANGE, activationBody(old, next.value));
  return 0;
}

/**
 * Makes a policy the active one; the version may be equal to the active one's, not lower.
 * @kernel security/ipe/policy.c ipe_set_active_pol()
 */
export function ipeSetActivePol(ipe: IpeCursor, id: number): Err {
  const directory = ipe.state.directories.get(id);
  if (directory === undefined) return gone(ipe);
  const { active, directories } = ipe.state;
  const { name, policy } = directory;
  if (active === id) {
    ipe.env.trace.emit('ipe.activate', { name }, IPE_REASON['ipe.already_active']);
    return 0;
  }
  const before = active === null ? undefined : directories.get(active);
  if (before !== undefined && verToU64(before.policy.parsed.version) > verToU64(policy.parsed.version)) {
    const version = versionText(before.policy.parsed.version);
    return refuse(ipe, 'EINVAL', 'ipe.activate_lower', { name, version });
  }
  if (before !== undefined) move(ipe, before, 'SUPERSEDE');
  move(ipe, directory, 'ACTIVATE');
  ipe.state = { ...ipe.state, active: id };
  ipe.env.audit.log(AUDIT_IPE_CONFIG_CHANGE, activationBody(before?.policy ?? null, policy));
  const data = { name, version: versionText(policy.parsed.version) };
  ipe.env.trace.emit('ipe.activate', data, IPE_REASON['ipe.policy_activated']);
  return 0;
}

/** @kernel security/ipe/policy_fs.c delete_policy() */
export function ipeDeletePolicy(ipe: IpeCursor, id: number): Err {
  const directory = ipe.state.directories.get(id);
  if (directory === undefined) return gone(ipe);
  const { name } = directory;
  if (ipe.state.active === id) return refuse(ipe, 'EPERM', 'ipe.delete_active', { name });
  move(ipe, directory, 'DELETE');
  ipe.env.securityfs.remove(`${POLICIES}/${pathText(name)}`);
  ipe.env.trace.emit('ipe.delete', { name }, IPE_REASON['ipe.policy_deleted']);
  return 0;
}
