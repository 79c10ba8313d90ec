// Numbers of TCG Part 2 (rev 1.59) that structures and commands use: algorithms, handles, structure tags,
// capabilities, properties and attribute bits. Command codes stand in the command declarations.

// --- TPM_ALG_ID (Part 2, 6.3)
export const TPM_ALG_ERROR = 0x0000;
export const TPM_ALG_RSA = 0x0001;
export const TPM_ALG_TDES = 0x0003;
export const TPM_ALG_SHA1 = 0x0004;
export const TPM_ALG_HMAC = 0x0005;
export const TPM_ALG_AES = 0x0006;
export const TPM_ALG_MGF1 = 0x0007;
export const TPM_ALG_KEYEDHASH = 0x0008;
export const TPM_ALG_XOR = 0x000a;
export const TPM_ALG_SHA256 = 0x000b;
export const TPM_ALG_SHA384 = 0x000c;
export const TPM_ALG_SHA512 = 0x000d;
export const TPM_ALG_NULL = 0x0010;
export const TPM_ALG_SM3_256 = 0x0012;
export const TPM_ALG_SM4 = 0x0013;
export const TPM_ALG_RSASSA = 0x0014;
export const TPM_ALG_RSAES = 0x0015;
export const TPM_ALG_RSAPSS = 0x0016;
export const TPM_ALG_OAEP = 0x0017;
export const TPM_ALG_ECDSA = 0x0018;
export const TPM_ALG_ECDH = 0x0019;
export const TPM_ALG_ECDAA = 0x001a;
export const TPM_ALG_SM2 = 0x001b;
export const TPM_ALG_ECSCHNORR = 0x001c;
export const TPM_ALG_ECMQV = 0x001d;
export const TPM_ALG_KDF1_SP800_56A = 0x0020;
export const TPM_ALG_KDF2 = 0x0021;
export const TPM_ALG_KDF1_SP800_108 = 0x0022;
export const TPM_ALG_ECC = 0x0023;
export const TPM_ALG_SYMCIPHER = 0x0025;
export const TPM_ALG_CAMELLIA = 0x0026;
export const TPM_ALG_SHA3_256 = 0x0027;
export const TPM_ALG_SHA3_384 = 0x0028;
export const TPM_ALG_SHA3_512 = 0x0029;
export const TPM_ALG_CMAC = 0x003f;
export const TPM_ALG_CTR = 0x0040;
export const TPM_ALG_OFB = 0x0041;
export const TPM_ALG_CBC = 0x0042;
export const TPM_ALG_CFB = 0x0043;
export const TPM_ALG_ECB = 0x0044;

// --- TPM_ECC_CURVE (Part 2, 6.4)
export const TPM_ECC_NIST_P192 = 0x0001;
export const TPM_ECC_NIST_P224 = 0x0002;
export const TPM_ECC_NIST_P256 = 0x0003;
export const TPM_ECC_NIST_P384 = 0x0004;
export const TPM_ECC_NIST_P521 = 0x0005;
export const TPM_ECC_BN_P256 = 0x0010;
export const TPM_ECC_BN_P638 = 0x0011;
export const TPM_ECC_SM2_P256 = 0x0020;

// --- TPM_ST (Part 2, 6.9)
export const TPM_ST_NULL = 0x8000;
export const TPM_ST_NO_SESSIONS = 0x8001;
export const TPM_ST_SESSIONS = 0x8002;
export const TPM_ST_ATTEST_NV = 0x8014;
export const TPM_ST_ATTEST_COMMAND_AUDIT = 0x8015;
export const TPM_ST_ATTEST_SESSION_AUDIT = 0x8016;
export const TPM_ST_ATTEST_CERTIFY = 0x8017;
export const TPM_ST_ATTEST_QUOTE = 0x8018;
export const TPM_ST_ATTEST_TIME = 0x8019;
export const TPM_ST_ATTEST_CREATION = 0x801a;
export const TPM_ST_ATTEST_NV_DIGEST = 0x801c;
export const TPM_ST_CREATION = 0x8021;
export const TPM_ST_VERIFIED = 0x8022;
export const TPM_ST_AUTH_SECRET = 0x8023;
export const TPM_ST_HASHCHECK = 0x8024;
export const TPM_ST_AUTH_SIGNED = 0x8025;

