// One random walk: chooses commands, their handles, authorizations and parameters from what exists in the
// TPM now, sends the same to both and keeps what later commands need (contexts, private areas, sessions).

import { createHmac } from 'node:crypto';
import { concat, EMPTY } from '../../src/base/bytes.ts';
import { crypto } from '../../src/crypto/provider.ts';
import { hashName } from '../../src/tpm/algorithms.ts';
import type { Command } from '../../src/tpm/command.ts';
import { COMMANDS } from '../../src/tpm/commands/registry.ts';
import { entityAuthValue } from '../../src/tpm/entity.ts';
import { be16, be32, be64, sizedBytes, Unmarshaller } from '../../src/tpm/marshal.ts';
import * as S from '../../src/tpm/structures.ts';
import { responseCodeOf } from '../../src/tpm/tpm.ts';
import { comparable } from './compare.ts';
import type { Dice } from './dice.ts';
import type { Kisim, Peer } from './peers.ts';
import { authValue, hierarchyOf, loadExternal, NV_INDICES, parameter } from './pieces.ts';

export interface Difference {
  readonly command: string;
  readonly kisim: string;
  readonly swtpm: string;
  readonly detail: string;
}

/** The caller's side of a session, once for each TPM. */
interface ClientSession {
  readonly alg: number;
  readonly policy: boolean;
  readonly nonceTpm: Map<Peer, Uint8Array>;
}

type Piece = Uint8Array | ((peer: Peer) => Uint8Array);
const octets = (piece: Piece, peer: Peer): Uint8Array => (typeof piece === 'function' ? piece(peer) : piece);

/** Answers of both TPMs to one earlier command: material for later ones. */
type Pair = ReadonlyMap<Peer, Uint8Array>;

const RANDOM_OBJECTS = new Set(['CreatePrimary', 'CreateLoaded', 'Load', 'ContextLoad']);
const NEVER = new Set(['Startup', 'Shutdown', 'SelfTest']);
const FAVOURED = [
  'LoadExternal',
  'CreatePrimary',
  'Create',
  'Load',
  'StartAuthSession',
  'NV_DefineSpace',
  'NV_Write',
  'FlushContext',
  'ContextSave',
  'ContextLoad',
];
const NONCE = new Uint8Array(16).fill(7);

const header = (tag: number, code: number, rest: Uint8Array): Uint8Array =>
  concat(be16(tag), be32(10 + rest.length), be32(code), rest);

export class Walk {
  readonly #dice: Dice;
  readonly #kisim: Kisim;
  readonly #peers: readonly Peer[];
  readonly #sessions = new Map<number, ClientSession>();
  readonly #kept = new Map<string, Pair[]>();
  /** Handles of which both TPMs hold the same octets. */
  readonly #same = new Set<number>();
  readonly differences: Difference[] = [];
  count = 0;
  readonly successes = new Map<string, number>();

  constructor(dice: Dice, kisim: Kisim, swtpm: Peer) {
    this.#dice = dice;
    this.#kisim = kisim;
    this.#peers = [kisim, swtpm];
  }

  async #both(make: (peer: Peer) => Uint8Array, locality = 0): Promise<Map<Peer, Uint8Array>> {
    const out = new Map<Peer, Uint8Array>();
    for (const peer of this.#peers) out.set(peer, await peer.execute(make(peer), locality));
    return out;
  }

