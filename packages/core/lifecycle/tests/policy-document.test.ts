import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  cryptoperiodOf,
  KEY_PURPOSE_IDS,
  keyPurpose,
  type PolicyFile,
  type PolicyHistoryEntry,
  policyDocument,
  profileOf,
  renderHtml,
  renderMarkdown,
} from '../index.ts';
import { renderHtml as htmlOf } from '../policy-document/html.ts';
import { renderMarkdown as markdownOf } from '../policy-document/markdown.ts';
import { fileOf, PolicyParties, successor } from './policy-parties.ts';

const parties = new PolicyParties();
const current = parties.policy();
const ceremony: PolicyHistoryEntry = {
  version: 1,
  sha256: current.sha256,
  since: '2026-03-01T09:00:00.000Z',
  by: { kind: 'ceremony', witnesses: ['Ada Lovelace', 'Grace Hopper'], transcriptSha256: 'ab'.repeat(32) },
};
const markdown = (file: PolicyFile, history = [ceremony]) => renderMarkdown(policyDocument(file, history));
const html = (file: PolicyFile, history = [ceremony]) => renderHtml(policyDocument(file, history));

test('the same policy is the same document, byte for byte, in both forms', () => {
  const again = fileOf(structuredClone(current.policy));
  assert.equal(markdown(current), markdown(again));
  assert.equal(html(current), html(again));
});

test('TEST-KEY-25 a cryptoperiod that is changed in the policy changes in the document', () => {
  const next = successor(current, (policy) => {
    Object.assign(cryptoperiodOf(policy, 'log'), { originatorSeconds: 4 * 365 * 86_400, warnSeconds: 86_400 });
    profileOf(policy, 'ldevid').validity.seconds = 77;
  });
  assert.match(markdown(current), /\| audit log \| 10 years \| 40 years \| 90 days \|/);
  assert.match(markdown(next), /\| audit log \| 4 years \| 40 years \| 1 day \|/);
  assert.match(markdown(next), /\| ldevid \| operational \| 77 seconds \|/);
  assert.match(html(next), /<td>audit log<\/td><td>4 years<\/td>/);
});

test('TEST-KEY-25 every kind of key, every operator and every figure that people promise stands in it', () => {
  const text = html(current);
  // A policy without firmware does not name the keys of it.
  const ids = KEY_PURPOSE_IDS.filter((id) => id !== 'firmware-signer');
  for (const id of ids) assert.ok(text.includes(`<code>${id}</code>`), id);
  for (const id of ids) assert.ok(text.includes(keyPurpose(id).title), id);
  for (const { name } of current.policy.operators) assert.ok(text.includes(name), name);
  assert.ok(text.includes(current.sha256));
  assert.match(text, /Ada Lovelace, Grace Hopper/);
  assert.match(text, /<td>every backend refuses<\/td><td>70 seconds<\/td>/);
  for (const name of ['SP 800-57', 'SP 800-130', 'IEC 81001-5-1', 'section 524B']) assert.ok(text.includes(name), name);
});

test('a demonstration and a draft say so before anything else, and on every page', () => {
  const demo = parties.policy({ demonstration: true });
  assert.match(markdown(demo), /^# [^\n]+\n\n[^\n]*DEMONSTRATION\n\n> \*\*DEMONSTRATION/);
  assert.match(html(demo), /@top-left\{content:"[^"]*DEMONSTRATION"/);
  assert.ok(html(demo).indexOf('class="warning"') < html(demo).indexOf('<nav'));
  assert.match(markdown(current, []), /> \*\*DRAFT/);
  assert.doesNotMatch(markdown(current), /DEMONSTRATION|DRAFT/);
});

test('the history names who proposed and who approved each policy', () => {
  const next = successor(current);
  const changed: PolicyHistoryEntry = {
    version: 2,
    sha256: next.sha256,
    since: '2026-04-01T09:00:00.000Z',
    by: {
      kind: 'quorum',
      proposer: 'paul',
      approvers: [{ name: 'anna', role: 'approver', signedAt: '2026-03-31T12:00:00Z' }],
    },
  };
  const text = markdown(next, [ceremony, changed]);
  assert.match(
    text,
    /\| 2 \| 2026-04-01T09:00:00\.000Z \| proposed by paul; approved by anna \(approver, 2026-03-31T12:00:00Z\) \|/,
  );
  assert.match(text, /\| Approved by \| anna, on the proposal of paul \|/);
});

const HOSTILE = '</style><script>alert(1)</script><img src=x onerror=alert(2)>|"\'`*_[x](javascript:1)\n# h & \\';
const hostile = parties.policy({ name: HOSTILE.slice(0, 120) });
hostile.policy.document.owner = HOSTILE.slice(0, 120);

test('nothing that stands in a policy becomes markup of the HTML', () => {
  const text = html(hostile);
  assert.doesNotMatch(text, /<script|<img|onerror=alert\(2\)>/);
  assert.equal(text.match(/<\/style>/g)?.length, 1);
  const tags = new Set([...text.matchAll(/<\/?([a-z0-9]+)/gi)].map((match) => (match[1] ?? '').toLowerCase()));
  for (const tag of tags) {
    assert.match(
      tag,
      /^(html|head|meta|title|style|body|header|footer|main|nav|h[1-3]|p|span|a|ol|ul|li|div|table|thead|tbody|tr|th|td|code)$/,
    );
  }
  assert.match(text, /default-src 'none'/);
});

test('nothing that stands in a policy becomes markup of the Markdown, or another column of a table', () => {
  const text = markdown(hostile);
  assert.doesNotMatch(text, /[^\\]<script/);
  for (const lines of text.split('\n\n').filter((block) => block.startsWith('|'))) {
    const columns = lines.split('\n').map((line) => line.replace(/\\\\/g, '').replace(/\\\|/g, '').split('|').length);
    assert.equal(new Set(columns).size, 1, lines);
  }
  assert.equal(text.split('\n').filter((line) => line.startsWith('# ')).length, 1);
});

test('any text at all is one line of one cell in both forms', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const content = {
        title: 't',
        header: value,
        footer: value,
        blocks: [
          { kind: 'heading' as const, level: 1 as const, text: 'h' },
          { kind: 'table' as const, head: ['a'], rows: [[value], [[{ code: value }]]] },
        ],
      };
      const rows = markdownOf(content)
        .split('\n')
        .filter((line) => line.startsWith('|'));
      assert.equal(rows.length, 4);
      assert.equal(htmlOf(content).match(/<td>/g)?.length, 2);
      assert.equal(htmlOf(content).match(/<\/style>/g)?.length, 1);
    }),
    { numRuns: 300 },
  );
});
