export { type CounterConfig, counterConfigPath, readCounterConfig, writeCounterConfig } from './config.ts';
export { COUNTER_MAKES, type CounterMake, type CounterReading, type MonotonicCounter, NO_MARK } from './counter.ts';
export { makeTokenCounter, openCounter } from './open.ts';
export { makeTpm2Counter } from './tpm2.ts';
