import { KeysteadError } from '../../errors/index.ts';
import { requireTransition } from '../firmware/transition.ts';
import type { Policy } from '../policy.ts';
import { requireNextVersion, requireSameFoundation, sameJson } from '../policy-update.ts';
import { requireSameFleet } from '../trust/policy.ts';
import { algorithms, profiles } from './certificates.ts';
import { est } from './est.ts';
import { Findings, type LiveInventory, type PolicyDifference } from './findings.ts';
import { firmware } from './firmware.ts';
import { fleetKeys } from './fleet-keys.ts';
import { attestation } from './makers.ts';
import { authorisations, backups, deviceProof } from './outsiders.ts';
import { firmwareEmergency, operators, quorums, revocationAuthority, ticketSigners, tickets } from './people.ts';
import { cryptoperiods, custody, grace, revocation, transition } from './periods.ts';
import { stations } from './stations.ts';
import { trust } from './trust.ts';
import { tuf } from './tuf.ts';
import { unitKeys } from './unit-keys.ts';

export type { LiveCertificate, LiveInventory, PolicyDifference, Severity } from './findings.ts';

/**
 * Every difference between two policies in words, with what it would break in a deployment. Nothing that differs goes
 * unsaid: what has no sentence of its own is named by its part. REQ-KEY-POL-01
 * @param live what the deployment holds; without it, only what the policies themselves say.
 */
export function policyDifferences(before: Policy, after: Policy, live?: LiveInventory): PolicyDifference[] {
  if (sameJson(before, after)) return [];
  const found = new Findings();
  foundation(found, before, after);
  algorithms(found, before, after, live);
  profiles(found, before, after, live);
  operators(found, before, after, live);
  tickets(found, before, after, live);
  cryptoperiods(found, before, after, live);
  custody(found, before, after);
  quorums(found, before, after);
  firmwareEmergency(found, before, after);
  ticketSigners(found, before, after, live);
  grace(found, before, after, live);
  revocation(found, before, after);
  est(found, before, after);
  revocationAuthority(found, before, after);
  transition(found, before, after);
  authorisations(found, before, after);
  deviceProof(found, before, after);
  backups(found, before, after);
  attestation(found, before, after);
  stations(found, before, after);
  unitKeys(found, before, after);
  fleetKeys(found, before, after);
  firmware(found, before, after);
  tuf(found, before, after);
  trust(found, before, after);
  found.rest(before, after);
  return found.sorted();
}

const sameFleet = (before: Policy, after: Policy): void => requireSameFleet(before.trust?.fleet, after);

function foundation(found: Findings, before: Policy, after: Policy): void {
  for (const rule of [requireNextVersion, requireSameFoundation, requireTransition, sameFleet]) {
    try {
      rule(before, after);
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      found.add('breaks', partOf(error.field), `keyd refuses it: ${error.message}`);
    }
  }
  if (after.version === before.version + 1) found.add('notes', 'version', `${before.version} becomes ${after.version}`);
}

/** `profiles[3]` is a place in one file; the part is what both have. */
const partOf = (field: string | undefined): string => (field ?? 'policy').replace(/\[\d+\]/g, '');
