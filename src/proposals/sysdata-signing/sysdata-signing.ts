// Signed firmware as proposed in 2015: data that the kernel reads for itself ends with an appended
// signature, as modules do. Without `sysdata_sig_enforce` nothing is refused; the switch can be turned on,
// and never off again. Leaves out detached .p7s files.

import { fromLatin1, utf8 } from '../../base/bytes.ts';
import { type Err, fail, ok } from '../../base/errno.ts';
import { defineReasons } from '../../base/reasons.ts';
import { defineExtension, type ExtensionCursor } from '../../kernel/extension.ts';
import { splitModuleSignature } from '../../kernel/module.ts';

const REASON = defineReasons({
  'sysdata.unsigned': {
    text: 'sysdata_sig_enforce is on and the data has no signature by a key that the kernel trusts',
    source: 'proposal: Linux Firmware Signing, Rodriguez, 2015-09-01',
  },
  'sysdata.enable_only': {
    text: 'sysdata_sig_enforce is on and stays on until the next boot',
    source: 'kernel/params.c param_set_bool_enable_only()',
  },
});

interface State {
  readonly enforce: boolean;
}

type Cursor = ExtensionCursor<State>;

/** @kernel kernel/module/signing.c module_sig_check(), taken to firmware */
function checkSignature({ state, rooms }: Cursor, data: Uint8Array): Err {
  if (!state.enforce) return 0;
  const split = splitModuleSignature(data);
  if (split?.ok && rooms.trust.verifyModule(split.value.content, split.value.signature) === 0) return 0;
  return rooms.kernel.refuse('EKEYREJECTED', REASON['sysdata.unsigned']);
}

/** @kernel kernel/params.c param_set_bool_enable_only() */
function setEnforce(x: Cursor, text: string): Err {
  const wanted = /^[1yY]/.test(text) ? true : /^[0nN]/.test(text) ? false : null;
  if (wanted === null) return 'EINVAL';
  if (!wanted && x.state.enforce) return x.rooms.kernel.refuse('EROFS', REASON['sysdata.enable_only']);
  x.state = { enforce: wanted };
  return 0;
}

export const sysdataSigning = defineExtension<State>({
  name: 'sysdata_signing',
  about: 'firmware must carry an appended signature once a switch is on that cannot be turned off',
  setup: ['sysdata_sig_enforce'],
  start: (parameters) => ({ enforce: parameters.has('sysdata_sig_enforce') }),
  hooks: (x) => ({
    kernelPostReadFile: (_task, _file, id, data) => (id === 'firmware' ? checkSignature(x, data) : 0),
    kernelPostLoadData: (_task, id, data) => (id === 'firmware' ? checkSignature(x, data) : 0),
  }),
  nodes: (x) => [
    {
      path: 'sysdata_sig_enforce',
      mode: 0o644,
      node: {
        read: () => ok(utf8(x.state.enforce ? 'Y\n' : 'N\n')),
        write: (_task, _file, data) => {
          const err = setEnforce(x, fromLatin1(data));
          return err === 0 ? ok(data.length) : fail(err);
        },
      },
    },
  ],
});
