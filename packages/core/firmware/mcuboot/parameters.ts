import { fromHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { HEADER_BYTES } from './layout.ts';
import type { Dependency } from './signed-part.ts';
import { type ImageVersion, parseVersion } from './version.ts';

/** What `prepare` takes, by the names of imgtool's options where it has one. */
export interface MCUbootParameters {
  readonly version: ImageVersion;
  readonly headerBytes: number;
  /** To be copied there in RAM; 0: it runs where it stands. */
  readonly loadAddress: number;
  /** The only place in flash from which it may run; 0: any. */
  readonly romFixed: number;
  readonly securityCounter: number | null;
  readonly dependencies: readonly Dependency[];
  /** What an erased octet of the flash reads as: the padding of the header is that. */
  readonly erased: number;
  /** sw_type of a boot record, and the hash of the key that will sign (zeros: the bootloader knows it). */
  readonly bootRecord: { readonly type: string; readonly signer: Uint8Array } | null;
}

type Given = Readonly<Record<string, string>>;
const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('firmware.parameter', { field, seen: seen.slice(0, 80) });

const READ = {
  version: (text: string | undefined) => {
    if (text === undefined) throw refused('version', 'none');
    return parseVersion(text, 'version');
  },
  'header-size': (text = '0x200') => number('header-size', text, HEADER_BYTES, 0xffff),
  'load-addr': (text = '0') => number('load-addr', text, 0, 0xffffffff),
  'rom-fixed': (text = '0') => number('rom-fixed', text, 0, 0xffffffff),
  'security-counter': (text: string | undefined) => text,
  dependencies: (text = '') => dependencies(text),
  'erased-value': (text = '0xff') => number('erased-value', text, 0, 0xff),
  'boot-record': (text: string | undefined) => {
    if (text !== undefined && !/^[\x20-\x7e]{1,12}$/.test(text)) {
      throw refused('boot-record', `${text}, not 1 to 12 printable characters`);
    }
    return text;
  },
  'boot-record-signer': (text = '00'.repeat(32)) => {
    if (!/^(?:[0-9a-f]{64}|[0-9a-f]{96})$/.test(text)) {
      throw refused('boot-record-signer', `${text}, not a SHA-256 or SHA-384 in hex`);
    }
    return fromHex(text);
  },
};

/** @throws KeysteadError `firmware.parameter`, which names the parameter. */
export function readParameters(given: Given): MCUbootParameters {
  for (const [name, value] of Object.entries(given)) {
    if (value.length > 1000) throw refused(name, `${value.length} characters`);
    if (!Object.hasOwn(READ, name)) throw refused(name, `one of ${Object.keys(READ).join(', ')} is known`);
  }
  const version = READ.version(given.version);
  const [loadAddress, romFixed] = [READ['load-addr'](given['load-addr']), READ['rom-fixed'](given['rom-fixed'])];
  if (loadAddress !== 0 && romFixed !== 0) throw refused('rom-fixed', 'a load-addr too');
  const type = READ['boot-record'](given['boot-record']);
  const signer = READ['boot-record-signer'](given['boot-record-signer']);
  return {
    version,
    headerBytes: READ['header-size'](given['header-size']),
    loadAddress,
    romFixed,
    securityCounter: securityCounter(READ['security-counter'](given['security-counter']), version),
    dependencies: READ.dependencies(given.dependencies),
    erased: READ['erased-value'](given['erased-value']),
    bootRecord: type === undefined ? null : { type, signer },
  };
}

/** Decimal or, with 0x, hexadecimal. */
function number(field: string, text: string, least: number, most: number): number {
  const value = /^(?:0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw refused(field, `${text}, not a number from ${least} to 0x${most.toString(16)}`);
}

/** `auto` is imgtool's: 8 bits of major, 8 of minor, 16 of revision. */
function securityCounter(text: string | undefined, { major, minor, revision }: ImageVersion): number | null {
  if (text === undefined) return null;
  if (text === 'auto') return major * 2 ** 24 + minor * 2 ** 16 + revision;
  return number('security-counter', text, 0, 0xffffffff);
}

/** As imgtool takes them: `(0, 1.2.3+4), (1, 0.9)`. */
function dependencies(text: string): Dependency[] {
  if (text.trim() === '') return [];
  const one = /\(\s*(\w{1,10})\s*,\s*([^()\s]{1,40})\s*\)/;
  if (!new RegExp(`^\\s*${one.source}(?:\\s*,\\s*${one.source}){0,15}\\s*$`).test(text)) {
    throw refused('dependencies', `${text}, not like (0, 1.2.3), (1, 0.9)`);
  }
  return [...text.matchAll(new RegExp(one, 'g'))].map(([, image, version]) => ({
    image: number('dependencies', image ?? '', 0, 0xff),
    atLeast: parseVersion(version ?? '', 'dependencies'),
  }));
}
