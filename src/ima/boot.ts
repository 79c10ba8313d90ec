// Start-up: parameters of the command line in their order, and ima_init() with everything that is in force
// before the first program runs. A second try with the default hash follows when ima_hash= named an algorithm
// that the kernel lacks.

import { Map as ImmutableMap, Set as ImmutableSet } from 'immutable';
import { utf8 } from '../base/bytes.ts';
import { type Err, negative } from '../base/errno.ts';
import { kstrtou } from '../base/kstrtox.ts';
import { emptyList } from '../base/list.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import { AUDIT_INTEGRITY_PCR } from '../integrity/audit.ts';
import { type HashAlgoName, hashAlgo, hashDigestSize } from '../integrity/hash-info.ts';
import type { VfsTask } from '../vfs/types.ts';
import { measurePcr, processBufferMeasurement } from './buffer.ts';
import * as C from './constants.ts';
import { calcBootAggregate, imaHashAvailable, planSlots } from './crypto.ts';
import { auditMessage, type ImaCursor, log } from './cursor.ts';
import { fieldEnv } from './event.ts';
import { restoreMeasurementList } from './kexec.ts';
import { currentTemplate } from './measure.ts';
import { initPolicy, updatePolicyFlags } from './policy-load.ts';
import { storeTemplate } from './queue.ts';
import { R } from './reasons.ts';
import { BUILTIN_TEMPLATES, checkTemplateFmt, lookupTemplateDesc, templateShownName } from './template.ts';
import { initTemplate } from './template-lib.ts';
import type { BootState, FileHash, ImaState, TemplateDesc } from './types.ts';

const NO_BOOT: BootState = {
  tcb: null,
  appraiseTcb: false,
  secureBoot: false,
  criticalData: false,
  appraise: null,
  hashSetupDone: false,
  templateSetupDone: false,
};

/** IMA as it is in a kernel that was just loaded. */
export function newIma(profile: KernelProfile): ImaState {
  return {
    boot: NO_BOOT,
    initialized: false,
    hashAlgo: 'sha1',
    canonicalFmt: false,
    failUnverifiableSigs: false,
    appraise: enabled(profile, 'CONFIG_IMA_APPRAISE') ? C.IMA_APPRAISE_ENFORCE : 0,
    templates: BUILTIN_TEMPLATES,
    template: null,
    hasTpm: false,
    slots: [],
    sha1Idx: 0,
    hashAlgoIdx: 0,
    policy: {
      defaultRules: [],
      customRules: [],
      active: 'default',
      tempRules: [],
      flag: 0,
      tempAppraise: 0,
      buildAppraise: 0,
      setxattrAlgos: 0,
      load: 'closed',
    },
    list: emptyList(),
    htable: ImmutableSet(),
    violations: 0,
    suspended: false,
    binaryRuntimeSize: 0,
    iint: ImmutableMap(),
    keys: { processKeys: false, queue: [], deadlineMs: null },
  };
}

function setBoot(ima: ImaCursor, change: Partial<BootState>): void {
  ima.state = { ...ima.state, boot: { ...ima.state.boot, ...change } };
}

/** @kernel security/integrity/ima/ima_policy.c policy_setup() */
function policySetup(ima: ImaCursor, value: string): void {
  for (const word of value.split(/[ |\n]/)) {
    if (word === 'tcb' && ima.state.boot.tcb === null) setBoot(ima, { tcb: 'default' });
    else if (word === 'appraise_tcb') setBoot(ima, { appraiseTcb: true });
    else if (word === 'secure_boot') setBoot(ima, { secureBoot: true });
    else if (word === 'critical_data') setBoot(ima, { criticalData: true });
    else if (word === 'fail_securely') ima.state = { ...ima.state, failUnverifiableSigs: true };
    else log(ima, `policy "${word}" not found`);
  }
}

/** @kernel security/integrity/ima/ima_main.c hash_setup() */
function hashSetup(ima: ImaCursor, value: string): void {
  if (ima.state.boot.hashSetupDone) return;
  const template = currentTemplate(ima);
  ima.state = { ...ima.state, template };
  let alg: string | null = hashAlgo(value) >= 0 ? value : null;
  if (template.name === C.IMA_TEMPLATE_IMA_NAME)
    alg = value.startsWith('sha1') ? 'sha1' : value.startsWith('md5') ? 'md5' : null;
  if (alg === null) {
    const where = template.name === C.IMA_TEMPLATE_IMA_NAME ? ` for template "${template.name}"` : '';
    log(ima, `invalid hash algorithm "${value}"${where}`);
    return;
  }
  ima.state = { ...ima.state, hashAlgo: alg };
  setBoot(ima, { hashSetupDone: true });
}

