export { Access, type AccessDeps, type Asked, actorOf } from './access.ts';
export { ClientCertificates } from './certificates.ts';
export type { Client, DeviceClient, OperatorClient, StationClient } from './client.ts';
export { OutsideOperators } from './outside-operators.ts';
export { type AppendAudit, type Refusal, RefusalLog } from './refusals.ts';
export { Workloads } from './workloads.ts';