export const TPM_SU_CLEAR = 0x0000;
export const TPM_SU_STATE = 0x0001;

export const TPM_SE_HMAC = 0x00;
export const TPM_SE_POLICY = 0x01;
export const TPM_SE_TRIAL = 0x03;

// --- handles (Part 2, 7)
export const TPM_HT_PCR = 0x00;
export const TPM_HT_NV_INDEX = 0x01;
export const TPM_HT_HMAC_SESSION = 0x02;
export const TPM_HT_POLICY_SESSION = 0x03;
export const TPM_HT_PERMANENT = 0x40;
export const TPM_HT_TRANSIENT = 0x80;
export const TPM_HT_PERSISTENT = 0x81;
export const TPM_HT_AC = 0x90;

export const TPM_RH_OWNER = 0x40000001;
export const TPM_RH_NULL = 0x40000007;
export const TPM_RH_UNASSIGNED = 0x40000008;
export const TPM_RS_PW = 0x40000009;
export const TPM_RH_LOCKOUT = 0x4000000a;
export const TPM_RH_ENDORSEMENT = 0x4000000b;
export const TPM_RH_PLATFORM = 0x4000000c;
export const TPM_RH_PLATFORM_NV = 0x4000000d;

export const NV_INDEX_FIRST = 0x01000000;
export const NV_INDEX_LAST = 0x01ffffff;
export const HMAC_SESSION_FIRST = 0x02000000;
export const POLICY_SESSION_FIRST = 0x03000000;
export const TRANSIENT_FIRST = 0x80000000;
export const PERSISTENT_FIRST = 0x81000000;
export const PLATFORM_PERSISTENT = 0x81800000;
export const PERSISTENT_LAST = 0x81ffffff;

/** Most significant octet of a handle. */
export function handleType(handle: number): number {
  return handle >>> 24;
}

// --- TPM_CAP (Part 2, 6.12)
export const TPM_CAP_ALGS = 0;
export const TPM_CAP_HANDLES = 1;
export const TPM_CAP_COMMANDS = 2;
export const TPM_CAP_PP_COMMANDS = 3;
export const TPM_CAP_AUDIT_COMMANDS = 4;
export const TPM_CAP_PCRS = 5;
export const TPM_CAP_TPM_PROPERTIES = 6;
export const TPM_CAP_PCR_PROPERTIES = 7;
export const TPM_CAP_ECC_CURVES = 8;
export const TPM_CAP_AUTH_POLICIES = 9;
export const TPM_CAP_ACT = 0xa;

// --- TPMA_OBJECT (Part 2, 8.3)
export const TPMA_OBJECT_FIXEDTPM = 0x00000002;
export const TPMA_OBJECT_STCLEAR = 0x00000004;
export const TPMA_OBJECT_FIXEDPARENT = 0x00000010;
export const TPMA_OBJECT_SENSITIVEDATAORIGIN = 0x00000020;
export const TPMA_OBJECT_USERWITHAUTH = 0x00000040;
export const TPMA_OBJECT_ADMINWITHPOLICY = 0x00000080;
export const TPMA_OBJECT_NODA = 0x00000400;
export const TPMA_OBJECT_ENCRYPTEDDUPLICATION = 0x00000800;
export const TPMA_OBJECT_RESTRICTED = 0x00010000;
export const TPMA_OBJECT_DECRYPT = 0x00020000;
export const TPMA_OBJECT_SIGN_ENCRYPT = 0x00040000;
export const TPMA_OBJECT_X509SIGN = 0x00080000;