function defaultTemplateName(ima: ImaCursor): string {
  return ima.env.profile.config['CONFIG_IMA_DEFAULT_TEMPLATE'] ?? 'ima-ng';
}

/** @kernel security/integrity/ima/ima_template.c ima_template_setup() */
function templateSetup(ima: ImaCursor, value: string): void {
  if (ima.state.boot.templateSetupDone) return;
  const found = lookupTemplateDesc(ima.state.templates, value);
  if (found === null) {
    log(ima, `template ${value} not found, using ${defaultTemplateName(ima)}`);
    return;
  }
  const { hashAlgo: alg } = ima.state;
  if (value === C.IMA_TEMPLATE_IMA_NAME && alg !== 'sha1' && alg !== 'md5') {
    log(ima, 'template does not support hash alg');
    return;
  }
  ima.state = { ...ima.state, template: found };
  setBoot(ima, { templateSetupDone: true });
}

/** @kernel security/integrity/ima/ima_template.c ima_template_fmt_setup() */
function templateFmtSetup(ima: ImaCursor, value: string): void {
  if (ima.state.boot.templateSetupDone) return;
  if (checkTemplateFmt(value) !== 0) {
    log(ima, `format string '${value}' not valid, using template ${defaultTemplateName(ima)}`);
    return;
  }
  const template: TemplateDesc = { name: '', fmt: value };
  const templates = [...BUILTIN_TEMPLATES.slice(0, -1), template];
  ima.state = { ...ima.state, templates, template };
  setBoot(ima, { templateSetupDone: true });
}

/**
 * A parameter of the command line; false when it is not IMA's. Names are compared with dashes and underscores
 * equal.
 * @kernel init/main.c obsolete_checksetup()
 */
export function setup(ima: ImaCursor, name: string, value: string | null): boolean {
  const text = value ?? '';
  switch (name.replaceAll('-', '_')) {
    case 'ima_tcb':
      if (ima.state.boot.tcb === null) setBoot(ima, { tcb: 'original' });
      return true;
    case 'ima_policy':
      policySetup(ima, text);
      return true;
    case 'ima_appraise_tcb':
      setBoot(ima, { appraiseTcb: true });
      return true;
    case 'ima_appraise':
      if (!enabled(ima.env.profile, 'CONFIG_IMA_APPRAISE_BOOTPARAM')) return false;
      setBoot(ima, { appraise: text });
      return true;
    case 'ima_hash':
      hashSetup(ima, text);
      return true;
    case 'ima_template':
      templateSetup(ima, text);
      return true;
    case 'ima_template_fmt':
      templateFmtSetup(ima, text);
      return true;
    case 'ima_canonical_fmt':
      // Only big-endian kernels act on it.
      return true;
    case 'integrity_audit': {
      const { audit } = ima.env;
      const number = kstrtou(text, 0, ima.env.profile.wordBits);
      if (number.ok) audit.state = { ...audit.state, integrityAudit: number.value !== 0n };
      return true;
    }
    default:
      return false;
  }
}

/** @kernel security/integrity/ima/ima_appraise.c ima_appraise_parse_cmdline() */
function appraiseParseCmdline(ima: ImaCursor): void {
  const text = ima.state.boot.appraise;
  if (text === null) return;
  let mode = ima.state.appraise;
  if (text.startsWith('off')) mode = 0;
  else if (text.startsWith('log')) mode = C.IMA_APPRAISE_LOG;
  else if (text.startsWith('fix')) mode = C.IMA_APPRAISE_FIX;
  else if (text.startsWith('enforce')) mode = C.IMA_APPRAISE_ENFORCE;
  else log(ima, `invalid "${text}" appraise option`);
  if (ima.env.platform?.secureBoot === true) {
    if ((mode & C.IMA_APPRAISE_ENFORCE) === 0)
      log(ima, `Secure boot enabled: ignoring ima_appraise=${text} option`);
  } else ima.state = { ...ima.state, appraise: mode };
}

