// Response codes of TCG Part 2, 6.6, with their text and the arithmetic that adds a handle, parameter or
// session number to a format-one code. `describeRc` turns any code back into words, as tpm2_rc_decode does.

export const TPM_RC_SUCCESS = 0x000;
export const TPM_RC_BAD_TAG = 0x01e;
export const TPM_RC_INITIALIZE = 0x100;
export const TPM_RC_FAILURE = 0x101;
export const TPM_RC_SEQUENCE = 0x103;
export const TPM_RC_DISABLED = 0x120;
export const TPM_RC_EXCLUSIVE = 0x121;
export const TPM_RC_AUTH_TYPE = 0x124;
export const TPM_RC_AUTH_MISSING = 0x125;
export const TPM_RC_POLICY = 0x126;
export const TPM_RC_PCR = 0x127;
export const TPM_RC_PCR_CHANGED = 0x128;
export const TPM_RC_UPGRADE = 0x12d;
export const TPM_RC_TOO_MANY_CONTEXTS = 0x12e;
export const TPM_RC_AUTH_UNAVAILABLE = 0x12f;
export const TPM_RC_REBOOT = 0x130;
export const TPM_RC_UNBALANCED = 0x131;
export const TPM_RC_COMMAND_SIZE = 0x142;
export const TPM_RC_COMMAND_CODE = 0x143;
export const TPM_RC_AUTHSIZE = 0x144;
export const TPM_RC_AUTH_CONTEXT = 0x145;
export const TPM_RC_NV_RANGE = 0x146;
export const TPM_RC_NV_SIZE = 0x147;
export const TPM_RC_NV_LOCKED = 0x148;
export const TPM_RC_NV_AUTHORIZATION = 0x149;
export const TPM_RC_NV_UNINITIALIZED = 0x14a;
export const TPM_RC_NV_SPACE = 0x14b;
export const TPM_RC_NV_DEFINED = 0x14c;
export const TPM_RC_BAD_CONTEXT = 0x150;
export const TPM_RC_CPHASH = 0x151;
export const TPM_RC_PARENT = 0x152;
export const TPM_RC_NEEDS_TEST = 0x153;
export const TPM_RC_NO_RESULT = 0x154;
export const TPM_RC_SENSITIVE = 0x155;
export const TPM_RC_ASYMMETRIC = 0x081;
export const TPM_RC_ATTRIBUTES = 0x082;
export const TPM_RC_HASH = 0x083;
export const TPM_RC_VALUE = 0x084;
export const TPM_RC_HIERARCHY = 0x085;
export const TPM_RC_KEY_SIZE = 0x087;
export const TPM_RC_MGF = 0x088;
export const TPM_RC_MODE = 0x089;
export const TPM_RC_TYPE = 0x08a;
export const TPM_RC_HANDLE = 0x08b;
export const TPM_RC_KDF = 0x08c;
export const TPM_RC_RANGE = 0x08d;
export const TPM_RC_AUTH_FAIL = 0x08e;
export const TPM_RC_NONCE = 0x08f;
export const TPM_RC_PP = 0x090;
export const TPM_RC_SCHEME = 0x092;
export const TPM_RC_SIZE = 0x095;
export const TPM_RC_SYMMETRIC = 0x096;
export const TPM_RC_TAG = 0x097;
export const TPM_RC_SELECTOR = 0x098;
export const TPM_RC_INSUFFICIENT = 0x09a;
export const TPM_RC_SIGNATURE = 0x09b;
export const TPM_RC_KEY = 0x09c;
export const TPM_RC_POLICY_FAIL = 0x09d;
export const TPM_RC_INTEGRITY = 0x09f;
export const TPM_RC_TICKET = 0x0a0;
export const TPM_RC_RESERVED_BITS = 0x0a1;
export const TPM_RC_BAD_AUTH = 0x0a2;
export const TPM_RC_EXPIRED = 0x0a3;
export const TPM_RC_POLICY_CC = 0x0a4;
export const TPM_RC_BINDING = 0x0a5;
export const TPM_RC_CURVE = 0x0a6;
export const TPM_RC_ECC_POINT = 0x0a7;
export const TPM_RC_CONTEXT_GAP = 0x901;
export const TPM_RC_OBJECT_MEMORY = 0x902;
export const TPM_RC_SESSION_MEMORY = 0x903;
export const TPM_RC_MEMORY = 0x904;
export const TPM_RC_SESSION_HANDLES = 0x905;
export const TPM_RC_OBJECT_HANDLES = 0x906;
export const TPM_RC_LOCALITY = 0x907;
export const TPM_RC_YIELDED = 0x908;
export const TPM_RC_CANCELED = 0x909;
export const TPM_RC_TESTING = 0x90a;
export const TPM_RC_REFERENCE_H0 = 0x910;
export const TPM_RC_REFERENCE_S0 = 0x918;
export const TPM_RC_NV_RATE = 0x920;
export const TPM_RC_LOCKOUT = 0x921;
export const TPM_RC_RETRY = 0x922;
export const TPM_RC_NV_UNAVAILABLE = 0x923;

