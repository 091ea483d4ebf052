import { fileURLToPath } from 'node:url';
import { CASES, judge, type PkitsCase } from './pkits.ts';

const TITLES = [
  'Signature Verification',
  'Validity Periods',
  'Verifying Name Chaining',
  'Basic Certificate Revocation Tests',
  'Verifying Paths with Self-Issued Certificates',
  'Verifying Basic Constraints',
  'Key Usage',
  'Certificate Policies',
  'Require Explicit Policy',
  'Policy Mappings',
  'Inhibit Policy Mapping',
  'Inhibit Any Policy',
  'Name Constraints',
  'Distribution Points',
  'Delta-CRLs',
  'Private Certificate Extensions',
] as const;

/** Why Keystead refuses what the suite accepts. */
const REASONS: Readonly<Record<string, string>> = {
  algorithm: 'DSA is refused: FIPS 186-5 approves it for no new signature',
};

const sectionOf = ({ test }: PkitsCase): number => Number(test.split('.')[1]);

/** The page of what Keystead says of NIST PKITS, from running it. */
export function pkitsPage(): string {
  const seen = CASES.map((wanted) => ({ wanted, result: judge(wanted) }));
  const rows = TITLES.map((title, i) => {
    const own = seen.filter(({ wanted }) => sectionOf(wanted) === i + 1);
    const agreed = own.filter(({ wanted, result }) => result.ok === (wanted.expected === 'valid')).length;
    const rules = new Set(own.flatMap(({ result }) => (result.ok ? [] : [`\`${result.rule}\``])));
    return `| 4.${i + 1} ${title} | ${own.length} | ${agreed} | ${[...rules].join(', ')} |`;
  });
  const differ = seen.flatMap(({ wanted, result }) =>
    result.ok === (wanted.expected === 'valid')
      ? []
      : [
          `| ${wanted.test} | ${wanted.leaf} | ${wanted.expected} | \`${result.ok ? 'accepted' : result.rule}\` | ${result.ok ? 'a FAULT' : (REASONS[result.rule] ?? 'a FAULT')} |`,
        ],
  );
  return `# NIST PKITS

Printed by \`node packages/core/x509/path/tests/pkits-page.ts\`; a test compares it. The suite is in [vectors/pkits](../vectors/pkits/README.md): 224 cases, ${CASES.length} with the variants of their inputs. Each is judged with all certificates and CRLs of the suite in one bag, so that finding the path, the CRLs and their signers is part of it.

| section | cases with variants | as the suite has it | refused by |
|---|---|---|---|
${rows.join('\n')}

## Where Keystead and the suite differ

| case | leaf | the suite | Keystead | why |
|---|---|---|---|---|
${differ.join('\n')}

Three files are refused when they are read, before their signature is tried, since the suite broke the first octet of the signature's BIT STRING: \`BadSignedCACert.crt\` (4.1.2), \`InvalidDSASignatureTest6EE.crt\` (4.1.6), \`BadCRLSignatureCACRL.crl\` (4.4.4). Broken signatures that can be read are refused by \`signature\` (4.1.3) and by the tests beside these.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(pkitsPage());
