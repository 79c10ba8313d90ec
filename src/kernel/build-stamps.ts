// What tells one kernel build and one initramfs from another in the measurements of the boot loader. Their
// files are not modelled byte by byte, so their descriptions stand for them: the same description gives the
// same digest.

import { toHex, utf8 } from '../base/bytes.ts';
import { stateText } from '../base/json.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import { crypto } from '../crypto/provider.ts';
import type { FirmwareSpec } from './api.ts';
import type { BootFacts } from './firmware.ts';
import type { KernelImage } from './state.ts';

type Stamps = Pick<BootFacts, 'build' | 'initramfs'>;

const USUAL: Stamps = { build: '', initramfs: '' };

function stamp(value: unknown): string {
  return ` ${toHex(crypto().hash('sha256', utf8(stateText(value)))).slice(0, 16)}`;
}

/**
 * Empty for the options of the shipped profile. Single behaviours that are switched are no build of their
 * own: they show what another release makes of the same registers.
 */
function buildStamp({ name, config }: KernelProfile): string {
  const shipped = PROFILES[name]?.config;
  if (shipped === config) return '';
  const own = stateText(config);
  return shipped !== undefined && own === stateText(shipped) ? '' : stamp(own);
}

/**
 * Firmware that is given as events, as a log or as registers says for itself what it measured.
 * @tcg PC Client Platform Firmware Profile 1.05, 3.3.4.5 PCR[4], 3.3.4.9 PCR[8] and PCR[9]
 */
export function stampsOf(
  profile: KernelProfile,
  { initramfs, initramfsImage }: KernelImage,
  firmware: FirmwareSpec | undefined,
): Stamps {
  if (firmware !== undefined && !('uefi' in firmware)) return USUAL;
  const own = initramfsImage ?? initramfs;
  return { build: buildStamp(profile), initramfs: own === undefined ? '' : stamp(own) };
}
