// Steps of a script around keys that the TPM guards, as a start-up script of a distribution has them: a
// parent at a persistent handle (tpm2_createprimary, tpm2_evictcontrol), a trusted key sealed under it and
// bound to registers, its blob in a file, and loading it again at the next boot.

import * as z from 'zod';
import { fromLatin1, latin1, toHex } from '../../base/bytes.ts';
import type { Result } from '../../base/errno.ts';
import { O_CREAT, O_TRUNC, O_WRONLY } from '../../vfs/constants.ts';
import { findRing } from '../ops/integrity.ts';
import { slurp } from '../ops/slurp.ts';
import { failedAt, type OpResult, result, unsupported } from '../ops/types.ts';
import type { Sys } from '../session.ts';
import { type BankSelection, flushContext, type TpmPort } from '../tpm-client.ts';
import { persistentParent, policyDigest, policyPcr, startSession } from '../tpm-key-client.ts';
import { answered, NO_TPM, PCRS, portOf, selectionOf } from './tpm-common.ts';
import { defineStep } from './types.ts';

const HANDLE = z
  .string()
  .regex(/^0x81[0-9a-f]{6}$/, 'a persistent handle such as "0x81000001"')
  .optional()
  .describe('Persistent handle of the parent; default "0x81000001".');
const DEFAULT_HANDLE = '0x81000001';
const DESC = z.string().describe('Description of the key.');
const RING = z
  .union([z.string(), z.number().int()])
  .optional()
  .describe('Keyring, as add_key has it; default -4 (user).');
const DEFAULT_RING = -4;

/** A session that asserts the registers as they are now; value = its handle. */
function pcrSession(port: TpmPort, kind: 'policy' | 'trial', pcrs: readonly BankSelection[]): number | null {
  const session = startSession(port, kind);
  if (session.value === null) return null;
  if (policyPcr(port, session.value, pcrs).rc === 0) return session.value;
  flushContext(port, session.value);
  return null;
}

const tpmParent = defineStep({
  name: 'tpm_parent',
  help: 'makes a storage key and keeps it at a persistent handle, as tpm2_createprimary and tpm2_evictcontrol do',
  args: { at: HANDLE },
  run: (context, args) => {
    const port = portOf(context);
    if (port === null) return NO_TPM;
    return answered(persistentParent(port, Number(args.at ?? DEFAULT_HANDLE)).rc);
  },
});

/** The policy that the registers make now, for `policydigest=`. */
function policyOf(port: TpmPort, pcrs: readonly BankSelection[]): string | null {
  const session = pcrSession(port, 'trial', pcrs);
  if (session === null) return null;
  const digest = policyDigest(port, session);
  flushContext(port, session);
  return digest.value === null ? null : toHex(digest.value);
}

const trustedNew = defineStep({
  name: 'trusted_new',
  help: 'keyctl add trusted: the TPM makes a secret and seals it under the parent, for the present registers if asked',
  args: {
    desc: DESC,
    length: z.int().optional().describe('Bytes of the secret; default 32.'),
    parent: HANDLE,
    pcrs: PCRS.optional().describe('Registers whose present values the secret is bound to.'),
    ring: RING,
  },
  run: (context, args) => {
    const port = portOf(context);
    if (port === null) return NO_TPM;
    const { sys } = context.actor();
    const words = [`new ${args.length ?? 32} keyhandle=${args.parent ?? DEFAULT_HANDLE}`];
    if (args.pcrs !== undefined) {
      const digest = policyOf(port, selectionOf(args.pcrs));
      if (digest === null) return failedAt('policy', 'EINVAL');
      words.push(`hash=sha256 policydigest=${digest}`);
    }
    const ring = findRing(sys, args.ring ?? DEFAULT_RING);
    const key = sys.addKey('trusted', args.desc, latin1(words.join(' ')), ring);
    return result(key.ok ? 0 : key.errno);
  },
});

function writeFile(sys: Sys, path: string, data: Uint8Array): OpResult {
  const fd = sys.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
  if (!fd.ok) return failedAt('open', fd.errno);
  const wrote = sys.write(fd.value, data);
  const closed = sys.close(fd.value);
  return wrote.ok ? result(closed) : failedAt('write', wrote.errno);
}

const TYPE = z.enum(['trusted', 'encrypted']).describe('Type of the key.');

const keySave = defineStep({
  name: 'key_save',
  help: 'keyctl pipe KEY > FILE: what leaves the kernel of a sealed or encrypted key',
  args: { type: TYPE, desc: DESC, path: z.string(), ring: RING },
  run: (context, args) => {
    const { sys } = context.actor();
    const key = sys.keySearch?.(findRing(sys, args.ring ?? DEFAULT_RING), args.type, args.desc);
    if (key === undefined || sys.keyRead === undefined) return unsupported('keyctl search and read');
    if (!key.ok) return failedAt('search', key.errno);
    const payload = sys.keyRead(key.value);
    return payload.ok ? writeFile(sys, args.path, payload.value) : failedAt('read', payload.errno);
  },
});

/** `keyctl add TYPE DESC "load ..." RING`. */
function load(sys: Sys, type: string, desc: string, words: string, ring: string | number): Result<number> {
  return sys.addKey(type, desc, latin1(`load ${words}`), findRing(sys, ring));
}

const keyLoad = defineStep({
  name: 'key_load',
  help: 'keyctl add TYPE DESC "load `cat FILE`": the TPM unseals a trusted key, if its registers are as they were',
  args: {
    type: TYPE,
    desc: DESC,
    path: z.string(),
    pcrs: PCRS.optional().describe('A policy session over these registers, as they are, goes with it.'),
    ring: RING,
  },
  run: (context, args) => {
    const { sys } = context.actor();
    const file = slurp(sys, args.path);
    if (!file.ok) return failedAt('open', file.errno);
    const ring = args.ring ?? DEFAULT_RING;
    const text = fromLatin1(file.value);
    const port = portOf(context);
    if (args.pcrs === undefined) {
      const key = load(sys, args.type, args.desc, text, ring);
      return result(key.ok ? 0 : key.errno);
    }
    if (port === null) return NO_TPM;
    const session = pcrSession(port, 'policy', selectionOf(args.pcrs));
    if (session === null) return failedAt('policy', 'EINVAL');
    const key = load(sys, args.type, args.desc, `${text} policyhandle=0x${session.toString(16)}`, ring);
    // A session that authorized something is used up; the TPM answers that it does not know it.
    flushContext(port, session);
    return result(key.ok ? 0 : key.errno);
  },
});

export const KEY_STEPS = [tpmParent, trustedNew, keySave, keyLoad];
