// The key retention service: keys, keyrings with permissions and link restrictions, add_key(2), keyctl(2)
// and request_key(). The system's own keyrings (.builtin_trusted_keys, .secondary_trusted_keys, .machine,
// .platform, .ima, .evm, .fs-verity, .blacklist) are made at boot. Left out: quotas, expiry, upcalls,
// thread and process keyrings.

import { Map as ImmutableMap } from 'immutable';
import { latin1 } from '../base/bytes.ts';
import { type Err, type Errno, fail, ok, type Result } from '../base/errno.ts';
import type { Random } from '../base/random.ts';
import type { Trace } from '../base/trace.ts';
import { parseAsymmetric, restrictLink } from './asymmetric.ts';
import { encryptedInstantiate, encryptedRead, encryptedUpdate, type MasterKey } from './encrypted-key.ts';
import { KEYRING_REASON } from './keyrings-reasons.ts';
import {
  KEY_NEED_READ,
  KEY_NEED_SEARCH,
  KEY_NEED_SETATTR,
  KEY_NEED_VIEW,
  KEY_NEED_WRITE,
  KEY_POS_ALL,
  KEY_POS_LINK,
  KEY_POS_READ,
  KEY_POS_SEARCH,
  KEY_POS_SETATTR,
  KEY_POS_VIEW,
  KEY_POS_WRITE,
  KEY_SPEC_SESSION_KEYRING,
  KEY_SPEC_USER_KEYRING,
  KEY_SPEC_USER_SESSION_KEYRING,
  KEY_USR_ALL,
  KEY_USR_READ,
  KEY_USR_VIEW,
  type Key,
  type KeyringsState,
  type KeyTask,
  type KeyType,
  NO_GID,
} from './keys-types.ts';
import { procKeys } from './proc-keys.ts';
import { type TrustedEnv, trustedInstantiate, trustedRead, trustedUpdate } from './trusted-key.ts';

/** What other rooms want to hear: a key was linked (ima_post_key_create_or_update). */
export interface KeyringListeners {
  keyLinked?(task: KeyTask | null, keyring: string, type: string, payload: Uint8Array): void;
}

export interface KeyringsEnv {
  readonly random: Random;
  readonly trace: Trace;
  readonly listeners: KeyringListeners;
  /**
   * Installs a session keyring in the task's credentials; without it every task keeps its user's session
   * keyring.
   */
  readonly joinSession?: (task: KeyTask, serial: number) => void;
  /** How many tasks have a keyring as their session keyring; without it none is counted. */
  readonly sessionUsers?: (serial: number) => number;
  /** What seals trusted keys; null on a machine without a TPM, which does not have that key type. */
  readonly trusted?: (task: KeyTask | null) => TrustedEnv | null;
  /** verify_pkcs7_signature() of a detached message against .builtin_trusted_keys (for .blacklist). */
  readonly verifyBuiltin: (keys: Keyrings, data: Uint8Array, der: Uint8Array) => Err;
}

const TYPES: ReadonlySet<string> = new Set([
  'keyring',
  'user',
  'logon',
  'asymmetric',
  'encrypted',
  'trusted',
  'blacklist',
]);
/** Types with ->update and with ->read. */
const UPDATES: ReadonlySet<KeyType> = new Set(['user', 'logon', 'encrypted', 'trusted', 'keyring']);
const READS: ReadonlySet<KeyType> = new Set(['user', 'encrypted', 'trusted', 'keyring']);
const MAX_PAYLOAD = 1024 * 1024 - 1;
const MAX_USER_PAYLOAD = 32767;
const FIRST_SERIAL = 0x10000001;

export function newKeyrings(): KeyringsState {
  return {
    keys: ImmutableMap(),
    named: ImmutableMap(),
    userKeyrings: ImmutableMap(),
    userRegister: null,
    nextSerial: FIRST_SERIAL,
  };
}

/** Cursor over the keys of a machine. */
export class Keyrings {
  state: KeyringsState;
  readonly env: KeyringsEnv;

  constructor(state: KeyringsState, env: KeyringsEnv) {
    this.state = state;
    this.env = env;
  }

  key(serial: number): Key | undefined {
    return this.state.keys.get(serial);
  }

