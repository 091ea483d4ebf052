/**
 * Who may do what. Roles are given to operators by the policy, so that a role is never more than the
 * ceremony approved; a permission is what one operation asks for.
 */

/** The roles that an operator may hold. */
export const ROLES = [
  'policy-administrator',
  'ca-operator',
  'line-operator',
  'release-engineer',
  'approver',
  'custodian',
  'auditor',
] as const;
export type Role = (typeof ROLES)[number];

/** What an operation may ask for. */
export const PERMISSIONS = {
  'ticket.sign': 'sign a batch ticket: model, quota, lines, validity',
  'batch.open': 'open a batch at headquarters or a factory node from a signed ticket',
  'unit.provision': 'provision one unit of an open batch',
  'certificate.read': 'look up certificates and their status',
  'certificate.revoke': 'revoke certificates of devices and servers',
  'crl.publish': 'make a CA publish its CRL now',
  'device.read': 'look up devices and their provisioning records',
  'device.revoke': 'report a device stolen or lost: revoke all it has',
  'revocation.propose': 'ask for a revocation that takes several people, and sign the release of a hold',
  'revocation.sign': 'sign statements about a revocation: ask for one, or approve that of another person',
  'revocation.read': 'look at what a revocation would take, and at requests for one',
  'device.readmit': 'let a device whose grace period is over enrol once more',
  'device.decommission': 'end a device: revoke all it has and sign the evidence',
  'factory.propose': 'ask for the commission of a factory node, its renewal or its end',
  'factory.sign': 'sign statements about a factory node: ask for a commission, or approve that of another person',
  'factory.read': 'look up factory nodes, what they sent, and what is in quarantine',
  'factory.exchange': 'hand over consignments of a factory node and fetch its receipts',
  'server.enrol': 'ask for a TLS certificate for a server',
  'enrolment.authorise': 'authorise enrolments without a certificate, approve or refuse their requests, withdraw',
  'enrolment.read': 'look up authorisations and the requests that wait',
  'station.enrol': 'sign that a station at a line shall have a certificate',
  'station.sign-off': 'see who is signed on at which station, and sign them off',
  'operator.enrol': 'ask for an operator certificate for a key that stands in the policy',
  'policy.read': 'read the policy in force',
  'policy.propose': 'propose another policy',
  'policy.apply': 'put in force a policy that its quorum has approved',
  'signing.request': 'ask for a firmware signature',
  'signing.read': 'look at requests for firmware signatures, their images and results',
  'signing.sign': 'sign statements about a firmware signature: ask for one, or approve that of another person',
  'firmware-key.propose': 'ask that a firmware key is killed, or a suspended one brought back',
  'firmware-key.sign': 'sign statements about a firmware key: ask for its end, or approve that of another person',
  'trust.propose': 'ask for a change of what stands in trust bundles',
  'trust.sign': 'sign statements about a trust bundle: ask for a change, or approve that of another person',
  'trust.read': 'look at trust bundles, filters, and what devices report of them',
  'trust.publish': 'have keyd sign a trust bundle that its quorum approved, or one with a new filter',
  'approval.give': 'approve the request of another person',
  'backup.create': 'make a backup and have it signed, and record its drills',
  'backup.restore': 'take part in a restore with a custodian share',
  'restore.propose': 'ask that a keyd that was restored opens',
  'restore.sign': 'sign statements about a restore: ask that keyd opens, or approve that of another person',
  'audit.read': 'read the audit log and every record',
  'key.read': 'look up keys: their state, periods, custody and history',
  'key.stop': 'suspend or deactivate a key of keyd, or report it compromised',
  'key.resume': 'bring back a suspended key that another person stopped',
  'rotation.read': 'look at rotation campaigns, and at the devices that one would cut off',
  'rotation.manage': 'plan a rotation campaign, start, pause and end it',
  'rotation.sign': 'sign statements that a rotation goes on although it cuts devices off',
} as const;
export type Permission = keyof typeof PERMISSIONS;