/** Bit that marks a format-one code: it can carry the number of a handle, parameter or session. */
export const RC_FMT1 = 0x080;
const RC_P = 0x040;
const RC_S = 0x800;
const RC_NUMBER = 0xf00;

/** `rc` as an error of handle number `n` (1 is the first), when it can carry a number and has none yet. */
export function rcHandle(n: number, rc: number): number {
  return (rc & RC_FMT1) !== 0 && (rc & (RC_NUMBER | RC_P)) === 0 ? rc + n * 0x100 : rc;
}

/** `rc` as an error of parameter number `n` (1 is the first). */
export function rcParameter(n: number, rc: number): number {
  return (rc & RC_FMT1) !== 0 && (rc & (RC_NUMBER | RC_P)) === 0 ? rc + RC_P + n * 0x100 : rc;
}

/** `rc` as an error of session number `n` (1 is the first). */
export function rcSession(n: number, rc: number): number {
  return (rc & RC_FMT1) !== 0 && (rc & (RC_NUMBER | RC_P)) === 0 ? rc + RC_S + n * 0x100 : rc;
}

interface RcEntry {
  readonly name: string;
  readonly text: string;
}

const RC_TABLE: ReadonlyMap<number, RcEntry> = new Map(
  (
    [
      ['TPM_RC_SUCCESS', TPM_RC_SUCCESS, 'success'],
      ['TPM_RC_BAD_TAG', TPM_RC_BAD_TAG, 'the tag of the command is not defined'],
      ['TPM_RC_INITIALIZE', TPM_RC_INITIALIZE, 'TPM not initialized by TPM2_Startup, or already initialized'],
      ['TPM_RC_FAILURE', TPM_RC_FAILURE, 'commands are not accepted because of a TPM failure'],
      ['TPM_RC_SEQUENCE', TPM_RC_SEQUENCE, 'improper use of a sequence handle'],
      ['TPM_RC_DISABLED', TPM_RC_DISABLED, 'the command is disabled'],
      ['TPM_RC_EXCLUSIVE', TPM_RC_EXCLUSIVE, 'the audit sequence requires exclusivity'],
      ['TPM_RC_AUTH_TYPE', TPM_RC_AUTH_TYPE, 'the authorization type is not allowed for this handle'],
      [
        'TPM_RC_AUTH_MISSING',
        TPM_RC_AUTH_MISSING,
        'a handle requires an authorization session and none was given',
      ],
      [
        'TPM_RC_POLICY',
        TPM_RC_POLICY,
        'the policy did not allow the operation, or the digest of a policy is too long',
      ],
      ['TPM_RC_PCR', TPM_RC_PCR, 'the PCR check failed'],
      ['TPM_RC_PCR_CHANGED', TPM_RC_PCR_CHANGED, 'PCR have changed since they were checked'],
      ['TPM_RC_UPGRADE', TPM_RC_UPGRADE, 'the TPM is in field upgrade mode'],
      ['TPM_RC_TOO_MANY_CONTEXTS', TPM_RC_TOO_MANY_CONTEXTS, 'the context counter is at its maximum'],
      [
        'TPM_RC_AUTH_UNAVAILABLE',
        TPM_RC_AUTH_UNAVAILABLE,
        'authValue or authPolicy is not available for the selected entity',
      ],
      [
        'TPM_RC_REBOOT',
        TPM_RC_REBOOT,
        'a _TPM_Init and Startup(CLEAR) is required before the TPM can resume operation',
      ],
      ['TPM_RC_UNBALANCED', TPM_RC_UNBALANCED, 'the protection algorithms are not reasonably balanced'],
      [
        'TPM_RC_COMMAND_SIZE',
        TPM_RC_COMMAND_SIZE,
        'the size of the command is inconsistent with its contents',
      ],
      ['TPM_RC_COMMAND_CODE', TPM_RC_COMMAND_CODE, 'the command code is not supported'],
      ['TPM_RC_AUTHSIZE', TPM_RC_AUTHSIZE, 'the size of the authorization area is out of range'],
      ['TPM_RC_AUTH_CONTEXT', TPM_RC_AUTH_CONTEXT, 'sessions are not allowed for this command'],
      ['TPM_RC_NV_RANGE', TPM_RC_NV_RANGE, 'the NV offset and size are out of range'],
      ['TPM_RC_NV_SIZE', TPM_RC_NV_SIZE, 'the requested allocation size is larger than allowed'],
      ['TPM_RC_NV_LOCKED', TPM_RC_NV_LOCKED, 'NV access is locked'],
      [
        'TPM_RC_NV_AUTHORIZATION',
        TPM_RC_NV_AUTHORIZATION,
        'NV access authorization fails in the command actions',
      ],
      ['TPM_RC_NV_UNINITIALIZED', TPM_RC_NV_UNINITIALIZED, 'an NV index is used before being initialized'],
      ['TPM_RC_NV_SPACE', TPM_RC_NV_SPACE, 'there is not enough space for NV allocation'],
      ['TPM_RC_NV_DEFINED', TPM_RC_NV_DEFINED, 'the NV index or persistent object is already defined'],
      ['TPM_RC_BAD_CONTEXT', TPM_RC_BAD_CONTEXT, 'the context of TPM2_ContextLoad is not valid'],
      ['TPM_RC_CPHASH', TPM_RC_CPHASH, 'the cpHash value is already set or not correct for use'],
      ['TPM_RC_PARENT', TPM_RC_PARENT, 'the handle of the parent is not a valid parent'],
      ['TPM_RC_NEEDS_TEST', TPM_RC_NEEDS_TEST, 'some function needs testing'],
      ['TPM_RC_NO_RESULT', TPM_RC_NO_RESULT, 'an unspecified internal problem has no result'],
      [
        'TPM_RC_SENSITIVE',
        TPM_RC_SENSITIVE,
        'the sensitive area did not unmarshal correctly after decryption',
      ],
      ['TPM_RC_ASYMMETRIC', TPM_RC_ASYMMETRIC, 'the asymmetric algorithm is not supported or not correct'],
      ['TPM_RC_ATTRIBUTES', TPM_RC_ATTRIBUTES, 'inconsistent attributes'],
      ['TPM_RC_HASH', TPM_RC_HASH, 'the hash algorithm is not supported or not appropriate'],
      ['TPM_RC_VALUE', TPM_RC_VALUE, 'the value is out of range or is not correct for the context'],
      ['TPM_RC_HIERARCHY', TPM_RC_HIERARCHY, 'the hierarchy is not enabled or is not correct for the use'],
      ['TPM_RC_KEY_SIZE', TPM_RC_KEY_SIZE, 'the key size is not supported'],
      ['TPM_RC_MGF', TPM_RC_MGF, 'the mask generation function is not supported'],
      ['TPM_RC_MODE', TPM_RC_MODE, 'the mode of operation is not supported'],
      ['TPM_RC_TYPE', TPM_RC_TYPE, 'the type of the value is not appropriate for the use'],
      ['TPM_RC_HANDLE', TPM_RC_HANDLE, 'the handle is not correct for the use'],
      ['TPM_RC_KDF', TPM_RC_KDF, 'the key derivation function is not supported or not appropriate'],
      ['TPM_RC_RANGE', TPM_RC_RANGE, 'the value was out of the allowed range'],
      [
        'TPM_RC_AUTH_FAIL',
        TPM_RC_AUTH_FAIL,
        'the authorization HMAC check failed and the dictionary-attack counter was incremented',
      ],
      ['TPM_RC_NONCE', TPM_RC_NONCE, 'invalid nonce size or nonce value mismatch'],
      ['TPM_RC_PP', TPM_RC_PP, 'authorization requires assertion of physical presence'],
      ['TPM_RC_SCHEME', TPM_RC_SCHEME, 'unsupported or incompatible scheme'],
      ['TPM_RC_SIZE', TPM_RC_SIZE, 'the structure is the wrong size'],
      [
        'TPM_RC_SYMMETRIC',
        TPM_RC_SYMMETRIC,
        'unsupported symmetric algorithm or key size, or not appropriate for the instance',
      ],
      ['TPM_RC_TAG', TPM_RC_TAG, 'incorrect structure tag'],
      ['TPM_RC_SELECTOR', TPM_RC_SELECTOR, 'the union selector is incorrect'],
      ['TPM_RC_INSUFFICIENT', TPM_RC_INSUFFICIENT, 'there were not enough octets in the buffer'],
      ['TPM_RC_SIGNATURE', TPM_RC_SIGNATURE, 'the signature is not valid'],
      ['TPM_RC_KEY', TPM_RC_KEY, 'the key fields are not compatible with the selected use'],
      ['TPM_RC_POLICY_FAIL', TPM_RC_POLICY_FAIL, 'a policy check failed'],
      ['TPM_RC_INTEGRITY', TPM_RC_INTEGRITY, 'the integrity check failed'],
      ['TPM_RC_TICKET', TPM_RC_TICKET, 'the ticket is not valid'],
      ['TPM_RC_RESERVED_BITS', TPM_RC_RESERVED_BITS, 'reserved bits are not set to zero as required'],
      ['TPM_RC_BAD_AUTH', TPM_RC_BAD_AUTH, 'authorization failure without dictionary-attack implications'],
      ['TPM_RC_EXPIRED', TPM_RC_EXPIRED, 'the policy has expired'],
      [
        'TPM_RC_POLICY_CC',
        TPM_RC_POLICY_CC,
        'the command code of the policy is not the command code of the command',
      ],
      [
        'TPM_RC_BINDING',
        TPM_RC_BINDING,
        'the public and sensitive portions of an object are not cryptographically bound',
      ],
      ['TPM_RC_CURVE', TPM_RC_CURVE, 'the curve is not supported'],
      ['TPM_RC_ECC_POINT', TPM_RC_ECC_POINT, 'the point is not on the required curve'],
      ['TPM_RC_CONTEXT_GAP', TPM_RC_CONTEXT_GAP, 'the gap for the context counter is too large'],
      ['TPM_RC_OBJECT_MEMORY', TPM_RC_OBJECT_MEMORY, 'out of memory for object contexts'],
      ['TPM_RC_SESSION_MEMORY', TPM_RC_SESSION_MEMORY, 'out of memory for session contexts'],
      [
        'TPM_RC_MEMORY',
        TPM_RC_MEMORY,
        'out of shared object and session memory, or the TPM needs space for internal operations',
      ],
      ['TPM_RC_SESSION_HANDLES', TPM_RC_SESSION_HANDLES, 'out of session handles'],
      ['TPM_RC_OBJECT_HANDLES', TPM_RC_OBJECT_HANDLES, 'out of object handles'],
      ['TPM_RC_LOCALITY', TPM_RC_LOCALITY, 'bad locality'],
      ['TPM_RC_YIELDED', TPM_RC_YIELDED, 'the TPM has suspended operation on the command'],
      ['TPM_RC_CANCELED', TPM_RC_CANCELED, 'the command was canceled'],
      ['TPM_RC_TESTING', TPM_RC_TESTING, 'the TPM is performing self-tests'],
      [
        'TPM_RC_REFERENCE_H0',
        TPM_RC_REFERENCE_H0,
        'the first handle in the handle area references something that is not loaded',
      ],
      [
        'TPM_RC_REFERENCE_S0',
        TPM_RC_REFERENCE_S0,
        'the first session handle references a session that is not loaded',
      ],
      ['TPM_RC_NV_RATE', TPM_RC_NV_RATE, 'the TPM is rate-limiting accesses to prevent wearout of NV'],
      [
        'TPM_RC_LOCKOUT',
        TPM_RC_LOCKOUT,
        'protected entities cannot be authorized now: the TPM is in dictionary-attack lockout',
      ],
      ['TPM_RC_RETRY', TPM_RC_RETRY, 'the TPM was not able to start the command'],
      [
        'TPM_RC_NV_UNAVAILABLE',
        TPM_RC_NV_UNAVAILABLE,
        'the command may require writing of NV and NV is not current accessible',
      ],
    ] as const
  ).map(([name, code, text]) => [code, { name, text }]),
);

