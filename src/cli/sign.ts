// `kisim sign`: labels, signatures and signed messages for files, as evmctl, scripts/sign-file and openssl
// make them. Makes no keys and asks for no passwords; what the host's file system holds is only touched with
// --xattr.

import { writeFileSync } from 'node:fs';
import '../crypto/auto.ts';
import { Command, Option } from 'commander';
import { toHex } from '../base/bytes.ts';
import type { HashName } from '../crypto/provider.ts';
import { evmHmac, evmSign } from '../evm/sign.ts';
import { HASH_DIGEST_SIZE, hashAlgo } from '../integrity/hash-info.ts';
import {
  appendModsig,
  imaHash,
  imaSign,
  imaSignV1,
  imaVeritySign,
  type Made,
  type Signer,
  signerOf,
  signIpePolicy,
  signMessage,
  signRootHash,
} from '../integrity/sign.ts';
import { XATTR_NAME_EVM, XATTR_NAME_IMA } from '../integrity/xattr.ts';
import { lintIpePolicy } from '../ipe/lint.ts';
import { HASH_NAMES } from '../scenario/schema-data.ts';
import { fsVerityDigest, fsVerityFormattedDigest } from '../vfs/fsverity.ts';
import {
  hexOption,
  hostAttributes,
  type MetadataOptions,
  metadataOf,
  numberOption,
  setHostAttribute,
  usage,
} from './sign-metadata.ts';
import { CommandError, EXIT, out, readInput, say } from './terminal.ts';

const FILE_LIMIT = 512 * 1024 * 1024;
const KEY_LIMIT = 65536;
const FORMS = ['imahash', 'modsig', 'verity', 'evm', 'ipe', 'detached', 'rootHash'] as const;

interface SignOptions extends MetadataOptions {
  readonly key?: string;
  readonly cert?: string;
  readonly keyid?: string;
  readonly algo?: HashName;
  readonly v1?: boolean;
  readonly v2?: boolean;
  readonly v3?: boolean;
  readonly timestamp: string;
  readonly imahash?: boolean;
  readonly imasig?: boolean;
  readonly modsig?: boolean;
  readonly verity?: boolean;
  readonly evm?: boolean;
  readonly ipe?: boolean;
  readonly detached?: boolean;
  readonly rootHash?: string;
  readonly portable?: boolean;
  readonly hmac?: boolean;
  readonly blockSize: string;
  readonly salt: string;
  readonly output?: string;
  readonly print?: boolean;
  readonly xattr?: boolean;
}

/** One attribute or file that was made. */
interface Product {
  /** Attribute that it is a value of; null for files. */
  readonly name: string | null;
  /** File that it is written to where nothing else is said; null: printed. */
  readonly file: string | null;
  readonly bytes: Uint8Array;
}

function value<T>(file: string, result: Made<T>): T {
  if (result.ok) return result.value;
  throw new CommandError(EXIT.invalid, `${file}: ${result.problem}`);
}

function signerFrom(options: SignOptions): Signer {
  const { key, cert, keyid } = options;
  if (key === undefined) throw usage('the signing key is missing', '--key KEY.pem');
  const certificate = cert === undefined ? null : readInput(cert, KEY_LIMIT);
  const signer = value(key, signerOf(readInput(key, KEY_LIMIT), certificate));
  if (keyid === undefined) return signer;
  const bytes = hexOption('keyid', keyid);
  if (bytes.length !== 4) throw usage('--keyid: four bytes in hexadecimal are needed');
  return { ...signer, keyid: Number.parseInt(toHex(bytes), 16) };
}

function versionOf(options: SignOptions): 1 | 2 | 3 {
  const chosen = ([1, 2, 3] as const).filter((v) => options[`v${v}`] === true);
  if (chosen.length > 1) throw usage('one version at a time: --v1, --v2 or --v3');
  return chosen[0] ?? 2;
}

function imaValue(file: string, data: Uint8Array, alg: HashName, options: SignOptions): Uint8Array {
  const version = versionOf(options);
  const signer = signerFrom(options);
  if (version !== 1) return value(file, imaSign(signer, alg, data, version));
  return value(file, imaSignV1(signer, alg, data, numberOption('timestamp', options.timestamp, 0xffffffff)));
}

function verityParams(options: SignOptions, alg: HashName) {
  if (alg !== 'sha256' && alg !== 'sha512') throw usage(`fs-verity knows sha256 and sha512, not ${alg}`);
  const blockSize = Number(options.blockSize);
  if (![1024, 2048, 4096].includes(blockSize)) throw usage('--block-size: 1024, 2048 or 4096');
  const salt = hexOption('salt', options.salt);
  if (salt.length > 32) throw usage('--salt: at most 32 bytes');
  return { alg, blockSize, salt };
}

