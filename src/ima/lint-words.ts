// What is wrong with one word of a rule, said in words: unknown values with the nearest ones, numbers,
// repeated options, the order that some options need.

import { didYouMean } from '../base/diagnostic.ts';
import type { Err } from '../base/errno.ts';
import { cryptoHasAlg, HASH_ALGO_NAME, hashAlgo } from '../integrity/hash-info.ts';
import * as C from './constants.ts';
import { funcNames, MASK_VALUES, type ParseContext, type RuleDraft } from './policy-parse.ts';
import type { Token } from './policy-tokens.ts';

export interface LintNote {
  readonly code: string;
  readonly message: string;
  readonly help: string | null;
  /** Where in the word the mark begins, and how long it is; default: the whole word. */
  readonly shift?: number;
  readonly length?: number;
}

/** A note about the value of an option. */
function value(token: Token, code: string, message: string, help: string | null): LintNote {
  const shift = token.keyword.length + token.op.length;
  return { code, message, help, shift, length: token.value.length };
}

/** Whether the rule had the option (or one that shares its slot) before. */
function repeated(token: Token, before: RuleDraft): string | null {
  switch (token.keyword) {
    case 'func':
      return before.func !== C.NONE ? 'func' : null;
    case 'mask':
      return before.mask !== 0 ? 'mask' : null;
    case 'fsmagic':
      return before.fsmagic !== '0' ? 'fsmagic' : null;
    case 'fsuuid':
      return /[1-9a-f]/.test(before.fsuuid) ? 'fsuuid' : null;
    case 'uid':
    case 'euid':
      return before.uid !== null ? 'uid or euid' : null;
    case 'gid':
    case 'egid':
      return before.gid !== null ? 'gid or egid' : null;
    case 'fowner':
      return before.fowner !== null ? 'fowner' : null;
    case 'fgroup':
      return before.fgroup !== null ? 'fgroup' : null;
    case 'appraise_algos':
      return before.allowedAlgos !== 0 ? 'appraise_algos' : null;
    case 'template':
      return before.template !== null ? 'template' : null;
    case 'keyrings':
      return before.keyrings !== null ? 'keyrings' : null;
    case 'label':
      return before.label !== null ? 'label' : null;
    default:
      return null;
  }
}

function algoNote(token: Token, ctx: ParseContext): LintNote {
  let shift = token.keyword.length + 1;
  for (const name of token.value.split(',')) {
    const length = Math.max(1, name.length);
    if (hashAlgo(name) < 0) {
      const help = didYouMean(name, HASH_ALGO_NAME) ?? `hash algorithms: ${HASH_ALGO_NAME.join(', ')}`;
      const message = name === '' ? 'an empty name in the list' : `unknown hash algorithm \`${name}\``;
      return { code: 'ima.unknown_hash', message, help, shift, length };
    }
    if (!cryptoHasAlg(ctx.profile, name)) {
      const message = `this kernel has no \`${name}\``;
      const code = 'ima.unavailable_hash';
      return { code, message, help: 'its CONFIG_CRYPTO_ option is not built in', shift, length };
    }
    shift += name.length + 1;
  }
  return value(token, 'ima.unknown_hash', 'no hash algorithm', null);
}

function appraiseTypeNote(token: Token, before: RuleDraft): LintNote {
  const code = 'ima.bad_appraise_type';
  const verity = (before.flags & C.IMA_VERITY_REQUIRED) !== 0;
  if (token.value === 'sigv3' && !verity)
    return value(
      token,
      code,
      '`sigv3` needs `digest_type=verity` before it',
      'put `digest_type=verity` first',
    );
  if (verity && token.value.startsWith('imasig'))
    return value(token, code, `\`${token.value}\` does not go with \`digest_type=verity\``, 'use `sigv3`');
  const known = ['imasig', 'imasig|modsig', 'sigv3'];
  const help = didYouMean(token.value, known) ?? `one of ${known.map((k) => `\`${k}\``).join(', ')}`;
  return value(token, code, `unknown kind of signature \`${token.value}\``, help);
}

