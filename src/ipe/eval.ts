// Evaluation of one event against the active policy: first rule whose properties all hold, else the default
// of the operation, else the global default. Nothing is cached, so a change of policy applies to the next
// event.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import type { EventValue } from '../base/trace.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import {
  AUDIT_IPE_ACCESS,
  accessBody,
  type IpeAuditFile,
  type IpeMatch,
  matchText,
  propText,
} from './audit.ts';
import { type IpeCursor, optionOn } from './env.ts';
import type { IpeEvalContext } from './properties.ts';
import { IPE_REASON } from './reasons.ts';
import type { IpeHook, IpeOp, IpeOpTable, IpeParsedPolicy, IpeProp } from './types.ts';

/**
 * Gathers what the properties look at.
 * @kernel security/ipe/eval.c ipe_build_eval_ctx()
 */
export function ipeBuildEvalCtx(
  ipe: IpeCursor,
  task: VfsTask,
  file: FileId | null,
  op: IpeOp | null,
  hook: IpeHook,
): IpeEvalContext {
  const none = { task, op, hook, file, inode: null, device: null, initramfs: false, fsVeritySigned: false };
  if (file === null) return none;
  const { vfs } = ipe.env;
  const open = vfs.file(file);
  const own = vfs.inode(open.inode);
  const inode = own.realData === null ? own : vfs.inode(own.realData);
  const lies = vfs.superblock(inode.sb).device;
  return {
    ...none,
    inode,
    device: lies === null ? null : (vfs.state.devices.get(lies) ?? null),
    initramfs: ipe.state.initramfs.has(vfs.mountOf(open.path.mount).sb),
    fsVeritySigned: ipe.state.fsVeritySigned.has(inode.key),
  };
}

/** @kernel security/ipe/eval.c evaluate_property() */
function holds(ipe: IpeCursor, context: IpeEvalContext, prop: IpeProp): boolean {
  const declared = ipe.env.properties.find((p) => p.name === prop.name);
  if (declared === undefined || !optionOn(ipe.env.profile, declared.option)) return false;
  return declared.evaluate(context, prop.value);
}

function decide(ipe: IpeCursor, context: IpeEvalContext, policy: IpeParsedPolicy): IpeMatch {
  const table = context.op === null ? null : policy.ops[context.op];
  const rule = table?.rules.find((r) => r.props.every((p) => holds(ipe, context, p)));
  if (rule !== undefined) return { kind: 'rule', rule };
  const byOp = table?.defaultAction ?? null;
  if (byOp !== null) return { kind: 'table', action: byOp };
  // An operation nobody declared is allowed, with a warning, by a policy without a global default.
  return { kind: 'global', action: policy.globalDefaultAction ?? 'ALLOW' };
}

/** For each rule that did not decide: the first property that does not hold. */
function missed(ipe: IpeCursor, context: IpeEvalContext, table: IpeOpTable): EventValue[] {
  const out: EventValue[] = [];
  for (const rule of table.rules) {
    const prop = rule.props.find((p) => !holds(ipe, context, p));
    if (prop === undefined) break;
    out.push({ line: rule.line, property: propText(prop) });
  }
  return out;
}

function auditFile(ipe: IpeCursor, context: IpeEvalContext): IpeAuditFile | null {
  if (context.file === null) return null;
  const { vfs } = ipe.env;
  const file = vfs.file(context.file);
  const inode = vfs.inode(file.inode);
  return {
    path: fromLatin1(utf8(vfs.dPath(file.path, { deleted: true, root: context.task.root }))),
    dev: vfs.superblock(inode.sb).sid,
    ino: inode.ino,
  };
}

function traceData(ipe: IpeCursor, context: IpeEvalContext, match: IpeMatch): { [key: string]: EventValue } {
  const table = context.op === null ? null : (activePolicy(ipe)?.ops[context.op] ?? null);
  const data: { [key: string]: EventValue } = {
    op: context.op ?? 'UNKNOWN',
    hook: context.hook,
    file: context.file,
    rule: matchText(match, context.op),
  };
  if (table !== null && table.rules.length > 0) data.missed = missed(ipe, context, table);
  return data;
}

function activePolicy(ipe: IpeCursor): IpeParsedPolicy | null {
  const { active, directories } = ipe.state;
  return active === null ? null : (directories.get(active)?.policy.parsed ?? null);
}

/**
 * Judges one event: 0 or EACCES; with enforcing off always 0, after the same record.
 * @kernel security/ipe/eval.c ipe_evaluate_event()
 */
export function ipeEvaluateEvent(ipe: IpeCursor, context: IpeEvalContext): Err {
  const { trace, audit } = ipe.env;
  const policy = activePolicy(ipe);
  if (policy === null) {
    trace.emit('ipe.evaluate', { op: context.op, hook: context.hook }, IPE_REASON['ipe.no_policy']);
    return 0;
  }
  if (context.op === null)
    trace.emit('ipe.evaluate', { hook: context.hook }, IPE_REASON['ipe.unknown_operation']);
  const match = decide(ipe, context, policy);
  const action = match.kind === 'rule' ? match.rule.action : match.action;
  const { enforce, successAudit } = ipe.state;
  if (action === 'DENY' || successAudit) {
    const { pid, comm } = context.task;
    const event = { op: context.op, hook: context.hook, pid, comm };
    audit.log(AUDIT_IPE_ACCESS, accessBody(event, enforce, auditFile(ipe, context), match));
  }
  const denied = enforce ? 'ipe.denied' : 'ipe.denied_permissive';
  const reason = IPE_REASON[action === 'ALLOW' ? 'ipe.allowed' : denied];
  trace.emit('ipe.evaluate', traceData(ipe, context, match), reason);
  return action === 'DENY' && enforce ? 'EACCES' : 0;
}
