// The `firmware` part of a machine: events, a UEFI set-up, the event log of a real machine, or registers.

import * as z from 'zod';
import { bankName, type DataForm, dataSchema, hexText } from './schema-data.ts';

// Types that are inferred elsewhere have names here: with every database and image spelled out, the type of
// the whole document would be too long for a declaration file.
export type SignatureEntryForm =
  | { readonly sha256: string }
  | { readonly sha256_of: DataForm }
  | { readonly cert_sha256_of: DataForm }
  | DataForm;

type Database = readonly SignatureEntryForm[] | undefined;

export interface UefiForm {
  readonly secure_boot?: boolean | undefined;
  readonly pk?: Database;
  readonly kek?: Database;
  readonly db?: Database;
  readonly dbx?: Database;
  readonly mok?: Database;
  readonly mokx?: Database;
  readonly mok_trusted?: boolean | undefined;
  readonly sbat_level?: string | undefined;
  readonly boot_options?: readonly { readonly description: string; readonly path: string }[] | undefined;
  readonly loader?: 'grub' | 'grub-stub' | 'stub' | undefined;
  readonly grub_commands?: readonly string[] | undefined;
  readonly images?:
    | { readonly [image in 'shim' | 'grub' | 'kernel' | 'initrd']?: DataForm | undefined }
    | undefined;
  readonly startup_locality?: 0 | 3 | undefined;
  readonly log?: 'crypto-agile' | 'sha1' | undefined;
}

/** The same schema by the name of its type. */
const data: z.ZodType<DataForm> = dataSchema;

const signatureEntry: z.ZodType<SignatureEntryForm> = z
  .union([
    z.strictObject({ sha256: hexText.describe('SHA-256 of a program.') }),
    z.strictObject({ sha256_of: data.describe('A program; its hash is taken as firmware takes it.') }),
    z.strictObject({
      cert_sha256_of: data.describe('A certificate; the hash of its signed part stands for it.'),
    }),
    data.describe('A certificate: DER bytes, or PEM text.'),
  ])
  .meta({ id: 'SignatureEntry', description: 'An entry of a signature database of UEFI.' });

const database = z.array(signatureEntry).optional();

const uefi: z.ZodType<UefiForm> = z
  .strictObject({
    secure_boot: z.boolean().optional().describe('The variable SecureBoot; default true.'),
    pk: database.describe('Platform key.'),
    kek: database.describe('Key exchange keys.'),
    db: database.describe('What may be started; the kernel puts its certificates on `.platform`.'),
    dbx: database.describe('What may not be started; goes to `.blacklist`.'),
    mok: database.describe(
      'Machine owner keys of shim (MokList), measured in PCR 14: they go to `.platform`, or to `.machine` with `mok_trusted`.',
    ),
    mokx: database.describe('What the machine owner refuses (MokListX).'),
    mok_trusted: z
      .boolean()
      .optional()
      .describe('The owner wants MOKs trusted by the kernel; default false.'),
    sbat_level: z.string().optional().describe("Shim's revocation level, such as `sbat,1,2023012900`."),
    boot_options: z
      .array(z.strictObject({ description: z.string(), path: z.string() }))
      .optional()
      .describe('Further boot options (Boot0001 and so on); they are measured and not used.'),
    loader: z
      .enum(['grub', 'grub-stub', 'stub'])
      .optional()
      .describe(
        'Who starts the kernel: GRUB itself (default), GRUB by the EFI stub, or the firmware by the stub.',
      ),
    grub_commands: z.array(z.string()).optional().describe('Commands that GRUB runs before, for PCR 8.'),
    images: z
      .strictObject({
        shim: data.optional(),
        grub: data.optional(),
        kernel: data.optional(),
        initrd: data.optional(),
      })
      .optional()
      .describe('The programs that are measured; the default stands for them by name and version.'),
    startup_locality: z
      .union([z.literal(0), z.literal(3)])
      .optional()
      .describe('Where TPM2_Startup comes from; default 0.'),
    log: z
      .enum(['crypto-agile', 'sha1'])
      .optional()
      .describe('Form of the event log; the old one has SHA-1 digests only.'),
  })
  .describe('A UEFI boot; every member has a default.');

export const firmwareSchema = z
  .union([
    z.strictObject({
      events: z.array(
        z.strictObject({
          pcr: z.int().min(0).max(23),
          type: z.string().describe('EV_* name of the TCG event log.'),
          data: data.describe('What is hashed.'),
          event: data.optional().describe('What the log stores, where it differs.'),
        }),
      ),
    }),
    z.strictObject({ uefi }),
    z.strictObject({
      eventlog: data.describe(
        'The event log of a real machine (binary_bios_measurements): measured again at every power-on.',
      ),
    }),
    z.strictObject({
      pcrs: z
        .partialRecord(bankName, z.record(z.string().regex(/^\d{1,2}$/), hexText))
        .describe('Bank, PCR number, value: as a recorded firmware left them.'),
    }),
  ])
  .describe('Measurements before the kernel; the default is a small UEFI boot.');

export type FirmwareForm = z.infer<typeof firmwareSchema>;
