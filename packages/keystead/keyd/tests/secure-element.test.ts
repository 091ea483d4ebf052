import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { BatchTicketDraft } from '@keystead/core/lifecycle';
import { parse } from 'yaml';
import type { Params, Result } from '../../keyd-client/index.ts';
import { chipStatement } from '../attestation/index.ts';
import { csrFor, KeydBed, makeKey, type TestKey } from './bed.ts';
import { ChipMaker, type TestChip } from './chip-maker.ts';

/* keyd with a policy that believes one maker of secure elements, before a second maker, which openssl plays, too. */
let maker: ChipMaker;
let stranger: ChipMaker;
let bed: KeydBed;
before(async () => {
  maker = new ChipMaker('Chips AG');
  stranger = new ChipMaker('Chips AG');
  bed = await KeydBed.make({
    attestation: { required: false, anchors: [], secureElements: maker.policy() },
  });
  // openssl dates its certificates now.
  bed.clock.set(new Date(Date.now() + 3_600_000));
});
after(async () => {
  await bed?.remove();
  maker.remove();
  stranger.remove();
});

const at = (deviceId: string, ticket: string) => ({
  ticket,
  deviceId,
  station: 'station-1',
  operator: 'lin',
  line: 'line-1',
  requestId: `unit-${deviceId}`,
});
const batch = (id: string, more: Partial<BatchTicketDraft> = {}) => bed.ticket({ id, ...more });
type Way = NonNullable<Params<'provision'>['way']>;
const provision = async (
  deviceId: string,
  ticket: string,
  key: TestKey,
  way: Way,
  more: Partial<Params<'provision'>> = {},
): Promise<Result<'provision'>> =>
  bed.client.provision({ ...at(deviceId, ticket), csr: await csrFor(deviceId, key), way, ...more });

/** Asserts a refusal by its code, field and what was seen, after which nothing is in the journal. */
async function refused(code: string, seen: RegExp, act: Promise<unknown>): Promise<void> {
  const path = join(bed.dir, 'journal');
  const before = readFileSync(path);
  await assert.rejects(act, (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(`${error.field}: ${error.seen}`, seen);
    return true;
  });
  assert.deepEqual(readFileSync(path), before);
}

/** A challenge, and what the chip says to it. */
async function attested(
  deviceId: string,
  ticket: string,
  chip: TestChip,
  spki: DerSpki,
): Promise<{ challengeId: string; signature: Uint8Array }> {
  const { challengeId, challenge } = await bed.client.challengeElement({ ...at(deviceId, ticket), chain: chip.chain });
  return { challengeId, signature: await chip.signer.sign(chipStatement(challenge, spki, deviceId)) };
}

test('TEST-KEY-03: a request for the very key that a chip’s maker certified gets an IDevID, and the record names the chip', async () => {
  const chip = maker.chip('0123A4B5C6');
  const unit = await provision('KS-0001', await batch('certified', { attestation: 'required' }), chip, {
    kind: 'secure-element',
    chain: chip.chain,
  });
  const { key } = parse(unit.record) as { key: Record<string, string> };
  assert.equal(key.origin, 'secure-element');
  assert.equal(key.form, 'certified');
  assert.equal(key.chip_serial, '0123A4B5C6');
  assert.equal(key.chip_issuer, 'CN=Chips 01,O=Chips AG');
  const fingerprint = maker.run('x509', '-in', chip.certificateFile, '-noout', '-fingerprint', '-sha256');
  assert.equal(key.chip_certificate_sha256, fingerprint.trim().split('=')[1]?.replaceAll(':', '').toLowerCase());
  assert.equal(unit.spkiSha256, key.chip_spki_sha256);
});

