export { registerTrust, type TrustPublication } from './routes.ts';
