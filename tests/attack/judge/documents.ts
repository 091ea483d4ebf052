import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, fromPem, type Serial, toHex } from '@keystead/core/bytes';
import { sha256, verifySignature } from '@keystead/core/crypto';
import { TSA_ACCURACY_SECONDS, TSA_POLICY } from '@keystead/core/lifecycle';
import { Frontier, openCheckpoint, parseVerifierKey } from '@keystead/core/log';
import { readCertificate, readSigned, tstInfo, verifySigned } from '@keystead/core/x509';
import { parse } from 'yaml';
import type { Siege } from '../siege.ts';

/** Each checkpoint is one of the one tree that keyd holds now: nothing was changed, dropped or moved. */
export function checkpoints({ bed, trust, signed }: Siege): string[] {
  const keys = { log: parseVerifierKey(trust.vkey), cosigner: parseVerifierKey(trust.cosignVkey) };
  const heads = signed
    .filter(({ op }) => op === 'signCheckpoint')
    .map(({ ok }) => openCheckpoint(String(ok.checkpoint), keys))
    .sort((a, b) => a.size - b.size);
  const leaves = readFileSync(join(bed.dir, 'leaves'));
  const tree = new Frontier();
  const found: string[] = [];
  for (const { size, root } of heads) {
    while (tree.size < size) tree.append(Uint8Array.from(leaves.subarray(tree.size * 32, tree.size * 32 + 32)));
    if (!Buffer.from(tree.root()).equals(root)) found.push(`a checkpoint of size ${size} of another tree`);
  }
  return found;
}

/**
 * Time stamps: each says the digest that was asked for, keyd's time and serial number, and nothing else; and each is signed
 * by the one key that is certified for it.
 */
export function timestamps({ bed, signed, entries, began }: Siege): string[] {
  const serials = new Set<unknown>();
  const certified = entries.flatMap((one) =>
    one.kind === 'certificate' && one.profile === 'tsa-signer' ? [one.spkiSha256] : [],
  );
  const made = signed.filter(({ op }) => op === 'signTimestamp');
  const [der] =
    made.length === 0 ? [] : fromPem('CERTIFICATE', readFileSync(join(bed.dir, 'tsa-signer.pem'), 'latin1'));
  return made.flatMap(({ params, ok }) => {
    const message = readSigned(fromBase64(String(ok.token)));
    const time = new Date(String(ok.time));
    const serial = String(ok.serial) as Serial;
    const found: string[] = [];
    const expected = tstInfo({
      ...{ policy: TSA_POLICY, serial, time, accuracySeconds: TSA_ACCURACY_SECONDS },
      ...{ hash: params.hash as 'sha256', imprint: fromBase64(String(params.imprint)) },
      ...(params.nonce === undefined ? {} : { nonce: fromBase64(String(params.nonce)) }),
    });
    if (!Buffer.from(message.content ?? new Uint8Array()).equals(expected))
      found.push(`time stamp ${serial} says more`);
    if (time.getTime() < began - 1000 || time.getTime() > Date.now() + 1000)
      found.push(`time stamp ${serial}: ${time}`);
    if (serials.has(serial)) found.push(`time stamp ${serial} twice`);
    serials.add(serial);
    const info = readCertificate(der ?? new Uint8Array());
    if (!certified.includes(info.spkiSha256)) found.push(`time stamp ${serial} by a key without a certificate`);
    verifySigned(message, info.spki);
    return found;
  });
}

/** Records and evidence: signed by the evidence key, of devices that were provisioned, each in the journal. */
export function documents({ trust, signed, entries, answered }: Siege): string[] {
  const { spki } = readCertificate(trust.evidenceSigner);
  const journal = new Set(entries.flatMap((one) => (one.kind === 'document' ? [one.sha256] : [])));
  const devices = new Set(
    entries.flatMap((one) => (one.kind === 'certificate' && one.profile === 'idevid' ? [one.subject] : [])),
  );
  return signed.flatMap(({ op, ok }) => {
    if (op !== 'provision' && op !== 'signEvidence') return [];
    const text = Buffer.from(String(op === 'provision' ? ok.record : ok.document), 'utf8');
    const {
      device_id: device,
      record,
      key,
    } = parse(text.toString('utf8')) as { device_id: string; record: string; key?: { origin: string } };
    const kind = op === 'provision' ? 'keystead provisioning record' : 'keystead decommission evidence';
    return [
      ...(verifySignature('ecdsa-with-SHA256', spki, text, fromBase64(String(ok.signature))) ? [] : ['a bad document']),
      ...(journal.has(toHex(sha256(text))) ? [] : [`a document of ${device} that is not in the journal`]),
      ...(devices.has(device) && record === kind ? [] : [`a document of ${device}: ${record}`]),
      ...(key?.origin === 'tpm2-attested' && !answered.has(device) ? [`${device} is attested by no TPM`] : []),
    ];
  });
}