test('TEST-KEY-03: a fresh key that the certified key attests gets one too; the statement is made by openssl from the bytes that the page defines', async () => {
  const chip = maker.chip('0002');
  const key = makeKey();
  const ticket = await batch('attested', { attestation: 'required' });
  const { challengeId, challenge } = await bed.client.challengeElement({ ...at('KS-0002', ticket), chain: chip.chain });
  const file = (name: string, content: Uint8Array): string => {
    writeFileSync(join(maker.dir, name), content);
    return name;
  };
  const hash = createHash('sha256').update(key.spki).digest();
  const said = Buffer.concat([Buffer.from('keystead chip statement v1\n'), challenge, hash, Buffer.from('KS-0002')]);
  maker.run('dgst', '-sha256', '-sign', chip.keyFile, '-out', 'statement.sig', file('statement', said));
  const signature = new Uint8Array(readFileSync(join(maker.dir, 'statement.sig')));
  const unit = await provision('KS-0002', ticket, key, {
    kind: 'secure-element',
    chain: chip.chain,
    statement: { challengeId, signature },
  });
  const record = parse(unit.record) as { key: Record<string, string> };
  assert.deepEqual([record.key.form, record.key.chip_serial], ['attested', '0002']);
});

test('TEST-KEY-03: a chip of another maker is refused, also one whose maker has the same name', async () => {
  const foreign = stranger.chip('0003');
  const ticket = await batch('foreign');
  const way = { kind: 'secure-element', chain: foreign.chain } as const;
  await refused('element.chip-refused', /no-anchor|signature/, provision('KS-0003', ticket, foreign, way));
  await refused(
    'element.chip-refused',
    /no-anchor|signature/,
    bed.client.challengeElement({ ...at('KS-0003', ticket), chain: foreign.chain }),
  );
  const good = maker.chip('0004');
  await refused(
    'element.key-refused',
    /csr: a key without a statement/,
    provision('KS-0003', ticket, foreign, { kind: 'secure-element', chain: good.chain }),
  );
});

test('TEST-KEY-03: what is no certificate of a chip is refused with what is wrong with it', async () => {
  const ticket = await batch('odd');
  const odd = (chain: readonly Uint8Array[]) =>
    provision('KS-0005', ticket, makeKey(), { kind: 'secure-element', chain: [...chain] as DerCertificate[] });
  const chip = maker.chip('0005');
  await refused('element.chip-refused', /a certificate of a CA/, odd([chip.chain[1] ?? new Uint8Array()]));
  await refused('element.chip-refused', /malformed/, odd([Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x01)]));
  const crl = maker.chip('0006', 'dataEncipherment');
  await refused('element.chip-refused', /a key for dataEncipherment/, odd(crl.chain));
  const agrees = maker.chip('0007', 'keyAgreement');
  await refused('element.chip-refused', /must not sign/, odd(agrees.chain));
});

test('TEST-KEY-03: a statement is good for one challenge, unit, chip and key, and once', async () => {
  const chip = maker.chip('0010');
  const other = maker.chip('0011');
  const key = makeKey();
  const ticket = await batch('once');
  const chain = chip.chain;
  const wrong: readonly (readonly [string, RegExp, () => Promise<unknown>])[] = [
    [
      'element.challenge-refused',
      /deviceId/,
      async () => {
        const statement = await attested('KS-0010', ticket, chip, key.spki);
        return provision('KS-0011', ticket, key, { kind: 'secure-element', chain, statement });
      },
    ],
    [
      'element.challenge-refused',
      /station/,
      async () => {
        const statement = await attested('KS-0010', ticket, chip, key.spki);
        return provision('KS-0010', ticket, key, { kind: 'secure-element', chain, statement }, { station: 'b' });
      },
    ],
    [
      'element.challenge-refused',
      /chain: another chip/,
      async () => {
        const statement = await attested('KS-0010', ticket, chip, key.spki);
        return provision('KS-0010', ticket, key, { kind: 'secure-element', chain: other.chain, statement });
      },
    ],
    [
      'element.statement-refused',
      /signature/,
      async () => {
        const statement = await attested('KS-0010', ticket, chip, makeKey().spki);
        return provision('KS-0010', ticket, key, { kind: 'secure-element', chain, statement });
      },
    ],
    [
      'element.statement-refused',
      /signature/,
      async () => {
        const statement = await attested('KS-0010', ticket, chip, key.spki);
        const { challengeId } = await attested('KS-0010', ticket, chip, key.spki);
        // An answer of before to the challenge of now.
        const signature = statement.signature;
        return provision('KS-0010', ticket, key, {
          kind: 'secure-element',
          chain,
          statement: { challengeId, signature },
        });
      },
    ],
    [
      'element.challenge-refused',
      /expired/,
      async () => {
        const statement = await attested('KS-0010', ticket, chip, key.spki);
        bed.clock.advance(121);
        return provision('KS-0010', ticket, key, { kind: 'secure-element', chain, statement });
      },
    ],
  ];
  for (const [code, seen, act] of wrong) await refused(code, seen, act());
  const statement = await attested('KS-0010', ticket, chip, key.spki);
  await provision('KS-0010', ticket, key, { kind: 'secure-element', chain, statement });
  await refused(
    'element.challenge-refused',
    /challengeId: unknown/,
    provision('KS-0010', ticket, key, { kind: 'secure-element', chain, statement }),
  );
});