  #put(key: Key): void {
    this.state = { ...this.state, keys: this.state.keys.set(key.serial, key) };
  }

  /** Makes a key that is linked nowhere yet. */
  alloc(spec: Pick<Key, 'type' | 'description' | 'uid' | 'gid' | 'perm'> & Partial<Key>): Key {
    const key: Key = {
      revoked: false,
      builtin: false,
      keep: false,
      inQuota: false,
      payload: null,
      encrypted: null,
      trusted: null,
      links: spec.type === 'keyring' ? [] : null,
      restriction: null,
      ...spec,
      serial: this.state.nextSerial,
    };
    this.state = { ...this.state, nextSerial: key.serial + 1 };
    this.#put(key);
    return key;
  }

  /** Makes one of the system's keyrings. */
  allocNamed(name: string, perm: number, options: Partial<Key> = {}): Key {
    const key = this.alloc({ type: 'keyring', description: name, uid: 0, gid: 0, perm, ...options });
    this.state = { ...this.state, named: this.state.named.set(name, key.serial) };
    return key;
  }

  named(name: string): Key | undefined {
    const serial = this.state.named.get(name);
    return serial === undefined ? undefined : this.key(serial);
  }

  /** Links a key, displacing one of the same type and description (__key_link). */
  link(ring: number, serial: number): void {
    const [keyring, key] = [this.key(ring), this.key(serial)];
    if (keyring?.links == null || key === undefined) return;
    const same = (s: number): boolean => {
      const k = this.key(s);
      return k !== undefined && k.type === key.type && k.description === key.description;
    };
    const at = keyring.links.findIndex(same);
    const links = at < 0 ? [...keyring.links, serial] : keyring.links.map((s, i) => (i === at ? serial : s));
    this.#put({ ...keyring, links });
  }

  /** Keys that a keyring links to, nested keyrings included, in search order. */
  *members(ring: number, depth = 0): Generator<Key> {
    const nested: number[] = [];
    for (const serial of this.key(ring)?.links ?? []) {
      const key = this.key(serial);
      if (key === undefined || key.revoked) continue;
      if (key.type === 'keyring') nested.push(serial);
      else yield key;
    }
    if (depth < 6) for (const serial of nested) yield* this.members(serial, depth + 1);
  }

  /**
   * `_uid.N` and `_uid_ses.N`, made when first needed.
   * @kernel security/keys/process_keys.c look_up_user_keyrings()
   */
  lookUpUserKeyrings(uid: number): readonly [user: number, session: number] {
    const there = this.state.userKeyrings.get(uid);
    if (there !== undefined) return there;
    const register = this.#register();
    const rights = (KEY_POS_ALL & ~KEY_POS_SETATTR) | KEY_USR_ALL;
    const ring = (description: string): Key =>
      this.alloc({ type: 'keyring', description, uid, gid: NO_GID, perm: rights, inQuota: true });
    const user = ring(`_uid.${uid}`);
    this.link(register, user.serial);
    const session = ring(`_uid_ses.${uid}`);
    this.link(session.serial, user.serial);
    this.link(register, session.serial);
    const pair = [user.serial, session.serial] as const;
    this.state = { ...this.state, userKeyrings: this.state.userKeyrings.set(uid, pair) };
    return pair;
  }

  /** @kernel security/keys/process_keys.c get_user_register() */
  #register(): number {
    const there = this.state.userRegister;
    if (there !== null) return there;
    const perm = KEY_POS_WRITE | KEY_POS_SEARCH | KEY_USR_VIEW | KEY_USR_READ;
    const made = this.alloc({
      type: 'keyring',
      description: '.user_reg',
      uid: 0,
      gid: NO_GID,
      perm,
      inQuota: true,
    });
    this.state = { ...this.state, userRegister: made.serial };
    return made.serial;
  }

  #sessionOf(task: KeyTask): number {
    return task.sessionKeyring !== 0 ? task.sessionKeyring : this.lookUpUserKeyrings(task.cred.uid)[1];
  }

  /**
   * add_key to the session keyring makes an anonymous one where the task only has its user's.
   * @kernel security/keys/process_keys.c join_session_keyring()
   */
  #withSession(task: KeyTask, ring: number | string): KeyTask {
    const { joinSession } = this.env;
    if (ring !== KEY_SPEC_SESSION_KEYRING || task.sessionKeyring !== 0 || joinSession === undefined)
      return task;
    this.lookUpUserKeyrings(task.cred.uid);
    const { uid, gid } = task.cred;
    const perm = KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_READ;
    const made = this.alloc({ type: 'keyring', description: '_ses', uid, gid, perm, inQuota: true });
    joinSession(task, made.serial);
    return { ...task, sessionKeyring: made.serial };
  }

  /**
   * Whether the task's session keyring, or its user's where it has none, leads to a key.
   * @kernel security/keys/process_keys.c search_cred_keyrings_rcu()
   */
  #possesses(task: KeyTask, serial: number): boolean {
    const seen = new Set<number>();
    const session = task.sessionKeyring || this.state.userKeyrings.get(task.cred.uid)?.[1];
    const queue = session === undefined ? [] : [session];
    for (let s = queue.pop(); s !== undefined; s = queue.pop()) {
      if (s === serial) return true;
      if (seen.has(s)) continue;
      seen.add(s);
      queue.push(...(this.key(s)?.links ?? []));
    }
    return false;
  }

  /** @kernel security/keys/permission.c key_task_permission() */
  permitted(task: KeyTask, key: Key, need: number, possessed?: boolean): boolean {
    const { cred } = task;
    let bits = key.perm;
    if (key.uid === cred.fsuid) bits = key.perm >>> 16;
    else if (key.gid !== NO_GID && key.perm & 0x3f00) {
      if (key.gid === cred.fsgid || cred.groups.includes(key.gid)) bits = key.perm >>> 8;
    }
    if (possessed ?? this.#possesses(task, key.serial)) bits |= key.perm >>> 24;
    return (bits & need) === need;
  }

  /**
   * A keyring or key by serial, special id or name.
   * @kernel security/keys/process_keys.c lookup_user_key()
   */
  lookup(task: KeyTask, id: number | string, need: number): Result<Key> {
    let serial: number | undefined;
    if (typeof id === 'string') serial = this.state.named.get(id);
    else if (id === KEY_SPEC_SESSION_KEYRING) serial = this.#sessionOf(task);
    else if (id === KEY_SPEC_USER_KEYRING) serial = this.lookUpUserKeyrings(task.cred.uid)[0];
    else if (id === KEY_SPEC_USER_SESSION_KEYRING) serial = this.lookUpUserKeyrings(task.cred.uid)[1];
    else if (id < 0) return fail('EINVAL');
    else serial = id;
    const key = serial === undefined ? undefined : this.key(serial);
    if (key === undefined) return fail('ENOKEY');
    // What a task names by a special number is its own.
    const own = typeof id === 'number' && id < 0 ? true : undefined;
    if (!this.permitted(task, key, need, own))
      return this.#refuse('EACCES', KEYRING_REASON['keys.no_permission'], key.description);
    if (key.revoked) return fail('EKEYREVOKED');
    return ok(key);
  }

  /** key_type_lookup(): trusted keys need a TPM when the kernel starts. */
  #registered(type: string): boolean {
    return TYPES.has(type) && (type !== 'trusted' || (this.env.trusted?.(null) ?? null) !== null);
  }

  /** Notes in the trace why a key or a signature was refused; gives the errno back. */
  refused(errno: Errno, reason: string, key: string): Errno {
    this.env.trace.emit('keys.refused', { key, errno }, reason);
    return errno;
  }

  #refuse(errno: 'EACCES' | 'ENOKEY' | 'EPERM', reason: string, description: string): Result<never> {
    this.env.trace.emit('keys.refused', { key: description, errno }, reason);
    return fail(errno);
  }

  /** @kernel security/keys/keyctl.c add_key(), security/keys/key.c key_create_or_update() */
  addKey(
    task: KeyTask,
    type: string,
    description: string,
    payload: Uint8Array,
    ring: number | string,
  ): Result<number> {
    if (type === '' || type.length > 31) return fail('EINVAL');
    if (type.startsWith('.')) return fail('EPERM');
    if (payload.length > MAX_PAYLOAD) return fail('EINVAL');
    if (type === 'keyring' && description.startsWith('.')) return fail('EPERM');
    const actor = this.#withSession(task, ring);
    const found = this.lookup(actor, ring, KEY_NEED_WRITE);
    if (!found.ok) return found;
    if (!this.#registered(type)) return fail('ENODEV');
    return this.createOrUpdate(actor, found.value.serial, type as KeyType, description, payload, {});
  }

  /**
   * Makes a key and links it, or updates the one of that type and name. The kernel's own calls give
   * `builtin` (no restriction is asked) and no task.
   * @kernel security/keys/key.c __key_create_or_update()
   */
  createOrUpdate(
    task: KeyTask | null,
    ring: number,
    type: KeyType,
    name: string,
    payload: Uint8Array,
    options: { readonly builtin?: boolean; readonly bypass?: boolean; readonly perm?: number },
  ): Result<number> {
    const keyring = this.key(ring);
    if (keyring === undefined) return fail('ENOKEY');
    if (keyring.type !== 'keyring') return fail('ENOTDIR');
    const checked = this.#preparse(type, name, payload);
    if (!checked.ok) return checked;
    const description = checked.value;
    const refused = options.bypass ? 0 : restrictLink(this, keyring, type, payload);
    if (refused !== 0) {
      this.env.trace.emit(
        'keys.refused',
        { keyring: keyring.description, errno: refused },
        KEYRING_REASON['keys.restricted'],
      );
      return fail(refused);
    }
    const old = (keyring.links ?? [])
      .map((s) => this.key(s))
      .find((k) => k?.type === type && k.description === description);
    if (old !== undefined && UPDATES.has(type) && type !== 'keyring') {
      const r = this.#instantiate(task, old, payload);
      if (!r.ok) return r;
      this.#put({ ...r.value, revoked: false });
      this.#linked(task, keyring, type, payload);
      return ok(old.serial);
    }
    const rights = KEY_POS_VIEW | KEY_POS_SEARCH | KEY_POS_LINK | KEY_POS_SETATTR | KEY_USR_VIEW;
    const read = READS.has(type) ? KEY_POS_READ : 0;
    const write = UPDATES.has(type) ? KEY_POS_WRITE : 0;
    const made = this.alloc({
      type,
      description,
      uid: task?.cred.fsuid ?? 0,
      gid: task?.cred.fsgid ?? 0,
      perm: options.perm ?? rights | read | write,
      builtin: options.builtin ?? false,
      inQuota: task !== null && options.builtin !== true,
    });
    const r = this.#instantiate(task, made, payload);
    if (!r.ok) {
      this.state = { ...this.state, keys: this.state.keys.delete(made.serial) };
      return r;
    }
    this.#put(r.value);
    this.link(ring, made.serial);
    this.#linked(task, keyring, type, payload);
    return ok(made.serial);
  }

  #linked(task: KeyTask | null, keyring: Key, type: KeyType, payload: Uint8Array): void {
    this.env.trace.emit('keys.linked', { keyring: keyring.description, type });
    this.env.listeners.keyLinked?.(task, keyring.description, type, payload);
  }

  /** Description of the new key, or why its payload cannot be one. */
  #preparse(type: KeyType, name: string, payload: Uint8Array): Result<string> {
    if (type === 'asymmetric') {
      const parsed = parseAsymmetric(payload);
      if (!parsed.ok) return parsed;
      return ok(name === '' ? parsed.value.description : name);
    }
    if (type === 'keyring' && payload.length !== 0) return fail('EINVAL');
    if (
      (type === 'user' || type === 'logon') &&
      (payload.length === 0 || payload.length > MAX_USER_PAYLOAD)
    ) {
      return fail('EINVAL');
    }
    if (name === '') return fail('EINVAL');
    if (type === 'logon' && !/^[^:]+:/.test(name)) return fail('EINVAL');
    if (type === 'blacklist' && !/^(?:bin|tbs):(?:[0-9a-f]{2}){1,64}$/.test(name)) return fail('EINVAL');
    return ok(name);
  }

  #instantiate(task: KeyTask | null, key: Key, payload: Uint8Array): Result<Key> {
    if (key.type === 'encrypted') {
      const r =
        key.encrypted === null
          ? encryptedInstantiate(payload, this.#masterKey(task), this.env.random)
          : encryptedUpdate(key.encrypted, payload);
      return r.ok ? ok({ ...key, encrypted: r.value }) : r;
    }
    if (key.type === 'trusted') {
      const env = this.env.trusted?.(task) ?? null;
      if (env === null) return fail('ENODEV');
      const r =
        key.trusted === null ? trustedInstantiate(payload, env) : trustedUpdate(key.trusted, payload, env);
      return r.ok ? ok({ ...key, trusted: r.value }) : r;
    }
    if (key.type === 'blacklist' && !key.builtin) {
      const err = this.env.verifyBuiltin(this, latin1(key.description), payload);
      if (err !== 0) return fail(err);
    }
    return ok(key.type === 'keyring' ? key : { ...key, payload });
  }

  /** @kernel security/keys/encrypted-keys/encrypted.c request_user_key(), request_trusted_key() */
  #masterKey(task: KeyTask | null): MasterKey {
    return (type, description) => {
      const key = this.requestKey(task, type, description);
      if (!key.ok) return key;
      return ok((type === 'user' ? key.value.payload : key.value.trusted?.key) ?? new Uint8Array(0));
    };
  }

  /** request_key() without an upcall: the task's session keyring (or its user's) and what hangs below it. */
  requestKey(task: KeyTask | null, type: KeyType, description: string): Result<Key> {
    if (task === null) return fail('ENOKEY');
    return this.#find(this.#sessionOf(task), type, description);
  }

  #find(ring: number, type: KeyType, description: string): Result<Key> {
    for (const key of this.members(ring)) {
      if (key.type === type && key.description === description) return ok(key);
    }
    return this.#refuse('ENOKEY', KEYRING_REASON['keys.not_found'], description);
  }

  /** KEYCTL_SEARCH. */
  search(task: KeyTask, ring: number | string, type: string, description: string): Result<number> {
    const found = this.lookup(task, ring, KEY_NEED_SEARCH);
    if (!found.ok) return found;
    if (!this.#registered(type)) return fail('ENOKEY');
    const key = this.#find(found.value.serial, type as KeyType, description);
    if (!key.ok) return key;
    // @kernel security/keys/keyring.c keyring_search_iterator(): the key itself must allow the search
    const possessed = (typeof ring === 'number' && ring < 0) || this.#possesses(task, found.value.serial);
    if (!this.permitted(task, key.value, KEY_NEED_SEARCH, possessed))
      return fail(this.refused('EACCES', 'keys.no_permission', description));
    return ok(key.value.serial);
  }

  /** KEYCTL_READ. */
  read(task: KeyTask, serial: number): Result<Uint8Array> {
    const key = this.key(serial);
    if (key === undefined) return fail('ENOKEY');
    if (!this.permitted(task, key, KEY_NEED_READ) && !this.#possesses(task, serial)) return fail('EACCES');
    if (key.revoked) return fail('EKEYREVOKED');
    if (!READS.has(key.type)) return fail('EOPNOTSUPP');
    if (key.trusted !== null) return ok(trustedRead(key.trusted));
    if (key.encrypted !== null) return encryptedRead(key.encrypted, this.#masterKey(task));
    return ok(key.payload ?? new Uint8Array(0));
  }

  /** KEYCTL_REVOKE. */
  revoke(task: KeyTask, serial: number): Err {
    const key = this.key(serial);
    if (key === undefined) return 'ENOKEY';
    if (!this.permitted(task, key, KEY_NEED_WRITE) && !this.permitted(task, key, KEY_NEED_SETATTR))
      return 'EACCES';
    if (key.keep) return 'EPERM';
    this.#put({ ...key, revoked: true });
    return 0;
  }

  /** KEYCTL_INVALIDATE: the key is gone for everybody. */
  invalidate(task: KeyTask, serial: number): Err {
    const key = this.key(serial);
    if (key === undefined) return 'ENOKEY';
    if (!this.permitted(task, key, KEY_NEED_SEARCH)) return 'EACCES';
    if (key.keep) return 'EPERM';
    this.state = { ...this.state, keys: this.state.keys.delete(serial) };
    return 0;
  }

  /** KEYCTL_UNLINK. */
  unlink(task: KeyTask, serial: number, ring: number | string): Err {
    const found = this.lookup(task, ring, KEY_NEED_WRITE);
    if (!found.ok) return found.errno;
    const keyring = found.value;
    if (keyring.links === null) return 'ENOTDIR';
    if (keyring.keep) return 'EPERM';
    if (!keyring.links.includes(serial)) return 'ENOENT';
    this.#put({ ...keyring, links: keyring.links.filter((s) => s !== serial) });
    return 0;
  }

  /** KEYCTL_RESTRICT_KEYRING without a type: no more links. */
  restrict(task: KeyTask, ring: number | string): Err {
    const found = this.lookup(task, ring, KEY_NEED_SETATTR);
    if (!found.ok) return found.errno;
    if (found.value.links === null) return 'ENOTDIR';
    if (found.value.restriction !== null) return 'EEXIST';
    this.#put({ ...found.value, restriction: 'reject' });
    return 0;
  }

  /** Whether /proc/keys shows the task a keyring of that name. */
  exists(task: KeyTask, name: string): boolean {
    const key = this.named(name);
    return key !== undefined && this.permitted(task, key, 1);
  }

  /** Text of /proc/keys: the keys that the task may view. */
  list(task: KeyTask): string {
    return procKeys(this.state, (key) => this.permitted(task, key, KEY_NEED_VIEW), this.env.sessionUsers);
  }
}
