import { type DerSpki, fromBase64 } from '@keystead/core/bytes';
import type { TrustState } from '@keystead/core/trust';
import { list, number, record, text } from './json-fields.ts';

/**
 * What a device keeps of the bundle that it goes by. It stands in the sealed manifest, so that version, bundle and filter
 * change in one step; the files themselves are public, lie beside it, and are known by their SHA-256 (hex).
 */
export interface HeldTrust {
  readonly state: TrustState;
  /** The bundle's file, `bundle.<SHA-256>`; undefined until there is one. */
  readonly bundle?: string;
  /** The filter's files, `filter.<SHA-256>`: the one that stands alone, then its deltas, the oldest first. */
  readonly filters: readonly string[];
  /** The latest time that something signed has told, seconds since 1970: it is not earlier than this. */
  readonly provenTime: number;
  /** A hardware counter has seen this version: whatever is older is not taken, though the state itself forgot it. */
  readonly leastVersion?: number;
}

/** The files that it names. */
export const trustFiles = ({ bundle, filters }: HeldTrust): string[] => [
  ...(bundle === undefined ? [] : [bundleFile(bundle)]),
  ...filters.map(filterFile),
];

export const bundleFile = (sha256: string): string => `bundle.${sha256}`;
export const filterFile = (sha256: string): string => `filter.${sha256}`;
export const isTrustFile = (name: string): boolean => name.startsWith('bundle.') || name.startsWith('filter.');

/** Reads it from the manifest's JSON. @throws TypeError. */
export function heldTrust(value: unknown): HeldTrust {
  const { state, bundle, filters, provenTime, leastVersion } = record(value);
  const { fleet, version, sha256, signers, firmware } = record(state);
  return {
    state: {
      fleet: text(fleet),
      version: number(version),
      sha256: text(sha256),
      signers: list(signers).map((one) => {
        const { spki, from, until } = record(one);
        // The seal was checked: these bytes are what this agent wrote.
        return { spki: fromBase64(text(spki)) as DerSpki, from: number(from), until: number(until) };
      }),
      firmware: list(firmware).map((one) => {
        const { product, minimumSecurityCounter } = record(one);
        return { product: text(product), minimumSecurityCounter: number(minimumSecurityCounter) };
      }),
    },
    ...(bundle === undefined ? {} : { bundle: text(bundle) }),
    filters: list(filters).map(text),
    provenTime: number(provenTime),
    ...(leastVersion === undefined ? {} : { leastVersion: number(leastVersion) }),
  };
}
