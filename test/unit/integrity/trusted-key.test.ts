// Trusted keys: what `keyctl add trusted`, print and update do on a machine with a TPM, which refusals have which errno,
// and that a sealed blob survives a power cycle of the machine but not another TPM, another parent or other registers.

import { describe, expect, it } from 'vitest';
import { concat, fromHex, fromUtf8, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Writer } from '../../../src/base/codec.ts';
import { toArray } from '../../../src/base/list.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import type { MachineConfig } from '../../../src/kernel/api.ts';
import type { Machine } from '../../../src/kernel/machine.ts';

import { disk, errnoOf, file, machine, read, value, write } from '../kernel/machines.ts';

const SESSIONS = 0x8002;
const NO_SESSIONS = 0x8001;
const PARENT = 0x81000001;
const EVM_NODE = '/sys/kernel/security/integrity/evm/evm';
const SECRET = '0123456789abcdef'.repeat(4);

const w = (): Writer => new Writer('be');
const sized = (bytes: Uint8Array): Uint8Array => w().u16(bytes.length).bytes(bytes).finish();
const PASSWORD = w().u32(9).u32(0x40000009).u16(0).u8(0).u16(0).finish();

function command(m: Machine, tag: number, code: number, ...body: readonly Uint8Array[]): Uint8Array {
  const parameters = concat(...body);
  const header = w()
    .u16(tag)
    .u32(10 + parameters.length)
    .u32(code)
    .finish();
  const response = m.tpmCommand(concat(header, parameters));
  const rc = new DataView(response.buffer, response.byteOffset).getUint32(6);
  if (rc !== 0) throw new Error(`command ${code.toString(16)}: ${rc.toString(16)}`);
  return response;
}

const handle = (response: Uint8Array): number =>
  new DataView(response.buffer, response.byteOffset).getUint32(10);
const u32 = (n: number): Uint8Array => w().u32(n).finish();

/** An ECC storage key under the owner, kept at a persistent handle, as tpm2_createprimary and evictcontrol make it. */
function storageKey(m: Machine, at = PARENT, unique = ''): void {
  const curve = w().u16(6).u16(128).u16(0x43).u16(0x10).u16(3).u16(0x10).finish();
  const point = concat(sized(utf8(unique)), sized(new Uint8Array(0)));
  const area = concat(w().u16(0x23).u16(0xb).u32(0x30472).u16(0).finish(), curve, point);
  const primary = command(
    m,
    SESSIONS,
    0x131,
    u32(0x40000001),
    PASSWORD,
    sized(w().u16(0).u16(0).finish()),
    sized(area),
    w().u16(0).u32(0).finish(),
  );
  command(m, SESSIONS, 0x120, u32(0x40000001), u32(handle(primary)), PASSWORD, u32(at));
  command(m, NO_SESSIONS, 0x165, u32(handle(primary)));
}

/** sha256:12, as TPML_PCR_SELECTION. */
const SELECTION = fromHex('00000001000b03001000');
const POLICY = toHex(
  crypto().hash(
    'sha256',
    concat(new Uint8Array(32), u32(0x17f), SELECTION, crypto().hash('sha256', new Uint8Array(32))),
  ),
);

/** A policy session of user space that asserts the register's present value. */
function pcrSession(m: Machine, password = false): number {
  const nonce = sized(new Uint8Array(16).fill(1));
  const none = w().u16(0).u8(1).u16(0x10).u16(0xb).finish();
  const session = handle(command(m, NO_SESSIONS, 0x176, u32(0x40000007), u32(0x40000007), nonce, none));
  command(m, NO_SESSIONS, 0x17f, u32(session), w().u16(0).finish(), SELECTION);
  if (password) command(m, NO_SESSIONS, 0x18c, u32(session));
  return session;
}

function extend(m: Machine): void {
  command(
    m,
    SESSIONS,
    0x182,
    u32(12),
    PASSWORD,
    w().u32(1).u16(0xb).bytes(new Uint8Array(32).fill(7)).finish(),
  );
}

const add = (m: Machine, text: string, name = 'k', type = 'trusted', pid = 1): string | number => {
  const key = m.sys(pid).addKey(type, name, latin1(text), -4);
  return key.ok ? 'OK' : key.errno;
};