function verityProduct(file: string, data: Uint8Array, alg: HashName, options: SignOptions): Product {
  const params = verityParams(options, alg);
  const digest = fsVerityDigest(data, params);
  const signer = signerFrom(options);
  if (options.detached !== true)
    return {
      name: XATTR_NAME_IMA,
      file: `${file}.sig`,
      bytes: value(file, imaVeritySign(signer, alg, digest)),
    };
  const text = fsVerityFormattedDigest(params.alg, digest);
  const message = signMessage(signer, text, { alg, detached: true, certificates: false });
  return { name: null, file: `${file}.p7s`, bytes: value(file, message) };
}

/** security.evm, and security.ima before it where it is made on the way. */
function evmProducts(file: string, data: Uint8Array, options: SignOptions): Product[] {
  const { portable = false, hmac = false, algo } = options;
  if (portable && hmac) throw usage('--portable or --hmac, not both');
  const products: Product[] = [];
  const metadata = metadataOf(file, options, !portable);
  const own = options.xattr === true ? hostAttributes(file) : [];
  const xattrs = new Map([...own, ...metadata.xattrs]);
  if (options.imahash === true || options.imasig === true) {
    if (hmac && options.imasig === true) throw usage('--hmac takes the EVM key; sign security.ima before');
    const alg = algo ?? 'sha256';
    const bytes = options.imasig === true ? imaValue(file, data, alg, options) : imaHash(alg, data);
    products.push({ name: XATTR_NAME_IMA, file: null, bytes });
    xattrs.set(XATTR_NAME_IMA, bytes);
  }
  const covered = { ...metadata, xattrs };
  const version = versionOf(options) === 3 ? 3 : 2;
  const made = hmac
    ? evmHmac(readInput(options.key ?? '', KEY_LIMIT), algo ?? 'sha1', covered)
    : evmSign(signerFrom(options), algo ?? 'sha256', covered, portable, version);
  products.push({ name: XATTR_NAME_EVM, file: null, bytes: value(file, made) });
  return products;
}

function ipeProduct(file: string, data: Uint8Array, alg: HashName, options: SignOptions): Product {
  const report = lintIpePolicy(data);
  if (report.verdict === 'rejected')
    say(`${file}: the kernel will refuse this policy (-${report.errno}); kisim lint --kind ipe tells why`);
  return {
    name: null,
    file: `${file}.p7b`,
    bytes: value(file, signIpePolicy(signerFrom(options), data, alg)),
  };
}

function productsOf(file: string, options: SignOptions): Product[] {
  const alg = options.algo ?? 'sha256';
  const data = readInput(file, FILE_LIMIT);
  if (options.evm === true) return evmProducts(file, data, options);
  if (options.imahash === true) return [{ name: XATTR_NAME_IMA, file: null, bytes: imaHash(alg, data) }];
  if (options.ipe === true) return [ipeProduct(file, data, alg, options)];
  if (options.verity === true) return [verityProduct(file, data, alg, options)];
  if (options.modsig === true) {
    const bytes = value(file, appendModsig(signerFrom(options), data, alg));
    return [{ name: null, file: `${file}.signed`, bytes }];
  }
  if (options.detached === true) {
    const message = signMessage(signerFrom(options), data, { alg, detached: true, certificates: true });
    return [{ name: null, file: `${file}.p7s`, bytes: value(file, message) }];
  }
  return [{ name: XATTR_NAME_IMA, file: `${file}.sig`, bytes: imaValue(file, data, alg, options) }];
}

function deliver(file: string, product: Product, options: SignOptions): void {
  const { name, bytes } = product;
  if (options.xattr === true && name !== null) setHostAttribute(file, name, toHex(bytes));
  const target = options.output ?? (options.print === true || options.xattr === true ? null : product.file);
  if (target === null) {
    if (options.print === true || options.xattr !== true) out(toHex(bytes));
    return;
  }
  if (target === '-') {
    process.stdout.write(bytes);
    return;
  }
  try {
    writeFileSync(target, bytes);
  } catch (e) {
    throw new CommandError(EXIT.invalid, `${target}: ${(e as Error).message}`);
  }
  out(target);
}

