// The scenario document: machine, steps, expectations. zod schemas are the single source of the loader's
// checks, of the published JSON Schema and of docs/scenarios.md. Operations come from the step vocabulary,
// not from here.

import * as z from 'zod';
import { FAULT_ARGS } from './fault-form.ts';
import { checkSchema } from './schema-check.ts';
import {
  bankName,
  type DataForm,
  dataSchema,
  hexText,
  id32,
  keysSchema,
  modeText,
  ownerText,
  xattrSchema,
} from './schema-data.ts';
import { finalExpectation, stepExpectation } from './schema-expect.ts';
import { firmwareSchema } from './schema-firmware.ts';

export const SCENARIO_KINDS = ['lesson', 'attack', 'thread', 'regression'] as const;

export const CATALOGUE_BASES = ['recorded', 'code-reading', 'reported'] as const;

const reference = z
  .strictObject({
    title: z.string().min(1).describe('Subject of the thread, commit or page.'),
    url: z.string().optional(),
    date: z
      .string()
      .regex(/^\d{4}(?:-\d{2}(?:-\d{2})?)?$/, 'a date such as "2024-05-31", in quotes')
      .optional(),
    commit: z
      .string()
      .regex(/^[0-9a-f]{7,40}$/, 'a commit id')
      .optional(),
    catalogue: z
      .string()
      .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'the name of an entry such as tomtou-basic')
      .optional()
      .describe('Entry of the catalogue of edge cases (docs/catalogue.md) that this tells.'),
    basis: z
      .enum(CATALOGUE_BASES)
      .optional()
      .describe('How the story is known: a recorded run of a kernel, its source, or what was reported.'),
  })
  .describe('Where this case comes from.');

export const fileSchema = z
  .strictObject({
    content: dataSchema.optional(),
    mode: modeText.optional().describe('Default "0644"; directories "0755".'),
    owner: ownerText.optional().describe('Default "0:0".'),
    symlink: z.string().optional().describe('Makes a symbolic link to this path.'),
    directory: z.boolean().optional().describe('Makes a directory.'),
    xattrs: z.record(z.string(), xattrSchema).optional().describe('Extended attributes by name.'),
    ino: id32.optional().describe('Inode number; else the next one of the file system.'),
    generation: id32.optional().describe('i_generation.'),
  })
  .meta({ id: 'File', description: 'A file that is there before the machine is switched on.' });

const files = z
  .record(z.string().regex(/^\//, 'an absolute path'), fileSchema)
  .describe('Absolute path: file. Directories on the way are made.');

export const ARCHIVE_FORMATS = ['newc', 'magic_bump', 'newcx', 'metadata'] as const;

export const DISK_TYPES = ['ext4', 'vfat'] as const;

const disk = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]*$/, 'a device name such as vdc')
      .describe('`vdc` is /dev/vdc.'),
    type: z.enum(DISK_TYPES).optional().describe('File system; default ext4.'),
    uuid: z
      .string()
      .regex(/^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$/, 'a UUID')
      .optional(),
    i_version: z.boolean().optional().describe('Whether the change counter works (default true for ext4).'),
    readonly: z.boolean().optional(),
    first_ino: id32.optional().describe('Inode number of the first new file; default 12.'),
    verity: z
      .strictObject({
        hash_disk: z.string().describe('Name of the disk that holds the hash tree, such as vde.'),
        salt: hexText.optional(),
      })
      .optional()
      .describe(
        'A dm-verity tree is made of the disk: 256 blocks of 4096 bytes (more if the files need it).',
      ),
    image: dataSchema
      .optional()
      .describe('The bytes of the disk, such as an image made by veritysetup; it has no `files`.'),
    files: files.optional(),
  })
  .describe('A disk; it lies beside the machine and outlives a reboot.');

const certificates = z.array(dataSchema.describe('A certificate: DER bytes, or PEM text.'));

/** An initramfs as bytes, or the files that an archive is made of. */
export type ArchiveForm =
  | DataForm
  | {
      readonly format: (typeof ARCHIVE_FORMATS)[number];
      readonly files: { readonly [path: string]: z.infer<typeof fileSchema> };
    };

const archiveSchema: z.ZodType<ArchiveForm> = z.union([
  dataSchema,
  z.strictObject({ format: z.enum(ARCHIVE_FORMATS).describe('How its members are written.'), files }),
]);