/** @kernel security/integrity/ima/ima_init.c ima_add_boot_aggregate() */
function addBootAggregate(ima: ImaCursor, task: VfsTask): Err {
  const alg = ima.state.hashAlgo;
  let hash: FileHash = { alg, digest: new Uint8Array(hashDigestSize(alg as HashAlgoName)) };
  let cause = 'hashing_error';
  let err: Err = 0;
  if (ima.state.hasTpm) {
    const aggregate = calcBootAggregate(ima, alg);
    if (aggregate.ok) hash = aggregate.value;
    else err = aggregate.errno;
  }
  if (err === 0) {
    cause = 'alloc_entry';
    const event = {
      hash,
      iintFlags: 0,
      file: null,
      inode: null,
      filename: C.BOOT_AGGREGATE_NAME,
      dentryName: null,
      xattrValue: null,
      modsig: null,
      violation: false,
      buf: new Uint8Array(0),
    };
    const template = currentTemplate(ima);
    const fields = initTemplate(template, event, fieldEnv(ima, task));
    if (fields.ok) {
      const context = { task, inode: null, name: C.BOOT_AGGREGATE_NAME };
      cause = 'store_entry';
      err = storeTemplate(ima, template, fields.value, measurePcr(ima), false, context);
    } else err = fields.errno;
  }
  if (err !== 0) {
    auditMessage(ima, task, {
      type: AUDIT_INTEGRITY_PCR,
      op: 'add_boot_aggregate',
      cause,
      name: C.BOOT_AGGREGATE_NAME,
      inode: null,
      failed: true,
    });
  }
  return err;
}

export interface InitOptions {
  /** Segment that the kernel before this one left; null when there is none. */
  readonly kexecBuffer?: Uint8Array | null;
}

/** @kernel security/integrity/ima/ima_init.c ima_init() */
function imaInit(ima: ImaCursor, task: VfsTask, options: InitOptions): Err {
  const { env } = ima;
  const { chip, profile } = env;
  if (chip === null) log(ima, 'No TPM chip found, activating TPM-bypass!');
  const alg = ima.state.hashAlgo;
  if (!imaHashAvailable(profile, alg)) {
    log(ima, `Can not allocate ${alg} (reason: -2)`);
    return 'ENOENT';
  }
  log(ima, `Allocated hash algorithm: ${alg}`);
  const plan = planSlots(profile, chip?.banks ?? [], alg);
  const template = currentTemplate(ima);
  ima.state = { ...ima.state, hasTpm: chip !== null, ...plan, template };
  const bad = checkTemplateFmt(template.fmt);
  if (bad !== 0) {
    log(ima, `template ${templateShownName(template)} init failed, result: ${negative(bad)}`);
    return bad;
  }
  if (enabled(profile, 'CONFIG_IMA_KEXEC') && options.kexecBuffer != null)
    restoreMeasurementList(ima, options.kexecBuffer);
  const err = addBootAggregate(ima, task);
  if (err !== 0) return err;
  initPolicy(ima, task);
  const deadlineMs = env.clock.uptimeMs() + C.IMA_KEY_QUEUE_TIMEOUT_MS;
  const queued = enabled(profile, 'CONFIG_IMA_QUEUE_EARLY_BOOT_KEYS');
  ima.state = {
    ...ima.state,
    initialized: true,
    keys: { ...ima.state.keys, deadlineMs: queued ? deadlineMs : null },
  };
  processBufferMeasurement(ima, task, {
    data: utf8(profile.release),
    eventName: 'kernel_version',
    func: C.CRITICAL_DATA,
    funcData: 'kernel_info',
    inode: null,
    pcr: 0,
    hashed: false,
  });
  return 0;
}

/**
 * The late initcall, once the TPM is there.
 * @kernel security/integrity/ima/ima_main.c init_ima()
 */
export function init(ima: ImaCursor, task: VfsTask, options: InitOptions): Err {
  const fallback = ima.env.profile.config['CONFIG_IMA_DEFAULT_HASH'] ?? 'sha1';
  const cause = ima.env.trace.open('ima.init', { hash: ima.state.hashAlgo });
  appraiseParseCmdline(ima);
  hashSetup(ima, fallback);
  let err = imaInit(ima, task, options);
  if (err !== 0 && ima.state.hashAlgo !== fallback) {
    log(ima, `Allocating ${ima.state.hashAlgo} failed, going to use default hash algorithm ${fallback}`);
    setBoot(ima, { hashSetupDone: false });
    hashSetup(ima, fallback);
    err = imaInit(ima, task, options);
  }
  if (err === 0) updatePolicyFlags(ima);
  const { hashAlgo: hash, policy, appraise } = ima.state;
  const data = { hash, template: templateShownName(currentTemplate(ima)), flag: policy.flag, appraise };
  ima.env.trace.emit(
    'ima.ready',
    { ...data, errno: err },
    err === 0 ? R['ima.started'] : R['ima.init_failed'],
  );
  ima.env.trace.close(cause);
  return err;
}
