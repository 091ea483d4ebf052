import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64 } from '@keystead/core/bytes';
import { custodyOf, parsePolicy } from '@keystead/core/lifecycle';
import { checkPath, readCertificate, readCrl } from '@keystead/core/x509';
import type { Layout } from '../../files/layout.ts';
import type { Factories, Factory } from '../../keyd/factories.ts';
import { readJournal } from '../../keyd/read-journal.ts';
import { KeydState } from '../../keyd/state.ts';
import { type Check, failed, passed, weak } from '../check.ts';
import { trustedIssuers, trustedRoots } from '../trusted.ts';

/** What keyd's journal says of the factories. */
export function factoriesOf(layout: Layout): Factories {
  const state = new KeydState();
  for (const entry of readJournal(join(layout.keyd, 'journal')).entries) state.replay(entry);
  return state.factories;
}

const NONE = passed('no factory was commissioned');
const PLACES = { sealed: 'sealed-file', pkcs11: 'pkcs11', tpm2: 'tpm2' } as const;

/** What is wrong with a factory's sub-CAs now. */
function faultsOf({ name, inForce }: Factory, layout: Layout, now: Date): string[] {
  const issuers = trustedIssuers(layout);
  const roots = trustedRoots(layout).map(({ certificate }) => certificate);
  return (['manufacturing', 'server'] as const).flatMap((slot) => {
    const { issuer, certificate } = inForce.certified[slot];
    const der = fromBase64(certificate) as (typeof issuers)[number]['certificate'];
    const above = issuers.find(({ id }) => id === issuer);
    const info = readCertificate(der);
    if (above === undefined) return [`${name} ${slot}: by ${issuer}, which is no CA here`];
    const path = checkPath(der, [above.certificate], roots, { now });
    if (!path.ok) return [`${name} ${slot}: ${path.rule}: ${path.detail}`];
    if (info.pathLength !== 0) return [`${name} ${slot}: path length ${info.pathLength ?? 'without bound'}`];
    const list = join(layout.crl, `${issuer}.crl`);
    const crl = existsSync(list)
      ? readCrl(new Uint8Array(readFileSync(list)) as Parameters<typeof readCrl>[0])
      : undefined;
    return crl?.entries.has(info.serial) === true ? [`${name} ${slot}: on the CRL of ${issuer}, and not closed`] : [];
  });
}

/** REQ-KEY-PROV-01: the sub-CAs of the factories that work lead to the root, and keep their keys where the policy says. */
const subCas: Check = {
  id: 'factories.sub-cas',
  requirements: ['REQ-KEY-PROV-01'],
  text: "the sub-CAs of each factory that is not closed are in force, lead to the root, and issue no CA; their keys live where the policy lets a CA's live",
  async run({ layout, clock }) {
    const all = factoriesOf(layout).all();
    if (all.length === 0) return NONE;
    const now = clock.now();
    const open = all.filter(({ closed }) => closed === undefined);
    const faults = open.flatMap((factory) => faultsOf(factory, layout, now));
    if (faults.length > 0) return failed(faults.join('; '));
    const { allowed } = custodyOf(parsePolicy(readFileSync(layout.policy)), 'manufacturing-ca');
    const told = `${open.length} work, ${all.length - open.length} are closed`;
    const misplaced = open.filter(({ inForce }) => !allowed.some((place) => place === PLACES[inForce.custody]));
    if (misplaced.length === 0) return passed(told);
    const where = misplaced.map(({ name, inForce }) => `${name} in: ${PLACES[inForce.custody]}`).join(', ');
    return weak(`${told}; keys where the policy lets none of a manufacturing CA live: ${where}`);
  },
};

/** REQ-KEY-PROV-03, REQ-KEY-AUD-01: what the factories made is known here, once. */
const reconciled: Check = {
  id: 'factories.reconciled',
  requirements: ['REQ-KEY-PROV-03', 'REQ-KEY-AUD-01'],
  text: 'every factory has told one history without gaps, and no unit is in quarantine',
  async run({ layout }) {
    const factories = factoriesOf(layout);
    const all = factories.all();
    if (all.length === 0) return NONE;
    const { histories, units } = factories.consigned;
    const forks = all.flatMap(({ name }) => {
      const fork = histories.fork(name);
      return fork === undefined ? [] : [`${name} has signed two histories: number ${fork.number}`];
    });
    if (forks.length > 0) return failed(`${forks.join('; ')}: nothing new is taken of it until operators decide`);
    const gaps = all.flatMap(({ name }) => {
      const missing = histories.missing(name);
      return missing.length === 0 ? [] : [`${name} is missing ${missing.join(', ')}`];
    });
    const quarantined = units.quarantined().length;
    const open = [...gaps, ...(quarantined === 0 ? [] : [`${quarantined} units in quarantine`])];
    if (open.length > 0) return weak(`${open.join('; ')}; see: keystead factory conflicts`);
    return passed(
      all.map(({ name }) => `${name}: ${units.count(name)} units, to ${histories.highest(name)}`).join('; '),
    );
  },
};

/** Of headquarters. */
export const FACTORY_CHECKS: readonly Check[] = [subCas, reconciled];
