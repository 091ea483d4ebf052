import type { Clock } from '@keystead/core/clock';
import { readConfig } from '../files/config.ts';
import type { Layout } from '../files/layout.ts';
import { readIdentity } from '../keyd/factory/identity.ts';
import { type Check, type CheckResult, runCheck } from './check.ts';
import { CEREMONY_CHECKS } from './checks/ceremony.ts';
import { COUNT_CHECKS } from './checks/count.ts';
import { KEY_CHECKS } from './checks/cryptoperiods.ts';
import { FACTORY_CHECKS } from './checks/factories.ts';
import { NODE_CHECKS } from './checks/factory-node.ts';
import { FLEET_KEY_CHECKS } from './checks/fleet-keys.ts';
import { ISOLATION_CHECKS } from './checks/isolation.ts';
import { LOG_CHECKS } from './checks/log.ts';
import { POLICY_CHECKS } from './checks/policy.ts';
import { RECORD_CHECKS } from './checks/records.ts';
import { REVOCATION_CHECKS } from './checks/revocation.ts';
import { SCEP_CHECKS } from './checks/scep.ts';
import { STORAGE_CHECKS } from './checks/storage.ts';

export type { CheckResult } from './check.ts';
export { formatChecklist } from './print.ts';

/** The first cut of the checklist, in the order in which a person would ask. */
export const CHECKLIST: readonly Check[] = [
  ...CEREMONY_CHECKS,
  ...POLICY_CHECKS,
  ...STORAGE_CHECKS,
  ...ISOLATION_CHECKS,
  ...COUNT_CHECKS,
  ...REVOCATION_CHECKS,
  ...RECORD_CHECKS,
  ...FACTORY_CHECKS,
  ...FLEET_KEY_CHECKS,
  ...SCEP_CHECKS,
  ...KEY_CHECKS,
  ...LOG_CHECKS,
];

/**
 * The checklist of a factory node: no ceremony was held there, and what becomes of its devices is told by the CRLs and the
 * OCSP of headquarters, where that is checked.
 */
export const NODE_CHECKLIST: readonly Check[] = [
  ...NODE_CHECKS,
  ...POLICY_CHECKS,
  ...STORAGE_CHECKS,
  ...ISOLATION_CHECKS,
  ...COUNT_CHECKS,
  ...RECORD_CHECKS,
  ...SCEP_CHECKS,
  ...KEY_CHECKS,
  ...LOG_CHECKS,
];

/** Runs the checklist on a live deployment. REQ-KEY-TRC-01 */
export async function runChecklist(layout: Layout, clock: Clock): Promise<CheckResult[]> {
  const { host, ports } = readConfig(layout);
  const context = { layout, clock, httpUrl: `http://${host}:${ports.http}` };
  const results: CheckResult[] = [];
  const checklist = readIdentity(layout) === undefined ? CHECKLIST : NODE_CHECKLIST;
  for (const check of checklist) results.push(await runCheck(check, context));
  return results;
}
