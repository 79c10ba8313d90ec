// Bodies of IPE's audit records, byte for byte: access decisions (1420), activation (1421), load (1422),
// enforcement (1404). The records join no SYSCALL event here; auid and ses are those of a task that never
// logged in.

import { toHex } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { UNSET_ID, untrusted } from '../integrity/audit.ts';
import type { IpeAction, IpeHook, IpeOp, IpePolicy, IpeProp, IpeRule, IpeVersion } from './types.ts';

export const AUDIT_MAC_STATUS = 1404;
export const AUDIT_IPE_ACCESS = 1420;
export const AUDIT_IPE_CONFIG_CHANGE = 1421;
export const AUDIT_IPE_POLICY_LOAD = 1422;

const SESSION = `auid=${UNSET_ID} ses=${UNSET_ID}`;
const digests = new WeakMap<Uint8Array, string>();
const NOTHING = new Uint8Array(0);

const upperHex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();

export function versionText(version: IpeVersion): string {
  return `${version.major}.${version.minor}.${version.rev}`;
}

/** A property as the audit text writes it: a digest's algorithm has quotes of its own. */
export function propText(prop: IpeProp): string {
  if (typeof prop.value === 'boolean') return `${prop.name}=${prop.value ? 'TRUE' : 'FALSE'}`;
  return `${prop.name}=${untrusted(prop.value.alg)}:${upperHex(prop.value.digest)}`;
}

/** @kernel security/ipe/audit.c audit_rule() */
export function ruleText(rule: IpeRule): string {
  return `op=${rule.op} ${rule.props.map((p) => `${propText(p)} `).join('')}action=${rule.action}`;
}

/** What decided: a rule, the default of the operation, or the global default. */
export type IpeMatch =
  | { readonly kind: 'rule'; readonly rule: IpeRule }
  | { readonly kind: 'table'; readonly action: IpeAction }
  | { readonly kind: 'global'; readonly action: IpeAction };

export function matchText(match: IpeMatch, op: IpeOp | null): string {
  if (match.kind === 'rule') return ruleText(match.rule);
  if (match.kind === 'table') return `DEFAULT op=${op ?? 'UNKNOWN'} action=${match.action}`;
  return `DEFAULT action=${match.action}`;
}

/** File of an access record; texts have one character per byte. */
export interface IpeAuditFile {
  readonly path: string;
  readonly dev: string;
  readonly ino: number;
}

/** @kernel security/ipe/audit.c ipe_audit_match() */
export function accessBody(
  event: { readonly op: IpeOp | null; readonly hook: IpeHook; readonly pid: number; readonly comm: string },
  enforce: boolean,
  file: IpeAuditFile | null,
  match: IpeMatch,
): string {
  const who = `pid=${event.pid} comm=${untrusted(event.comm)}`;
  const where =
    file === null
      ? 'path=? dev=? ino=?'
      : `path=${untrusted(file.path)} dev=${untrusted(file.dev)} ino=${file.ino}`;
  const what = `ipe_op=${event.op ?? 'UNKNOWN'} ipe_hook=${event.hook} enforcing=${enforce ? 1 : 0}`;
  return `${what} ${who} ${where} rule="${matchText(match, event.op)}"`;
}

/** sha256 of the signed message, of nothing for the boot policy. */
function policyDigest(policy: IpePolicy): string {
  const message = policy.pkcs7 ?? NOTHING;
  let digest = digests.get(message);
  if (digest === undefined) {
    digest = upperHex(crypto().hash('sha256', message));
    digests.set(message, digest);
  }
  return digest;
}

/**
 * Names are printed as they are, without the escape of untrusted strings.
 * @kernel security/ipe/audit.c audit_policy()
 */
function policyFields(policy: IpePolicy, name: string, version: string, digest: string): string {
  const { parsed } = policy;
  const values = `${name}="${parsed.name}" ${version}=${versionText(parsed.version)}`;
  return `${values} ${digest}=sha256:${policyDigest(policy)}`;
}

/** @kernel security/ipe/audit.c ipe_audit_policy_load() */
export function loadBody(policy: IpePolicy): string {
  const fields = policyFields(policy, 'policy_name', 'policy_version', 'policy_digest');
  return `${fields} ${SESSION} lsm=ipe res=1`;
}

/** @kernel security/ipe/audit.c ipe_audit_policy_activation() */
export function activationBody(old: IpePolicy | null, next: IpePolicy): string {
  const before =
    old === null
      ? 'old_active_pol_name=? old_active_pol_version=? old_policy_digest=?'
      : policyFields(old, 'old_active_pol_name', 'old_active_pol_version', 'old_policy_digest');
  const after = policyFields(next, 'new_active_pol_name', 'new_active_pol_version', 'new_policy_digest');
  return `${before} ${after} ${SESSION} lsm=ipe res=1`;
}

/** @kernel security/ipe/audit.c ipe_audit_enforce() */
export function enforceBody(enforce: boolean, old: boolean): string {
  const values = `enforcing=${enforce ? 1 : 0} old_enforcing=${old ? 1 : 0}`;
  return `${values} ${SESSION} enabled=1 old-enabled=1 lsm=ipe res=1`;
}