function digestTypeNote(token: Token, before: RuleDraft): LintNote {
  const code = 'ima.bad_digest_type';
  if ((before.flags & C.IMA_DIGSIG_REQUIRED) !== 0) {
    const help = 'put `digest_type=verity` before `appraise_type=`';
    return { code, message: '`digest_type=` comes too late', help };
  }
  return value(token, code, `unknown digest type \`${token.value}\``, 'the only one is `verity`');
}

function templateNote(token: Token, before: RuleDraft, ctx: ParseContext): LintNote {
  const code = 'ima.bad_template';
  if (before.action !== C.MEASURE) {
    const help = 'put `measure` before it';
    return { code, message: '`template=` goes behind `measure`', help };
  }
  const names = ctx.templates.map((t) => t.name).filter((n) => n !== '');
  const help = didYouMean(token.value, names) ?? `templates: ${names.join(', ')}`;
  return value(token, code, `unknown template \`${token.value}\``, help);
}

function numberNote(token: Token, err: Err): LintNote {
  const code = 'ima.bad_number';
  if (err === 'ERANGE') return value(token, code, `\`${token.value}\` is too large`, null);
  if (token.keyword === 'fsmagic')
    return value(token, code, `\`${token.value}\` is no hexadecimal number`, 'for example `fsmagic=0x9fa0`');
  if (token.keyword === 'pcr')
    return value(token, code, `\`${token.value}\` is no register`, 'a decimal number, 0 to 23 on real TPMs');
  return value(token, code, `\`${token.value}\` is no id`, 'a decimal number from 0 to 4294967294');
}

function listNote(token: Token, ctx: ParseContext): LintNote {
  if (token.keyword === 'keyrings' && !funcNames(ctx.profile).includes('KEY_CHECK'))
    return { code: 'ima.not_built', message: 'this kernel does not measure keys', help: null };
  return value(token, 'ima.empty_item', 'an empty name in the list', 'separate the names by single `|`');
}

/**
 * Why the kernel refuses a word.
 * @kernel security/integrity/ima/ima_policy.c ima_parse_rule()
 */
export function complaintOf(token: Token, before: RuleDraft, err: Err, ctx: ParseContext): LintNote {
  const again = repeated(token, before);
  if (again !== null) {
    const message = `\`${token.keyword}\` is given twice`;
    return { code: 'ima.repeated_option', message, help: `a rule has one ${again}` };
  }
  switch (token.keyword) {
    case 'func': {
      const names = funcNames(ctx.profile);
      const help = didYouMean(token.value, names) ?? `hooks: ${names.join(', ')}`;
      return value(token, 'ima.unknown_func', `unknown hook \`${token.value}\``, help);
    }
    case 'mask': {
      const names = [...MASK_VALUES.keys()];
      const help =
        didYouMean(token.value.replace(/^\^/, ''), names) ??
        `masks: ${names.join(', ')}, each also with \`^\``;
      return value(token, 'ima.unknown_mask', `unknown mask \`${token.value}\``, help);
    }
    case 'fsuuid':
      return value(token, 'ima.bad_uuid', 'no UUID', 'hexadecimal, in groups of 8-4-4-4-12');
    case 'fsmagic':
    case 'pcr':
    case 'uid':
    case 'euid':
    case 'gid':
    case 'egid':
    case 'fowner':
    case 'fgroup':
      return numberNote(token, err);
    case 'digest_type':
      return digestTypeNote(token, before);
    case 'appraise_type':
      return appraiseTypeNote(token, before);
    case 'appraise_algos':
      return algoNote(token, ctx);
    case 'template':
      return templateNote(token, before, ctx);
    case 'keyrings':
    case 'label':
      return listNote(token, ctx);
    default:
      break;
  }
  const message = `the rule has an action already, \`${C.ACTION_NAMES.get(before.action) ?? ''}\``;
  return { code: 'ima.second_action', message, help: 'write two rules' };
}
