export type { OperationName, Params, Result } from '../keyd/protocol.ts';
export { KeydClient, type KeydClientOptions } from './client.ts';