test('TEST-KEY-19: one chip is one device, also after a restart, by its key and by its maker’s serial number', async () => {
  const chip = maker.chip('0020');
  const ticket = await batch('one-chip');
  const key = makeKey();
  const statement = await attested('KS-0020', ticket, chip, key.spki);
  await provision('KS-0020', ticket, key, { kind: 'secure-element', chain: chip.chain, statement });
  const again = async (): Promise<void> => {
    await refused(
      'element.chip-used',
      /the chip of KS-0020/,
      bed.client.challengeElement({ ...at('KS-0021', ticket), chain: chip.chain }),
    );
    await refused(
      'element.chip-used',
      /the chip of KS-0020/,
      provision('KS-0021', ticket, chip, { kind: 'secure-element', chain: chip.chain }),
    );
    const second = maker.chip('0020');
    await refused(
      'element.chip-used',
      /the chip of KS-0020/,
      provision('KS-0021', ticket, second, { kind: 'secure-element', chain: second.chain }),
    );
  };
  await again();
  await bed.restart();
  await again();
  const { tickets } = await bed.client.status();
  assert.equal(tickets.find(({ id }) => id === 'one-chip')?.units, 1);
});

test('TEST-KEY-03: a unit whose ticket demands attestation is refused without a chip’s certificate; where a policy names no maker, no chip is believed', async () => {
  const ticket = await batch('demands', { attestation: 'required' });
  await refused(
    'attestation.required',
    /ticket: demands/,
    bed.client.provision({ ...at('KS-0030', ticket), csr: await csrFor('KS-0030') }),
  );
  const bare = await KeydBed.make();
  try {
    const chip = maker.chip('0030');
    bare.clock.set(bed.clock.now());
    const params = { ...at('KS-0030', await bare.ticket()), csr: await csrFor('KS-0030', chip) };
    await assert.rejects(
      bare.client.provision({ ...params, way: { kind: 'secure-element', chain: chip.chain } }),
      /element\.not-configured|secure element is believed only/,
    );
  } finally {
    await bare.remove();
  }
});

test('TEST-KEY-03: where the policy names certificate policies of the maker, a chip under none of them is refused', async () => {
  const own = '1.3.6.1.4.1.55555.1.1';
  const strict = await KeydBed.make({
    attestation: { required: false, anchors: [], secureElements: maker.policy({ policies: [own] }) },
  });
  try {
    strict.clock.set(bed.clock.now());
    const ticket = await strict.ticket();
    const chip = maker.chip('0040');
    const params = { ...at('KS-0040', ticket), csr: await csrFor('KS-0040', chip) };
    await assert.rejects(
      strict.client.provision({ ...params, way: { kind: 'secure-element', chain: chip.chain } }),
      (error) =>
        error instanceof KeysteadError && error.code === 'element.chip-refused' && /polic/i.test(`${error.seen}`),
    );
  } finally {
    await strict.remove();
  }
});