// --- TPMA_SESSION (Part 2, 8.4)
export const TPMA_SESSION_CONTINUESESSION = 0x01;
export const TPMA_SESSION_AUDITEXCLUSIVE = 0x02;
export const TPMA_SESSION_AUDITRESET = 0x04;
export const TPMA_SESSION_DECRYPT = 0x20;
export const TPMA_SESSION_ENCRYPT = 0x40;
export const TPMA_SESSION_AUDIT = 0x80;

// --- TPMA_NV (Part 2, 13.4)
export const TPMA_NV_PPWRITE = 0x00000001;
export const TPMA_NV_OWNERWRITE = 0x00000002;
export const TPMA_NV_AUTHWRITE = 0x00000004;
export const TPMA_NV_POLICYWRITE = 0x00000008;
export const TPMA_NV_POLICY_DELETE = 0x00000400;
export const TPMA_NV_WRITELOCKED = 0x00000800;
export const TPMA_NV_WRITEALL = 0x00001000;
export const TPMA_NV_WRITEDEFINE = 0x00002000;
export const TPMA_NV_WRITE_STCLEAR = 0x00004000;
export const TPMA_NV_GLOBALLOCK = 0x00008000;
export const TPMA_NV_PPREAD = 0x00010000;
export const TPMA_NV_OWNERREAD = 0x00020000;
export const TPMA_NV_AUTHREAD = 0x00040000;
export const TPMA_NV_POLICYREAD = 0x00080000;
export const TPMA_NV_NO_DA = 0x02000000;
export const TPMA_NV_ORDERLY = 0x04000000;
export const TPMA_NV_CLEAR_STCLEAR = 0x08000000;
export const TPMA_NV_READLOCKED = 0x10000000;
export const TPMA_NV_WRITTEN = 0x20000000;
export const TPMA_NV_PLATFORMCREATE = 0x40000000;
export const TPMA_NV_READ_STCLEAR = 0x80000000;
const TPMA_NV_RESERVED = 0x01f00300;
export const TPMA_NV_RESERVED_BITS = TPMA_NV_RESERVED;

// --- TPM_NT (Part 2, 13.2), bits 7:4 of TPMA_NV
export const TPM_NT_ORDINARY = 0;
export const TPM_NT_COUNTER = 1;
export const TPM_NT_BITS = 2;
export const TPM_NT_EXTEND = 4;
export const TPM_NT_PIN_FAIL = 8;
export const TPM_NT_PIN_PASS = 9;

/** The TPM_NT of an index's attributes. */
export function nvType(attributes: number): number {
  return (attributes >>> 4) & 0xf;
}

// --- TPM_EO (Part 2, 6.8)
export const TPM_EO_EQ = 0x0000;
export const TPM_EO_NEQ = 0x0001;
export const TPM_EO_SIGNED_GT = 0x0002;
export const TPM_EO_UNSIGNED_GT = 0x0003;
export const TPM_EO_SIGNED_LT = 0x0004;
export const TPM_EO_UNSIGNED_LT = 0x0005;
export const TPM_EO_SIGNED_GE = 0x0006;
export const TPM_EO_UNSIGNED_GE = 0x0007;
export const TPM_EO_SIGNED_LE = 0x0008;
export const TPM_EO_UNSIGNED_LE = 0x0009;
export const TPM_EO_BITSET = 0x000a;
export const TPM_EO_BITCLEAR = 0x000b;

/** The four octets that open every attestation structure. */
export const TPM_GENERATED_VALUE = 0xff544347;

export const MAX_COMMAND_SIZE = 4096;
export const MAX_DIGEST_BUFFER = 1024;
export const MAX_NV_BUFFER_SIZE = 1024;
export const MAX_NV_INDEX_SIZE = 2048;
export const MAX_SESSION_NUM = 3;
export const IMPLEMENTATION_PCR = 24;
export const PCR_SELECT_MAX = 3;
export const MAX_DIGEST = 64;
export const MAX_ACTIVE_SESSIONS = 64;
export const MAX_SYM_DATA = 128;
export const MAX_RSA_KEY_BYTES = 384;
export const MAX_ECC_KEY_BYTES = 80;