  /** Sends one command to both; false when the answers differ. */
  async #send(
    d: Command | undefined,
    name: string,
    make: (peer: Peer) => Uint8Array,
    exact: boolean,
    locality = 0,
  ) {
    const answers = await this.#both(make, locality);
    this.count++;
    const [a, b] = this.#peers.map((peer) => comparable(d, answers.get(peer) as Uint8Array, exact));
    const [left, right] = [JSON.stringify(a), JSON.stringify(b)];
    const same = left === right;
    if (!same) {
      const short = (value: unknown): string => {
        const rc = (value as { rc: unknown }).rc;
        return rc === 0 ? 'success' : String(rc);
      };
      const request = Buffer.from(make(this.#kisim)).toString('hex');
      const detail = short(a) === short(b) ? `\n    kisim ${left}\n    swtpm ${right}` : '';
      this.differences.push({
        command: name,
        kisim: short(a),
        swtpm: short(b),
        detail: `request ${request.slice(0, 700)} locality ${locality}${detail}\n    ${this.#objectsText()}`,
      });
    }
    const ok = responseCodeOf(answers.get(this.#kisim) as Uint8Array) === 0;
    if (same && ok) this.successes.set(name, (this.successes.get(name) ?? 0) + 1);
    return { same, ok: same && ok, answers };
  }

  async start(): Promise<void> {
    await this.#send(COMMANDS.get(0x144), 'Startup', () => header(0x8001, 0x144, be16(0)), true);
  }

  /** The loaded objects, for the reader of a difference. */
  #objectsText(): string {
    const text = [...this.#kisim.tpm.state.ram.objects].map(([handle, object]) => {
      const kind = object.kind === 'object' ? JSON.stringify(object.public.parameters) : object.sequence;
      const area = object.kind === 'object' ? object.public : null;
      const head = `${handle.toString(16)} type ${area?.type} attributes ${area?.objectAttributes.toString(16)}`;
      return `${head} nameAlg ${area?.nameAlg} ${kind}`;
    });
    return text.join('; ');
  }

  #objects(): number[] {
    return [...this.#kisim.tpm.state.ram.objects.keys(), ...this.#kisim.tpm.state.nv.objects.keys()];
  }

  #handle(codec: unknown): number {
    const dice = this.#dice;
    const { state } = this.#kisim.tpm;
    const sessions = [...state.ram.sessions.keys()];
    const odd = [
      0, 23, 24, 0x01000001, 0x02000000, 0x03000000, 0x40000001, 0x40000007, 0x40000009, 0x80000000,
    ];
    if (dice.chance(3))
      return dice.pick([...odd, 0x80000005, 0x81000001, 0x90000000, 0x4000000a, 0x02000007]);
    const any = (list: readonly number[], other: number): number =>
      list.length > 0 && dice.chance(96) ? dice.pick(list) : other;
    switch (codec) {
      case S.TpmiDhObject:
        return any(this.#objects(), 0x80000000 + dice.below(4));
      case S.TpmiDhObjectNull:
        return dice.chance(50) ? 0x40000007 : any(this.#objects(), 0x80000000);
      case S.TpmiDhParent:
        return dice.chance(50) ? hierarchyOf(dice) : any(this.#objects(), 0x80000000);
      case S.TpmiDhEntity:
      case S.TpmiDhEntityNull:
        return dice.pick([
          hierarchyOf(dice),
          0x40000007,
          any(this.#objects(), 0x80000000),
          dice.pick(NV_INDICES),
          5,
          0x4000000a,
        ]);
      case S.TpmiDhPcr:
      case S.TpmiDhPcrNull:
        return dice.pick([0, 10, 16, 16, 17, 20, 22, 23, 0x40000007]);
      case S.TpmiShHmac:
        return any(
          sessions.filter((h) => h >>> 24 === 2),
          0x02000000,
        );
      case S.TpmiShPolicy:
        return any(
          sessions.filter((h) => h >>> 24 === 3),
          0x03000000,
        );
      case S.TpmiDhContext:
        return any([...sessions, ...state.ram.objects.keys()], 0x80000000);
      case S.TpmiRhNvIndex:
        return any([...state.nv.nvIndices.keys()], dice.pick(NV_INDICES));
      case S.TpmiRhNvAuth:
        return dice.chance(60)
          ? any([...state.nv.nvIndices.keys()], 0x40000001)
          : dice.pick([0x40000001, 0x4000000c]);
      case S.TpmiRhProvision:
        return dice.pick([0x40000001, 0x40000001, 0x4000000c]);
      case S.TpmiRhClear:
        return dice.pick([0x4000000a, 0x4000000c]);
      case S.TpmiRhLockout:
        return 0x4000000a;
      case S.TpmiRhPlatform:
        return 0x4000000c;
      case S.TpmiRhEndorsement:
        return 0x4000000b;
      case S.TpmiRhHierarchyAuth:
        return dice.pick([0x40000001, 0x4000000b, 0x4000000c, 0x4000000a]);
      default:
        return hierarchyOf(dice);
    }
  }

  /** Handles of one command: NV commands mostly authorize the index with itself. */
  #handles(d: Command): number[] {
    const handles = d.handles.map(([, spec]) => this.#handle(spec.type));
    const at = d.handles.findIndex(([, spec]) => spec.type === S.TpmiRhNvIndex);
    const auth = d.handles.findIndex(([, spec]) => spec.type === S.TpmiRhNvAuth);
    const index = handles[at];
    if (at > 0 && auth >= 0 && index !== undefined && this.#dice.chance(60)) handles[auth] = index;
    return handles;
  }

  async #names(handles: readonly number[]): Promise<Map<Peer, Uint8Array>> {
    const names = new Map<Peer, Uint8Array>(this.#peers.map((peer) => [peer, EMPTY]));
    for (const handle of handles) {
      const type = handle >>> 24;
      const code = type === 1 ? 0x169 : type === 0x80 || type === 0x81 ? 0x173 : 0;
      for (const peer of this.#peers) {
        let name: Uint8Array = be32(handle);
        if (code !== 0) {
          const r = new Unmarshaller((await peer.execute(header(0x8001, code, be32(handle)))).subarray(10));
          r.take(r.u16());
          name = r.take(r.u16());
        }
        names.set(peer, concat(names.get(peer) as Uint8Array, name));
      }
    }
    return names;
  }

  #password(handle: number): Uint8Array {
    const dice = this.#dice;
    const right = dice.chance(96) ? entityAuthValue(this.#kisim.tpm, handle) : authValue(dice);
    return concat(
      be32(0x40000009),
      be16(0),
      Uint8Array.of(dice.chance(97) ? dice.pick([0, 1]) : dice.below(256)),
      sizedBytes(right),
    );
  }

  /** An authorization by a loaded session: with the HMAC that an unbound, unsalted session needs. */
  #bySession(handle: number, entity: number | null, cpHash: (peer: Peer, alg: number) => Uint8Array): Piece {
    const dice = this.#dice;
    const session = this.#sessions.get(handle);
    const base =
      entity === null ? dice.pick([0x81, 0x21, 0x41, 0x61, 0x81]) : dice.pick([1, 1, 1, 0, 0x81, 0x21, 0x41]);
    const attributes = dice.chance(97) ? base : dice.below(256);
    const auth = entity === null ? EMPTY : entityAuthValue(this.#kisim.tpm, entity);
    const spoiled = dice.chance(5);
    return (peer) => {
      const nonce = session?.nonceTpm.get(peer) ?? EMPTY;
      const alg = session?.alg ?? 0xb;
      let mac = EMPTY as Uint8Array;
      const key = session?.policy === true ? EMPTY : auth;
      if (key.length > 0) {
        const data = concat(cpHash(peer, alg), NONCE, nonce, Uint8Array.of(attributes));
        mac = new Uint8Array(createHmac(hashName(alg), key).update(data).digest());
        if (spoiled) mac[0] = (mac[0] as number) ^ 1;
      }
      return concat(be32(handle), sizedBytes(NONCE), Uint8Array.of(attributes), sizedBytes(mac));
    };
  }

  #authorizations(
    d: Command,
    handles: readonly number[],
    cpHash: (peer: Peer, alg: number) => Uint8Array,
  ): Piece[] {
    const dice = this.#dice;
    const loaded = [...this.#sessions.keys()].filter((h) => this.#kisim.tpm.state.ram.sessions.has(h));
    const needed = handles.filter((_, i) => d.handles[i]?.[1].role !== 'none');
    const out: Piece[] = [];
    for (const handle of needed) {
      if (dice.chance(1)) break;
      if (loaded.length > 0 && dice.chance(20)) out.push(this.#bySession(dice.pick(loaded), handle, cpHash));
      else out.push(this.#password(handle));
    }
    if (loaded.length > 0 && dice.chance(8)) out.push(this.#bySession(dice.pick(loaded), null, cpHash));
    if (dice.chance(1)) out.push(this.#password(0x40000001));
    return out;
  }

  #parameters(d: Command): Piece[] {
    const dice = this.#dice;
    const recipe = this.#recipe(d.name);
    if (recipe !== null && dice.chance(93)) return recipe;
    if (d.name === 'GetCapability' && dice.chance(10))
      return [be32(0), be32(0), be32(dice.pick([127, 128, 300]))];
    return d.parameters.map(([name, codec]) => this.#parameter(d.name, name, codec));
  }

  #parameter(command: string, name: string, codec: Parameters<typeof parameter>[1]): Uint8Array {
    const dice = this.#dice;
    if (command === 'GetCapability') {
      // Pages of the algorithm list break where swtpm's other ciphers stand: it is read whole.
      if (name === 'capability') return be32(dice.chance(95) ? 1 + dice.below(10) : 11 + dice.below(0x200));
      if (name === 'property') {
        return be32(
          dice.pick([
            0, 0, 1, 0x100, 0x10d, 0x12e, 0x200, 0x20e, 0x300, 0x01000000, 0x02000000, 0x03000000, 0x40000000,
            0x80000000, 0x81000000, 0x90000000, 5,
          ]),
        );
      }
      return be32(dice.pick([0, 1, 2, 5, 100, 127, 128, 300, 0xffffffff]));
    }
    if (codec === S.TpmiDhContext) return be32(this.#handle(codec));
    // Clock moves while this runs: values far from it.
    if (name === 'newTime') return be64(dice.pick([0n, 1n << 44n, 1n << 45n, 1n << 63n]));
    if (name === 'expiration') return be32(dice.pick([0, 0, 10, 0xfffffff6, 1]));
    if (name === 'bytesRequested') return be16(dice.pick([0, 1, 8, 32, 64, 65, 1000]));
    if (name === 'nonceCaller')
      return sizedBytes(dice.chance(92) ? NONCE : dice.bytes(dice.pick([0, 15, 20, 32, 33, 65])));
    if (name === 'policyDigest' || name === 'newMaxTries') return be32(dice.below(40));
    if (name === 'lockoutRecovery' || name === 'newRecoveryTime') return be32(dice.pick([0, 1000, 5000]));
    if (name === 'size' || name === 'offset') return be16(dice.pick([0, 0, 0, 8, 1, 32, 1024, 1025, 2048]));
    return parameter(dice, codec);
  }

  #recipe(name: string): Piece[] | null {
    const dice = this.#dice;
    const kept = (kind: string): Pair | null => {
      const list = this.#kept.get(kind) ?? [];
      return list.length === 0 ? null : dice.pick(list);
    };
    if (name === 'LoadExternal') return [loadExternal(dice)];
    if (name === 'Load') {
      const made = kept('Create');
      if (made === null) return null;
      return [
        (peer) => {
          const r = new Unmarshaller(made.get(peer) as Uint8Array);
          return concat(sizedBytes(r.take(r.u16())), sizedBytes(r.take(r.u16())));
        },
      ];
    }
    if (name === 'ContextLoad') {
      const saved = kept('ContextSave');
      if (saved === null) return null;
      const flip = dice.chance(8) ? dice.below(16) : -1;
      return [
        (peer) => {
          const out = new Uint8Array(saved.get(peer) as Uint8Array);
          if (flip >= 0) out[flip] = (out[flip] as number) ^ 1;
          return out;
        },
      ];
    }
    return null;
  }

  #exact(handles: readonly number[]): boolean {
    return handles.every((h) => {
      const type = h >>> 24;
      return type === 0x40 || type <= 1 || this.#same.has(h);
    });
  }

  #remember(
    d: Command,
    handles: readonly number[],
    answers: Pair,
    parameters: Uint8Array,
    exact: boolean,
  ): void {
    const one = answers.get(this.#kisim) as Uint8Array;
    if (d.responseHandle) {
      const handle = new Unmarshaller(one.subarray(10)).u32();
      if (d.name === 'StartAuthSession') this.#newSession(handle, answers, parameters, handles);
      if (RANDOM_OBJECTS.has(d.name) || !exact) this.#same.delete(handle);
      else this.#same.add(handle);
    }
    const policy = handles.find((h) => h >>> 24 === 3);
    if (policy !== undefined && !exact) this.#same.delete(policy);
    if (d.name === 'Create' || d.name === 'ContextSave') {
      const tag = new Unmarshaller(one).u16();
      const body = new Map(
        this.#peers.map((peer) => [
          peer,
          (answers.get(peer) as Uint8Array).subarray(tag === 0x8002 ? 14 : 10),
        ]),
      );
      const list = this.#kept.get(d.name) ?? [];
      list.push(body);
      if (list.length > 6) list.shift();
      this.#kept.set(d.name, list);
    }
  }

  #newSession(handle: number, answers: Pair, parameters: Uint8Array, handles: readonly number[]): void {
    const nonceTpm = new Map<Peer, Uint8Array>();
    for (const peer of this.#peers) {
      const r = new Unmarshaller((answers.get(peer) as Uint8Array).subarray(14));
      if (new Unmarshaller(answers.get(peer) as Uint8Array).u16() === 0x8002) return;
      nonceTpm.set(peer, r.take(r.u16()));
    }
    // Only sessions without a key of their own can be used later.
    if (handles.some((h) => h !== 0x40000007)) return void this.#sessions.delete(handle);
    const alg = new Unmarshaller(parameters.subarray(parameters.length - 2)).u16();
    this.#sessions.set(handle, { alg, policy: handle >>> 24 === 3, nonceTpm });
  }

  #rollNonces(answers: Pair, used: readonly number[]): void {
    for (const peer of this.#peers) {
      const response = answers.get(peer) as Uint8Array;
      const r = new Unmarshaller(response);
      if (r.u16() !== 0x8002) continue;
      r.take(8);
      const declared = this.#last?.responseHandle === true ? 4 : 0;
      r.take(declared);
      r.take(r.u32());
      for (const handle of used) {
        const nonce = r.take(r.u16());
        r.u8();
        r.take(r.u16());
        if (handle !== 0x40000009) this.#sessions.get(handle)?.nonceTpm.set(peer, nonce);
      }
    }
  }

  #last: Command | undefined;

  /** A near-valid frame: something cut, added or changed. */
  #spoil(): (frame: Uint8Array) => Uint8Array {
    const dice = this.#dice;
    const kind = dice.below(6);
    const at = dice.below(1000);
    const bit = 1 << dice.below(8);
    const fixSize = (frame: Uint8Array): Uint8Array =>
      concat(frame.subarray(0, 2), be32(frame.length), frame.subarray(6));
    return (frame) => {
      if (kind === 0) return fixSize(frame.subarray(0, Math.max(10, frame.length - 1 - (at % 8))));
      if (kind === 1) return fixSize(concat(frame, new Uint8Array(1 + (at % 4))));
      if (kind === 2)
        return concat(frame.subarray(0, 2), be32(frame.length + 1 + (at % 3)), frame.subarray(6));
      if (kind === 3) return concat(be16(at % 2 === 0 ? 0x8001 : 0x8002), frame.subarray(2));
      const out = new Uint8Array(frame);
      const where = kind === 4 ? 10 + (at % Math.max(1, Math.min(frame.length - 10, 40))) : at % 10;
      if (where < out.length && (where < 2 || where > 5)) out[where] = (out[where] as number) ^ bit;
      return out;
    };
  }

  async step(): Promise<boolean> {
    const dice = this.#dice;
    if (dice.chance(1)) return this.#power();
    const all = [...COMMANDS.values()].filter((d) => !NEVER.has(d.name));
    const favourite = dice.pick(FAVOURED);
    const d = dice.chance(40)
      ? ([...COMMANDS.values()].find((x) => x.name === favourite) as Command)
      : dice.pick(all);
    if (
      (d.name === 'Clear' ||
        d.name === 'ChangePPS' ||
        d.name === 'ChangeEPS' ||
        d.name === 'HierarchyControl') &&
      dice.chance(70)
    )
      return true;
    this.#last = d;
    const handles = this.#handles(d);
    const parameters = this.#parameters(d);
    const body = (peer: Peer): Uint8Array => concat(...parameters.map((p) => octets(p, peer)));
    const needsNames = this.#sessions.size > 0;
    const names = needsNames ? await this.#names(handles) : new Map<Peer, Uint8Array>();
    const cpHash = (peer: Peer, alg: number): Uint8Array =>
      crypto().hash(hashName(alg), concat(be32(d.code), names.get(peer) ?? EMPTY, body(peer)));
    const auths = this.#authorizations(d, handles, cpHash);
    const spoil = dice.chance(6) ? this.#spoil() : (frame: Uint8Array) => frame;
    const locality = dice.chance(90) ? 0 : dice.below(5);
    const make = (peer: Peer): Uint8Array => {
      const area = concat(...auths.map((a) => octets(a, peer)));
      const sessions = auths.length === 0 ? EMPTY : concat(be32(area.length), area);
      const rest = concat(...handles.map(be32), sessions, body(peer));
      return spoil(header(auths.length === 0 ? 0x8001 : 0x8002, d.code, rest));
    };
    const exact = this.#exact(handles) && !parameters.some((p) => typeof p === 'function');
    const sent = await this.#send(d, d.name, make, exact, locality);
    if (!sent.same) return false;
    const used = auths.map((a) => new Unmarshaller(octets(a, this.#kisim)).u32());
    if (sent.ok) {
      this.#rollNonces(sent.answers, used);
      this.#remember(d, handles, sent.answers, body(this.#kisim), exact);
    }
    return true;
  }

  /** Shutdown (or not), power off and on, Startup. */
  async #power(): Promise<boolean> {
    const dice = this.#dice;
    const stop = dice.below(3);
    if (stop < 2) {
      const done = await this.#send(
        COMMANDS.get(0x145),
        'Shutdown',
        () => header(0x8001, 0x145, be16(stop)),
        true,
      );
      if (!done.same) return false;
    }
    for (const peer of this.#peers) await peer.cycle();
    const type = dice.below(2);
    const first = await this.#send(
      COMMANDS.get(0x144),
      'Startup',
      () => header(0x8001, 0x144, be16(type)),
      true,
    );
    if (!first.same) return false;
    if (!first.ok) {
      const again = await this.#send(
        COMMANDS.get(0x144),
        'Startup',
        () => header(0x8001, 0x144, be16(0)),
        true,
      );
      if (!again.same) return false;
    }
    return true;
  }
}
