import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXCLUSIVE_ROLES, PERMISSIONS, type Permission, permissionsTable, permits, ROLES } from '../index.ts';

test('an auditor reads everything and changes nothing', () => {
  const held = (Object.keys(PERMISSIONS) as Permission[]).filter((permission) => permits(['auditor'], permission));
  assert.deepEqual(held, [
    'certificate.read',
    'device.read',
    'revocation.read',
    'factory.read',
    'enrolment.read',
    'operator.enrol',
    'policy.read',
    'signing.read',
    'trust.read',
    'audit.read',
    'key.read',
    'rotation.read',
  ]);
});

test('each permission is held by at least one role, and nobody without a role holds any', () => {
  for (const permission of Object.keys(PERMISSIONS) as Permission[]) {
    assert.ok(
      ROLES.some((role) => permits([role], permission)),
      permission,
    );
    assert.equal(permits([], permission), false);
  }
});

test('nobody asks for a signature and approves it', () => {
  assert.ok(EXCLUSIVE_ROLES.some(([a, b]) => a === 'release-engineer' && b === 'approver'));
});

test('the table prints a row for each permission', () => {
  const rows = permissionsTable().trim().split('\n').slice(2);
  assert.equal(rows.length, Object.keys(PERMISSIONS).length);
  assert.ok(rows.some((row) => row.startsWith('| `device.revoke` |') && row.includes('yes')));
});
