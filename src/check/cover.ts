// Why a use of code got through: the rule that matched, or that none did, in words; and the condition that
// would have covered it. Read from what IMA and IPE wrote into the trace about that very access.

import type { TraceEvent } from '../base/trace.ts';
import { maskText } from '../explain/policy.ts';
import * as C from '../ima/constants.ts';
import { activeRules } from '../ima/policy-match.ts';
import { showRule } from '../ima/policy-show.ts';
import type { Moment } from './node.ts';
import type { CodeUse, UseKind } from './uses.ts';

export interface Cover {
  readonly cover: string;
  readonly suggestion: string;
}

const FUNC_OF: Readonly<Record<UseKind, string>> = {
  program: 'BPRM_CHECK',
  library: 'MMAP_CHECK mask=MAY_EXEC',
  memory: 'MMAP_CHECK mask=MAY_EXEC',
  'interpreted text': 'FILE_CHECK mask=MAY_READ',
  module: 'MODULE_CHECK',
  firmware: 'FIRMWARE_CHECK',
  kernel: 'KEXEC_KERNEL_CHECK',
  initramfs: 'KEXEC_INITRAMFS_CHECK',
};

const IPE_OP: Readonly<Record<UseKind, string>> = {
  program: 'EXECUTE',
  library: 'EXECUTE',
  memory: 'EXECUTE',
  'interpreted text': 'EXECUTE',
  module: 'KMODULE',
  firmware: 'FIRMWARE',
  kernel: 'KEXEC_IMAGE',
  initramfs: 'KEXEC_INITRAMFS',
};

const SIGNED = 'appraise_type=imasig';
const VERIFIED_VOLUME =
  'put the files on a dm-verity volume (IPE `dmverity_signature=TRUE`), where each block is judged as it is read';

/** What an access was, as the conditions of a rule would say it. */
function accessText(check: TraceEvent, use: CodeUse, at: Moment): string {
  const sb = use.inode === null ? undefined : at.machine.vfs.superblocks.get(use.inode.sb);
  const mask = maskText(Number(check.data['mask'] ?? 0));
  const owner = use.inode === null ? '' : ` fowner=${use.inode.uid}`;
  const { func, uid = 0 } = check.data;
  return `func=${String(func)} mask=${mask} fsname=${sb?.type ?? 'none'} uid=${String(uid)}${owner}`;
}

function ruleText(at: Moment, index: number): string {
  const rule = activeRules(at.machine.ima.policy)[index];
  return rule === undefined ? '' : showRule(rule).trim();
}

/** Which action classes the rules that matched ask for. */
function matchedRules(check: TraceEvent, at: Moment): readonly string[] {
  const places = check.data['rules'];
  if (!Array.isArray(places)) return [];
  return places.map((p) => `rule ${Number(p) + 1} \`${ruleText(at, Number(p))}\``);
}

function imaCover(use: CodeUse, check: TraceEvent, at: Moment, verb: 'appraise' | 'measure'): Cover {
  const wanted = `${verb} func=${FUNC_OF[use.kind]}${verb === 'appraise' ? ` ${SIGNED}` : ''}`;
  const access = accessText(check, use, at);
  const matched = matchedRules(check, at);
  const own = matched.filter((m) => m.includes(`\`${verb}`));
  const veto = activeRules(at.machine.ima.policy)
    .map((r, i) => ({ text: showRule(r).trim(), i, action: r.action }))
    .find(
      ({ text, i }) => text.startsWith(`dont_${verb}`) && matched.some((m) => m.startsWith(`rule ${i + 1} `)),
    );
  if (veto !== undefined)
    return {
      cover: `rule ${veto.i + 1} \`${veto.text}\` says not to, for ${access}`,
      suggestion: `put \`${wanted}\` before rule ${veto.i + 1}`,
    };
  if (own.length === 0)
    return { cover: `no ${verb} rule matched ${access}`, suggestion: `add \`${wanted}\`` };
  if (verb === 'measure')
    return {
      cover: `${own.join(', ')} matched, and the list had nothing new to say`,
      suggestion: 'let the verifier know violations and old entries',
    };
  const enforced = (at.machine.ima.appraise & C.IMA_APPRAISE_ENFORCE) !== 0;
  if (!enforced)
    return {
      cover: `${own.join(', ')} matched ${access}, but appraisal is not enforced`,
      suggestion: 'boot with `ima_appraise=enforce`, or with secure boot',
    };
  if (check.reason === 'ima.nothing_left')
    return {
      cover: `${own.join(', ')} matched; the verdict came from the cache of an earlier access`,
      suggestion: VERIFIED_VOLUME,
    };
  if (!own.some((m) => m.includes(SIGNED)))
    return {
      cover: `${own.join(', ')} accepts any label that fits, for ${access}`,
      suggestion: `ask for signatures: \`${wanted}\`; and bind labels to files with EVM`,
    };
  return {
    cover: `${own.join(', ')} matched ${access}`,
    suggestion: 'trust fewer keys, or bind labels to files with EVM',
  };
}

function ipeCover(use: CodeUse, ipe: TraceEvent): Cover {
  const rule =
    ipe.reason === 'ipe.already_executable'
      ? 'IPE asks only once for memory that is executable already'
      : `IPE let it through by \`${String(ipe.data['rule'] ?? '')}\``;
  return {
    cover: rule,
    suggestion: `\`op=${IPE_OP[use.kind]} dmverity_signature=TRUE action=ALLOW\` under \`DEFAULT action=DENY\``,
  };
}

/** Why a use was not stopped (appraise) or not recorded (measure). */
export function coverOf(use: CodeUse, at: Moment, verb: 'appraise' | 'measure'): Cover {
  const active = at.machine.ipe.active !== null;
  const flag = at.machine.ima.policy.flag;
  if (verb === 'appraise' && active && use.ipe !== null) return ipeCover(use, use.ipe);
  if (use.check !== null && use.check.kind === 'ima.check' && flag !== 0)
    return imaCover(use, use.check, at, verb);
  const wanted = `${verb} func=${FUNC_OF[use.kind]}${verb === 'appraise' ? ` ${SIGNED}` : ''}`;
  if (use.check === null && use.kind === 'library' && flag !== 0)
    return {
      cover: 'a mapping that was judged when it was made shows other bytes now, and nobody asks again',
      suggestion: VERIFIED_VOLUME,
    };
  if (use.kind === 'memory')
    return {
      cover: 'IMA looks at files, and this is memory that a process wrote',
      suggestion: 'an IPE policy with `DEFAULT action=DENY` refuses executable anonymous memory',
    };
  if (use.inode === null)
    return {
      cover: 'the bytes came from a buffer, which no rule about files sees',
      suggestion: `IPE \`DEFAULT op=${IPE_OP[use.kind]} action=DENY\`, or \`appraise func=${FUNC_OF[use.kind]} ${SIGNED}\`, which refuses buffers`,
    };
  return {
    cover: flag === 0 ? 'there is no IMA policy' : 'no rule was asked',
    suggestion: `add \`${wanted}\``,
  };
}
