// Small forms that many places of a scenario share: file contents, modes, owners, hexadecimal text, errno names.
// The schemas are plain (no transforms), so that the same objects give the published JSON Schema.

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

const plainData = z.union(plainForms).meta({ id: 'PlainData' });

/** Values of security.ima made from a content; `of` may be left out where the file's own content is meant. */
const imaForms = [
  z.strictObject({
    ima_hash: hashName.describe('Digest of a content as security.ima holds it (type 4, algorithm, digest).'),
    of: plainData
      .optional()
      .describe("The content; for a file of the machine the default is the file's own."),
  }),
  z.strictObject({
    ima_digest: z.enum(['sha1', 'md5']).describe('The old form of security.ima (type 1, digest only).'),
    of: plainData
      .optional()
      .describe("The content; for a file of the machine the default is the file's own."),
  }),
] as const;

/** Bytes, in one of several spellings. */
export const dataSchema = z.union([...plainForms, ...imaForms]).meta({
  id: 'Data',
  description:
    'Bytes: plain text, or `{text}`, `{hex}`, `{base64}`, `{repeat, n}`, `{file}`, `{opaque, len, digests}`, `{ima_hash, of}`, `{ima_digest, of}`.',
});

export type DataForm = z.infer<typeof dataSchema>;
export type PlainForm = z.infer<typeof plainData>;
