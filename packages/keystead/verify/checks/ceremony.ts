import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { requireListed, verifyTranscript } from '@keystead/core/lifecycle';
import { checkPath, readCertificate } from '@keystead/core/x509';
import { type Check, failed, passed } from '../check.ts';

/** The certificate in a PEM file of `trust/` or `ceremony/`. @throws KeysteadError `cert.not-der` when there is none. */
export function certificateIn(path: string): DerCertificate {
  const [der] = existsSync(path) ? fromPem('CERTIFICATE', readFileSync(path, 'utf8')) : [];
  if (der === undefined) throw new KeysteadError('cert.not-der', { field: path, seen: 'no certificate' });
  return der as DerCertificate;
}

const ISSUING = ['manufacturing', 'operational', 'server', 'operator'] as const;

/** REQ-KEY-GEN-02: the ceremony behind the roots is transcribed, signed, and was offline. */
const transcript: Check = {
  id: 'ceremony.transcript',
  requirements: ['REQ-KEY-GEN-02'],
  text: 'the ceremony transcript is whole, signed under the root, lists the files that are here, and ran offline',
  async run({ layout }) {
    const read = (name: string): Uint8Array => readFileSync(join(layout.ceremony, name));
    const signer = certificateIn(join(layout.ceremony, 'transcript-signer.pem'));
    // After a rollover the founding stands under the old key of the root.
    const [old] = [join(layout.trust, 'root-1.pem')].filter(existsSync);
    const root = certificateIn(old ?? join(layout.trust, 'root.pem'));
    const verified = verifyTranscript(read('transcript.jsonl'), read('transcript.sig'), signer, root);
    for (const name of Object.keys(verified.outputs)) requireListed(verified, name, read(name));
    const evidence = `${verified.lines.length} lines, ${Object.keys(verified.outputs).length} files, witnesses: ${verified.witnesses.join(', ')}`;
    return verified.offline ? passed(evidence) : failed(`NOT OFFLINE: a network was present and accepted; ${evidence}`);
  },
};

/** REQ-KEY-SOD-01: no root key lies where a service could reach it. */
const rootsApart: Check = {
  id: 'ceremony.roots-apart',
  requirements: ['REQ-KEY-SOD-01'],
  text: 'no sealed root lies in the data directory, and the directory of the roots is open to its owner only',
  async run({ layout }) {
    const inside = readdirSync(layout.data, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /(^|\/)(signing-)?root(-\d+)?\.sealed$/.test(name),
    );
    if (inside.length > 0) return failed(`in the data directory: ${inside.join(', ')}`);
    if (!existsSync(layout.offline)) return passed('the sealed roots are not on this machine');
    const mode = statSync(layout.offline).mode & 0o077;
    if (mode !== 0) return failed(`${layout.offline} is open to others (mode ${(mode & 0o777).toString(8)})`);
    return passed(`the sealed roots are in ${layout.offline}; in earnest they belong in a safe`);
  },
};

/** REQ-KEY-SOD-01: every online CA stands under the offline root and is limited. */
const chains: Check = {
  id: 'ca.chains',
  requirements: ['REQ-KEY-SOD-01'],
  text: 'every issuing CA chains to the offline root, is valid now, and may have no CA below it',
  async run({ layout, clock }) {
    const root = certificateIn(join(layout.trust, 'root.pem'));
    const seen: string[] = [];
    for (const role of ISSUING) {
      const der = certificateIn(join(layout.trust, `${role}.pem`));
      const path = checkPath(der, [], [root], { now: clock.now() });
      if (!path.ok) return failed(`${role}: ${path.rule}: ${path.detail}`);
      const info = readCertificate(der);
      if (!info.ca || info.pathLength !== 0)
        return failed(`${role}: path length ${info.pathLength ?? 'without limit'}`);
      seen.push(`${role} until ${info.notAfter.toISOString().slice(0, 10)}`);
    }
    return passed(seen.join(', '));
  },
};

export const CEREMONY_CHECKS: readonly Check[] = [transcript, rootsApart, chains];