export interface DecodedRc {
  readonly code: number;
  /** TPM_RC_ name without the number. */
  readonly name: string;
  readonly text: string;
  /** What the code speaks of, and its number from 1. */
  readonly subject: 'handle' | 'parameter' | 'session' | null;
  readonly index: number | null;
}

/**
 * Takes a response code apart.
 * @tcg Part 2, 6.6.2 Response Code Formats
 */
export function decodeRc(code: number): DecodedRc {
  if ((code & RC_FMT1) !== 0) {
    const entry = RC_TABLE.get(code & 0x0bf) ?? { name: 'TPM_RC_UNKNOWN', text: 'unknown response code' };
    const n = (code >>> 8) & 0xf;
    const plain = { code, name: entry.name, text: entry.text };
    if ((code & RC_P) !== 0) return { ...plain, subject: 'parameter', index: n };
    if (n === 0) return { ...plain, subject: null, index: null };
    if (n >= 8) return { ...plain, subject: 'session', index: n - 8 };
    return { ...plain, subject: 'handle', index: n };
  }
  if (code >= TPM_RC_REFERENCE_H0 && code < TPM_RC_REFERENCE_H0 + 7) {
    const entry = { name: 'TPM_RC_REFERENCE_H', text: 'a handle references something that is not loaded' };
    return { code, ...entry, subject: 'handle', index: code - TPM_RC_REFERENCE_H0 + 1 };
  }
  if (code >= TPM_RC_REFERENCE_S0 && code < TPM_RC_REFERENCE_S0 + 7) {
    const entry = {
      name: 'TPM_RC_REFERENCE_S',
      text: 'a session handle references a session that is not loaded',
    };
    return { code, ...entry, subject: 'session', index: code - TPM_RC_REFERENCE_S0 + 1 };
  }
  const entry = RC_TABLE.get(code) ?? { name: 'TPM_RC_UNKNOWN', text: 'unknown response code' };
  return { code, name: entry.name, text: entry.text, subject: null, index: null };
}

/** One line: name, number of the subject, text. */
export function describeRc(code: number): string {
  const d = decodeRc(code);
  const where = d.subject === null ? '' : ` (${d.subject} ${d.index})`;
  return `${d.name}${where}: ${d.text}`;
}
