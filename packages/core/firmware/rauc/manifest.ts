import { fromHex } from '../../bytes/index.ts';
import { malformed } from '../malformed.ts';

/** A signature of RAUC has 64 KiB, in which certificates and time stamps stand too. */
const MOST_OCTETS = 32 * 1024;
/** All of them are shown to people, who would not look through thousands. */
const MOST_ENTRIES = 256;
const BLOCK = 4096;

/** What the manifest of a bundle of the format `verity` says, which is what its signature is over. */
export interface RaucManifest {
  /** The device that the bundle is for: RAUC installs it nowhere else. */
  readonly compatible: string;
  readonly version: string | null;
  /** Of the hash tree over the squashfs: the hash of its top, its salt, and its octets. */
  readonly verity: { readonly hash: Uint8Array; readonly salt: Uint8Array; readonly bytes: number };
  /** Every line, in the order in which they stand. */
  readonly entries: readonly { readonly group: string; readonly key: string; readonly value: string }[];
}

/**
 * Reads a manifest as RAUC writes it into a signature (docs/reference.rst of rauc, "Manifest"): a key file of GLib. Of
 * two values of one key GLib takes the last, of two groups of one name the union, and it knows escapes and comments: a
 * reader who sees something else than the device is refused all of that.
 * @param bytes UTF-8. @throws KeysteadError `firmware.malformed`.
 */
export function readRaucManifest(bytes: Uint8Array): RaucManifest {
  if (bytes.length > MOST_OCTETS) throw malformed('manifest', `${bytes.length} octets, above ${MOST_OCTETS}`);
  const entries: { group: string; key: string; value: string }[] = [];
  const groups = new Set<string>();
  const values = new Map<string, string>();
  let group: string | undefined;
  for (const [index, line] of linesOf(bytes).entries()) {
    const field = `manifest: line ${index + 1}`;
    if (line === '') continue;
    const named = /^\[([A-Za-z0-9][A-Za-z0-9._-]{0,127})\]$/.exec(line)?.[1];
    if (named !== undefined) {
      if (groups.has(named)) throw malformed(field, `[${named}] for the second time`);
      groups.add(named);
      group = named;
      continue;
    }
    const [, key, value] = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})=(\S|\S.*\S|)$/.exec(line) ?? [];
    if (key === undefined || value === undefined || group === undefined)
      throw malformed(field, 'no group and no key=value');
    if (value.includes('\\')) throw malformed(field, 'an escape');
    const name = `${group} ${key}`;
    if (values.has(name)) throw malformed(field, `${key} for the second time`);
    values.set(name, value);
    entries.push({ group, key, value });
    if (entries.length > MOST_ENTRIES) throw malformed('manifest', `more than ${MOST_ENTRIES} lines`);
  }
  const required = (name: string, form: RegExp): string => {
    const value = values.get(name);
    if (value === undefined || !form.test(value)) throw malformed(`manifest: ${name}`, value ?? 'nothing');
    return value;
  };
  required('bundle format', /^verity$/);
  const bytesOfTree = Number(required('bundle verity-size', /^[1-9][0-9]{3,14}$/));
  if (bytesOfTree % BLOCK !== 0) throw malformed('manifest: bundle verity-size', `${bytesOfTree}, not in whole blocks`);
  return {
    compatible: required('update compatible', /./),
    version: values.get('update version') ?? null,
    verity: {
      hash: fromHex(required('bundle verity-hash', /^[0-9a-f]{64}$/)),
      salt: fromHex(required('bundle verity-salt', /^[0-9a-f]{64}$/)),
      bytes: bytesOfTree,
    },
    entries,
  };
}

/** @throws KeysteadError `firmware.malformed` for what is not UTF-8, or has characters that are not seen. */
function linesOf(bytes: Uint8Array): readonly string[] {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed('manifest', 'octets that are not UTF-8');
  }
  const hidden = /[^\P{C}\n]|\p{Zl}|\p{Zp}/u.exec(text)?.[0];
  if (hidden !== undefined) {
    throw malformed('manifest', `the character U+${hidden.codePointAt(0)?.toString(16).padStart(4, '0')}`);
  }
  return text.split('\n');
}
