// Template descriptors: the built-in ones, the place for a format of the command line, and those made for a
// list that came through kexec. Names and formats share one name space when a rule or a boot parameter asks
// for a template.

import type { Err } from '../base/errno.ts';
import { IMA_TEMPLATE_FIELD_ID_MAX_LEN, IMA_TEMPLATE_NUM_FIELDS_MAX } from './constants.ts';
import type { TemplateDesc } from './types.ts';

/** Ids of supported_fields[]. */
export const FIELD_IDS = [
  'd',
  'n',
  'd-ng',
  'd-ngv2',
  'n-ng',
  'sig',
  'buf',
  'd-modsig',
  'modsig',
  'evmsig',
  'iuid',
  'igid',
  'imode',
  'xattrnames',
  'xattrlengths',
  'xattrvalues',
] as const;

export type FieldId = (typeof FIELD_IDS)[number];

/** builtin_templates[]; the last is the place for ima_template_fmt=. */
export const BUILTIN_TEMPLATES: readonly TemplateDesc[] = [
  { name: 'ima', fmt: 'd|n' },
  { name: 'ima-ng', fmt: 'd-ng|n-ng' },
  { name: 'ima-sig', fmt: 'd-ng|n-ng|sig' },
  { name: 'ima-ngv2', fmt: 'd-ngv2|n-ng' },
  { name: 'ima-sigv2', fmt: 'd-ngv2|n-ng|sig' },
  { name: 'ima-buf', fmt: 'd-ng|n-ng|buf' },
  { name: 'ima-modsig', fmt: 'd-ng|n-ng|sig|d-modsig|modsig' },
  { name: 'evm-sig', fmt: 'd-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode' },
  { name: '', fmt: '' },
];

/** Longest template name or format that a restored list may have, NUL included. */
export const MAX_TEMPLATE_NAME_LEN = (BUILTIN_TEMPLATES[7] as TemplateDesc).fmt.length + 1;

/**
 * First descriptor whose name or format is the text.
 * @kernel security/integrity/ima/ima_template.c lookup_template_desc()
 */
export function lookupTemplateDesc(templates: readonly TemplateDesc[], name: string): TemplateDesc | null {
  return templates.find((t) => t.name === name || t.fmt === name) ?? null;
}

/** What a list shows as the template's name. */
export function templateShownName(template: TemplateDesc): string {
  return template.name !== '' ? template.name : template.fmt;
}

/**
 * Whether a format can be used: 1 to 15 known fields.
 * @kernel security/integrity/ima/ima_template.c template_desc_init_fields()
 */
export function checkTemplateFmt(fmt: string): Err {
  const ids = fmt.split('|');
  if (ids.length > IMA_TEMPLATE_NUM_FIELDS_MAX) return 'EINVAL';
  for (const id of ids) {
    if (id.length === 0 || id.length > IMA_TEMPLATE_FIELD_ID_MAX_LEN) return 'EINVAL';
    if (!FIELD_IDS.includes(id as FieldId)) return 'ENOENT';
  }
  return 0;
}

const fieldsOf = new Map<string, readonly FieldId[]>();

/** Fields of a format that checkTemplateFmt() admits. */
export function templateFields(template: TemplateDesc): readonly FieldId[] {
  let fields = fieldsOf.get(template.fmt);
  if (fields === undefined) {
    fields = template.fmt.split('|') as FieldId[];
    // Formats come from command lines and policies: keep the memory bounded.
    if (fieldsOf.size < 1000) fieldsOf.set(template.fmt, fields);
  }
  return fields;
}

/** @kernel security/integrity/ima/ima_template.c ima_template_has_modsig() */
export function templateHasModsig(template: TemplateDesc): boolean {
  const fields = templateFields(template);
  return fields.includes('modsig') || fields.includes('d-modsig');
}