export const machineSchema = z
  .strictObject({
    profile: z.string().optional().describe('Kernel profile; default linux-6.12.107.'),
    config: z
      .record(z.string().regex(/^CONFIG_[A-Z0-9_]+$/, 'an option such as CONFIG_IMA'), z.string())
      .optional()
      .describe('Kernel options that differ from the profile: "y", "n", a number or a text, in quotes.'),
    switches: z
      .record(z.string(), z.boolean())
      .optional()
      .describe('Behaviours that changed between releases, switched by name.'),
    cmdline: z.string().optional().describe('Kernel command line, such as `ima_policy=tcb`.'),
    seed: z.string().optional().describe('Seed of every random number; default: the title.'),
    boot_time: z.int().min(0).optional().describe('Seconds since 1970 at power-on; default 1767225600.'),
    tpm: z
      .union([z.literal('none'), z.strictObject({ banks: z.array(bankName).min(1) })])
      .optional()
      .describe('`none`, or the PCR banks; default sha1, sha256, sha384, sha512.'),
    firmware: firmwareSchema.optional(),
    initramfs: files.optional().describe('Files of the initramfs; /init is always there.'),
    initramfs_image: archiveSchema
      .optional()
      .describe('An uncompressed cpio archive that is unpacked over it, with its own /init.'),
    disks: z.array(disk).optional().describe('Disks; the default is one empty ext4 disk `vdc`.'),
    trusted_keys: z
      .strictObject({
        builtin: certificates.optional(),
        secondary: certificates.optional(),
        machine: certificates.optional(),
        platform: certificates.optional(),
      })
      .optional()
      .describe('Certificates of the keyrings that exist at boot.'),
    ipe_boot_policy: z.string().optional().describe('Text of the compiled-in IPE policy.'),
    faults: z
      .array(z.strictObject(FAULT_ARGS))
      .optional()
      .describe('Calls of the kernel that fail, counted from power-on.'),
    proposals: z
      .array(z.string())
      .optional()
      .describe('Designs that were never merged and that this kernel has all the same.'),
  })
  .describe('The machine as it is before the first step.');

/** What is other at the next boot. */
export const bootSchema = machineSchema
  .pick({
    profile: true,
    config: true,
    switches: true,
    cmdline: true,
    firmware: true,
    initramfs: true,
    initramfs_image: true,
    trusted_keys: true,
    ipe_boot_policy: true,
    proposals: true,
  })
  .meta({
    id: 'Boot',
    description: 'What is other from this boot on: boot entry, kernel, initramfs, firmware. The rest stays.',
  });

export const actorSchema = z
  .strictObject({
    uid: id32.optional().describe('Real user id; default 0.'),
    euid: id32.optional().describe('Effective user id; default: uid.'),
    gid: id32.optional().describe('Group id; default 0.'),
    actor: z.string().optional().describe('Name of the process; default `main`.'),
    program: z
      .string()
      .optional()
      .describe('A program that `exec_begin` started and that runs now: it makes the call itself.'),
  })
  .refine((a) => a.program === undefined || Object.keys(a).length === 1, {
    message: '`program` stands alone: a program has the ids it was started with',
  })
  .meta({
    id: 'Actor',
    description: 'Who acts. Each (actor, uid, euid, gid) is one process that lives to the end.',
  });

/** Members that every step has besides its operation's own arguments. */
export const stepCommon = {
  id: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/, 'a lower-case word with hyphens')
    .optional()
    .describe('A name for this step, for `kisim explain`.'),
  as: actorSchema.optional(),
  expect: stepExpectation.optional(),
  note: z.string().optional().describe('What to tell a reader about this step.'),
};

/** The document without its steps; `steps` are checked one by one (see loader.ts). */
export const headSchema = z.strictObject({
  title: z.string().min(1).describe('One line that says what happens.'),
  about: z.string().optional().describe('Some paragraphs for the reader (Markdown).'),
  kind: z.enum(SCENARIO_KINDS).describe('Which shelf it stands on.'),
  reference: reference.optional(),
  keys: keysSchema.optional().describe('Keys to sign with, by name.'),
  machine: machineSchema.optional(),
  steps: z.array(z.unknown()).describe('What happens, in order.'),
  expect: finalExpectation.optional(),
  check: checkSchema.optional(),
});

export type ScenarioHead = z.infer<typeof headSchema>;
export type MachineForm = z.infer<typeof machineSchema>;
export type BootForm = z.infer<typeof bootSchema>;
export type FileForm = z.infer<typeof fileSchema>;
export type DiskForm = z.infer<typeof disk>;
export type ActorForm = z.infer<typeof actorSchema>;
