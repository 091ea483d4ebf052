import { encode } from 'cborg';
import { sameBytes } from '../../bytes/index.ts';
import { cborTagged, decoded, TAGS, Tagged } from '../cose/cbor.ts';
import { type CoseSign1, readSign1 } from '../cose/sign1.ts';
import { MOST_SUBJECT_BYTES } from '../format.ts';
import { malformed } from '../malformed.ts';
import { manifestDigest } from './manifest.ts';

/** SUIT_Envelope (draft-ietf-suit-manifest-34 section 8.2). */
const MEMBER = { authentication: 2, manifest: 3 } as const;
const MOST_SIGNATURES = 8;
/** Integrated payloads stand in the envelope, which is held in memory. */
export const MOST_ENVELOPE_BYTES = 16 * 1024 * 1024;

export interface SuitEnvelope {
  readonly manifest: Uint8Array;
  readonly signatures: readonly CoseSign1[];
  /** Integrated payloads, by their names, each of which begins with `#`. */
  readonly payloads: ReadonlyMap<string, Uint8Array>;
}

/** An envelope. @param signatures tagged COSE_Sign1 over the digest of the manifest, which they leave detached. */
export function makeEnvelope(
  manifest: Uint8Array,
  signatures: readonly Uint8Array[],
  payloads: SuitEnvelope['payloads'] = new Map(),
): Uint8Array {
  const wrapper = encode([manifestDigest(manifest), ...signatures]);
  return cborTagged(
    TAGS.suitEnvelope,
    encode(
      new Map<number | string, Uint8Array>([
        [MEMBER.authentication, wrapper],
        [MEMBER.manifest, manifest],
        ...payloads,
      ]),
    ),
  );
}

/**
 * Reads an envelope; verifies no signature, but the digest must be that of the manifest. Severed members are refused:
 * nothing here would look whether they are what the manifest says.
 * @throws KeysteadError `firmware.malformed`.
 */
export function readSuitEnvelope(bytes: Uint8Array): SuitEnvelope {
  if (bytes.length > MOST_ENVELOPE_BYTES) throw malformed('envelope', `${bytes.length} bytes`);
  const tagged = decoded(bytes, 'envelope');
  if (!(tagged instanceof Tagged) || tagged.tag !== TAGS.suitEnvelope) throw malformed('envelope', 'no tag 107');
  const members = tagged.value;
  if (!(members instanceof Map)) throw malformed('envelope', 'no map');
  const manifest: unknown = members.get(MEMBER.manifest);
  if (!(manifest instanceof Uint8Array) || manifest.length > MOST_SUBJECT_BYTES) throw malformed('manifest', 'none');
  const payloads = new Map<string, Uint8Array>();
  for (const [name, value] of members as Map<unknown, unknown>) {
    if (name === MEMBER.authentication || name === MEMBER.manifest) continue;
    if (typeof name !== 'string' || !name.startsWith('#') || !(value instanceof Uint8Array)) {
      throw malformed('envelope', `the member ${String(name).slice(0, 64)}, which is not known`);
    }
    payloads.set(name, value);
  }
  return { manifest, signatures: readWrapper(members.get(MEMBER.authentication), manifest), payloads };
}

function readWrapper(wrapper: unknown, manifest: Uint8Array): readonly CoseSign1[] {
  if (!(wrapper instanceof Uint8Array)) throw malformed('authentication-wrapper', 'none');
  const blocks = decoded(wrapper, 'authentication-wrapper');
  if (!Array.isArray(blocks)) throw malformed('authentication-wrapper', 'no array');
  const [digest, ...signatures] = blocks as readonly unknown[];
  if (!(digest instanceof Uint8Array) || !sameBytes(digest, manifestDigest(manifest))) {
    throw malformed('authentication-wrapper', 'another digest than the SHA-256 of the manifest');
  }
  if (signatures.length > MOST_SIGNATURES) throw malformed('authentication-wrapper', `${signatures.length} signatures`);
  return signatures.map((block) => {
    if (!(block instanceof Uint8Array)) throw malformed('authentication-wrapper', 'a signature that is no byte string');
    return readSign1(block);
  });
}
