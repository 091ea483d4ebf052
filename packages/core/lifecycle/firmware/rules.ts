import { KEYS_FOR } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { FirmwareFormatName } from '../../firmware/index.ts';
import type { ApprovalQuorum } from '../approval-quorum.ts';
import type { Policy } from '../policy.ts';
import { permits } from '../roles.ts';
import { ableFor } from '../signers/rules.ts';
import { TSA_PROFILE, tsaProfile } from '../tsa.ts';
import { FIRMWARE_ENVIRONMENTS, type FirmwareLine } from './policy.ts';
import { FIRMWARE_PROFILE, firmwareProfile } from './profile.ts';

/**
 * Under these keyd signs a digest in CMS, whatever it is of. That of a manifest makes a bundle of `rauc-verity`, which keyd
 * would not have read.
 */
const SIGNS_DIGESTS: readonly FirmwareFormatName[] = ['cms', 'rauc'];

/**
 * The rules of the section `firmware`. REQ-KEY-SOD-02, REQ-KEY-POL-01
 * @throws KeysteadError `policy.firmware-rule`, `policy.firmware-duplicate`, `policy.quorum-*` with the field.
 */
export function checkFirmwareRules(policy: Policy): void {
  const { firmware } = policy;
  checkEmergency(policy);
  if (firmware === undefined) return;
  const profile = firmwareProfile(policy);
  if (profile === undefined) {
    throw new KeysteadError('policy.profile-missing', { field: 'profiles', seen: `no '${FIRMWARE_PROFILE}'` });
  }
  requireOnce(
    firmware.products.map(({ product }) => product),
    (at) => `firmware.products[${at}].product`,
  );
  requireOnce(
    firmware.keys.map(({ id }) => id),
    (at) => `firmware.keys[${at}].id`,
  );
  firmware.keys.forEach(({ id, product, algorithm, signature, formats }, index) => {
    if (!firmware.products.some((one) => one.product === product))
      throw broken(`firmware.keys[${index}].product`, `${product}, which is no product here`);
    if (!profile.keyAlgorithms.includes(algorithm))
      throw broken(`firmware.keys[${index}].algorithm`, `${algorithm} of ${id}, which '${FIRMWARE_PROFILE}' has not`);
    if (signature !== undefined && !KEYS_FOR[signature].includes(algorithm))
      throw broken(`firmware.keys[${index}].signature`, `${signature} by a key of ${algorithm}`);
    const blind = formats.find((name) => SIGNS_DIGESTS.includes(name));
    if (formats.includes('rauc-verity') && blind !== undefined)
      throw broken(`firmware.keys[${index}].formats`, `rauc-verity beside ${blind}, whose digest may be a manifest's`);
  });
  firmware.products.forEach(({ product, environments }, index) => {
    for (const environment of FIRMWARE_ENVIRONMENTS) {
      const line = environments[environment];
      if (line === undefined) continue;
      const field = `firmware.products[${index}].environments.${environment}`;
      line.keys.forEach((id, at) => {
        const key = firmware.keys.find((one) => one.id === id);
        const fits = key?.product === product && key.environment === environment;
        if (!fits) throw broken(`${field}.keys[${at}]`, `${id}, which is no ${environment} key of ${product}`);
      });
      line.trusted?.forEach((id, at) => {
        const key = firmware.keys.find((one) => one.id === id);
        const fits = key?.product === product && key.environment === environment && !line.keys.includes(id);
        if (!fits) throw broken(`${field}.trusted[${at}]`, `${id}, which is no other ${environment} key of ${product}`);
      });
      requireOnce(line.trusted ?? [], (at) => `${field}.trusted[${at}]`);
      // Two that differ in capitals would be one to whoever reads them, with a floor of versions each.
      requireOnce(line.targets?.map((target) => target.toLowerCase()) ?? [], (at) => `${field}.targets[${at}]`);
      if (line.timestamp === 'required' && tsaProfile(policy) === undefined)
        throw broken(`${field}.timestamp`, `required, without a profile '${TSA_PROFILE}'`);
      checkQuorums(policy, line, field, environment === 'production');
    }
  });
}

function checkQuorums(policy: Policy, line: FirmwareLine, field: string, production: boolean): void {
  const general = production && policy.quorums['firmware-signing'].hardware === true;
  const hardware = general || line.hardware === true;
  checkReachable(policy, { ...line, hardware }, field);
  const least = policy.quorums['firmware-signing'].approvals;
  if (production && line.approvals < least) {
    const seen = `${line.approvals}, where quorums.firmware-signing has ${least}`;
    throw new KeysteadError('policy.quorum-too-small', { field: `${field}.approvals`, seen });
  }
  const { rollback } = line;
  if (rollback === undefined) return;
  checkReachable(policy, { ...rollback, hardware: hardware || rollback.hardware === true }, `${field}.rollback`);
  if (rollback.approvals > line.approvals) return;
  const seen = `${rollback.approvals}, where ${line.approvals} sign what goes up`;
  throw new KeysteadError('policy.quorum-too-small', { field: `${field}.rollback.approvals`, seen });
}

/** Who may kill a key must be able to on that day. */
function checkEmergency(policy: Policy): void {
  const quorum = policy.quorums['firmware-emergency'];
  if (quorum === undefined) return;
  const field = 'quorums.firmware-emergency';
  const never = quorum.roles.find((role) => !permits([role], 'firmware-key.sign'));
  if (never !== undefined || quorum.roles.length === 0) {
    const seen = never === undefined ? 'none' : `${never}, who signs none`;
    throw new KeysteadError('policy.quorum-impossible', { field: `${field}.roles`, seen });
  }
  if (policy.demonstration && quorum.hardware !== true) return;
  const able = ableFor(policy, quorum);
  const askers = policy.operators.filter((operator) => permits(operator.roles, 'firmware-key.propose'));
  if (askers.some(({ name }) => able.filter((operator) => operator.name !== name).length >= quorum.approvals)) return;
  const seen = `${quorum.approvals} besides the one who asks, of ${able.length} who may`;
  throw new KeysteadError('policy.quorum-impossible', { field: `${field}.approvals`, seen });
}

/** An order that nobody could ever agree to would only be found out on the day of a release. */
function checkReachable(policy: Policy, quorum: ApprovalQuorum, field: string): void {
  const { approvals, roles, hardware } = quorum;
  const never = roles.find((role) => !permits([role], 'signing.sign') || permits([role], 'signing.request'));
  if (never !== undefined) {
    throw new KeysteadError('policy.quorum-impossible', {
      field: `${field}.roles`,
      seen: `${never}, who approves none`,
    });
  }
  if (policy.demonstration && hardware !== true) return;
  const able = ableFor(policy, quorum);
  const askers = policy.operators.filter((operator) => permits(operator.roles, 'signing.request'));
  if (askers.some(({ name }) => able.filter((operator) => operator.name !== name).length >= approvals)) return;
  const seen = `${approvals} besides a release engineer, of ${able.length} who may`;
  throw new KeysteadError('policy.quorum-impossible', { field: `${field}.approvals`, seen });
}

function requireOnce(names: readonly string[], field: (at: number) => string): void {
  names.forEach((name, at) => {
    if (names.indexOf(name) === at) return;
    throw new KeysteadError('policy.firmware-duplicate', { field: field(at), seen: name });
  });
}

const broken = (field: string, seen: string): KeysteadError =>
  new KeysteadError('policy.firmware-rule', { field, seen });
