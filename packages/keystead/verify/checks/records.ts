import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { certSha256, verifySignature } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import { factoryEvidence } from '../../keyd/factory-evidence.ts';
import { type Check, failed, passed } from '../check.ts';
import { certificateIn, trustedRoots } from '../trusted.ts';
import { factoriesOf } from './factories.ts';

const spkiOf = (certificate: DerCertificate): DerSpki => readCertificate(certificate).spki;

/** REQ-KEY-PROV-02, REQ-KEY-WIPE-01: what was signed for a device still verifies. */
const signedRecords: Check = {
  id: 'records.signatures',
  requirements: ['REQ-KEY-PROV-02', 'REQ-KEY-WIPE-01'],
  text: 'every provisioning record and every evidence of a decommission is signed, and names an anchor of this house',
  async run({ layout }) {
    const own = [spkiOf(certificateIn(join(layout.trust, 'evidence-signer.pem')))];
    const theirs = factoryEvidence(factoriesOf(layout)).map(spkiOf);
    // A unit of a factory has the record that its node signed; the end of a device is told here alone.
    const signers = { [layout.records]: [...own, ...theirs], [layout.evidence]: own };
    // A record names the root of its time; after a change of its key there are several.
    const anchors = trustedRoots(layout).map(({ certificate }) => `sha256:${certSha256(certificate)}`);
    let count = 0;
    for (const folder of [layout.records, layout.evidence]) {
      if (!existsSync(folder)) continue;
      for (const name of readdirSync(folder).filter((one) => one.endsWith('.yaml'))) {
        const bytes = readFileSync(join(folder, name));
        const signature = readFileSync(join(folder, `${name}.sig`));
        const known = signers[folder] ?? [];
        if (!known.some((spki) => verifySignature('ecdsa-with-SHA256', spki, bytes, signature)))
          return failed(`${name}: bad signature`);
        const record = parse(bytes.toString('utf8')) as { keys?: { bootstrap_ca?: string } };
        if (folder === layout.records && !anchors.includes(record.keys?.bootstrap_ca ?? '')) {
          return failed(
            `${name}: bootstrap_ca is ${record.keys?.bootstrap_ca ?? 'missing'}, the anchors are ${anchors.join(', ')}`,
          );
        }
        count += 1;
      }
    }
    return passed(`${count} documents`);
  },
};

export const RECORD_CHECKS: readonly Check[] = [signedRecords];
