// Where the files of the recorded images lie, as `debugfs -R "blocks FILE"` says, and how long the images
// are. The recorded environment does not tell; it matters only to cases that change a disk below its file
// system.

export interface ImageLayout {
  /** Bytes. */
  readonly size: number;
  /** First block that a new file of a blank image gets. */
  readonly firstBlock?: number;
  /** Path -> blocks of 4096 bytes. */
  readonly blocks?: { readonly [path: string]: readonly number[] };
}

const VERITY: ImageLayout = {
  size: 1048576,
  blocks: {
    '/fw.bin': [8],
    '/lib': [9],
    '/m.ko': [10, 12],
    '/prog': [13],
    '/prog2': [14],
    '/script': [15],
  },
};

export const IMAGE_LAYOUTS: { readonly [image: string]: ImageLayout } = {
  ext4: { size: 25165824, firstBlock: 421 },
  vfat: { size: 4194304 },
  verity: VERITY,
  'verity.hash': { size: 16384 },
  verity2: VERITY,
  'verity2.hash': { size: 16384 },
};
