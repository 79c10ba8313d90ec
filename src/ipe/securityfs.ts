// Behaviour of IPE's securityfs nodes. Writes ask for CAP_MAC_ADMIN of whoever opened the node, before the
// data is looked at; one write is one complete value, the offset is ignored and does not move. Each read
// shows the state of its moment.

import { fromLatin1, latin1 } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { CAP_MAC_ADMIN } from '../vfs/constants.ts';
import type { FileId } from '../vfs/types.ts';
import { AUDIT_MAC_STATUS, enforceBody, versionText } from './audit.ts';
import type { IpeCursor } from './env.ts';
import { kstrtobool } from './kstrtobool.ts';
import type { PolicyNode } from './nodes.ts';
import {
  ipeDeletePolicy,
  ipeNewPolicy,
  ipeNewPolicyfsNode,
  ipeSetActivePol,
  ipeUpdatePolicy,
  refuse,
} from './policy.ts';
import { IPE_REASON } from './reasons.ts';
import type { IpePolicyDirectory } from './types.ts';

/**
 * file_ns_capable(f, &init_user_ns, CAP_MAC_ADMIN): the opener's credentials.
 * @kernel kernel/capability.c file_ns_capable()
 */
function openerIsAdmin(ipe: IpeCursor, file: FileId): boolean {
  const { caps, userNs } = ipe.env.vfs.file(file).cred;
  return userNs === 0 && ((caps >> BigInt(CAP_MAC_ADMIN)) & 1n) === 1n;
}

/** Only the first three bytes are copied in. @kernel lib/kstrtox.c kstrtobool_from_user() */
function booleanOf(data: Uint8Array): boolean | undefined {
  return kstrtobool(fromLatin1(data.subarray(0, 3)));
}

type Handler = (data: Uint8Array) => Err;

/** A node that is written: capability, then the handler; all of the data counts as written. */
function writable(ipe: IpeCursor, handler: Handler): PseudoNode['write'] & {} {
  return (_task, file, data): Result<number> => {
    if (!openerIsAdmin(ipe, file)) return fail(refuse(ipe, 'EPERM', 'ipe.not_capable'));
    const err = handler(data);
    return err === 0 ? ok(data.length) : fail(err);
  };
}

function boolean(ipe: IpeCursor, set: (value: boolean) => Err): Handler {
  return (data) => {
    const value = booleanOf(data);
    return value === undefined ? refuse(ipe, 'EINVAL', 'ipe.bad_bool') : set(value);
  };
}

/** A switch that only takes true. */
function trigger(ipe: IpeCursor, act: () => Err): Handler {
  return boolean(ipe, (value) => (value ? act() : refuse(ipe, 'EINVAL', 'ipe.false_refused')));
}

/** @kernel security/ipe/fs.c setenforce() */
function setEnforce(ipe: IpeCursor, enforce: boolean): Err {
  const old = ipe.state.enforce;
  if (enforce === old) return 0;
  const { audit, trace } = ipe.env;
  audit.log(AUDIT_MAC_STATUS, enforceBody(enforce, old));
  // The function opens a record of its own around that one and leaves it empty.
  audit.log(AUDIT_MAC_STATUS, '');
  trace.emit('ipe.enforce', { enforce }, IPE_REASON['ipe.enforce_changed']);
  ipe.state = { ...ipe.state, enforce };
  return 0;
}

const flag = (value: boolean): Result<Uint8Array> => ok(latin1(value ? '1' : '0'));

function fixedNode(ipe: IpeCursor, key: string): PseudoNode | undefined {
  switch (key) {
    case 'ipe/success_audit':
      return {
        read: () => flag(ipe.state.successAudit),
        write: writable(
          ipe,
          boolean(ipe, (successAudit) => {
            ipe.state = { ...ipe.state, successAudit };
            return 0;
          }),
        ),
      };
    case 'ipe/enforce':
      return {
        read: () => flag(ipe.state.enforce),
        write: writable(
          ipe,
          boolean(ipe, (value) => setEnforce(ipe, value)),
        ),
      };
    case 'ipe/new_policy':
      return {
        write: writable(ipe, (data) => {
          const policy = ipeNewPolicy(ipe, data);
          return policy.ok ? ipeNewPolicyfsNode(ipe, policy.value) : policy.errno;
        }),
      };
    default:
      return undefined;
  }
}

/** A node that shows something of its directory's policy; ENOENT once that was deleted. */
function shows(ipe: IpeCursor, id: number, what: (d: IpePolicyDirectory) => Result<Uint8Array>): PseudoNode {
  return {
    read: () => {
      const directory = ipe.state.directories.get(id);
      return directory === undefined ? fail(refuse(ipe, 'ENOENT', 'ipe.policy_gone')) : what(directory);
    },
  };
}

/** @kernel security/ipe/policy_fs.c read_pkcs7() */
function readPkcs7(ipe: IpeCursor, directory: IpePolicyDirectory): Result<Uint8Array> {
  const { pkcs7 } = directory.policy;
  return pkcs7 === null ? fail(refuse(ipe, 'ENOENT', 'ipe.policy_unsigned')) : ok(pkcs7);
}

function policyNode(ipe: IpeCursor, id: number, node: PolicyNode): PseudoNode {
  switch (node) {
    case 'pkcs7':
      return shows(ipe, id, (d) => readPkcs7(ipe, d));
    case 'policy':
      return shows(ipe, id, (d) => ok(d.policy.text));
    case 'name':
      return shows(ipe, id, (d) => ok(latin1(d.policy.parsed.name)));
    case 'version':
      return shows(ipe, id, (d) => ok(latin1(versionText(d.policy.parsed.version))));
    case 'active':
      return {
        ...shows(ipe, id, () => flag(ipe.state.active === id)),
        write: writable(
          ipe,
          trigger(ipe, () => ipeSetActivePol(ipe, id)),
        ),
      };
    case 'update':
      return { write: writable(ipe, (data) => ipeUpdatePolicy(ipe, id, data)) };
    case 'delete':
      return {
        write: writable(
          ipe,
          trigger(ipe, () => ipeDeletePolicy(ipe, id)),
        ),
      };
  }
}

const POLICY_KEY = /^ipe\/policies\/(\d+)\/(pkcs7|policy|name|version|active|update|delete)$/;

/** Behaviour of the pseudo files whose keys begin with `ipe/`. */
export function ipePseudo(ipe: IpeCursor): { find(key: string): PseudoNode | undefined } {
  const known = new Map<string, PseudoNode>();
  return {
    find(key) {
      const hit = known.get(key);
      if (hit !== undefined) return hit;
      const match = POLICY_KEY.exec(key);
      const node =
        match === null ? fixedNode(ipe, key) : policyNode(ipe, Number(match[1]), match[2] as PolicyNode);
      if (node === undefined) return undefined;
      const live = { ...node, live: true, keepsOffset: true };
      known.set(key, live);
      return live;
    },
  };
}
