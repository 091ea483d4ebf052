import { type DerSpki, fromHex, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { parseBundle } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { requireSignature } from '../../../core/trust/bundle/cose.ts';
import { codeOf } from './differential.ts';
import { CERTIFICATES, digestOf, makeBundles, makePins, SIGNED_BY } from './make-bundles.ts';
import { makeFilters, makePeers, makeSessions } from './make-others.ts';
import type { BundleVector, VectorSet } from './vector-set.ts';

/** Makes all vectors anew, with new keys that are forgotten: two sets differ in their bytes and say the same. */
export async function makeVectors(): Promise<VectorSet> {
  const [bundles, pins, peers] = [await makeBundles(), await makePins(), await makePeers()];
  return {
    v: 1,
    signatures: [...new Set(bundles.flatMap(goodSignatures))],
    keys: SIGNED_BY.map(({ spki }) => spkiSha256(spki)),
    certificates: CERTIFICATES.map((der) => {
      const { ca, notAfter, spki } = readCertificate(der);
      return { sha256: toHex(sha256(der)), ca, notAfter: notAfter.getTime() / 1000, spkiSha256: spkiSha256(spki) };
    }),
    bundles,
    pins,
    filters: makeFilters(peers),
    peers: peers.vectors,
    sessions: makeSessions(),
  };
}

/** Of each signer that a bundle may have: whether the signature is one of its, and if so by what it is known. */
function goodSignatures({ files, known }: BundleVector): string[] {
  const keys = [...SIGNED_BY.map(({ spki }) => spki), ...known.signers.map(({ spki }) => fromHex(spki) as DerSpki)];
  return files.map(fromHex).flatMap((file) => {
    if (codeOf(() => parseBundle(file)) !== 'ok') return [];
    const bundle = parseBundle(file);
    const algorithm = Uint8Array.of(['P-256', 'P-384', 'Ed25519'].indexOf(bundle.algorithm));
    return keys
      .filter((spki) => codeOf(() => requireSignature(bundle, spki)) === 'ok')
      .map((spki) => digestOf(algorithm, spki, bundle.signed, bundle.signature));
  });
}
