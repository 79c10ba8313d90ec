// Small forms that many places of a scenario share: file contents, modes, owners, hexadecimal text, errno
// names. The schemas are plain (no transforms), so that the same objects give the published JSON Schema.

import * as z from 'zod';
import { ERRNO, type Errno } from '../base/errno.ts';
import type { HashName } from '../crypto/provider.ts';

/** Names of hash_info that this project can compute. */
export const HASH_NAMES = [
  'sha1',
  'sha256',
  'sha384',
  'sha512',
  'sha224',
  'md5',
  'rmd160',
  'wp512',
  'sm3',
  'sha3-256',
  'sha3-384',
  'sha3-512',
] as const satisfies readonly HashName[];

/** PCR banks that a simulated TPM can have. */
export const BANK_NAMES = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly HashName[];

export const hexText = z
  .string()
  .regex(/^(?:[0-9a-fA-F]{2}[\s:]*)*$/, 'hexadecimal digits, two for each byte')
  .describe(
    'Hexadecimal digits in quotes, two for each byte; spaces, line ends and colons may stand between.',
  );

export const modeText = z
  .string()
  .regex(/^0?[0-7]{3,4}$/, 'an octal mode in quotes, such as "0644"')
  .describe('Permission bits as chmod(1) writes them, in quotes: "0644", "4755".');

export const ownerText = z
  .string()
  .regex(/^\d+:\d+$/, 'numbers as `uid:gid`, such as "1000:1000"')
  .describe('Owner and group as numbers: "1000:1000".');

export const id32 = z.int().min(0).max(0xffffffff);

export const hashName = z.enum(HASH_NAMES).describe('Hash algorithm, as the kernel names it.');
export const bankName = z.enum(BANK_NAMES).describe('PCR bank.');

export const errnoName = z
  .enum(['OK', ...(Object.keys(ERRNO) as Errno[])])
  .meta({ id: 'Errno', description: 'OK, or the name of the errno that the call gives.' });

const fileRef = z
  .string()
  .min(1)
  .describe('A file beside the scenario; its bytes are taken. The path is relative to the scenario file.');

const plainForms = [
  z.string().describe('Text, taken as UTF-8.'),
  z.strictObject({ text: z.string().describe('Text, taken as UTF-8.') }),
  z.strictObject({ hex: hexText }),
  z.strictObject({ base64: z.string().describe('Base64; white space may stand in it.') }),
  z.strictObject({
    repeat: z.string().min(1).describe('Text to repeat.'),
    n: z.int().min(0).max(67108864).describe('How many times.'),
  }),
  z.strictObject({ file: fileRef }),
  z.strictObject({
    opaque: z.string().describe('A label. The bytes are not known: reading them gives EIO, hashing works.'),
    len: z.int().min(0).describe('Length in bytes.'),
    digests: z.record(z.string(), hexText).describe('Digest for each algorithm that may be asked for.'),
  }),
] as const;

/** Files with a format of their own, made as small as the format allows. */
const imageForms = [
  z.strictObject({
    program: z.string().describe('A program that exits at once; the text tells programs apart.'),
    exit: z.int().min(0).max(255).optional().describe('Exit status; default 0.'),
    interpreter: z.string().optional().describe('Path of its program interpreter (PT_INTERP).'),
  }),
  z.strictObject({
    module: z.string().regex(/^\w+$/, 'a module name').describe('A kernel module of that name.'),
    release: z.string().optional().describe('Kernel release of its version magic; default 6.12.107.'),
  }),
  z.strictObject({
    kernel_image: z
      .string()
      .describe('A kernel image that kexec_file_load takes; the text tells images apart.'),
  }),
] as const;

const rootHashForm = z.strictObject({
  root_hash: z.string().describe('Hexadecimal root hash of a disk with `verity`: name of the disk.'),
});

/** Values that stand inside a text: hexadecimal digests. */
const filling = z.union([
  rootHashForm,
  z.strictObject({
    fsverity_digest: z.enum(['sha256', 'sha512']).describe('Digest of a file as fs-verity makes it.'),
    of: z.union([...plainForms, ...imageForms]),
  }),
  z.strictObject({
    digest: hashName.describe('Digest of the bytes.'),
    of: z.union([...plainForms, ...imageForms]),
  }),
]);

/** Texts that hold values which follow from the rest of the scenario. */
const textForms = [
  rootHashForm,
  z.strictObject({
    fill: z.string().describe('Text; a dollar sign with a name in braces stands for a value of `with`.'),
    with: z.record(z.string().regex(/^\w+$/, 'a word'), filling).describe('What stands for each name.'),
  }),
] as const;

/** Contents that can be hashed and signed. */
const contentData = z.union([...plainForms, ...imageForms, ...textForms]).meta({ id: 'Content' });

const keyName = z.string().describe('Name of a key of `keys`.');
const signHash = hashName.optional().describe('Hash algorithm of the signature; default sha256.');
const of = contentData.describe('What is hashed or signed.');
const signatureVersion = z
  .union([z.literal(2), z.literal(3)])
  .optional()
  .describe('Version of the header; default 2. Version 3 covers kind and algorithm too.');
const ofOwn = contentData
  .optional()
  .describe("What is hashed or signed; for a file of the machine the default is the file's own content.");