function print(m: Machine, name = 'k'): string {
  const serial = value(m.sys(1).keySearch(-4, 'trusted', name));
  return fromUtf8(value(m.sys(1).keyRead(serial)));
}

function withParent(seed = 'trusted', config: MachineConfig = {}): Machine {
  const m = machine({ seed, ...config });
  storageKey(m);
  return m;
}

describe('trusted keys', () => {
  it('are no key type on a machine without a TPM', () => {
    expect(add(machine({ tpm: null }), 'new 32 keyhandle=0x81000001')).toBe('ENODEV');
    const m = machine({ tpm: null });
    expect(errnoOf(m.sys(1).keySearch(-4, 'trusted', 'k'))).toBe('ENOKEY');
  });

  it('are sealed as a TPMKey that names the parent and has no password', () => {
    const m = withParent();
    expect(add(m, 'new 32 keyhandle=0x81000001')).toBe('OK');
    const blob = print(m);
    // SEQUENCE, id-sealedkey, [0] TRUE, the parent, then the public area: keyedHash, sha256, userWithAuth, no policy.
    expect(blob).toMatch(
      /^30[0-9a-f]+06066781050a0105a003010101020500810000010430002e0008000b00000040000000100020/,
    );
    add(m, 'new 32 keyhandle=0x81000001', 'other');
    expect(print(m, 'other')).not.toBe(blob);
  });

  it('load again what was printed, and only with this TPM and this parent', () => {
    const m = withParent();
    add(m, `new 64 keyhandle=0x81000001`);
    const blob = print(m);
    expect(add(m, `load ${blob}`, 'again')).toBe('OK');
    expect(print(m, 'again')).toBe(blob);
    expect(add(m, `load ${blob} keyhandle=0x81000009`, 'named')).toBe('OK');
    expect(add(m, `load ${blob.slice(0, -2)}00`, 'changed')).toBe('EPERM');
    expect(add(withParent('another machine'), `load ${blob}`)).toBe('EPERM');
    const moved = machine({ seed: 'trusted' });
    storageKey(moved, PARENT, 'another key');
    expect(add(moved, `load ${blob}`)).toBe('EPERM');
    expect(add(machine({ seed: 'trusted' }), `load ${blob}`)).toBe('EPERM');
  });

  it('need the password that they were made with', () => {
    const m = withParent();
    add(m, 'new 32 keyhandle=0x81000001 blobauth=secret');
    const blob = print(m);
    expect(blob).not.toContain('a003010101');
    expect(add(m, `load ${blob}`, 'none')).toBe('EPERM');
    expect(add(m, `load ${blob} blobauth=other`, 'other')).toBe('EPERM');
    expect(add(m, `load ${blob} blobauth=secret`, 'right')).toBe('OK');
  });

  it('bound to a register are unsealed through a policy session, until the register changes', () => {
    const m = withParent();
    expect(add(m, `new 32 keyhandle=0x81000001 hash=sha256 policydigest=${POLICY}`)).toBe('OK');
    const blob = print(m);
    expect(add(m, `load ${blob}`, 'no session')).toBe('EPERM');
    const session = pcrSession(m).toString(16);
    expect(add(m, `load ${blob} policyhandle=0x${session}`, 'fits')).toBe('OK');
    expect(add(m, `load ${blob} policyhandle=0x${session}`, 'used up')).toBe('EPERM');
    const early = pcrSession(m).toString(16);
    extend(m);
    expect(add(m, `load ${blob} policyhandle=0x${early}`, 'changed since')).toBe('EPERM');
    const late = pcrSession(m).toString(16);
    expect(add(m, `load ${blob} policyhandle=0x${late}`, 'other value')).toBe('EPERM');
    const refusals = toArray(m.trace.state.events).filter((e) => e.reason === 'keys.seal_refused');
    expect(refusals.map((e) => e.data['what'])).toEqual(Array.from({ length: 4 }, () => 'unseal'));
  });

  it('can be sealed anew while they are migratable', () => {
    const m = withParent();
    add(m, 'new 32 keyhandle=0x81000001');
    const first = print(m);
    expect(add(m, 'new 32 keyhandle=0x81000001')).toBe('EINVAL');
    expect(add(m, 'update keyhandle=0x81000001 migratable=0')).toBe('OK');
    expect(print(m)).not.toBe(first);
    expect(add(m, 'update keyhandle=0x81000001')).toBe('EPERM');
    expect(add(m, `load ${print(m)}`, 'fixed')).toBe('OK');
    expect(add(m, 'update keyhandle=0x81000001', 'fixed')).toBe('EPERM');
    expect(add(m, `load ${first}`, 'loose')).toBe('OK');
    expect(add(m, 'update keyhandle=0x81000001', 'loose')).toBe('OK');
  });

  it('extend a register with pcrlock=, for the administrator alone', () => {
    const m = withParent();
    expect(add(m, 'new 32 keyhandle=0x81000001 pcrlock=16')).toBe('OK');
    const locked = crypto().hash('sha256', new Uint8Array(64));
    expect(toHex(m.pcr('sha256', 16) as Uint8Array)).toBe(toHex(locked));
    expect(add(m, 'new 32 keyhandle=0x81000001 pcrlock=24', 'beyond')).toBe('EINVAL');
    const pid = m.spawn({ uid: 1000 });
    expect(add(m, 'new 32 keyhandle=0x81000001 pcrlock=16', 'k', 'trusted', pid)).toBe('EPERM');
    expect(add(m, 'new 32 keyhandle=0x81000001', 'k', 'trusted', pid)).toBe('OK');
  });

  it('are out of reach when the driver has let go of the TPM', () => {
    const m = withParent();
    add(m, 'new 32 keyhandle=0x81000001');
    const blob = print(m);
    expect(write(m.sys(1), '/sys/bus/platform/drivers/tpm_tis/unbind', 'MSFT0101:00')).toBe(0);
    expect(add(m, 'new 32 keyhandle=0x81000001', 'later')).toBe('ENODEV');
    expect(add(m, `load ${blob}`, 'later')).toBe('ENODEV');
    expect(add(m, 'update keyhandle=0x81000001')).toBe('ENODEV');
    expect(print(m)).toBe(blob);
  });
});

