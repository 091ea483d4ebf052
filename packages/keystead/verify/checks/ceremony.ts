import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import {
  caOf,
  caProfile,
  OFFLINE_CAS,
  parsePolicy,
  requireListed,
  transitionEnd,
  verifyTranscript,
} from '@keystead/core/lifecycle';
import { checkPath, readCertificate } from '@keystead/core/x509';
import { verifyCeremony } from '../../ceremony/index.ts';
import { ceremonyCopy, readPins } from '../../keyd/hierarchy.ts';
import { type Check, failed, passed } from '../check.ts';
import { certificateIn, crossCertificates, trustedIssuers, trustedRoots } from '../trusted.ts';

/** REQ-KEY-GEN-02: the ceremony behind the roots is transcribed, signed, and was offline. */
const transcript: Check = {
  id: 'ceremony.transcript',
  requirements: ['REQ-KEY-GEN-02'],
  text: 'the ceremony transcript is whole, signed under the root, lists the files that are here, and ran offline',
  async run({ layout }) {
    const read = (name: string): Uint8Array => readFileSync(join(layout.ceremony, name));
    const signer = certificateIn(join(layout.ceremony, 'transcript-signer.pem'));
    // The root of the founding: after a change of its key it is not the one in use.
    const root = trustedRoots(layout)[0]?.certificate ?? certificateIn(join(layout.trust, 'root.pem'));
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
  text: 'every issuing CA chains to the offline root, is valid now, and may have no CA below it, or where the policy has factories one sub-CA of each',
  async run({ layout, clock }) {
    const policy = parsePolicy(readFileSync(layout.policy));
    const root = certificateIn(join(layout.trust, 'root.pem'));
    const across = crossCertificates(layout).map(({ oldWithNew }) => oldWithNew);
    const now = clock.now();
    const seen: string[] = [];
    for (const { id, certificate, current } of trustedIssuers(layout)) {
      const info = readCertificate(certificate);
      // A key that was succeeded answers until its certificate ends, and is nothing to anybody afterwards.
      if (!current && info.notAfter <= now) continue;
      const path = checkPath(certificate, across, [root], { now });
      if (!path.ok) return failed(`${id}: ${path.rule}: ${path.detail}`);
      // The rules of policies allow 0, and 1 above the sub-CAs of factories.
      const allowed = caProfile(policy, caOf(id)).ca;
      if (!info.ca || allowed === false || info.pathLength !== allowed.pathLength)
        return failed(`${id}: path length ${info.pathLength ?? 'without limit'}`);
      seen.push(`${id}${current ? '' : ' (succeeded)'} until ${info.notAfter.toISOString().slice(0, 10)}`);
    }
    return passed(seen.join(', '));
  },
};

/** REQ-KEY-GEN-02, REQ-KEY-AUD-01: each ceremony after the founding follows from the one before, and keyd has its files. */
const later: Check = {
  id: 'ceremony.later',
  requirements: ['REQ-KEY-GEN-02', 'REQ-KEY-AUD-01'],
  text: 'each later ceremony that keyd took over is whole, follows from the one before, and ran offline',
  async run({ layout }) {
    const pins = readPins(layout);
    if (pins === undefined) return failed('keyd has imported no ceremony');
    const told: string[] = [];
    for (const [index, { ceremony, transcriptSha256, importedAt }] of pins.later.entries()) {
      const number = index + 2;
      const dir = ceremonyCopy(layout, number);
      if (!existsSync(dir)) return failed(`ceremony ${number}: keyd has no copy of it`);
      const seen = toHex(sha256(readFileSync(join(dir, 'transcript.jsonl'))));
      if (seen !== transcriptSha256)
        return failed(`ceremony ${number}: another transcript than the one that was imported`);
      const previous = number === 2 ? layout.ceremony : ceremonyCopy(layout, number - 1);
      const bad = verifyCeremony(dir, { previous }).filter(({ verdict }) => verdict === 'failed');
      if (bad.length > 0)
        return failed(`ceremony ${number}: ${bad.map(({ check, evidence }) => `${check}: ${evidence}`).join('; ')}`);
      told.push(`${number} ${ceremony}, imported ${importedAt.slice(0, 10)}`);
    }
    return passed(told.length === 0 ? 'no ceremony after the founding' : told.join('; '));
  },
};

/** REQ-KEY-SOD-01: after a change of a root's key each anchor that counts leads to the other (RFC 9810 section 4.4). */
const rollovers: Check = {
  id: 'ca.rollovers',
  requirements: ['REQ-KEY-SOD-01'],
  text: 'each old root that is an anchor still leads to the one in use and back, and signs a list that has not ended',
  async run({ layout, clock }) {
    const policy = parsePolicy(readFileSync(layout.policy));
    const now = clock.now();
    const told: string[] = [];
    for (const role of OFFLINE_CAS) {
      const keys = trustedRoots(layout, role);
      for (const [index, { id, old, newWithOld, oldWithNew }] of crossCertificates(layout, role).entries()) {
        const until = transitionEnd(policy, { old, newWithOld });
        const day = until.toISOString().slice(0, 10);
        if (until <= now) {
          told.push(`${id} retired since ${day}`);
          continue;
        }
        const next = keys[index + 1]?.certificate ?? certificateIn(join(layout.trust, `${role}.pem`));
        const paths = [checkPath(newWithOld, [], [old], { now }), checkPath(oldWithNew, [], [next], { now })];
        const broken = paths.find(({ ok }) => !ok);
        if (broken !== undefined && !broken.ok) return failed(`${id}: ${broken.rule}: ${broken.detail}`);
        told.push(`${id} counts as an anchor until ${day}`);
      }
    }
    return passed(told.length === 0 ? 'no root has changed its key' : told.join('; '));
  },
};

export const CEREMONY_CHECKS: readonly Check[] = [transcript, later, rootsApart, chains, rollovers];
