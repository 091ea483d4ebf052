export { type PolicyInPlace, policyInPlace, readOrRefuse, readPolicyFile } from './in-force.ts';
export { liveInventory } from './live.ts';
export { approvalsPathOf, approve, propose, type SigningOrder } from './signing.ts';