describe('EVM under a trusted master key', () => {
  const LABEL = fromHex(`0404${'ab'.repeat(32)}`);

  /** The disk is the same at both starts; `evm=fix` has the kernel label a file that has no label yet. */
  const config = {
    cmdline: 'evm=fix',
    disks: [disk({ '/f': { ...file('content'), ino: 20, generation: 7 } })],
  };

  /** A file whose HMAC the kernel made. */
  function labelledHmac(m: Machine): string {
    const sys = m.sys(1);
    expect(sys.setxattr('/mnt/f', 'security.ima', LABEL, 0)).toBe(0);
    return toHex(value(sys.getxattr('/mnt/f', 'security.evm')));
  }

  it('has the same key after a reboot with the exported blobs, and none where the TPM refuses', () => {
    const first = withParent('trusted', config);
    add(first, 'new 32 keyhandle=0x81000001', 'kmk');
    expect(add(first, `new enc32 trusted:kmk 32 ${SECRET}`, 'evm-key', 'encrypted')).toBe('OK');
    const sealed = print(first, 'kmk');
    const serial = value(first.sys(1).keySearch(-4, 'encrypted', 'evm-key'));
    const wrapped = fromUtf8(value(first.sys(1).keyRead(serial)));
    expect(wrapped).toMatch(/^enc32 trusted:kmk 32 [0-9a-f]{162}$/);
    expect(write(first.sys(1), EVM_NODE, '1')).toBe(0);
    const hmac = labelledHmac(first);

    // The same TPM and the same disk at the next start: keyrings are empty, persistent objects are not.
    const second = withParent('trusted', config);
    expect(add(second, `load ${wrapped}`, 'evm-key', 'encrypted')).toBe('ENOKEY');
    expect(write(second.sys(1), EVM_NODE, '1')).toBe('ENOENT');
    expect(add(second, `load ${sealed}`, 'kmk')).toBe('OK');
    expect(add(second, `load ${wrapped}`, 'evm-key', 'encrypted')).toBe('OK');
    expect(write(second.sys(1), EVM_NODE, '1')).toBe(0);
    expect(read(second.sys(1), EVM_NODE)).toBe('1');
    expect(labelledHmac(second)).toBe(hmac);
    // A trusted key is not found where a user key is asked for, and the other way round.
    expect(add(second, wrapped.replace('enc32 trusted:', 'load enc32 user:'), 'x', 'encrypted')).toBe(
      'ENOKEY',
    );
  });
});
