import { join } from 'node:path';
import { toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { caKeyId, formatRenewal, type OnlineCa, requestName } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { lastTranscript, pinsPath, readPins } from './hierarchy.ts';
import { KEYD_KEYS } from './init.ts';
import { becomeSole } from './single.ts';

/** A later request, and what people compare of it. */
export interface RenewalFile {
  readonly path: string;
  /** SHA-256 of the file, hex. */
  readonly sha256: string;
}

/**
 * Writes a request for a later ceremony, signed by the evidence key: a certificate for a CA of this keyd, for the key
 * that it has or for a successor, which is made now. A successor that was made for a request before and is not in use
 * yet is taken again, so that this may be called again after a crash. keyd must not be running.
 * @throws KeysteadError `keyd.not-ready` before the import, `keyd.already-running`, `keystore.*`.
 */
export async function requestRenewal(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  wanted: { readonly ca: OnlineCa; readonly key: 'same' | 'successor' },
): Promise<RenewalFile> {
  const pins = readPins(layout);
  if (pins === undefined) throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
  const right = await becomeSole(layout.keyd);
  try {
    const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
    try {
      const { ca, key } = wanted;
      const inUse = pins.keys[ca] ?? requestName(ca);
      const id = key === 'same' ? inUse : await successor(keystore, ca, inUse);
      const csr = await certificationRequest(requestName(ca), keystore.signer(id));
      const facts = {
        ca,
        key,
        createdAt: clock.now().toISOString(),
        rootSha256: pins.certificates.root,
        transcriptSha256: lastTranscript(pins),
        certificateRequest: toPem('CERTIFICATE REQUEST', csr),
      };
      const text = await formatRenewal(facts, keystore.signer(requestName('evidence')));
      const path = join(layout.ceremony, `request-${ca}.json`);
      durableWrite(path, text, 0o644);
      return { path, sha256: toHex(sha256(Buffer.from(text))) };
    } finally {
      keystore.close();
    }
  } finally {
    right.release();
  }
}

/** The key of the next generation, made unless it is there. */
async function successor(keystore: Keystore, ca: OnlineCa, inUse: string): Promise<string> {
  const generation = Number(/-(\d+)$/.exec(inUse)?.[1] ?? 1) + 1;
  const id = caKeyId(ca, generation);
  if (keystore.list().some((key) => key.id === id)) return id;
  const first = KEYD_KEYS[requestName(ca)];
  if (first === undefined) throw new KeysteadError('internal.unexpected', { field: ca });
  await keystore.generate(id, first.algorithm, `${first.purpose}, generation ${generation}`);
  return id;
}