/** Values that are computed from a content, some with a key. */
const madeForms = [
  z.strictObject({
    ima_hash: hashName.describe('Digest of a content as security.ima holds it (type 4, algorithm, digest).'),
    of: ofOwn,
  }),
  z.strictObject({
    ima_digest: z.enum(['sha1', 'md5']).describe('The old form of security.ima (type 1, digest only).'),
    of: ofOwn,
  }),
  z.strictObject({
    ima_sig: keyName.describe('Signature of a content as security.ima holds it (type 3): name of the key.'),
    hash: signHash,
    version: signatureVersion,
    verity: z
      .boolean()
      .optional()
      .describe("Signs the content's fs-verity digest (type 6, version 3) instead."),
    of: ofOwn,
  }),
  z.strictObject({
    cert: keyName.describe('The certificate of a key, DER.'),
  }),
  z.strictObject({
    modsig: keyName.describe('A content with an appended signature, as modules have it: name of the key.'),
    hash: signHash,
    of,
  }),
  z.strictObject({
    cms: keyName.describe('A signed message (PKCS#7), such as an IPE policy: name of the key.'),
    hash: signHash,
    detached: z.boolean().optional().describe('Leave the content out (root hashes of dm-verity).'),
    of,
  }),
  z.strictObject({
    verity_sig: keyName.describe('Built-in signature of an fs-verity file: name of the key.'),
    hash: signHash,
    of,
  }),
] as const;

/** Metadata that a value of security.evm covers. */
const evmMetadata = z
  .strictObject({
    mode: modeText.optional().describe('Permission bits of a regular file; default "0644".'),
    owner: ownerText.optional().describe('Default "0:0".'),
    ino: id32.optional().describe('Inode number; portable signatures have none.'),
    generation: id32.optional().describe('Inode generation; portable signatures have none.'),
    uuid: z
      .string()
      .regex(/^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$/, 'a UUID')
      .optional()
      .describe('Of the file system; default zeros. Portable signatures have none.'),
    xattrs: z
      .record(z.string(), z.union([...plainForms, ...imageForms, ...madeForms]))
      .optional()
      .describe('Attributes by name.'),
  })
  .meta({
    id: 'EvmMetadata',
    description: 'What a value of security.evm is made for; an attribute of a file takes the rest from it.',
  });

const evmSig = {
  evm_sig: keyName.describe('Signature of the metadata as security.evm holds it: name of the key.'),
  hash: signHash,
  version: signatureVersion,
  portable: z
    .boolean()
    .optional()
    .describe('Default true (type 5); false binds it to the inode and the file system (type 3).'),
} as const;
const evmHmac = {
  evm_hmac: hexText.describe(
    'HMAC of the metadata (type 2) under this EVM key; needs `ino` and `generation`.',
  ),
} as const;

/** Values of security.evm that say all that they cover. */
const evmForms = [
  z.strictObject({ ...evmSig, for: evmMetadata }),
  z.strictObject({ ...evmHmac, for: evmMetadata }),
] as const;

/** Values of security.evm, which cover the metadata of the file that they belong to. */
const ownEvmForms = [
  z.strictObject({ ...evmSig, for: evmMetadata.optional() }),
  z.strictObject({ ...evmHmac, for: evmMetadata.optional() }),
] as const;

/** Bytes, in one of several spellings. */
export const dataSchema = z
  .union([...plainForms, ...imageForms, ...textForms, ...madeForms, ...evmForms])
  .meta({ id: 'Data', description: 'Bytes: plain text, or a map that says how they are made.' });

/** Value of an extended attribute of a file of the machine. */
export const xattrSchema = z.union([...plainForms, ...imageForms, ...madeForms, ...ownEvmForms]).meta({
  id: 'XattrData',
  description: 'Value of an extended attribute: the forms of Data, and those that need the file’s metadata.',
});

export const KEY_TYPES = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-4096'] as const;

export const keySchema = z
  .strictObject({
    type: z.enum(KEY_TYPES).optional().describe('Default ecdsa-p256.'),
    issuer: z.string().optional().describe('Name of the key that signs its certificate; default: itself.'),
    ca: z.boolean().optional().describe('Whether it may sign certificates; default: when it is self-signed.'),
    usage: z
      .array(z.enum(['digitalSignature', 'keyCertSign', 'keyEncipherment', 'cRLSign']))
      .optional()
      .describe('keyUsage; default digitalSignature, and keyCertSign with `ca`.'),
  })
  .meta({ id: 'Key', description: 'A key pair with a certificate; both follow from the seed.' });

export const keysSchema = z.record(z.string().regex(/^[a-z][a-z0-9_-]*$/, 'a lower-case word'), keySchema);

export type DataForm = z.infer<typeof dataSchema>;
export type ContentForm = z.infer<typeof contentData>;
export type FillingForm = z.infer<typeof filling>;
export type EvmForm = z.infer<(typeof ownEvmForms)[number]>;
export type EvmMetadataForm = z.infer<typeof evmMetadata>;
/** What an attribute that a value of security.evm covers may be. */
export type LabelForm = ContentForm | z.infer<(typeof madeForms)[number]>;
export type KeyForm = z.infer<typeof keySchema>;
