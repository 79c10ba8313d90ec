// A small world around IPE: files with the members that evaluation looks at, a verifier that takes any message apart by a
// one-byte prefix, and securityfs nodes kept in a map. It stands in for the VFS and the keyrings.

import { fromLatin1, utf8 } from '../../../src/base/bytes.ts';
import { fail, ok } from '../../../src/base/errno.ts';
import { toArray } from '../../../src/base/list.ts';
import { PROFILES } from '../../../src/base/profile.ts';
import { newTrace, Trace } from '../../../src/base/trace.ts';
import '../../../src/crypto/auto.ts';
import type { SystemKeyring } from '../../../src/crypto/system-keys.ts';
import { Audit, newAudit } from '../../../src/integrity/audit.ts';
import { Ipe, type IpeOptions, newIpe } from '../../../src/ipe/ipe.ts';
import { IPE_PROPERTIES } from '../../../src/ipe/properties.ts';
import { ipePseudo } from '../../../src/ipe/securityfs.ts';
import type { PseudoNode, VfsApi } from '../../../src/vfs/api.ts';
import { CAP_FULL_SET } from '../../../src/vfs/constants.ts';
import type { VerityInfo, VfsTask } from '../../../src/vfs/types.ts';

export interface FakeFile {
  readonly path: string;
  readonly sb?: number;
  readonly dev?: string;
  readonly device?: string;
  readonly ino?: number;
  readonly verity?: VerityInfo;
  readonly realData?: FakeFile;
  /** The layer's own open file behind an overlay file. */
  readonly real?: FakeFile;
  readonly caps?: bigint;
  readonly userNs?: number;
}

export interface FakeDevice {
  readonly alg: string;
  readonly rootHash: Uint8Array;
  readonly signed: boolean;
}

export const TASK = {
  cred: { uid: 0, caps: CAP_FULL_SET, userNs: 0 },
  root: { mount: 1, dentry: 1 },
  comm: 'init',
  pid: 7,
} as unknown as VfsTask;

/** `P` + text is signed by a trusted key, `S` only by one of the platform keyring, `U` by nobody, else no message. */
function verify(message: Uint8Array, keyring: SystemKeyring): ReturnType<Ipe['env']['keys']['verifyPkcs7']> {
  const kind = String.fromCharCode(message[0] ?? 0);
  if (kind !== 'P' && kind !== 'S' && kind !== 'U') return fail('EBADMSG');
  const trusted = kind === 'P' || (kind === 'S' && keyring === 'platform');
  return trusted ? ok(message.subarray(1)) : fail(keyring === 'platform' ? 'ENOKEY' : 'EKEYREJECTED');
}

export class World {
  readonly nodes = new Map<string, { readonly mode: number; readonly pseudo: string | null }>();
  readonly files = new Map<number, FakeFile>();
  readonly devices = new Map<string, FakeDevice>();
  readonly mappings = new Map<number, { readonly file: number | null; readonly prot: number }>();
  readonly asked: SystemKeyring[] = [];
  readonly ipe: Ipe;
  readonly audit = new Audit(newAudit());
  readonly trace = new Trace(newTrace());
  #inodes = new Map<number, FakeFile>();
  #next = 100;

  constructor(options: IpeOptions = {}, config: { readonly [option: string]: string } = {}) {
    const profile = PROFILES['linux-6.12.107'];
    if (profile === undefined) throw new Error('no profile');
    this.ipe = new Ipe(newIpe(options), {
      profile: { ...profile, config: { ...profile.config, ...config } },
      trace: this.trace,
      audit: this.audit,
      vfs: this.#vfs(),
      keys: {
        verifyPkcs7: (message, { keyring }) => {
          this.asked.push(keyring);
          return verify(message, keyring);
        },
      },
      securityfs: {
        create: (path, mode, pseudo) => void this.nodes.set(path, { mode, pseudo }),
        remove: (path) => {
          for (const p of [...this.nodes.keys()])
            if (p === path || p.startsWith(`${path}/`)) this.nodes.delete(p);
        },
      },
      properties: IPE_PROPERTIES,
    });
  }

  #vfs(): VfsApi {
    const inode = (key: number) => {
      const f = this.#inodes.get(key);
      if (f === undefined) throw new Error(`no inode ${key}`);
      return {
        key,
        sb: key,
        ino: f.ino ?? key,
        verity: f.verity ?? null,
        realData: f.realData === undefined ? null : this.#keyOf(f.realData),
      };
    };
    return {
      state: { devices: { get: (name: string) => this.#device(name) } },
      file: (id: number) => ({
        inode: id,
        path: { mount: id, dentry: id },
        real: this.#realOf(id),
        cred: { caps: this.files.get(id)?.caps ?? CAP_FULL_SET, userNs: this.files.get(id)?.userNs ?? 0 },
      }),
      inode,
      mountOf: (id: number) => ({ sb: this.#inodes.get(id)?.sb ?? id }),
      superblock: (key: number) => ({
        sid: this.#inodes.get(key)?.dev ?? 'vdc',
        device: this.#inodes.get(key)?.device ?? null,
      }),
      mapping: (id: number) => this.mappings.get(id),
      dPath: (path: { readonly dentry: number }) => this.#inodes.get(path.dentry)?.path ?? '',
    } as unknown as VfsApi;
  }

  #realOf(id: number): number | null {
    const real = this.files.get(id)?.real;
    return real === undefined ? null : this.open(real);
  }

  #device(name: string): { readonly verity: FakeDevice } | undefined {
    const verity = this.devices.get(name);
    return verity === undefined ? undefined : { verity };
  }

  #keyOf(file: FakeFile): number {
    for (const [k, f] of this.#inodes) if (f === file) return k;
    const key = this.#next++;
    this.#inodes.set(key, file);
    return key;
  }

  /** Opens a fake file; the id serves as file, inode and mount. */
  open(file: FakeFile): number {
    const id = this.#keyOf(file);
    this.files.set(id, file);
    return id;
  }

  node(path: string): PseudoNode {
    const key = this.nodes.get(path)?.pseudo;
    const node = key === undefined || key === null ? undefined : ipePseudo(this.ipe).find(key);
    if (node === undefined) throw new Error(`no node ${path}`);
    return node;
  }

  /** One write(2) to a node by an administrator, or by a task with the given capabilities. */
  write(path: string, data: string | Uint8Array, opener: Partial<FakeFile> = {}): string {
    return this.writeNode(this.node(path), data, opener);
  }

  writeNode(node: PseudoNode, data: string | Uint8Array, opener: Partial<FakeFile> = {}): string {
    const file = this.open({ path: 'node', ...opener });
    const bytes = typeof data === 'string' ? utf8(data) : data;
    const done = node.write?.(TASK, file, bytes, 0);
    if (done === undefined) return 'no write';
    return done.ok ? `wrote ${done.value}` : done.errno;
  }

  read(path: string): string {
    return this.readNode(this.node(path));
  }

  readNode(node: PseudoNode): string {
    const done = node.read?.(TASK, 0);
    if (done === undefined) return 'no read';
    return done.ok ? fromLatin1(done.value) : done.errno;
  }

  records(): string[] {
    return toArray(this.audit.state.records).map((r) => `${r.type} ${r.body}`.trimEnd());
  }

  reasons(): string[] {
    return toArray(this.trace.state.events).flatMap((e) => e.reason ?? []);
  }
}
