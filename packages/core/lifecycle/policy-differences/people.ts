import { REVOCATION_ACTS } from '../certificate-states.ts';
import { firmwareKeyQuorum } from '../firmware/key-order.ts';
import { SENSITIVE_ACTS, type SensitiveAct } from '../keying.ts';
import { operatorOf, type Policy, type PolicyOperator } from '../policy.ts';
import { sameJson } from '../policy-update.ts';
import { GIVEN_REASONS, REVOCATION_SELECTORS } from '../revocation-authority.ts';
import { revocationQuorum, revocationQuorumText } from '../revocation-rules.ts';
import { ableFor } from '../signers/rules.ts';
import type { OperatorSigner } from '../signers/schema.ts';
import { signerText } from '../signers/text.ts';
import { ticketQuorum } from '../ticket.ts';
import { change, count, type Findings, type LiveInventory, named } from './findings.ts';

export function operators(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  for (const old of before.operators) {
    const next = operatorOf(after, old.name);
    const field = `operators.${old.name}`;
    const open = live?.tickets.filter(({ signers }) => signers.includes(old.name)) ?? [];
    if (next === undefined) {
      if (open.length > 0) {
        const text = `operator ${old.name} removed: ${count(open, 'open ticket was', 'open tickets were')} signed by ${old.name} (${named(open.map(({ id }) => id))}) and would be refused`;
        found.add('breaks', field, text);
      } else found.add('warns', field, `operator ${old.name} removed: their certificate opens nothing any more`);
      continue;
    }
    if (old.spki !== next.spki) {
      const tail = open.length > 0 ? `, and so ${count(open, 'open ticket')} would be refused` : '';
      found.add(
        open.length > 0 ? 'breaks' : 'warns',
        field,
        `another key: what ${old.name} signed with the old one is not accepted${tail}`,
      );
    }
    otherKeys(found, old, next, open.length);
    const lost = old.roles.filter((role) => !next.roles.includes(role));
    const gained = next.roles.filter((role) => !old.roles.includes(role));
    if (lost.length > 0) {
      const signs = lost.includes('ca-operator') || lost.includes('policy-administrator');
      const refused =
        signs &&
        !next.roles.some((role) => role === 'ca-operator' || role === 'policy-administrator') &&
        open.length > 0;
      found.add(
        refused ? 'breaks' : 'warns',
        field,
        `no longer ${lost.join(', ')}${refused ? `: ${count(open, 'open ticket')} of theirs would be refused` : ''}`,
      );
    }
    if (gained.length > 0) found.add('warns', field, `is now ${gained.join(', ')}`);
  }
  for (const { name, roles } of after.operators.filter((one) => operatorOf(before, one.name) === undefined))
    found.add('warns', `operators.${name}`, `added as ${roles.join(', ')}`);
  const had = new Set(before.operators.flatMap(({ roles }) => roles));
  const have = new Set(after.operators.flatMap(({ roles }) => roles));
  for (const role of had) if (!have.has(role)) found.add('breaks', 'operators', `nobody is ${role} any more`);
}

/** What a security key, passkey or token is known by to people who compare two policies. */
function otherKeys(found: Findings, old: PolicyOperator, next: PolicyOperator, tickets: number): void {
  const field = `operators.${old.name}.signers`;
  const open =
    tickets > 0 ? `; ${tickets} of the open tickets ${tickets === 1 ? 'is' : 'are'} signed by ${old.name}` : '';
  const [before, after] = [old, next].map(({ signers = [] }) => signers);
  if (before === undefined || after === undefined || sameJson(before, after)) return;
  const among = (signers: readonly OperatorSigner[], one: OperatorSigner) =>
    signers.some((other) => sameJson(other, one));
  for (const one of before.filter((signer) => !among(after, signer))) {
    const text = `no longer signs by ${signerText(one)}: what was signed with it is not accepted${open}`;
    found.add('warns', field, text);
  }
  for (const one of after.filter((signer) => !among(before, signer))) {
    found.add('warns', field, `also signs by ${signerText(one)}`);
  }
}

export function tickets(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  const [old, next] = [before.tickets, after.tickets];
  if (old.maxQuota !== next.maxQuota) {
    const over = live?.tickets.filter(({ quota }) => quota > next.maxQuota).map(({ id }) => id) ?? [];
    const text = `quota of a ticket from ${old.maxQuota} to ${next.maxQuota}`;
    found.add(
      over.length > 0 ? 'breaks' : 'notes',
      'tickets.maxQuota',
      over.length > 0 ? `${text}: the open tickets ${named(over)} allow more and would be refused` : text,
    );
  }
  if (old.maxSeconds !== next.maxSeconds) {
    const over =
      live?.tickets
        .filter((one) => (Date.parse(one.notAfter) - Date.parse(one.notBefore)) / 1000 > next.maxSeconds)
        .map(({ id }) => id) ?? [];
    const text = `time of a ticket ${change(old.maxSeconds, next.maxSeconds)}`;
    found.add(
      over.length > 0 ? 'breaks' : 'notes',
      'tickets.maxSeconds',
      over.length > 0 ? `${text}: the open tickets ${named(over)} are longer and would be refused` : text,
    );
  }
}

