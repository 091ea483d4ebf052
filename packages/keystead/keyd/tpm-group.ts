import { lstatSync } from 'node:fs';
import { DEFAULT_ADDRESS } from '@keystead/tpm2';
import {
  type KeystoreConfig,
  readCounterConfig,
  readKeystoreConfig,
  type SealedPassphrase,
} from '../keystore/index.ts';

/** What is asked of the file of a device. */
export type DeviceStatus = (path: string) => {
  isCharacterDevice(): boolean;
  readonly gid: number;
  readonly mode: number;
};

const BY_GROUP = 0o060;

/**
 * The group by which keyd may open the TPMs that it needs, to be kept when root's rights are given up: `tss` as the
 * kernel's devices have it. Only a device of the kernel for TPMs counts: `keystore.json` and `counter.json` belong to keyd's
 * user, and naming another file in them shall not bring that file's group.
 * @param dir keyd's directory.
 */
export function tpmGroups(
  dir: string,
  sealed: SealedPassphrase | undefined,
  status: DeviceStatus = lstatSync,
): number[] {
  const addresses = [
    ...(sealed === undefined ? [] : [sealed.tpm ?? DEFAULT_ADDRESS]),
    ...keystoreTpm(dir),
    ...counterTpm(dir),
  ];
  const groups = addresses.flatMap((address) => {
    const [, path] = /^device:(\/dev\/tpm(?:rm)?\d{1,3})$/.exec(address) ?? [];
    return path === undefined ? [] : groupOf(path, status);
  });
  return [...new Set(groups)];
}

function keystoreTpm(dir: string): string[] {
  let config: KeystoreConfig;
  try {
    config = readKeystoreConfig(dir);
  } catch {
    // Whoever opens the keystore says what is wrong with it.
    return [];
  }
  return config.make === 'tpm2' ? [config.tpm] : [];
}

function counterTpm(dir: string): string[] {
  try {
    const config = readCounterConfig(dir);
    return config?.make === 'tpm2' ? [config.tpm] : [];
  } catch {
    // Whoever opens the counter says what is wrong with it.
    return [];
  }
}

function groupOf(path: string, status: DeviceStatus): number[] {
  try {
    const device = status(path);
    return device.isCharacterDevice() && device.gid !== 0 && (device.mode & BY_GROUP) === BY_GROUP ? [device.gid] : [];
  } catch {
    // Whoever opens the TPM says that there is none.
    return [];
  }
}
