// The part of the TPM client that scripts around keys use: a storage key at a persistent handle, policy
// sessions over registers, an endorsement key, and the credential that proves where a key lives.

import { Reader, Writer } from '../base/codec.ts';
import {
  answer,
  type BankSelection,
  command,
  flushContext,
  type PrimaryKey,
  pcrSelection,
  TPM_ALG_NULL,
  TPM_RH_ENDORSEMENT,
  TPM_RS_PW,
  type TpmAnswer,
  type TpmPort,
  tpm2b,
} from './tpm-client.ts';

const TPM_RH_OWNER = 0x40000001;
const TPM_RH_NULL = 0x40000007;
const TPM_CC_EVICT_CONTROL = 0x120;
const TPM_CC_CREATE_PRIMARY = 0x131;
const TPM_CC_ACTIVATE_CREDENTIAL = 0x147;
const TPM_CC_POLICY_SECRET = 0x151;
const TPM_CC_LOAD_EXTERNAL = 0x167;
const TPM_CC_MAKE_CREDENTIAL = 0x168;
const TPM_CC_START_AUTH_SESSION = 0x176;
const TPM_CC_POLICY_PCR = 0x17f;
const TPM_CC_POLICY_GET_DIGEST = 0x189;
const TPM_ALG_SHA256 = 0x000b;
const TPM_SE = { policy: 1, trial: 3 } as const;
const NONCE = 16;
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt. */
const STORAGE_ATTRIBUTES = 0x00030472;
/** fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt. */
const EK_ATTRIBUTES = 0x000300b2;
/** PolicySecret(TPM_RH_ENDORSEMENT), the policy of the usual endorsement keys. */
const EK_POLICY = '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa';

/** A P-256 key that wraps with AES-128-CFB. */
function storageTemplate(attributes: number, policy: Uint8Array): Uint8Array {
  const w = new Writer('be').u16(0x23).u16(TPM_ALG_SHA256).u32(attributes);
  w.u16(policy.length).bytes(policy);
  return w.u16(6).u16(128).u16(0x43).u16(TPM_ALG_NULL).u16(3).u16(TPM_ALG_NULL).u16(0).u16(0).finish();
}

function createPrimary(port: TpmPort, hierarchy: number, template: Uint8Array): TpmAnswer<PrimaryKey> {
  const p = new Writer('be').u16(4).u16(0).u16(0).u16(template.length).bytes(template).u16(0).u32(0);
  return answer(port.execute(command(TPM_CC_CREATE_PRIMARY, [hierarchy], 1, p.finish())), (r) => {
    const handle = r.u32();
    r.u32();
    return { handle, publicArea: tpm2b(r) };
  });
}

/** tpm2_createprimary -C o, tpm2_evictcontrol: value = null. */
export function persistentParent(port: TpmPort, at: number): TpmAnswer<null> {
  const made = createPrimary(port, TPM_RH_OWNER, storageTemplate(STORAGE_ATTRIBUTES, new Uint8Array(0)));
  if (made.value === null) return made;
  const { handle } = made.value;
  const p = new Writer('be').u32(at).finish();
  const kept = answer(port.execute(command(TPM_CC_EVICT_CONTROL, [TPM_RH_OWNER, handle], 1, p)), () => null);
  flushContext(port, handle);
  return kept;
}

/** tpm2_startauthsession: value = the session's handle. */
export function startSession(port: TpmPort, kind: keyof typeof TPM_SE): TpmAnswer<number> {
  const p = new Writer('be').u16(NONCE).bytes(new Uint8Array(NONCE).fill(1)).u16(0);
  p.u8(TPM_SE[kind]).u16(TPM_ALG_NULL).u16(TPM_ALG_SHA256);
  const handles = [TPM_RH_NULL, TPM_RH_NULL];
  return answer(port.execute(command(TPM_CC_START_AUTH_SESSION, handles, 0, p.finish())), (r) => r.u32());
}

/** The registers as they are now become part of the session's policy. */
export function policyPcr(
  port: TpmPort,
  session: number,
  selection: readonly BankSelection[],
): TpmAnswer<null> {
  const p = new Writer('be').u16(0).bytes(pcrSelection(selection)).finish();
  return answer(port.execute(command(TPM_CC_POLICY_PCR, [session], 0, p)), () => null);
}

export function policyDigest(port: TpmPort, session: number): TpmAnswer<Uint8Array> {
  return answer(port.execute(command(TPM_CC_POLICY_GET_DIGEST, [session], 0, new Uint8Array(0))), tpm2b);
}

/** The endorsement key of the usual P-256 template; flush it. */
export function createEk(port: TpmPort): TpmAnswer<PrimaryKey> {
  const policy = Uint8Array.from(EK_POLICY.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return createPrimary(port, TPM_RH_ENDORSEMENT, storageTemplate(EK_ATTRIBUTES, policy));
}

export interface Credential {
  /** TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET without their sizes. */
  readonly blob: Uint8Array;
  readonly secret: Uint8Array;
}

/** TPM2_LoadExternal of a public area; value = the handle. */
export function loadPublic(port: TpmPort, area: Uint8Array): TpmAnswer<number> {
  const p = new Writer('be').u16(0).u16(area.length).bytes(area).u32(TPM_RH_NULL).finish();
  return answer(port.execute(command(TPM_CC_LOAD_EXTERNAL, [], 0, p)), (r) => r.u32());
}

/** What a verifier does with a TPM of its own: a secret for whoever has the EK and a key of that name. */
export function makeCredential(
  port: TpmPort,
  ekPublic: Uint8Array,
  credential: Uint8Array,
  name: Uint8Array,
): TpmAnswer<Credential> {
  const loaded = loadPublic(port, ekPublic);
  if (loaded.value === null) return loaded;
  const p = new Writer('be').u16(credential.length).bytes(credential).u16(name.length).bytes(name).finish();
  const made = answer(port.execute(command(TPM_CC_MAKE_CREDENTIAL, [loaded.value], 0, p)), (r) => {
    const blob = tpm2b(r);
    return { blob, secret: tpm2b(r) };
  });
  flushContext(port, loaded.value);
  return made;
}

/** tpm2_activatecredential with a policy session for the endorsement key; value = the secret. */
export function activateCredential(
  port: TpmPort,
  ak: number,
  ek: number,
  { blob, secret }: Credential,
): TpmAnswer<Uint8Array> {
  const session = startSession(port, 'policy');
  if (session.value === null) return session;
  const asked = new Writer('be').u16(0).u16(0).u16(0).u32(0).finish();
  const handles = [TPM_RH_ENDORSEMENT, session.value];
  port.execute(command(TPM_CC_POLICY_SECRET, handles, 1, asked));
  const p = new Writer('be').u16(blob.length).bytes(blob).u16(secret.length).bytes(secret).finish();
  const code = TPM_CC_ACTIVATE_CREDENTIAL;
  const response = port.execute(command(code, [ak, ek], 2, p, [TPM_RS_PW, session.value]));
  const got = answer(response, (r) => tpm2b(new Reader(r.take(r.u32()), 'be')));
  if (got.value === null) flushContext(port, session.value);
  return got;
}