/** Every role that holds each permission. A role that is not named is refused. */
export const ROLES_BY_PERMISSION: Readonly<Record<Permission, readonly Role[]>> = {
  'ticket.sign': ['policy-administrator', 'ca-operator'],
  'batch.open': ['ca-operator', 'line-operator'],
  'unit.provision': ['line-operator'],
  'certificate.read': ['policy-administrator', 'ca-operator', 'auditor'],
  'certificate.revoke': ['ca-operator'],
  'crl.publish': ['ca-operator'],
  'device.read': ['policy-administrator', 'ca-operator', 'line-operator', 'auditor'],
  'device.revoke': ['ca-operator'],
  'revocation.propose': ['ca-operator'],
  'revocation.sign': ['policy-administrator', 'ca-operator', 'approver'],
  'revocation.read': ['policy-administrator', 'ca-operator', 'approver', 'auditor'],
  'device.readmit': ['ca-operator'],
  'device.decommission': ['ca-operator'],
  'factory.propose': ['ca-operator'],
  'factory.sign': ['policy-administrator', 'ca-operator', 'approver'],
  'factory.read': ['policy-administrator', 'ca-operator', 'auditor'],
  'factory.exchange': ['ca-operator', 'line-operator'],
  'server.enrol': ['ca-operator'],
  'enrolment.authorise': ['ca-operator'],
  'enrolment.read': ['policy-administrator', 'ca-operator', 'auditor'],
  'station.enrol': ['ca-operator'],
  'station.sign-off': ['ca-operator'],
  'operator.enrol': ROLES,
  'policy.read': ROLES,
  'policy.propose': ['policy-administrator'],
  'policy.apply': ['policy-administrator'],
  'signing.request': ['release-engineer'],
  'signing.read': ['policy-administrator', 'ca-operator', 'release-engineer', 'approver', 'auditor'],
  'signing.sign': ['policy-administrator', 'release-engineer', 'approver'],
  'firmware-key.propose': ['policy-administrator', 'ca-operator', 'release-engineer'],
  'firmware-key.sign': ['policy-administrator', 'ca-operator', 'release-engineer', 'approver'],
  'trust.propose': ['ca-operator'],
  'trust.sign': ['policy-administrator', 'ca-operator', 'approver'],
  'trust.read': ['policy-administrator', 'ca-operator', 'approver', 'auditor'],
  'trust.publish': ['ca-operator'],
  'approval.give': ['approver'],
  'backup.create': ['ca-operator'],
  'backup.restore': ['custodian'],
  'restore.propose': ['policy-administrator', 'ca-operator', 'custodian'],
  'restore.sign': ['policy-administrator', 'ca-operator', 'approver', 'custodian'],
  'audit.read': ['auditor'],
  'key.read': ['policy-administrator', 'ca-operator', 'auditor'],
  'key.stop': ['ca-operator'],
  'key.resume': ['policy-administrator'],
  'rotation.read': ['policy-administrator', 'ca-operator', 'release-engineer', 'approver', 'auditor'],
  'rotation.manage': ['ca-operator'],
  'rotation.sign': ['policy-administrator', 'ca-operator', 'approver'],
};

/** Whether one of `roles` holds `permission`. */
export function permits(roles: readonly Role[], permission: Permission): boolean {
  return roles.some((role) => ROLES_BY_PERMISSION[permission].includes(role));
}

/**
 * Roles that one person may not hold together (separation of duties): who checks does not act, and who
 * asks for a signature does not approve it.
 */
export const EXCLUSIVE_ROLES: readonly (readonly [Role, Role])[] = [
  ...ROLES.filter((role) => role !== 'auditor').map((role): readonly [Role, Role] => ['auditor', role]),
  ['release-engineer', 'approver'],
];

/** The table of permissions as Markdown: a row for each permission, a column for each role. */
export function permissionsTable(): string {
  const head = `| permission | what it allows | ${ROLES.join(' | ')} |`;
  const rule = `|---|---|${ROLES.map(() => ':-:').join('|')}|`;
  const rows = Object.entries(PERMISSIONS).map(([permission, what]) => {
    const marks = ROLES.map((role) => (permits([role], permission as Permission) ? 'yes' : ''));
    return `| \`${permission}\` | ${what} | ${marks.join(' | ')} |`;
  });
  return `${[head, rule, ...rows].join('\n')}\n`;
}
