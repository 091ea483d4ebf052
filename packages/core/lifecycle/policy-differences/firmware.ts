import { lineKeys } from '../firmware/line-keys.ts';
import { FIRMWARE_ENVIRONMENTS, type FirmwarePolicy, firmwareScheme } from '../firmware/policy.ts';
import type { Policy } from '../policy.ts';
import { sameJson } from '../policy-update.ts';
import type { Findings } from './findings.ts';

/** What firmware is signed from now on, by which keys and by how many people. */
export function firmware(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [linesOf(before.firmware), linesOf(after.firmware)];
  for (const [name, line] of old) {
    const now = next.get(name);
    const field = `firmware.products.${name}`;
    if (now === undefined) {
      found.add('breaks', field, 'no firmware is signed for it any more');
      continue;
    }
    if (now.approvals !== line.approvals) {
      const text = `an order takes ${now.approvals} approvals, and took ${line.approvals}`;
      found.add(now.approvals < line.approvals ? 'warns' : 'notes', `${field}.approvals`, text);
    }
    for (const part of ['keys', 'formats', 'roles'] as const) changed(found, `${field}.${part}`, line[part], now[part]);
    changed(found, `${field}.trusted`, line.trusted ?? [], now.trusted ?? []);
    targets(found, `${field}.targets`, line, now);
    anchors(found, field, before, after, name);
    if (line.hardware !== now.hardware) {
      const which = now.hardware === true ? 'only by keys' : 'also by keys that are not';
      found.add('warns', `${field}.hardware`, `approvals count ${which} held in hardware`);
    }
    const [stamps, stamped] = [now.timestamp ?? 'wanted', line.timestamp ?? 'wanted'];
    if (stamps !== stamped) {
      const text = `a time stamp of each signature is '${stamps}', and was '${stamped}'`;
      found.add(stamps === 'required' ? 'notes' : 'warns', `${field}.timestamp`, text);
    }
    if (!sameJson(line.rollback ?? null, now.rollback ?? null))
      found.add('warns', `${field}.rollback`, `going back takes ${goingBack(now)}, and took ${goingBack(line)}`);
  }
  for (const name of next.keys())
    if (!old.has(name)) found.add('notes', `firmware.products.${name}`, 'firmware may be signed for it');
  keys(found, before.firmware, after.firmware);
}

type Line = NonNullable<FirmwarePolicy['products'][number]['environments']['production']>;

const linesOf = (section: FirmwarePolicy | undefined): Map<string, Line> =>
  new Map(
    (section?.products ?? []).flatMap(({ product, environments }) =>
      FIRMWARE_ENVIRONMENTS.flatMap((environment): [string, Line][] => {
        const line = environments[environment];
        return line === undefined ? [] : [[`${product}.${environment}`, line]];
      }),
    ),
  );

const goingBack = ({ rollback }: Line): string =>
  rollback === undefined
    ? 'nobody: it is refused'
    : `${rollback.approvals} of ${rollback.roles.join(', ')}${rollback.hardware === true ? ' with keys held in hardware' : ''}`;

function changed(found: Findings, field: string, old: readonly string[], next: readonly string[]): void {
  const gone = old.filter((one) => !next.includes(one));
  const come = next.filter((one) => !old.includes(one));
  if (gone.length > 0) found.add('breaks', field, `no longer: ${gone.join(', ')}`);
  if (come.length > 0) found.add('warns', field, `new: ${come.join(', ')}`);
}

/** For which targets an order may be: each has a floor of versions of its own. */
function targets(found: Findings, field: string, old: Line, next: Line): void {
  if (old.targets !== undefined && next.targets !== undefined) {
    changed(found, field, old.targets, next.targets);
    return;
  }
  if (next.targets !== undefined) found.add('warns', field, `these alone: ${next.targets.join(', ')}`);
  if (old.targets !== undefined && next.targets === undefined)
    found.add('warns', field, 'whatever who asks names: a new one begins at any version');
}

/** What devices are to trust from now on. */
function anchors(found: Findings, field: string, before: Policy, after: Policy, name: string): void {
  const at = name.lastIndexOf('.');
  const environment = FIRMWARE_ENVIRONMENTS.find((one) => one === name.slice(at + 1));
  if (environment === undefined) return;
  const of = (policy: Policy) => lineKeys(policy, { product: name.slice(0, at), environment });
  const [old, next] = [of(before), of(after)];
  const retired = [...old.signs, ...old.trusted].filter((id) => ![...next.signs, ...next.trusted].includes(id));
  if (retired.length > 0)
    found.add(
      'breaks',
      field,
      `retired: ${retired.join(', ')}: what only these signed starts on no device that follows`,
    );
}

function keys(found: Findings, before: FirmwarePolicy | undefined, after: FirmwarePolicy | undefined): void {
  const next = new Map((after?.keys ?? []).map((key) => [key.id, key]));
  for (const key of before?.keys ?? []) {
    const now = next.get(key.id);
    next.delete(key.id);
    const field = `firmware.keys.${key.id}`;
    if (now === undefined) found.add('breaks', field, 'signs nothing any more');
    else if (key.algorithm !== now.algorithm || key.product !== now.product || key.environment !== now.environment)
      found.add('breaks', field, 'was made and certified for something else: keyd signs nothing with it');
    else if (firmwareScheme(key) !== firmwareScheme(now))
      found.add(
        'breaks',
        `${field}.signature`,
        `${firmwareScheme(now)}, and was ${firmwareScheme(key)}: a key has one`,
      );
    else if (!sameJson(key, now)) found.add('warns', field, 'its formats or its number of signatures change');
  }
  for (const { id, environment } of next.values()) {
    const how = environment === 'production' ? 'a ceremony certifies it' : 'keyd certifies it';
    found.add('notes', `firmware.keys.${id}`, `keyd makes it at its next start, and ${how}`);
  }
}
