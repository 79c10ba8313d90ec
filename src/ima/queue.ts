// The measurement list: append, duplicate suppression, extension of the TPM's registers, violations. The list
// is never shortened; a TPM that fails does not undo an entry.

import { toHex } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import { append } from '../base/list.ts';
import { enabled } from '../base/profile.ts';
import type { HashName } from '../crypto/provider.ts';
import { AUDIT_INTEGRITY_PCR } from '../integrity/audit.ts';
import type { BankDigest } from '../tpm/chip.ts';
import type { Inode, VfsTask } from '../vfs/types.ts';
import { auditMessage, type ImaCursor, log, noMemory } from './cursor.ts';
import { R } from './reasons.ts';
import { templateShownName } from './template.ts';
import { binaryRuntimeSize, templateDigests, violationDigest, zeroDigests } from './template-show.ts';
import type { TemplateDesc, TemplateEntry } from './types.ts';

/** What the audit records of a store say. */
export interface StoreContext {
  readonly task: VfsTask;
  readonly inode: Inode | null;
  /** name= of the record; null leaves it out. */
  readonly name: string | null;
}

/** Adds an entry to the list without looking for duplicates and without the TPM. */
function addDigestEntry(ima: ImaCursor, entry: TemplateEntry, key: string | null): void {
  const s = ima.state;
  ima.state = {
    ...s,
    list: append(s.list, entry),
    htable: key === null ? s.htable : s.htable.add(key),
    binaryRuntimeSize: s.binaryRuntimeSize + binaryRuntimeSize(entry),
  };
}

function pcrExtend(ima: ImaCursor, pcr: number, digests: readonly Uint8Array[]): number {
  if (!ima.state.hasTpm) return 0;
  const chip = ima.env.chip;
  // The chip that was there at boot is gone: -ENODEV.
  if (chip === null) return -19;
  const banks: BankDigest[] = [];
  for (const [i, slot] of ima.state.slots.entries())
    if (slot.bank !== null) banks.push({ alg: slot.alg as HashName, digest: digests[i] as Uint8Array });
  const rc = ima.env.faults?.deviceError('tpm_pcr_extend') || chip.pcrExtend(pcr, banks);
  if (rc !== 0) log(ima, `Error Communicating to TPM chip, result: ${rc}`);
  return rc;
}

/** The key of the duplicate table, or null where the table is not built in. */
function htableKey(ima: ImaCursor, entry: TemplateEntry): string | null {
  if (enabled(ima.env.profile, 'CONFIG_IMA_DISABLE_HTABLE')) return null;
  return `${entry.pcr}:${toHex(entry.digests[ima.state.hashAlgoIdx] as Uint8Array)}`;
}

/**
 * Appends an entry and extends its register in all banks.
 * @kernel security/integrity/ima/ima_queue.c ima_add_template_entry()
 */
export function addTemplateEntry(
  ima: ImaCursor,
  entry: TemplateEntry,
  violation: boolean,
  ctx: StoreContext,
): Err {
  const shown = templateShownName(entry.template);
  if (ima.state.suspended) {
    ima.env.trace.emit('ima.store', { pcr: entry.pcr, template: shown }, R['ima.suspended']);
    auditStore(ima, ctx, 'measurements_suspended', true, false);
    return 'ENODEV';
  }
  const key = htableKey(ima, entry);
  if (!violation && key !== null && ima.state.htable.has(key)) {
    ima.env.trace.emit('ima.store', { pcr: entry.pcr, template: shown, key }, R['ima.duplicate']);
    auditStore(ima, ctx, 'hash_exists', true, true);
    return 'EEXIST';
  }
  if (noMemory(ima, 'ima_add_digest_entry')) {
    log(ima, 'OUT OF MEMORY ERROR creating queue entry');
    ima.env.trace.emit('ima.store', { pcr: entry.pcr, template: shown }, R['ima.entry_failed']);
    auditStore(ima, ctx, 'ENOMEM', true, false);
    return 'ENOMEM';
  }
  const index = ima.state.list.length;
  addDigestEntry(ima, entry, key);
  const event = ima.env.trace.open(
    'ima.store',
    { index, pcr: entry.pcr, template: shown, name: ctx.name },
    violation ? R['ima.violation_stored'] : R['ima.stored'],
  );
  const { slots } = ima.state;
  const rc = pcrExtend(ima, entry.pcr, violation ? slots.map(violationDigest) : entry.digests);
  if (rc !== 0) ima.env.trace.emit('ima.tpm_error', { pcr: entry.pcr, rc }, R['ima.tpm_error']);
  ima.env.trace.close(event);
  const cause = rc === 0 ? 'hash_added' : `TPM_error(${rc})`.slice(0, 31);
  auditStore(ima, ctx, cause, false, rc === 0);
  return 0;
}

function auditStore(ima: ImaCursor, ctx: StoreContext, cause: string, failed: boolean, info: boolean): void {
  auditMessage(ima, ctx.task, {
    type: AUDIT_INTEGRITY_PCR,
    op: 'add_template_measure',
    cause,
    name: ctx.name,
    inode: ctx.inode,
    failed,
    info,
  });
}

/**
 * Hashes the fields of an entry and adds it; a violation has zeros for its digests.
 * @kernel security/integrity/ima/ima_api.c ima_store_template()
 */
export function storeTemplate(
  ima: ImaCursor,
  template: TemplateDesc,
  fields: readonly Uint8Array[],
  pcr: number,
  violation: boolean,
  ctx: StoreContext,
): Err {
  const { slots } = ima.state;
  if (!violation && noMemory(ima, 'ima_calc_field_array_hash')) {
    ima.env.trace.emit('ima.store', { pcr, template: templateShownName(template) }, R['ima.entry_failed']);
    // The name of this record is the template's own: empty for a format of the command line.
    auditStore(ima, { ...ctx, name: template.name }, 'hashing_error', true, false);
    return 'ENOMEM';
  }
  const digests = violation ? zeroDigests(slots) : templateDigests(template, fields, slots);
  return addTemplateEntry(ima, { pcr, template, fields, digests }, violation, ctx);
}

/**
 * An entry that came through kexec.
 * @kernel security/integrity/ima/ima_queue.c ima_restore_measurement_entry()
 */
export function restoreMeasurementEntry(ima: ImaCursor, entry: TemplateEntry): void {
  addDigestEntry(ima, entry, null);
}