export function quorums(found: Findings, before: Policy, after: Policy): void {
  for (const act of Object.keys(SENSITIVE_ACTS) as SensitiveAct[]) {
    const [old, next] = [before.quorums[act], after.quorums[act]];
    if (sameJson(old, next)) continue;
    const field = `quorums.${act}`;
    const who = (roles: readonly string[]): string => (roles.length === 0 ? 'anybody' : roles.join(', '));
    if (old.approvals !== next.approvals) {
      const weaker = next.approvals < old.approvals;
      found.add(
        weaker ? 'warns' : 'notes',
        `${field}.approvals`,
        `${SENSITIVE_ACTS[act]} needs ${next.approvals} instead of ${old.approvals}${weaker ? ': fewer people can do it together' : ''}`,
      );
    }
    hardware(found, field, old, next);
    if (!sameJson(old.roles, next.roles)) {
      found.add(
        'warns',
        `${field}.roles`,
        `${SENSITIVE_ACTS[act]} is approved by ${who(next.roles)} instead of ${who(old.roles)}`,
      );
    }
    const able = ableFor(after, next);
    if (act !== 'ceremony-witnesses' && able.length < next.approvals) {
      found.add(
        'breaks',
        field,
        `${SENSITIVE_ACTS[act]} would need ${next.approvals}, and ${count(able, 'operator')} may`,
      );
    }
  }
}

/** Who kills a firmware key that is in other hands. REQ-KEY-ROT-02 */
export function firmwareEmergency(found: Findings, before: Policy, after: Policy): void {
  const kill = { change: 'kill' } as const;
  const [old, next] = [firmwareKeyQuorum(before, kill), firmwareKeyQuorum(after, kill)];
  if (sameJson(old, next)) return;
  const of = ({ approvals, roles }: typeof old): string => `${approvals} of ${roles.join(', ')}`;
  const text = `a firmware key is killed by ${of(next)} instead of ${of(old)}`;
  found.add('warns', 'quorums.firmware-emergency', text);
}

/** Who signs batch tickets; what is said of open tickets is what keyd would do with them. REQ-KEY-PROV-01 */
export function ticketSigners(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  if (sameJson(before.quorums['batch-ticket'] ?? null, after.quorums['batch-ticket'] ?? null)) return;
  const [old, next] = [ticketQuorum(before), ticketQuorum(after)];
  const field = 'quorums.batch-ticket';
  if (sameJson(old, next)) found.add('notes', field, 'says what went without saying');
  if (old.signatures !== next.signatures) {
    const short = live?.tickets.filter(({ signers }) => signers.length < next.signatures).map(({ id }) => id) ?? [];
    const weaker = next.signatures < old.signatures;
    const text = `a batch ticket needs ${next.signatures} ${next.signatures === 1 ? 'signature' : 'signatures'} instead of ${old.signatures}`;
    const tail = weaker
      ? ': fewer people can do it together'
      : short.length > 0
        ? `: the open tickets ${named(short)} have fewer and would be refused`
        : '';
    found.add(short.length > 0 ? 'breaks' : weaker ? 'warns' : 'notes', `${field}.signatures`, `${text}${tail}`);
  }
  hardware(found, field, old, next);
  if (!sameJson(old.roles, next.roles)) {
    found.add(
      'warns',
      `${field}.roles`,
      `batch tickets are signed by ${next.roles.join(', ')} instead of ${old.roles.join(', ')}`,
    );
  }
  const able = ableFor(after, next);
  if (able.length < next.signatures) {
    found.add(
      'breaks',
      field,
      `a batch ticket would need ${next.signatures} signatures, and ${count(able, 'operator')} may`,
    );
  }
}

/** To let go of hardware is what somebody should know before they sign; to ask for it stops what is signed already. */
function hardware(
  found: Findings,
  field: string,
  old: { readonly hardware?: boolean | undefined },
  next: { readonly hardware?: boolean | undefined },
): void {
  if (old.hardware === next.hardware) return;
  const text =
    next.hardware === true
      ? 'signatures count only by keys that are held in hardware'
      : 'signatures count also by keys that are not held in hardware';
  found.add('warns', `${field}.hardware`, text);
}

/** Who must agree to a revocation: fewer people is what somebody should know before they sign. */
export function revocationAuthority(found: Findings, before: Policy, after: Policy): void {
  revokedAlone(found, before, after);
  if (sameJson(before.revocation.authority ?? null, after.revocation.authority ?? null)) return;
  for (const selector of REVOCATION_SELECTORS) {
    for (const act of REVOCATION_ACTS) {
      for (const reason of act === 'revoke' ? GIVEN_REASONS : [undefined]) {
        const [old, next] = [before, after].map((policy) => revocationQuorum(policy, { selector, act, reason }));
        if (old === undefined || next === undefined || sameJson(revocationQuorumText(old), revocationQuorumText(next)))
          continue;
        found.add(
          next.approvals < old.approvals ? 'warns' : 'notes',
          `revocation.authority.${selector}`,
          `${act} of a ${selector}${reason === undefined ? '' : ` for ${reason}`}: ${revocationQuorumText(next)} instead of ${revocationQuorumText(old)}`,
        );
      }
    }
  }
  found.add('notes', 'revocation.authority', 'the rules are written otherwise');
}

/** A front end that was taken over takes no more than this out of service. */
function revokedAlone(found: Findings, before: Policy, after: Policy): void {
  if (sameJson(before.revocation.alone ?? null, after.revocation.alone ?? null)) return;
  const [old, next] = [before, after].map(({ revocation: { alone } }) =>
    alone === undefined ? 'what the software has by itself' : `${alone.certificates} in ${alone.seconds} s`,
  );
  found.add(
    'warns',
    'revocation.alone',
    `certificates revoked without statements of people: ${next} instead of ${old}`,
  );
}