function checkOptions(files: readonly string[], options: SignOptions): void {
  const forms = FORMS.filter((f) => options[f] !== undefined);
  const pair = (a: string, b: string): boolean =>
    forms.length === 2 && forms.includes(a as 'evm') && forms.includes(b as 'evm');
  if (forms.length > 1 && !pair('evm', 'imahash') && !pair('verity', 'detached'))
    throw usage(`one form at a time, not ${forms.map((f) => `--${f}`).join(' and ')}`);
  if (options.evm !== true && (options.portable === true || options.hmac === true))
    throw usage('--portable and --hmac go with --evm');
  if (options.output !== undefined && files.length > 1) throw usage('-o takes one file');
  if (options.hmac === true && options.key === undefined) throw usage('the EVM key is missing', '--key FILE');
  if (files.length === 0 && options.rootHash === undefined) throw usage('nothing to sign', 'name a file');
  const { algo } = options;
  if (algo !== undefined && HASH_DIGEST_SIZE[hashAlgo(algo)] === undefined)
    throw usage(`unknown hash ${algo}`);
}

function sign(files: readonly string[], options: SignOptions): void {
  checkOptions(files, options);
  if (options.rootHash !== undefined) {
    const bytes = value(
      '--root-hash',
      signRootHash(signerFrom(options), options.rootHash, options.algo ?? 'sha256'),
    );
    deliver('', { name: null, file: null, bytes }, options);
    return;
  }
  for (const file of files) {
    const products = productsOf(file, options);
    const shown = options.output === undefined ? products : products.slice(-1);
    for (const product of shown) deliver(file, product, options);
  }
}

const append = (text: string, before: readonly string[]): readonly string[] => [...before, text];

function formOptions(command: Command): Command {
  return command
    .option('--imahash', 'security.ima with a digest alone; with --evm it is made first')
    .option('--imasig', 'with --evm: security.ima with a signature is made first')
    .option('--modsig', 'appends a module signature: FILE.signed')
    .option('--verity', "signs the file's fs-verity digest (security.ima of type 6)")
    .option('--evm', 'security.evm over metadata')
    .option('--ipe', 'a signed IPE policy: FILE.p7b')
    .option('--detached', 'a detached PKCS#7 message: FILE.p7s; with --verity over the fs-verity digest')
    .option('--root-hash <hex>', "a dm-verity root hash's signature; takes no file");
}

function evmOptions(command: Command): Command {
  return command
    .option('--portable', 'EVM: bound to no inode and no file system (type 5)')
    .option('--hmac', 'EVM: HMAC with the key of up to 128 bytes in --key (type 2)')
    .option('--ino <n>', "EVM: inode number (default: the file's)")
    .option('--generation <n>', 'EVM: inode generation')
    .option('--uuid <uuid>', 'EVM: uuid of the file system, or none')
    .option('--mode <mode>', "EVM: mode (default: the file's)")
    .option('--uid <n>', "EVM: owner (default: the file's)")
    .option('--gid <n>', "EVM: group (default: the file's)")
    .option('--m32', 'EVM: for a 32-bit machine')
    .addOption(
      new Option('--set <name=value>', 'EVM: an attribute; 0x... is hexadecimal, @FILE a file')
        .argParser(append)
        .default([], 'none'),
    );
}

export function signCommand(): Command {
  const command = new Command('sign')
    .argument('[file...]', 'files to sign')
    .option('-k, --key <file>', 'private key (PEM or DER); the EVM key with --hmac')
    .option('--cert <file>', 'its certificate: the key identifier comes from there')
    .option('--keyid <hex>', 'another key identifier')
    .addOption(
      new Option('-a, --algo <hash>', 'hash algorithm (default sha256; sha1 for --hmac)').choices([
        ...HASH_NAMES,
      ]),
    )
    .option('--v1', 'signature version 1 (RSA, old format)')
    .option('--v2', 'signature version 2 (default)')
    .option('--v3', 'signature version 3, over the digest with its kind and algorithm')
    .option('--timestamp <s>', 'seconds since 1970 in signatures of version 1', '0');
  return evmOptions(formOptions(command))
    .option('--block-size <n>', 'fs-verity: block size', '4096')
    .option('--salt <hex>', 'fs-verity: salt', '')
    .option('-o, --output <file>', 'write there; - is standard output')
    .option('-n, --print', 'print the value in hexadecimal instead of writing a file')
    .option('--xattr', 'store the value in the attribute of the file (setfattr), read the others (getfattr)')
    .addHelpText('before', `${EXAMPLES}\n`)
    .addHelpText('after', '\nExit: 0 signed, 2 usage, 3 a file or key that cannot be used.')
    .action(sign);
}

const EXAMPLES = `Examples:
  kisim sign --key privkey.pem --cert cert.pem program            (program.sig, as evmctl ima_sign --sigfile)
  kisim sign --evm --portable --imahash --key privkey.pem program
  kisim sign --ipe --key privkey.pem --cert cert.pem policy.txt -o policy.p7b
`;
